package doctor_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/emersion/go-smtp"

	"github.com/signet-mdm/signet/internal/doctor"
)

// secured gives a TLS server's address, its configuration, and who trusts it.
func secured(t *testing.T) (addr string, config *tls.Config, trust *x509.CertPool) {
	t.Helper()
	s := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(s.Close)
	trust = x509.NewCertPool()
	trust.AddCert(s.Certificate())
	return s.Listener.Addr().String(), s.TLS, trust
}

func TestReachTLS(t *testing.T) {
	addr, _, trust := secured(t)
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

func TestReachSMTP(t *testing.T) {
	_, config, trust := secured(t)
	for name, c := range map[string]struct {
		config *tls.Config
		trust  *x509.CertPool
		want   string
	}{
		"good":        {config, trust, ""},
		"clear":       {nil, trust, "it does not offer STARTTLS"},
		"not trusted": {config, x509.NewCertPool(), "STARTTLS: tls: failed to verify"},
	} {
		host, port, err := net.SplitHostPort(mailServer(t, c.config))
		if err != nil {
			t.Fatal(err)
		}
		err = doctor.ReachSMTP(t.Context(), host, port, c.trust)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
	host, port, err := net.SplitHostPort(free(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := doctor.ReachSMTP(t.Context(), host, port, trust); err == nil {
		t.Error("nothing was reached there")
	}
}

// noMail takes no mail.
type noMail struct{}

var errNoMail = errors.New("no")

func (m noMail) NewSession(*smtp.Conn) (smtp.Session, error) { return m, nil }
func (noMail) Mail(string, *smtp.MailOptions) error          { return errNoMail }
func (noMail) Rcpt(string, *smtp.RcptOptions) error          { return errNoMail }
func (noMail) Data(io.Reader) error                          { return errNoMail }
func (noMail) Reset()                                        {}
func (noMail) Logout() error                                 { return nil }

func mailServer(t *testing.T, config *tls.Config) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := smtp.NewServer(noMail{})
	s.Domain, s.TLSConfig = "mail.example.org", config
	go s.Serve(l)
	t.Cleanup(func() { s.Close() })
	return l.Addr().String()
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
