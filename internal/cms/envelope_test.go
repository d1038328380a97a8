package cms_test

import (
	"bytes"
	"crypto/x509"
	"errors"
	"testing"

	"github.com/smallstep/pkcs7"

	"github.com/signet-mdm/signet/internal/cms"
	"github.com/signet-mdm/signet/internal/judge"
)

var lengths = []int{0, 1, 15, 16, 17, 1000, 70_000}

func TestEncryptIsReadByOthers(t *testing.T) {
	judge.Need(t, "openssl")
	id := rsaOne()
	cert, key := id.files(t)
	for name, c := range map[string]cms.Cipher{"AES-128-CBC": cms.AES128CBC, "AES-256-CBC": cms.AES256CBC, "3DES-CBC": cms.TripleDESCBC} {
		t.Run(name, func(t *testing.T) {
			content := bytes.Repeat([]byte("mail\x00"), 1000)
			env := encrypt(t, content, id.cert, c)
			got := judge.Run(t, env, "openssl", "cms", "-decrypt", "-inform", "DER", "-binary", "-recip", cert, "-inkey", key)
			if !bytes.Equal(got, content) {
				t.Errorf("openssl decrypted %d bytes, want %d", len(got), len(content))
			}
			parsed, err := pkcs7.Parse(env)
			if err != nil {
				t.Fatal(err)
			}
			got, err = parsed.Decrypt(id.cert, id.key)
			if err != nil || !bytes.Equal(got, content) {
				t.Errorf("pkcs7 decrypted %d bytes, %v, want %d", len(got), err, len(content))
			}
		})
	}
}

func TestEncryptStructure(t *testing.T) {
	judge.Need(t, "openssl")
	env := encrypt(t, []byte("x"), rsaOne().cert, cms.AES256CBC)
	got := string(judge.Run(t, env, "openssl", "cms", "-cmsout", "-print", "-inform", "DER"))
	for _, want := range []string{
		"contentType: pkcs7-envelopedData", "version: <ABSENT>|version: 0", "d.issuerAndSerialNumber",
		"algorithm: rsaEncryption", "parameter: NULL", "algorithm: aes-256-cbc", "contentType: pkcs7-data",
	} {
		if !containsOne(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
}

func TestDecryptRoundTrip(t *testing.T) {
	id := rsaOne()
	for _, n := range lengths {
		content := bytes.Repeat([]byte{0x07}, n)
		got, err := cms.Decrypt(encrypt(t, content, id.cert, cms.AES128CBC), id.cert, id.decrypter, cms.Policy{})
		if err != nil || !bytes.Equal(got, content) {
			t.Errorf("length %d: got %d bytes, %v", n, len(got), err)
		}
	}
}

func TestDecryptWhatOpenSSLWrites(t *testing.T) {
	judge.Need(t, "openssl")
	id := rsaOne()
	cert, _ := id.files(t)
	other, _ := rsaTwo().files(t)
	content := bytes.Repeat([]byte("history "), 3000)
	oaep := []string{"-recip", cert, "-keyopt", "rsa_padding_mode:oaep"}
	cases := []struct {
		name   string
		args   []string
		policy cms.Policy
		want   error
	}{
		{"AES-128-CBC", []string{"-aes128", cert}, cms.Policy{}, nil},
		{"AES-192-CBC", []string{"-aes192", cert}, cms.Policy{}, nil},
		{"AES-256-CBC", []string{"-aes256", cert}, cms.Policy{}, nil},
		{"AES-128-GCM", []string{"-aes-128-gcm", cert}, cms.Policy{}, nil},
		{"AES-256-GCM", []string{"-aes-256-gcm", cert}, cms.Policy{}, nil},
		{"indefinite length", []string{"-aes128", "-stream", cert}, cms.Policy{}, nil},
		{"key identifier", []string{"-aes128", "-keyid", cert}, cms.Policy{}, nil},
		{"second of two recipients", []string{"-aes128", other, cert}, cms.Policy{}, nil},
		{"another recipient", []string{"-aes128", other}, cms.Policy{}, cms.ErrDecrypt},
		{"OAEP with SHA-1", append([]string{"-aes128"}, oaep...), cms.Policy{}, nil},
		{"OAEP with SHA-256", append([]string{"-aes256"}, append(oaep, "-keyopt", "rsa_oaep_md:sha256")...), cms.Policy{}, nil},
		{"OAEP with two hashes", append([]string{"-aes256"}, append(oaep, "-keyopt", "rsa_oaep_md:sha512", "-keyopt", "rsa_mgf1_md:sha1")...), cms.Policy{}, nil},
		{"OAEP with a label", append([]string{"-aes256"}, append(oaep, "-keyopt", "rsa_oaep_label:0102ff")...), cms.Policy{}, nil},
		{"3DES refused", []string{"-des3", cert}, cms.Policy{}, cms.ErrAlgorithm},
		{"3DES allowed", []string{"-des3", cert}, cms.Policy{Allow3DES: true}, nil},
		{"RC2", []string{"-rc2", "-provider", "legacy", "-provider", "default", cert}, cms.Policy{Allow3DES: true, AllowDES: true}, cms.ErrAlgorithm},
		{"DES refused", []string{"-des", "-provider", "legacy", "-provider", "default", cert}, cms.Policy{Allow3DES: true}, cms.ErrAlgorithm},
		{"DES allowed", []string{"-des", "-provider", "legacy", "-provider", "default", cert}, cms.Policy{AllowDES: true}, nil},
		{"over the limit", []string{"-aes128", cert}, cms.Policy{MaxBytes: 20_000}, cms.ErrTooLarge},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			args := append([]string{"cms", "-encrypt", "-binary", "-outform", "DER"}, c.args...)
			env := judge.Run(t, content, "openssl", args...)
			got, err := cms.Decrypt(env, id.cert, id.decrypter, c.policy)
			if !errors.Is(err, c.want) {
				t.Fatalf("got %v, want %v", err, c.want)
			}
			if err == nil && !bytes.Equal(got, content) {
				t.Errorf("got %d bytes, want %d", len(got), len(content))
			}
		})
	}
}

func encrypt(t testing.TB, content []byte, to *x509.Certificate, c cms.Cipher) []byte {
	t.Helper()
	env, err := cms.Encrypt(content, to, c)
	if err != nil {
		t.Fatal(err)
	}
	return env
}
