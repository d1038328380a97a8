package cert_test

import (
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"math/big"
	"testing"
	"time"
)

var now = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

var caKey, _ = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)

// certificate makes one with what is given, for an EC key.
func certificate(t testing.TB, c x509.Certificate) *x509.Certificate {
	t.Helper()
	return certificateFor(t, c, caKey.Public())
}

// certificateFor makes one for that key, signed by our own.
func certificateFor(t testing.TB, c x509.Certificate, public crypto.PublicKey) *x509.Certificate {
	t.Helper()
	if _, ok := public.(*ecdh.PublicKey); ok { // crypto/x509 writes no such certificate
		spki, err := x509.MarshalPKIXPublicKey(public)
		if err != nil {
			t.Fatal(err)
		}
		out := certificate(t, c)
		out.PublicKey, out.PublicKeyAlgorithm, out.RawSubjectPublicKeyInfo = nil, x509.UnknownPublicKeyAlgorithm, spki
		return out
	}
	if c.SerialNumber == nil {
		c.SerialNumber = big.NewInt(4711)
	}
	if c.NotAfter.IsZero() {
		c.NotBefore, c.NotAfter = now.AddDate(-1, 0, 0), now.AddDate(1, 0, 0)
	}
	der, err := x509.CreateCertificate(rand.Reader, &c, &x509.Certificate{Subject: c.Issuer}, public, caKey)
	if err != nil {
		t.Fatal(err)
	}
	out, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return out
}
