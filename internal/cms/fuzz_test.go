package cms_test

import (
	"bytes"
	"crypto/rand"
	"encoding/asn1"
	"errors"
	"testing"

	"github.com/signet-mdm/signet/internal/cms"
)

// FuzzDecrypt: whatever comes, an error of ours or plain text, never a panic.
func FuzzDecrypt(f *testing.F) {
	id := fuzzOnly()
	env, err := cms.Encrypt([]byte("request"), id.cert, cms.AES128CBC)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(env)
	f.Add(parts{cert: id.cert, wrapped: wrapKey(f, id, make([]byte, 16)), cipher: aes128GCM, params: []byte{0x30, 0}}.envelope())
	f.Fuzz(func(t *testing.T, data []byte) {
		_, err := cms.Decrypt(data, id.cert, id.decrypter, cms.Policy{Allow3DES: true, AllowDES: true, MaxBytes: 64 << 10})
		for _, known := range []error{nil, cms.ErrDecrypt, cms.ErrMalformed, cms.ErrAlgorithm, cms.ErrTooLarge} {
			if errors.Is(err, known) {
				return
			}
		}
		t.Errorf("got %v", err)
	})
}

// FuzzVerify: nothing verifies under our key but what it signed.
func FuzzVerify(f *testing.F) {
	id := fuzzOnly()
	const content = "signed by us"
	signed, err := cms.Sign([]byte(content), id.signer(), cms.Attribute{Type: oidTransactionID, Value: "A"})
	if err != nil {
		f.Fatal(err)
	}
	bag, err := cms.CertsOnly(id.cert, ecOne().cert)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(signed)
	f.Add(bag)
	f.Fuzz(func(t *testing.T, data []byte) {
		accept := cms.Accept{SHA1: true, MD5: true, MaxBytes: 64 << 10}
		_, _ = cms.Certificates(data, 64<<10)
		body := make([]byte, 16)
		rand.Read(body)
		if got, err := verifyDetached(data, body, accept); err == nil && id.cert.Equal(got.Signer) {
			t.Fatal("a random body verified")
		}
		got, err := cms.Verify(data, accept)
		if err != nil {
			return
		}
		if got.Signer.Equal(id.cert) && !bytes.Equal(got.Content, []byte(content)) {
			t.Fatalf("%q verified", got.Content)
		}
		var any asn1.RawValue
		_ = got.Attribute(oidTransactionID, &any)
	})
}

func BenchmarkSCEP(b *testing.B) {
	id := rsaOne()
	env, err := cms.Encrypt(make([]byte, 1500), id.cert, cms.AES128CBC)
	if err != nil {
		b.Fatal(err)
	}
	signed, err := cms.Sign(env, id.signer(), cms.Attribute{Type: oidTransactionID, Value: "A"})
	if err != nil {
		b.Fatal(err)
	}
	b.Run("verify", func(b *testing.B) {
		for b.Loop() {
			if _, err := cms.Verify(signed, cms.Accept{}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("decrypt", func(b *testing.B) {
		for b.Loop() {
			if _, err := cms.Decrypt(env, id.cert, id.decrypter, cms.Policy{}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("encrypt", func(b *testing.B) {
		for b.Loop() {
			if _, err := cms.Encrypt(make([]byte, 1500), id.cert, cms.AES128CBC); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("sign", func(b *testing.B) {
		for b.Loop() {
			if _, err := cms.Sign(env, id.signer()); err != nil {
				b.Fatal(err)
			}
		}
	})
}
