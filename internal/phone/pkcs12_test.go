package phone_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"software.sslmate.com/src/go-pkcs12"

	"github.com/signet-mdm/signet/internal/judge"
	"github.com/signet-mdm/signet/internal/phone"
)

const (
	fine      = ""
	wrong     = "errSecAuthFailed"
	malformed = "errSecDecode"
)

// pfx makes a file with go-pkcs12.
func pfx(t testing.TB, e *pkcs12.Encoder, key crypto.Signer, cert *x509.Certificate, pass string) []byte {
	t.Helper()
	b, err := e.Encode(key, cert, nil, pass)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// opensslPFX makes a file with OpenSSL.
func opensslPFX(t testing.TB, key crypto.Signer, cert *x509.Certificate, args ...string) []byte {
	t.Helper()
	file := keyPEM(t, key, cert)
	return judge.Run(t, nil, "openssl", append([]string{"pkcs12", "-export", "-in", file, "-passout", "pass:secret"}, args...)...)
}

// keyPEM writes a key and its certificate into one file.
func keyPEM(t testing.TB, key crypto.Signer, cert *x509.Certificate) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	b := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	b = append(b, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})...)
	file := filepath.Join(t.TempDir(), "key.pem")
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestPKCS12(t *testing.T) {
	judge.Need(t, "openssl")
	a := newAuthority()
	key := a.raKey
	cert := certify("Alice", key, a.ca, a.caKey)
	p256 := ecKey(t, elliptic.P256())
	p224 := ecKey(t, elliptic.P224())
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	des := pfx(t, pkcs12.LegacyDES, key, cert, "secret")
	other := pfx(t, pkcs12.LegacyDES, a.caKey, certify("Bob", a.caKey, nil, a.caKey), "secret")
	edit := func(f func([]byte) []byte) []byte { return phone.EditPKCS12(des, "secret", f) }
	trust, err := pkcs12.LegacyDES.EncodeTrustStore([]*x509.Certificate{cert}, "secret")
	if err != nil {
		t.Fatal(err)
	}
	localKeyID := []byte{0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x15}

	for name, c := range map[string]struct {
		file         []byte
		ios17, ios18 string
		identities   int
	}{
		"go LegacyDES":                {des, fine, fine, 1},
		"go LegacyRC2":                {pfx(t, pkcs12.LegacyRC2, key, cert, "secret"), fine, fine, 1},
		"go Modern2023":               {pfx(t, pkcs12.Modern2023, key, cert, "secret"), wrong, fine, 1},
		"go Modern2026, PBMAC1":       {pfx(t, pkcs12.Modern2026, key, cert, "secret"), wrong, wrong, 0},
		"go Passwordless":             {pfx(t, pkcs12.Passwordless, key, cert, ""), wrong, wrong, 0},
		"openssl default":             {opensslPFX(t, key, cert), wrong, fine, 1},
		"openssl 3DES, SHA-1":         {opensslPFX(t, key, cert, "-keypbe", "PBE-SHA1-3DES", "-certpbe", "PBE-SHA1-3DES", "-macalg", "sha1"), fine, fine, 1},
		"openssl 3DES, SHA-256":       {opensslPFX(t, key, cert, "-keypbe", "PBE-SHA1-3DES", "-certpbe", "PBE-SHA1-3DES"), wrong, fine, 1},
		"openssl AES-256, SHA-1":      {opensslPFX(t, key, cert, "-macalg", "sha1"), wrong, fine, 1},
		"openssl AES-256, SHA-224":    {opensslPFX(t, key, cert, "-macalg", "sha224"), wrong, fine, 1},
		"openssl AES-256, SHA-384":    {opensslPFX(t, key, cert, "-macalg", "sha384"), wrong, fine, 1},
		"openssl AES-256, SHA-512":    {opensslPFX(t, key, cert, "-macalg", "sha512"), wrong, fine, 1},
		"openssl AES-256, MD5":        {opensslPFX(t, key, cert, "-macalg", "md5"), wrong, wrong, 0},
		"openssl AES-128":             {opensslPFX(t, key, cert, "-keypbe", "AES-128-CBC", "-certpbe", "AES-128-CBC"), wrong, wrong, 0},
		"openssl two-key 3DES":        {opensslPFX(t, key, cert, "-keypbe", "PBE-SHA1-2DES", "-certpbe", "PBE-SHA1-2DES", "-macalg", "sha1"), wrong, wrong, 0},
		"openssl RC4-128":             {opensslPFX(t, key, cert, "-legacy", "-keypbe", "PBE-SHA1-RC4-128", "-certpbe", "PBE-SHA1-RC4-128", "-macalg", "sha1"), fine, fine, 1},
		"openssl RC4-40":              {opensslPFX(t, key, cert, "-legacy", "-keypbe", "PBE-SHA1-RC4-40", "-certpbe", "PBE-SHA1-RC2-128", "-macalg", "sha1"), fine, fine, 1},
		"openssl a million rounds":    {opensslPFX(t, key, cert, "-keypbe", "PBE-SHA1-3DES", "-certpbe", "PBE-SHA1-3DES", "-macalg", "sha1", "-maciter", "-iter", "1000001"), malformed, malformed, 0},
		"openssl without MAC":         {opensslPFX(t, key, cert, "-nomac"), wrong, wrong, 0},
		"openssl key in clear":        {opensslPFX(t, key, cert, "-keypbe", "NONE", "-certpbe", "NONE", "-macalg", "sha1"), fine, fine, 0},
		"openssl certificate alone":   {opensslPFX(t, key, cert, "-nokeys", "-certpbe", "PBE-SHA1-3DES", "-macalg", "sha1"), fine, fine, 0},
		"P-256":                       {pfx(t, pkcs12.LegacyDES, p256, certify("E", p256, nil, p256), "secret"), fine, fine, 1},
		"P-224":                       {pfx(t, pkcs12.LegacyDES, p224, certify("E", p224, nil, p224), "secret"), malformed, malformed, 0},
		"Ed25519":                     {pfx(t, pkcs12.LegacyDES, ed, certify("E", ed, nil, ed), "secret"), malformed, malformed, 0},
		"another password":            {pfx(t, pkcs12.LegacyDES, key, cert, "Secret"), wrong, wrong, 0},
		"a certificate for other key": {pfx(t, pkcs12.LegacyDES, key, a.ca, "secret"), malformed, malformed, 0},
		"trust store":                 {trust, fine, fine, 0},
		"two identities":              {edit(func(b []byte) []byte { return phone.Sequence(phone.Members(b), phone.Members(phone.Safe(other))) }), fine, fine, 2},
		"key without localKeyID": {edit(func(b []byte) []byte {
			return bytes.Replace(b, localKeyID, []byte{0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x10}, 1)
		}), fine, fine, 0},
		"joined by friendlyName": {edit(func(b []byte) []byte {
			return bytes.Replace(b, localKeyID, []byte{0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x14}, 1)
		}), fine, fine, 0}, // the certificate still has its localKeyID
		"unknown bag": {edit(func(b []byte) []byte {
			return bytes.Replace(b, []byte{0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x0c, 0x0a, 0x01, 0x02}, []byte{0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x0c, 0x0a, 0x01, 0x09}, 1)
		}), malformed, malformed, 0},
		"changed after the MAC": {bytes.Replace(des, localKeyID, []byte{0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x14}, 1), wrong, wrong, 0},
		"bytes at the end":      {append(bytes.Clone(des), 0), malformed, malformed, 0},
		"cut off":               {des[:len(des)-1], malformed, malformed, 0},
		"empty":                 {nil, malformed, malformed, 0},
	} {
		t.Run(name, func(t *testing.T) {
			for os, want := range map[string]string{"17.7": c.ios17, "18.0": c.ios18, "26.0": c.ios18} {
				ids, err := phone.OpenPKCS12(c.file, "secret", os)
				switch {
				case want == fine && err != nil, want != fine && (err == nil || !strings.Contains(err.Error(), want)):
					t.Errorf("iOS %s: got %v, want %q", os, err, want)
				case want == fine && len(ids) != c.identities:
					t.Errorf("iOS %s: got %d identities, want %d", os, len(ids), c.identities)
				}
			}
		})
	}
}

func TestPKCS12Chain(t *testing.T) {
	a := newAuthority()
	cert := certify("Alice", a.raKey, a.ca, a.caKey)
	stranger := certify("Stranger", a.rootKey, nil, a.rootKey)
	b, err := pkcs12.Modern2023.Encode(a.raKey, cert, []*x509.Certificate{stranger, a.root, a.ca}, "pässword€")
	if err != nil {
		t.Fatal(err)
	}
	ids, err := phone.OpenPKCS12(b, "pässword€", "18.0")
	if err != nil || len(ids) != 1 {
		t.Fatalf("got %d identities, %v", len(ids), err)
	}
	got := ids[0]
	if !got.Certificate.Equal(cert) || len(got.Chain) != 2 || !got.Chain[0].Equal(a.ca) || !got.Chain[1].Equal(a.root) {
		t.Errorf("got %v with a chain of %d, want CA and root without the stranger", got.Certificate.Subject, len(got.Chain))
	}
}

func ecKey(t testing.TB, c elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(c, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}
