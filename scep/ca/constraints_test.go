package ca_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"math/big"
	"testing"
	"time"

	"github.com/signet-mdm/signet/internal/judge"
	"github.com/signet-mdm/signet/scep/ca"
)

// A CA that is constrained to domains certifies no other address, and OpenSSL
// believes no certificate that did.
func TestNameConstraints(t *testing.T) {
	judge.Need(t, "openssl")
	h := newHouse(t)
	key := ecKey(t, elliptic.P256())
	own := must[*x509.Certificate](t)(ca.NewMailCA(h.root, key.Public(),
		ca.Names{CommonName: "Constrained CA", Permitted: []string{"example.com", ".example.org"}}, now))
	issuer := must[*ca.Issuer](t)(ca.NewIssuer("smime", key, []*x509.Certificate{own, h.root.Certificate()}, ca.URLsBelow("http://mdm.example.com", "smime")))
	for addr, want := range map[string]bool{
		"alice@example.com": true, "alice@EXAMPLE.com": true, "jürgen@example.com": true, "bob@a.example.org": true,
		"bob@example.org": false, "bob@a.example.com": false, "bob@notexample.com": false, "bob@example.net": false, "jürgen@example.net": false,
	} {
		if got := issuer.Permits(addr); got != want {
			t.Errorf("Permits(%s): got %v, want %v", addr, got, want)
		}
		r := signing(ecKey(t, elliptic.P256()).Public())
		r.Names.Mail = []string{addr}
		p, err := issuer.Prepare(r, now)
		if rule, broken := errors.AsType[*ca.BrokenRule](err); want != (err == nil) || !want && (!broken || rule.Rule != "name-constraints") {
			t.Errorf("%s: got %v, want allowed %v", addr, err, want)
		}
		if want {
			judge.Run(t, nil, "openssl", "verify", "-x509_strict", "-CAfile", pemFile(t, h.root.Certificate()), "-untrusted", pemFile(t, own),
				pemFile(t, must[*x509.Certificate](t)(issuer.Issue(p))))
		}
	}
	said := judge.Refuses(t, nil, "openssl", "verify", "-CAfile", pemFile(t, h.root.Certificate()), "-untrusted", pemFile(t, own),
		pemFile(t, unchecked(t, own, key)))
	if !bytes.Contains(said, []byte("permitted subtree violation")) {
		t.Errorf("openssl says %s", said)
	}
}

// unchecked is what a CA without our rules would have made.
func unchecked(t *testing.T, issuer *x509.Certificate, key *ecdsa.PrivateKey) *x509.Certificate {
	t.Helper()
	leaf := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: now, NotAfter: now.Add(time.Hour), EmailAddresses: []string{"bob@example.net"}}
	der, err := x509.CreateCertificate(rand.Reader, leaf, issuer, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return must[*x509.Certificate](t)(x509.ParseCertificate(der))
}
