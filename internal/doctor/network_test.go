package doctor_test

import (
	"crypto/x509"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/signet-mdm/signet/internal/doctor"
)

// secured gives a TLS server's address, and who trusts it.
func secured(t *testing.T) (addr string, trust *x509.CertPool) {
	t.Helper()
	s := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(s.Close)
	trust = x509.NewCertPool()
	trust.AddCert(s.Certificate())
	return s.Listener.Addr().String(), trust
}

func TestReachTLS(t *testing.T) {
	addr, trust := secured(t)
	if err := doctor.ReachTLS(t.Context(), addr, trust); err != nil {
		t.Errorf("a good server: %v", err)
	}
	if err := doctor.ReachTLS(t.Context(), addr, x509.NewCertPool()); err == nil {
		t.Error("a server that nobody trusts was taken")
	}
	if err := doctor.ReachTLS(t.Context(), free(t), trust); err == nil {
		t.Error("nothing was reached there")
	}
}

// free gives an address on which nobody listens.
func free(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
