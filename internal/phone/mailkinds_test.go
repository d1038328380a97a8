package phone_test

import (
	"bytes"
	"crypto"
	"crypto/elliptic"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/signet-mdm/signet/internal/judge"
	"github.com/signet-mdm/signet/internal/phone"
)

func identity(name string, key crypto.Signer) phone.Identity {
	a := newAuthority()
	return phone.Identity{Certificate: certify(name, key, a.ca, a.caKey), Key: key}
}

// Messages as OpenSSL writes them for certificates of every kind.
func TestReadMailKinds(t *testing.T) {
	judge.Need(t, "openssl")
	p256, p384, p521 := ecKey(t, elliptic.P256()), ecKey(t, elliptic.P384()), ecKey(t, elliptic.P521())
	bob := identity("Bob", ecKey(t, elliptic.P256()))
	stranger := identity("Stranger", ecKey(t, elliptic.P256())).Certificate
	for name, c := range map[string]struct {
		key  crypto.Signer
		args []string
	}{
		"P-256":                {p256, []string{"-aes256"}},
		"P-384":                {p384, []string{"-aes256"}},
		"P-521":                {p521, []string{"-aes256"}},
		"AES-128":              {p256, []string{"-aes128"}},
		"AES-192":              {p256, []string{"-aes192"}},
		"3DES":                 {p256, []string{"-des3"}},
		"RC2":                  {p256, []string{"-rc2-128", "-provider", "legacy", "-provider", "default"}},
		"KDF with SHA-256":     {p256, []string{"-aes128", "-keyopt", "ecdh_kdf_md:sha256"}},
		"KDF with SHA-384":     {p384, []string{"-aes256", "-keyopt", "ecdh_kdf_md:sha384"}},
		"KDF with SHA-512":     {p521, []string{"-aes256", "-keyopt", "ecdh_kdf_md:sha512"}},
		"3DES, SHA-256":        {p256, []string{"-des3", "-keyopt", "ecdh_kdf_md:sha256"}},
		"key id":               {p256, []string{"-aes256", "-keyid"}},
		"BER":                  {p256, []string{"-aes256", "-stream"}},
		"AES-128-GCM":          {p256, []string{"-aes-128-gcm"}},
		"AES-192-GCM":          {p256, []string{"-aes-192-gcm"}},
		"AES-256-GCM":          {p256, []string{"-aes-256-gcm", "-keyopt", "ecdh_kdf_md:sha256"}},
		"RSA, AES-128-GCM":     {newAuthority().raKey, []string{"-aes-128-gcm"}},
		"RSA, AES-256-GCM":     {newAuthority().raKey, []string{"-aes-256-gcm"}},
		"RSA, GCM, key id":     {newAuthority().raKey, []string{"-aes-256-gcm", "-keyid"}},
		"RSA, GCM, BER":        {newAuthority().raKey, []string{"-aes-256-gcm", "-stream"}},
		"RSA, GCM, OAEP":       {newAuthority().raKey, []string{"-aes-256-gcm", "-keyopt", "rsa_padding_mode:oaep"}},
		"EC, GCM, key id, BER": {p384, []string{"-aes-256-gcm", "-keyid", "-stream"}},
	} {
		t.Run(name, func(t *testing.T) {
			id := identity("Alice", c.key)
			body := bytes.Repeat([]byte("The contract of 2019.\r\n"), 300)
			eml := judge.Run(t, body, "openssl", append([]string{
				"cms", "-encrypt", "-binary", "-recip", certPEM(t, stranger), "-recip", certPEM(t, id.Certificate),
			}, c.args...)...)
			plain, used, err := phone.ReadMail(eml, []phone.Identity{bob, id})
			if err != nil || !bytes.Equal(plain, body) || used != id.Certificate {
				t.Errorf("got %d bytes, %v", len(plain), err)
			}
			if _, _, err := phone.ReadMail(eml, []phone.Identity{bob}); !errors.Is(err, phone.ErrNoKey) {
				t.Errorf("without the key: got %v, want ErrNoKey", err)
			}
			wrong := phone.Identity{Certificate: id.Certificate, Key: ecKey(t, elliptic.P256())}
			if plain, _, err := phone.ReadMail(eml, []phone.Identity{wrong}); err == nil {
				t.Errorf("opened %q with another key", plain)
			}
		})
	}
}

// What OpenSSL wrote once still opens; FuzzMail starts from it.
func TestReadKeptMail(t *testing.T) {
	kept, err := filepath.Glob("testdata/cms/agreed-*.der")
	if err != nil || len(kept) == 0 {
		t.Fatalf("nothing kept: %v", err)
	}
	for _, name := range kept {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		plain, _, err := phone.ReadMail(append([]byte(binaryMail), b...), keptIdentity(t))
		if err != nil || string(plain) != "kept" {
			t.Errorf("%s: got %q, %v", name, plain, err)
		}
	}
}
