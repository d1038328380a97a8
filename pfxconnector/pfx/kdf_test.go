package pfx_test

import (
	"bytes"
	"crypto"
	stdpbkdf2 "crypto/pbkdf2"
	"encoding/hex"
	"testing"

	"github.com/signet-mdm/signet/pfxconnector/pfx"
)

func unhex(s string) []byte { return must(hex.DecodeString(s)) }

// The vectors have gone from one PKCS #12 implementation to the next since
// 1999; those of BouncyCastle and of Go's old package are the same.
func TestPKCS12KDF(t *testing.T) {
	for _, c := range []struct {
		purpose    byte
		password   string
		salt       string
		iterations int64
		want       string
	}{
		{1, "smeg", "0a58cf64530d823f", 1, "8aaae6297b6cb04642ab5b077851284eb7128f1a2a7fbca3"},
		{2, "smeg", "0a58cf64530d823f", 1, "79993dfe048d3b76"},
		{1, "smeg", "642b99ab44fb4b1f", 1, "f3a95fec48d7711e985cfe67908c5ab79fa3d7c5caa5d966"},
		{3, "smeg", "3d83c0e4546ac140", 1, "8d967d88f6caa9d714800ab3d48051d63f73a312"},
		{1, "queeg", "05dec959acff72f7", 1000, "ed2034e36328830ff09df1e1a07dd357185dac0d4f9eb3d4"},
		{2, "queeg", "05dec959acff72f7", 1000, "11dedad7758d4860"},
		{3, "queeg", "263216fcc2fab31c", 1000, "5ec4c7a80df652294c3925b6489a7ab857c83476"},
	} {
		want := unhex(c.want)
		got, err := pfx.PKCS12KDF(t.Context(), crypto.SHA1, c.purpose, pfx.BMPString([]byte(c.password)), unhex(c.salt), c.iterations, len(want))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s, %d, purpose %d: got %x, %v, want %s", c.password, c.iterations, c.purpose, got, err, c.want)
		}
	}
}

func TestPBKDF2IsTheStandardOne(t *testing.T) {
	for _, h := range []crypto.Hash{crypto.SHA1, crypto.SHA224, crypto.SHA256, crypto.SHA384, crypto.SHA512} {
		for _, size := range []int{1, 16, 20, 32, 33, 64, 100} {
			for _, n := range []int{1, 2, 1000} {
				want := must(stdpbkdf2.Key(h.New, "password", []byte("salt"), n, size))
				got, err := pfx.PBKDF2(t.Context(), h, []byte("password"), []byte("salt"), int64(n), size)
				if err != nil || !bytes.Equal(got, want) {
					t.Errorf("%v, %d bytes, %d iterations: got %x, %v, want %x", h, size, n, got, err, want)
				}
			}
		}
	}
}

func TestBMPString(t *testing.T) {
	for text, want := range map[string]string{
		"":       "0000",
		"Beavis": "0042006500610076006900730000",
		"ü€":     "00fc20ac0000",
		"🔑":      "d83ddd110000",
		"a\xff":  "0061fffd0000",
	} {
		if got := pfx.BMPString([]byte(text)); hex.EncodeToString(got) != want {
			t.Errorf("%q: got %x, want %s", text, got, want)
		}
	}
}

// Spec: RFC 2268 section 5
func TestRC2(t *testing.T) {
	for _, c := range []struct {
		key       string
		effective int
		plain     string
		want      string
	}{
		{"0000000000000000", 63, "0000000000000000", "ebb773f993278eff"},
		{"ffffffffffffffff", 64, "ffffffffffffffff", "278b27e42e2f0d49"},
		{"3000000000000000", 64, "1000000000000001", "30649edf9be7d2c2"},
		{"88", 64, "0000000000000000", "61a8a244adacccf0"},
		{"88bca90e90875a", 64, "0000000000000000", "6ccf4308974c267f"},
		{"88bca90e90875a7f0f79c384627bafb2", 64, "0000000000000000", "1a807d272bbe5db1"},
		{"88bca90e90875a7f0f79c384627bafb2", 128, "0000000000000000", "2269552ab0f85ca6"},
		{"88bca90e90875a7f0f79c384627bafb216f80a6f85920584c42fceb0be255daf1e", 129, "0000000000000000", "5b78d3a43dfff1f1"},
	} {
		cipher := pfx.NewRC2(unhex(c.key), c.effective)
		got, back := make([]byte, 8), make([]byte, 8)
		cipher.Encrypt(got, unhex(c.plain))
		cipher.Decrypt(back, got)
		if hex.EncodeToString(got) != c.want || hex.EncodeToString(back) != c.plain {
			t.Errorf("%s/%d: got %x and back %x, want %s and %s", c.key, c.effective, got, back, c.want, c.plain)
		}
	}
}
