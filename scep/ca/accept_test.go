package ca_test

import (
	"crypto"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"testing"
	"time"

	"github.com/signet-mdm/signet/scep/ca"
)

// What OpenSSL as the offline CA gets wrong is in e2e offline-root; this is what
// is hard to make it do.
func TestAccept(t *testing.T) {
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	names := ca.Names{CommonName: "Example S/MIME CA", Organization: "Example"}
	keys := map[string]crypto.Signer{"root": ecKey(t, elliptic.P256()), "middle": ecKey(t, elliptic.P256()), "own": ecKey(t, elliptic.P256())}
	above := func(name string) *x509.Certificate {
		return &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
			BasicConstraintsValid: true, IsCA: true, MaxPathLen: -1, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign}
	}
	for name, c := range map[string]struct {
		change func(root, middle, own *x509.Certificate)
		want   string // rule, "" for none
	}{
		"right":                      {func(_, _, _ *x509.Certificate) {}, ""},
		"not yet":                    {func(_, _, own *x509.Certificate) { own.NotBefore = now.Add(time.Minute) }, "validity"},
		"the middle expired":         {func(_, m, _ *x509.Certificate) { m.NotAfter = now.Add(-time.Minute) }, "validity"},
		"the root allows no middle":  {func(r, _, _ *x509.Certificate) { r.MaxPathLen, r.MaxPathLenZero = 0, true }, "path"},
		"the middle is for TLS only": {func(_, m, _ *x509.Certificate) { m.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }, "path"},
		"the middle signs no CAs":    {func(_, m, _ *x509.Certificate) { m.KeyUsage = x509.KeyUsageCRLSign }, "chain"},
		"a signing key too":          {func(_, _, own *x509.Certificate) { own.KeyUsage |= x509.KeyUsageDigitalSignature }, "key-usage"},
		"other mail domains":         {func(_, _, own *x509.Certificate) { own.PermittedEmailAddresses = []string{"example.org"} }, "name-constraints"},
		"no mail domains":            {func(_, _, own *x509.Certificate) { own.PermittedEmailAddresses = nil }, "name-constraints"},
	} {
		t.Run(name, func(t *testing.T) {
			names := names
			names.Permitted = []string{"example.com"}
			own := above(names.CommonName)
			own.Subject.Organization = []string{names.Organization}
			own.MaxPathLen, own.MaxPathLenZero = 0, true
			own.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection}
			own.PermittedEmailAddresses, own.PermittedDNSDomainsCritical = []string{"example.com"}, true
			root, middle := above("root"), above("middle")
			c.change(root, middle, own)
			r := signedBy(t, root, keys["root"], root, keys["root"])
			m := signedBy(t, middle, keys["middle"], r, keys["root"])
			o := signedBy(t, own, keys["own"], m, keys["middle"])
			err := ca.Accept(ca.MailCA, keys["own"].Public(), names, []*x509.Certificate{o, m, r}, now)
			rule, broken := errors.AsType[*ca.BrokenRule](err)
			if broken != (c.want != "") || broken && rule.Rule != c.want {
				t.Errorf("got %v, want rule %q", err, c.want)
			}
		})
	}
}

func signedBy(t *testing.T, template *x509.Certificate, key crypto.Signer, parent *x509.Certificate, by crypto.Signer) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), by)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}
