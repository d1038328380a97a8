package pfx_test

import (
	"bytes"
	"crypto"
	"crypto/ecdh"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/signet-mdm/signet/internal/judge"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/pfxconnector/pfx"
	"github.com/signet-mdm/signet/testdata"
)

// TestWriteWhatWasRead takes every identity of the corpus through the writer
// and back, for both generations of iOS.
func TestWriteWhatWasRead(t *testing.T) {
	written := 0
	for _, s := range testdata.PFXCorpus() {
		if s.Outcome != "ok" || s.Identities == 0 || strings.HasPrefix(s.Name, "gnutls") || strings.HasPrefix(s.Name, "nss") {
			continue // the last two have the same keys, and take long
		}
		res, err := pfx.Read(t.Context(), s.Data, seal.SecretString(s.Password), patient())
		if err != nil {
			t.Fatalf("%s: %v", s.Name, err)
		}
		for _, id := range res.Identities {
			for _, ios := range []int{17, 18} {
				out, err := pfx.Write(id.Key, id.Certificate, id.Chain, password, ios)
				if errors.Is(err, pfx.ErrNotDeliverable) && undeliverable(s.Name) {
					continue
				}
				if err != nil {
					t.Errorf("%s for iOS %d: %v", s.Name, ios, err)
					continue
				}
				back := identity(t, testdata.File{Name: s.Name, Data: out, Password: pw})
				if !bytes.Equal(back.PKCS8.Reveal(), id.PKCS8.Reveal()) || !back.Certificate.Equal(id.Certificate) || len(back.Chain) != len(id.Chain) {
					t.Errorf("%s for iOS %d: another identity came back", s.Name, ios)
				}
				written++
			}
		}
	}
	if written < 100 {
		t.Errorf("only %d were written", written)
	}
}

// undeliverable names the keys of the corpus that iOS does not take.
func undeliverable(name string) bool {
	for _, kind := range []string{"P-224", "ED25519", "X25519", "3prime"} {
		if strings.Contains(name, kind) {
			return true
		}
	}
	return false
}

func TestWriteRefuses(t *testing.T) {
	x25519 := must(ecdh.X25519().GenerateKey(rand.Reader))
	for name, c := range map[string]struct {
		key      crypto.PrivateKey
		leaf     *x509.Certificate
		password string
		want     error
	}{
		"another's key":      {bobPrivate, aliceLeaf, pw, pfx.ErrMismatch},
		"another kind":       {ecPrivate, aliceLeaf, pw, pfx.ErrMismatch},
		"X25519":             {x25519, aliceLeaf, pw, pfx.ErrNotDeliverable},
		"no password":        {alicePrivate, aliceLeaf, "", pfx.ErrPasswordForm},
		"password beyond":    {alicePrivate, aliceLeaf, strings.Repeat("x", 129), pfx.ErrPasswordForm},
		"umlaut in password": {alicePrivate, aliceLeaf, "pässword", pfx.ErrPasswordForm},
	} {
		if _, err := pfx.Write(c.key, c.leaf, nil, seal.SecretString(c.password), 18); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
}

// emitted is one file of the writer on disk.
func emitted(t *testing.T, key crypto.PrivateKey, leaf *x509.Certificate, ios int) (file, pass string) {
	t.Helper()
	secret := seal.Random()
	out, err := pfx.Write(key, leaf, []*x509.Certificate{authority, top}, secret, ios)
	if err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(t.TempDir(), "identity.p12")
	if err := os.WriteFile(file, out, 0o600); err != nil {
		t.Fatal(err)
	}
	return file, secret.RevealString()
}

// forEach runs judgement on an RSA and an EC identity for both generations.
func forEach(t *testing.T, judgement func(t *testing.T, file, pass string, ios int, key crypto.PrivateKey)) {
	for name, id := range map[string]struct {
		key  crypto.PrivateKey
		leaf *x509.Certificate
	}{"RSA": {alicePrivate, aliceLeaf}, "EC": {ecPrivate, ecLeaf}} {
		for _, ios := range []int{17, 18} {
			t.Run(name+" iOS "+strconv.Itoa(ios), func(t *testing.T) {
				file, pass := emitted(t, id.key, id.leaf, ios)
				judgement(t, file, pass, ios, id.key)
			})
		}
	}
}

func TestOpenSSLOpensWhatWeWrite(t *testing.T) {
	judge.Need(t, "openssl")
	forEach(t, func(t *testing.T, file, pass string, ios int, key crypto.PrivateKey) {
		out := judge.Run(t, nil, "openssl", "pkcs12", "-in", file, "-passin", "pass:"+pass, "-nodes")
		block, _ := pem.Decode(out[bytes.Index(out, []byte("-----BEGIN PRIVATE KEY")):])
		if got := must(x509.ParsePKCS8PrivateKey(block.Bytes)); !key.(interface{ Equal(crypto.PrivateKey) bool }).Equal(got) {
			t.Error("OpenSSL finds another key")
		}
		if n := strings.Count(string(out), "BEGIN CERTIFICATE"); n != 3 {
			t.Errorf("OpenSSL finds %d certificates, want 3", n)
		}
		info := string(judge.Run(t, nil, "sh", "-c", `openssl pkcs12 -info -noout -in "$1" -passin "pass:$2" 2>&1`, "sh", file, pass))
		want := map[int]string{17: "pbeWithSHA1And3-KeyTripleDES-CBC", 18: "PBES2, PBKDF2, AES-256-CBC, Iteration 1000, PRF hmacWithSHA256"}[ios]
		if strings.Count(info, want) != 2 {
			t.Errorf("want twice %q in\n%s", want, info)
		}
	})
}

func TestNSSOpensWhatWeWrite(t *testing.T) {
	judge.Need(t, "certutil", "pk12util")
	forEach(t, func(t *testing.T, file, pass string, _ int, _ crypto.PrivateKey) {
		db := "sql:" + t.TempDir()
		judge.Run(t, nil, "certutil", "-N", "-d", db, "--empty-password")
		judge.Run(t, nil, "pk12util", "-i", file, "-d", db, "-W", pass)
		if keys := judge.Run(t, nil, "certutil", "-K", "-d", db); !strings.Contains(string(keys), "< 0>") {
			t.Errorf("NSS has no key after the import:\n%s", keys)
		}
	})
}

func TestJavaOpensWhatWeWrite(t *testing.T) {
	judge.Need(t, "keytool")
	forEach(t, func(t *testing.T, file, pass string, _ int, _ crypto.PrivateKey) {
		out := judge.Run(t, nil, "keytool", "-J-Duser.language=en", "-list", "-v", "-keystore", file, "-storetype", "PKCS12", "-storepass", pass)
		for _, want := range []string{"Entry type: PrivateKeyEntry", "Certificate chain length: 3"} {
			if !strings.Contains(string(out), want) {
				t.Errorf("want %q in\n%s", want, out)
			}
		}
	})
}

func TestGnuTLSOpensWhatWeWrite(t *testing.T) {
	judge.Need(t, "certtool")
	forEach(t, func(t *testing.T, file, pass string, _ int, _ crypto.PrivateKey) {
		out := judge.Run(t, nil, "certtool", "--p12-info", "--inder", "--infile", file, "--password", pass)
		if !strings.Contains(string(out), "PRIVATE KEY") {
			t.Errorf("GnuTLS finds no key:\n%s", out)
		}
	})
}
