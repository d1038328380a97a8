package mail_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/signet-mdm/signet/internal/judge"
	ours "github.com/signet-mdm/signet/notify/mail"
	"github.com/signet-mdm/signet/notify/mail/mailtest"
)

// signer makes an S/MIME certificate for an address under a root and an
// intermediate, and gives the root as PEM.
func signer(t *testing.T, address string, key crypto.Signer) (*tls.Certificate, []byte) {
	t.Helper()
	issue := func(c, by *x509.Certificate, pub crypto.PublicKey, priv crypto.Signer) *x509.Certificate {
		c.NotBefore, c.NotAfter, c.BasicConstraintsValid = time.Now().Add(-time.Hour), time.Now().Add(time.Hour), true
		der, err := x509.CreateCertificate(rand.Reader, c, by, pub, priv)
		if err != nil {
			t.Fatal(err)
		}
		made, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		return made
	}
	ca := func(name string, n int64) *x509.Certificate {
		return &x509.Certificate{SerialNumber: big.NewInt(n), Subject: pkix.Name{CommonName: name}, IsCA: true, KeyUsage: x509.KeyUsageCertSign}
	}
	rootKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	root := issue(ca("Root", 1), ca("Root", 1), rootKey.Public(), rootKey)
	middle := issue(ca("Mail CA", 2), root, rootKey.Public(), rootKey)
	leaf := issue(&x509.Certificate{SerialNumber: big.NewInt(3), Subject: pkix.Name{CommonName: "Secure mail"}, EmailAddresses: []string{address},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection}}, middle, key.Public(), rootKey)
	return &tls.Certificate{Certificate: [][]byte{leaf.Raw, middle.Raw, root.Raw}, PrivateKey: key},
		pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root.Raw})
}

// A signed mail is good in OpenSSL, and not any more when one letter of it is
// another.
func TestSigned(t *testing.T) {
	judge.Need(t, "openssl")
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, key := range map[string]crypto.Signer{"RSA": rsaKey, "ECDSA": ecKey} {
		pair, root := signer(t, "signet@example.org", key)
		sink := listen(t, mailtest.Behaviour{})
		if _, err := send(t, client(t, sink.Addr, sink.CA, func(c *ours.Config) { c.Signer = pair }), letter, letter); err != nil {
			t.Fatal(err)
		}
		ca := filepath.Join(t.TempDir(), "ca.pem")
		if err := os.WriteFile(ca, root, 0o600); err != nil {
			t.Fatal(err)
		}
		for _, m := range sink.Messages() {
			inner := judge.Run(t, m.Data, "openssl", "cms", "-verify", "-CAfile", ca, "-purpose", "smimesign")
			if !strings.Contains(string(inner), "set up secure") && !strings.Contains(string(inner), "enroll/T") {
				t.Errorf("%s: what was signed is not the mail:\n%s", name, inner)
			}
			forged := strings.Replace(string(m.Data), "enroll/T", "enroll/X", 1)
			judge.Refuses(t, []byte(forged), "openssl", "cms", "-verify", "-CAfile", ca, "-purpose", "smimesign")
		}
	}
}

// The certificate must be the sender's.
func TestSignerOfAnother(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	pair, _ := signer(t, "eve@example.org", key)
	for name, c := range map[string]*tls.Certificate{"another's": pair, "none": {}, "damaged": {Certificate: [][]byte{{1}}}} {
		if _, err := ours.New(ours.Config{Host: "smtp.example.org", Port: "587", Security: ours.StartTLS, From: "signet@example.org", Signer: c}); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
