package cms_test

import (
	"bytes"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"testing"

	"github.com/signet-mdm/signet/internal/cms"
	"github.com/signet-mdm/signet/internal/judge"
)

func TestVerifyWhatOpenSSLWrites(t *testing.T) {
	judge.Need(t, "openssl")
	one, ec, two := rsaOne(), ecOne(), rsaTwo()
	content := bytes.Repeat([]byte("<key>Status</key>"), 500)
	cases := []struct {
		name   string
		who    identity
		args   []string
		accept cms.Accept
		want   error
	}{
		{"DER with attributes", one, nil, cms.Accept{}, nil},
		{"no attributes", one, []string{"-noattr"}, cms.Accept{}, nil},
		{"indefinite lengths", one, []string{"-stream"}, cms.Accept{}, nil},
		{"Mdm-Signature of iOS", one, []string{"-stream", "-noattr", "-md", "sha1"}, cms.Accept{SHA1: true}, nil},
		{"SHA-1 refused", one, []string{"-md", "sha1"}, cms.Accept{}, cms.ErrAlgorithm},
		{"SHA-384", one, []string{"-md", "sha384"}, cms.Accept{}, nil},
		{"SHA-512", one, []string{"-md", "sha512", "-noattr"}, cms.Accept{}, nil},
		{"MD5 allowed", one, []string{"-md", "md5"}, cms.Accept{MD5: true}, nil},
		{"MD5 refused", one, []string{"-md", "md5"}, cms.Accept{SHA1: true}, cms.ErrAlgorithm},
		{"key identifier", one, []string{"-keyid"}, cms.Accept{}, nil},
		{"EC", ec, nil, cms.Accept{}, nil},
		{"EC without attributes", ec, []string{"-noattr", "-md", "sha512"}, cms.Accept{}, nil},
		{"RSA-PSS", one, []string{"-keyopt", "rsa_padding_mode:pss"}, cms.Accept{}, cms.ErrAlgorithm},
		{"without certificate", one, []string{"-nocerts"}, cms.Accept{}, cms.ErrSigner},
		{"two signers", one, []string{"-signer", file(t, "two.pem", append(two.certPEM, two.keyPEM...))}, cms.Accept{}, cms.ErrSigner},
		{"over the limit", one, nil, cms.Accept{MaxBytes: 1000}, cms.ErrTooLarge},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			both := file(t, "signer.pem", append(c.who.certPEM, c.who.keyPEM...))
			args := append([]string{"cms", "-sign", "-binary", "-outform", "DER", "-signer", both}, c.args...)
			got, err := cms.Verify(judge.Run(t, content, "openssl", append(args, "-nodetach")...), c.accept)
			if !errors.Is(err, c.want) {
				t.Fatalf("attached: got %v, want %v", err, c.want)
			}
			if err == nil && (!bytes.Equal(got.Content, content) || !got.Signer.Equal(c.who.cert)) {
				t.Errorf("attached: got %d bytes by %v", len(got.Content), got.Signer.Subject)
			}
			sig := judge.Run(t, content, "openssl", args...)
			got, err = verifyDetached(sig, content, c.accept)
			if !errors.Is(err, c.want) {
				t.Fatalf("detached: got %v, want %v", err, c.want)
			}
			if err == nil && !got.Signer.Equal(c.who.cert) {
				t.Errorf("detached: signed by %v", got.Signer.Subject)
			}
			if c.want != nil {
				return
			}
			if _, err := verifyDetached(sig, content[1:], c.accept); !errors.Is(err, cms.ErrSignature) {
				t.Errorf("other content: got %v, want %v", err, cms.ErrSignature)
			}
		})
	}
}

func TestVerifyDetachedRefusesOtherContentInside(t *testing.T) {
	signed := sign(t, []byte("signed"), rsaOne().signer())
	if _, err := verifyDetached(signed, []byte("signed"), cms.Accept{}); err != nil {
		t.Errorf("the same content: %v", err)
	}
	if _, err := verifyDetached(signed, []byte("body"), cms.Accept{}); !errors.Is(err, cms.ErrSignature) {
		t.Errorf("got %v, want %v", err, cms.ErrSignature)
	}
}

func TestVerifyVersionOneSelfSigned(t *testing.T) {
	judge.Need(t, "openssl")
	_, key := rsaOne().files(t)
	csr := judge.Run(t, nil, "openssl", "req", "-new", "-key", key, "-subj", "/CN=v1")
	crt := judge.Run(t, csr, "openssl", "x509", "-req", "-signkey", key, "-days", "20000",
		"-set_serial", "0x7f0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f")
	block, _ := pem.Decode(crt)
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil || cert.Version != 1 {
		t.Fatalf("certificate of version %d, %v", cert.Version, err)
	}
	both := file(t, "v1.pem", append(crt, rsaOne().keyPEM...))
	sig := judge.Run(t, []byte("csr"), "openssl", "cms", "-sign", "-nodetach", "-binary", "-outform", "DER", "-signer", both)
	got, err := cms.Verify(sig, cms.Accept{})
	if err != nil || !got.Signer.Equal(cert) {
		t.Errorf("got %v, want the v1 certificate's signature", err)
	}
	env := encrypt(t, []byte("reply"), cert, cms.AES128CBC)
	out := judge.Run(t, env, "openssl", "cms", "-decrypt", "-inform", "DER", "-recip", file(t, "c.pem", crt), "-inkey", key)
	if string(out) != "reply" {
		t.Errorf("openssl decrypted %q, want %q", out, "reply")
	}
}

// verifyDetached reads a signature and verifies it over content.
func verifyDetached(sig, content []byte, a cms.Accept) (*cms.Signed, error) {
	d, err := cms.ReadDetached(sig, a)
	if err != nil {
		return nil, err
	}
	return d.Verify(content)
}

// Whoever asks for the signer first is told whom verification will take, and
// hears of a key that is too large before its signature costs anything.
func TestReadDetached(t *testing.T) {
	one, other := rsaOne(), rsaTwo()
	sig, err := cms.SignDetached([]byte("body"), one.signer())
	if err != nil {
		t.Fatal(err)
	}
	forged := append(bytes.Clone(sig[:len(sig)-1]), sig[len(sig)-1]^1)
	large := cms.Accept{MaxRSABits: one.cert.PublicKey.(*rsa.PublicKey).N.BitLen() - 1}
	for name, c := range map[string]struct {
		sig    []byte
		accept cms.Accept
		signer error
		verify error
	}{
		"sound":                  {sig, cms.Accept{}, nil, nil},
		"forged":                 {forged, cms.Accept{}, nil, cms.ErrSignature},
		"key at the limit":       {sig, cms.Accept{MaxRSABits: large.MaxRSABits + 1}, nil, nil},
		"key too large":          {sig, large, cms.ErrAlgorithm, cms.ErrAlgorithm},
		"too large and forged":   {forged, large, cms.ErrAlgorithm, cms.ErrAlgorithm},
		"message over its limit": {sig, cms.Accept{MaxBytes: 100}, cms.ErrTooLarge, cms.ErrTooLarge},
		"no message":             {[]byte("AAAA"), cms.Accept{}, cms.ErrMalformed, cms.ErrMalformed},
	} {
		d, err := cms.ReadDetached(c.sig, c.accept)
		if !errors.Is(err, c.signer) || err == nil && (!d.Signer().Equal(one.cert) || d.Signer().Equal(other.cert)) {
			t.Errorf("%s: got %v, want %v", name, err, c.signer)
		}
		if _, err := verifyDetached(c.sig, []byte("body"), c.accept); !errors.Is(err, c.verify) {
			t.Errorf("%s: verification gives %v, want %v", name, err, c.verify)
		}
	}
}
