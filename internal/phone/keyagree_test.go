package phone_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/binary"
	"errors"
	"slices"
	"testing"

	"github.com/signet-mdm/signet/internal/judge"
	"github.com/signet-mdm/signet/internal/phone"
)

func object(arcs ...int) []byte {
	b, err := asn1.Marshal(asn1.ObjectIdentifier(arcs))
	if err != nil {
		panic(err)
	}
	return b
}

func octet(b ...byte) []byte { return phone.TLV(0x04, b) }

var (
	data    = object(1, 2, 840, 113549, 1, 7, 1)
	sha256K = object(1, 3, 132, 1, 11, 1)
	wrap128 = object(2, 16, 840, 1, 101, 3, 4, 1, 5)
	cbc128  = object(2, 16, 840, 1, 101, 3, 4, 1, 2)
	gcm128  = object(2, 16, 840, 1, 101, 3, 4, 1, 6)
)

// agreed writes a KeyAgreeRecipientInfo with user keying material, which
// OpenSSL reads and does not write.
func agreed(t testing.TB, to *x509.Certificate, cek, ukm []byte) []byte {
	t.Helper()
	own, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := to.PublicKey.(*ecdsa.PublicKey).ECDH()
	if err != nil {
		t.Fatal(err)
	}
	z, err := own.ECDH(theirs)
	if err != nil {
		t.Fatal(err)
	}
	wrap := phone.Sequence(wrap128)
	kek := sha256.Sum256(slices.Concat(z, []byte{0, 0, 0, 1}, phone.Sequence(wrap,
		phone.TLV(0xa0, octet(ukm...)), phone.TLV(0xa2, octet(0, 0, 0, 128)))))
	serial, err := asn1.Marshal(to.SerialNumber)
	if err != nil {
		t.Fatal(err)
	}
	point := phone.TLV(0x03, []byte{0}, own.PublicKey().Bytes())
	return phone.TLV(0xa1, []byte{2, 1, 3},
		phone.TLV(0xa0, phone.TLV(0xa1, phone.Sequence(object(1, 2, 840, 10045, 2, 1)), point)),
		phone.TLV(0xa1, octet(ukm...)),
		phone.Sequence(sha256K, wrap),
		phone.Sequence(phone.Sequence(phone.Sequence(to.RawIssuer, serial), octet(wrapAES(kek[:16], cek)...))))
}

// Spec: RFC 3394 section 2.2.1
func wrapAES(kek, key []byte) []byte {
	block, err := aes.NewCipher(kek)
	if err != nil {
		panic(err)
	}
	r := append(bytes.Repeat([]byte{0xa6}, 8), key...)
	n := uint64(len(key) / 8)
	for t := uint64(1); t <= 6*n; t++ {
		part := r[8+8*((t-1)%n):][:8]
		b := slices.Concat(r[:8], part)
		block.Encrypt(b, b)
		copy(part, b[8:])
		binary.BigEndian.PutUint64(r, binary.BigEndian.Uint64(b)^t)
	}
	return r
}

func TestKeyingMaterial(t *testing.T) {
	judge.Need(t, "openssl")
	id := identity("Alice", ecKey(t, elliptic.P256()))
	cek, iv := bytes.Repeat([]byte{7}, 16), bytes.Repeat([]byte{9}, 16)
	block, err := aes.NewCipher(cek)
	if err != nil {
		t.Fatal(err)
	}
	text := []byte("in one block: ok\x10\x10\x10\x10\x10\x10\x10\x10\x10\x10\x10\x10\x10\x10\x10\x10")
	cipher.NewCBCEncrypter(block, iv).CryptBlocks(text, text)
	cms := phone.Sequence(object(1, 2, 840, 113549, 1, 7, 3), phone.TLV(0xa0, phone.Sequence([]byte{2, 1, 2},
		phone.TLV(0x31, agreed(t, id.Certificate, cek, []byte("mixed in"))),
		phone.Sequence(data, phone.Sequence(cbc128, octet(iv...)), phone.TLV(0x80, text)))))

	out := judge.Run(t, cms, "openssl", "cms", "-decrypt", "-inform", "DER", "-recip", keyPEM(t, id.Key, id.Certificate))
	if string(out) != "in one block: ok" {
		t.Fatalf("openssl read %q", out)
	}
	plain, _, err := phone.ReadMail(append([]byte(binaryMail), cms...), []phone.Identity{id})
	if err != nil || string(plain) != "in one block: ok" {
		t.Errorf("got %q, %v", plain, err)
	}
}

// Attributes are authenticated in DER, in whatever order they come.
// Spec: RFC 5083 section 2.2
func TestAuthenticatedAttributes(t *testing.T) {
	id := identity("Alice", ecKey(t, elliptic.P256()))
	cek, nonce := bytes.Repeat([]byte{7}, 16), bytes.Repeat([]byte{9}, 12)
	block, err := aes.NewCipher(cek)
	if err != nil {
		t.Fatal(err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	contentType := phone.Sequence(object(1, 2, 840, 113549, 1, 9, 3), phone.TLV(0x31, data))
	own := phone.Sequence(object(2, 999), phone.TLV(0x31, octet(1)))
	sealed := gcm.Seal(nil, nonce, []byte("hello"), phone.TLV(0x31, own, contentType))
	for name, c := range map[string]struct {
		attrs [][]byte
		ok    bool
	}{
		"in DER order":  {[][]byte{own, contentType}, true},
		"in BER order":  {[][]byte{contentType, own}, true},
		"one left out":  {[][]byte{contentType}, false},
		"all left out":  {nil, false},
		"one malformed": {[][]byte{own, {0x30, 0x7f}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			var attrs []byte
			if c.attrs != nil {
				attrs = phone.TLV(0xa1, c.attrs...)
			}
			cms := phone.Sequence(object(1, 2, 840, 113549, 1, 9, 16, 1, 23), phone.TLV(0xa0, phone.Sequence([]byte{2, 1, 0},
				phone.TLV(0x31, agreed(t, id.Certificate, cek, []byte("mixed in"))),
				phone.Sequence(data, phone.Sequence(gcm128, phone.Sequence(octet(nonce...), []byte{2, 1, 16})), phone.TLV(0x80, sealed[:5])),
				attrs, octet(sealed[5:]...))))
			plain, _, err := phone.ReadMail(append([]byte(binaryMail), cms...), []phone.Identity{id})
			if (err == nil) != c.ok || (string(plain) == "hello") != c.ok {
				t.Errorf("got %q, %v, want ok %v", plain, err, c.ok)
			}
		})
	}
}

// OpenSSL's messages, damaged.
func TestHostileMail(t *testing.T) {
	judge.Need(t, "openssl")
	id := identity("Alice", ecKey(t, elliptic.P256()))
	seal := func(cipher string) []byte {
		return judge.Run(t, []byte("hello"), "openssl", "cms", "-encrypt", "-outform", "DER", cipher, "-recip", certPEM(t, id.Certificate), "-keyopt", "ecdh_kdf_md:sha256")
	}
	cbc, des, gcm := seal("-aes128"), seal("-des3"), seal("-aes-128-gcm")
	swap := func(old, new string) func([]byte) []byte {
		return func(b []byte) []byte { return bytes.Replace(b, []byte(old), []byte(new), 1) }
	}
	// flip changes a byte behind the first occurrence of a mark.
	flip := func(mark string, n int) func([]byte) []byte {
		return func(b []byte) []byte {
			b = bytes.Clone(b)
			b[bytes.Index(b, []byte(mark))+len(mark)+n] ^= 1
			return b
		}
	}
	last := func(b []byte) []byte { return append(b[:len(b)-1:len(b)-1], b[len(b)-1]^1) }
	serial, err := asn1.Marshal(id.Certificate.SerialNumber)
	if err != nil {
		t.Fatal(err)
	}
	wrapped := string(serial) + "\x04"
	for name, c := range map[string]struct {
		cms  []byte
		edit func([]byte) []byte
	}{
		"point off the curve":      {cbc, flip("\x03\x42\x00\x04", 40)},
		"point compressed":         {cbc, swap("\x03\x42\x00\x04", "\x03\x42\x00\x02")},
		"point of another curve":   {cbc, swap("\x03\x42\x00\x04", "\x03\x42\x00\x00")},
		"originator by key id":     {cbc, swap("\xa0\x51\xa1\x4f", "\xa0\x51\x80\x4f")},
		"originator unknown":       {cbc, swap("\xa0\x51\xa1\x4f", "\xa0\x51\xa2\x4f")},
		"KDF unknown":              {cbc, swap(string(sha256K), string(object(1, 3, 132, 1, 11, 9)))},
		"another KDF":              {cbc, swap(string(sha256K), string(object(1, 3, 132, 1, 11, 2)))},
		"wrap unknown":             {cbc, swap(string(wrap128), string(object(2, 16, 840, 1, 101, 3, 4, 1, 9)))},
		"wrap of another size":     {cbc, swap(string(wrap128), string(object(2, 16, 840, 1, 101, 3, 4, 1, 45)))},
		"wrapped key changed":      {cbc, flip(wrapped, 9)},
		"3DES wrapped key changed": {des, flip(wrapped, 9)},
		"CBC in GCM's place":       {gcm, swap(string(gcm128), string(cbc128))},
		"GCM in CBC's place":       {cbc, swap(string(cbc128), string(gcm128))},
		"GCM of another key size":  {gcm, swap(string(gcm128), string(object(2, 16, 840, 1, 101, 3, 4, 1, 46)))},
		"MAC changed":              {gcm, last},
		"MAC announced shorter":    {gcm, swap("\x02\x01\x10", "\x02\x01\x0c")},
		"nonce changed":            {gcm, flip(string(gcm128), 5)},
		"text changed":             {gcm, flip("\x02\x01\x10\x80\x05", 0)},
	} {
		t.Run(name, func(t *testing.T) {
			eml := func(cms []byte) []byte { return append([]byte(binaryMail), cms...) }
			if plain, _, err := phone.ReadMail(eml(c.cms), []phone.Identity{id}); err != nil || string(plain) != "hello" {
				t.Fatalf("undamaged: got %q, %v", plain, err)
			}
			damaged := c.edit(c.cms)
			if bytes.Equal(damaged, c.cms) {
				t.Fatal("nothing was damaged")
			}
			plain, _, err := phone.ReadMail(eml(damaged), []phone.Identity{id})
			if err == nil || errors.Is(err, phone.ErrNoKey) || plain != nil {
				t.Errorf("got %q, %v", plain, err)
			}
		})
	}
}
