package cms_test

import (
	"bytes"
	"encoding/asn1"
	"errors"
	"testing"

	"github.com/signet-mdm/signet/internal/cms"
	"github.com/signet-mdm/signet/internal/judge"
)

// toBER writes DER anew in the most awkward BER: indefinite lengths wherever
// they may be, every OCTET STRING in pieces of three bytes.
func toBER(t *testing.T, der []byte) []byte {
	t.Helper()
	var out []byte
	for len(der) > 0 {
		var e asn1.RawValue
		rest, err := asn1.Unmarshal(der, &e)
		if err != nil {
			t.Fatal(err)
		}
		switch id := der[0]; {
		case e.IsCompound:
			out = append(append(append(out, id, 0x80), toBER(t, e.Bytes)...), 0, 0)
		case id == 0x04:
			out = append(out, 0x24, 0x80)
			for piece := range chunks(e.Bytes, 3) {
				out = append(append(out, 4, byte(len(piece))), piece...)
			}
			out = append(out, 0, 0)
		default:
			out = append(out, e.FullBytes...)
		}
		der = rest
	}
	return out
}

func chunks(b []byte, n int) func(func([]byte) bool) {
	return func(yield func([]byte) bool) {
		for ; len(b) > n; b = b[n:] {
			if !yield(b[:n]) {
				return
			}
		}
		yield(b)
	}
}

func TestVerifyAwkwardBER(t *testing.T) {
	id := rsaOne()
	signed := toBER(t, sign(t, []byte("content"), id.signer(), cms.Attribute{Type: oidSenderNonce, Value: []byte("0123456789")}))
	got, err := cms.Verify(signed, cms.Accept{})
	if err != nil {
		t.Fatal(err)
	}
	if string(got.Content) != "content" || !got.Signer.Equal(id.cert) {
		t.Errorf("got %q by %v", got.Content, got.Signer.Subject)
	}
	var nonce []byte
	if err := got.Attribute(oidSenderNonce, &nonce); err != nil || string(nonce) != "0123456789" {
		t.Errorf("got nonce %q, %v", nonce, err)
	}
}

func TestDecryptAwkwardBER(t *testing.T) {
	judge.Need(t, "openssl")
	id := rsaOne()
	rsaCert, _ := id.files(t)
	ecCert, _ := ecOne().files(t)
	for name, args := range map[string][]string{
		"CBC":                {"-aes256", rsaCert},
		"GCM":                {"-aes-256-gcm", rsaCert},
		"after an EC one":    {"-aes128", ecCert, rsaCert},
		"OAEP with a label":  {"-aes128", "-recip", rsaCert, "-keyopt", "rsa_padding_mode:oaep", "-keyopt", "rsa_oaep_label:0102"},
		"OAEP with SHA-256":  {"-aes128", "-recip", rsaCert, "-keyopt", "rsa_padding_mode:oaep", "-keyopt", "rsa_oaep_md:sha256"},
		"named by its keyid": {"-aes128", "-keyid", rsaCert},
	} {
		t.Run(name, func(t *testing.T) {
			der := judge.Run(t, []byte("content"), "openssl", append([]string{"cms", "-encrypt", "-binary", "-outform", "DER"}, args...)...)
			for kind, env := range map[string][]byte{"DER": der, "BER": toBER(t, der)} {
				got, err := cms.Decrypt(env, id.cert, id.decrypter, cms.Policy{})
				if err != nil || string(got) != "content" {
					t.Errorf("%s: got %q, %v", kind, got, err)
				}
			}
		})
	}
}

func TestVerifyBesideACRL(t *testing.T) {
	judge.Need(t, "openssl")
	id := rsaOne()
	der := sign(t, []byte("content"), id.signer())
	// crls [1] goes between the certificates and the signer.
	crls := []byte{0xa1, 2, 0x30, 0}
	i := bytes.Index(der, id.cert.Raw) + len(id.cert.Raw)
	ber := toBER(t, der)
	j := bytes.Index(ber, toBER(t, id.cert.Raw)) + len(toBER(t, id.cert.Raw)) + 2
	if i <= 0 || j <= 2 {
		t.Fatal("certificate not found")
	}
	got, err := cms.Verify(append(append(ber[:j:j], crls...), ber[j:]...), cms.Accept{})
	if err != nil || string(got.Content) != "content" {
		t.Errorf("got %v", err)
	}
}

func TestEncryptRefuses(t *testing.T) {
	if _, err := cms.Encrypt(nil, ecOne().cert, cms.AES128CBC); !errors.Is(err, cms.ErrAlgorithm) {
		t.Errorf("EC recipient: got %v, want %v", err, cms.ErrAlgorithm)
	}
	if _, err := cms.Encrypt(nil, rsaOne().cert, cms.Cipher(9)); !errors.Is(err, cms.ErrAlgorithm) {
		t.Errorf("unknown cipher: got %v, want %v", err, cms.ErrAlgorithm)
	}
}
