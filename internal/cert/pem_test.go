package cert_test

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"testing"

	"github.com/signet-mdm/signet/internal/cert"
)

func TestPEMKeepsTheOrder(t *testing.T) {
	rest := cert.PEM(&x509.Certificate{Raw: []byte("leaf")}, &x509.Certificate{Raw: []byte("root")})
	for _, want := range []string{"leaf", "root"} {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil || block.Type != "CERTIFICATE" || string(block.Bytes) != want {
			t.Fatalf("got %v, want %s", block, want)
		}
	}
	if len(rest) > 0 || len(cert.PEM()) > 0 {
		t.Errorf("%d bytes are left, none give %q", len(rest), cert.PEM())
	}
}

func TestSameKey(t *testing.T) {
	a, b := ed25519.PublicKey(make([]byte, 32)), ed25519.PublicKey(make([]byte, 32))
	b[0] = 1
	for name, c := range map[string]struct {
		a, b any
		want bool
	}{
		"itself": {a, ed25519.PublicKey(make([]byte, 32)), true}, "another": {a, b, false}, "none": {nil, nil, false},
		"unknown kind": {"key", "key", false}, "half known": {a, "key", false},
	} {
		if got := cert.SameKey(c.a, c.b); got != c.want {
			t.Errorf("%s: got %v, want %v", name, got, c.want)
		}
	}
}
