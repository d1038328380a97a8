package cert_test

import (
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"math/big"
	"strings"
	"testing"

	"github.com/signet-mdm/signet/internal/cert"
)

// A public key of so many bits; nothing here needs the private one.
func rsaPublic(bits int) *rsa.PublicKey {
	n := new(big.Int).Lsh(big.NewInt(1), uint(bits-1))
	return &rsa.PublicKey{N: n.SetBit(n, 0, 1), E: 65537}
}

var (
	rsa2048   = rsaPublic(2048)
	edKey     = must(ed25519.GenerateKey(rand.Reader))
	xKey, _   = ecdh.X25519().GenerateKey(rand.Reader)
	p224, _   = ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	mail      = []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection}
	decipherO = x509.KeyUsageKeyAgreement | x509.KeyUsageDecipherOnly
	encipherO = x509.KeyUsageKeyAgreement | x509.KeyUsageEncipherOnly
)

func must(public ed25519.PublicKey, _ ed25519.PrivateKey, err error) ed25519.PublicKey {
	if err != nil {
		panic(err)
	}
	return public
}

const (
	ds = x509.KeyUsageDigitalSignature
	nr = x509.KeyUsageContentCommitment
	ke = x509.KeyUsageKeyEncipherment
	de = x509.KeyUsageDataEncipherment
	ka = x509.KeyUsageKeyAgreement
)

func TestClassify(t *testing.T) {
	ec := caKey.Public()
	for name, c := range map[string]struct {
		key    crypto.PublicKey
		usage  x509.KeyUsage
		ext    []x509.ExtKeyUsage
		want   cert.Use
		reason string // a part of it
	}{
		"no usages at all":         {rsa2048, 0, nil, cert.Both, ""},
		"EC without usages":        {ec, 0, nil, cert.Both, ""},
		"dual use RSA":             {rsa2048, ds | ke, mail, cert.Both, ""},
		"encryption RSA":           {rsa2048, ke, mail, cert.Encryption, "include signing"},
		"signing RSA":              {rsa2048, ds, mail, cert.Signing, "include encryption"},
		"non-repudiation only":     {rsa2048, nr, mail, cert.Signing, "include encryption"},
		"data encipherment alone":  {rsa2048, de, mail, cert.Unknown, "signing or encryption"},
		"key agreement on RSA":     {rsa2048, ka, mail, cert.Unknown, "signing or encryption"},
		"encryption EC":            {ec, ka, mail, cert.Encryption, "include signing"},
		"decipher only EC":         {ec, decipherO, mail, cert.Encryption, ""},
		"encipher only EC":         {ec, encipherO, mail, cert.Unknown, "signing or encryption"},
		"key encipherment on EC":   {ec, ke, mail, cert.Unknown, ""},
		"any extended usage":       {rsa2048, ds | ke, []x509.ExtKeyUsage{x509.ExtKeyUsageAny}, cert.Both, ""},
		"mail among other usages":  {rsa2048, ke, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageEmailProtection}, cert.Encryption, ""},
		"TLS client":               {rsa2048, ds | ke, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, cert.Unknown, "e-mail protection"},
		"Ed25519":                  {edKey, 0, mail, cert.Signing, "kind of key cannot be used for encryption"},
		"Ed25519 for key exchange": {edKey, ka, mail, cert.Unknown, ""},
		"X25519":                   {xKey.Public(), ka, mail, cert.Encryption, "kind of key cannot be used for signing"},
	} {
		got, reason := cert.Classify(certificateFor(t, x509.Certificate{KeyUsage: c.usage, ExtKeyUsage: c.ext}, c.key))
		if got != c.want || !strings.Contains(reason, c.reason) {
			t.Errorf("%s: got %s, %q; want %s, …%q…", name, got, reason, c.want, c.reason)
		}
		if (reason == "") != (got == cert.Both) {
			t.Errorf("%s: %s with reason %q", name, got, reason)
		}
	}
}

func TestClassifyOdd(t *testing.T) {
	ca := x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: ke}
	if got, reason := cert.Classify(certificateFor(t, ca, rsa2048)); got != cert.Unknown || !strings.Contains(reason, "CA") {
		t.Errorf("a CA: got %s, %q", got, reason)
	}
	smartcard := x509.Certificate{UnknownExtKeyUsage: []asn1.ObjectIdentifier{{1, 3, 6, 1, 4, 1, 311, 20, 2, 2}}}
	if got, _ := cert.Classify(certificateFor(t, smartcard, rsa2048)); got != cert.Unknown {
		t.Errorf("an unknown extended usage: got %s", got)
	}
}

func TestStrength(t *testing.T) {
	for name, c := range map[string]struct {
		key                       crypto.PublicKey
		weak, aged, undeliverable bool
	}{
		"RSA 512":  {rsaPublic(512), true, true, false},
		"RSA 1023": {rsaPublic(1023), true, true, false},
		"RSA 1024": {rsaPublic(1024), false, true, false},
		"RSA 2047": {rsaPublic(2047), false, true, false},
		"RSA 2048": {rsa2048, false, false, false},
		"RSA 4096": {rsaPublic(4096), false, false, false},
		"P-256":    {caKey.Public(), false, false, false},
		"P-224":    {p224.Public(), false, false, true},
		"Ed25519":  {edKey, false, false, true},
		"X25519":   {xKey.Public(), false, false, true},
	} {
		crt := certificateFor(t, x509.Certificate{}, c.key)
		_, weak := cert.Weak(crt)
		if aged, un := cert.Aged(crt) != "", cert.Undeliverable(crt) != ""; weak != c.weak || aged != c.aged || un != c.undeliverable {
			t.Errorf("%s: weak %v, aged %v, undeliverable %v; want %v, %v, %v", name, weak, aged, un, c.weak, c.aged, c.undeliverable)
		}
	}
}
