package cms_test

import (
	"bytes"
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"io"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/signet-mdm/signet/internal/cms"
)

// readers are all the ways in for foreign bytes.
func readers() map[string]func([]byte) error {
	id := rsaOne()
	all := cms.Accept{SHA1: true, MD5: true}
	return map[string]func([]byte) error{
		"Decrypt": func(b []byte) error {
			_, err := cms.Decrypt(b, id.cert, id.decrypter, cms.Policy{Allow3DES: true, AllowDES: true})
			return err
		},
		"Verify":         func(b []byte) error { _, err := cms.Verify(b, all); return err },
		"VerifyDetached": func(b []byte) error { _, err := verifyDetached(b, []byte("body"), all); return err },
		"Certificates":   func(b []byte) error { _, err := cms.Certificates(b, 0); return err },
	}
}

func TestMalformedMessages(t *testing.T) {
	deep := func(open, end string, n int) []byte {
		return unhex(t, strings.Repeat(open, n)+strings.Repeat(end, n))
	}
	wide := append(unhex(t, "3083030d40"), bytes.Repeat([]byte{5, 0}, 100_000)...)
	cases := []struct {
		name string
		data []byte
		want error
	}{
		{"empty", nil, cms.ErrMalformed},
		{"one byte", []byte{0x30}, cms.ErrMalformed},
		{"high tag, cut off", unhex(t, "1f80"), cms.ErrMalformed},
		{"high tag, no length", unhex(t, "1f05"), cms.ErrMalformed},
		{"endless tag", unhex(t, "1f8080808080808001"), cms.ErrMalformed},
		{"length cut off", unhex(t, "3081"), cms.ErrMalformed},
		{"long length cut off", unhex(t, "308401"), cms.ErrMalformed},
		{"length beyond the end", unhex(t, "3084ffffffff"), cms.ErrMalformed},
		{"length of five bytes", unhex(t, "30850000000001"), cms.ErrMalformed},
		{"reserved length", unhex(t, "30ff"), cms.ErrMalformed},
		{"indefinite, open", unhex(t, "3080"), cms.ErrMalformed},
		{"indefinite, half closed", unhex(t, "308000"), cms.ErrMalformed},
		{"indefinite, empty", unhex(t, "30800000"), cms.ErrMalformed},
		{"indefinite primitive", unhex(t, "04800000"), cms.ErrMalformed},
		{"empty sequence", unhex(t, "3000"), cms.ErrMalformed},
		{"set", unhex(t, "3100"), cms.ErrMalformed},
		{"text", []byte("-----BEGIN PKCS7-----"), cms.ErrMalformed},
		{"25 levels", deep("3080", "0000", 25), cms.ErrMalformed},
		{"26 levels", deep("3080", "0000", 26), cms.ErrTooLarge},
		{"100 000 levels", deep("3080", "0000", 100_000), cms.ErrTooLarge},
		{"100 000 elements", wide, cms.ErrTooLarge},
		{"over 1 MiB", make([]byte, cms.DefaultMaxBytes+1), cms.ErrTooLarge},
	}
	for _, c := range cases {
		for who, read := range readers() {
			if err := read(c.data); !errors.Is(err, c.want) {
				t.Errorf("%s, %s: got %v, want %v", c.name, who, err, c.want)
			}
		}
	}
}

func TestMangledMessagesFailInAKnownWay(t *testing.T) {
	id := rsaOne()
	known := []error{cms.ErrTooLarge, cms.ErrMalformed, cms.ErrAlgorithm, cms.ErrDecrypt, cms.ErrSigner, cms.ErrSignature, nil}
	check := func(data []byte) {
		for who, read := range readers() {
			if err := read(data); !slices.ContainsFunc(known, func(k error) bool { return errors.Is(err, k) }) {
				t.Fatalf("%s: got %v of\n%x", who, err, data)
			}
		}
	}
	for _, whole := range [][]byte{
		encrypt(t, []byte("request"), id.cert, cms.AES128CBC),
		sign(t, []byte("body"), ecOne().signer()),
	} {
		for i := range whole {
			bad := slices.Clone(whole)
			bad[i] ^= byte(1 + i%255)
			check(bad)
			check(whole[:i])
		}
	}
}

// parts lets a test build an envelope that no writer would.
type parts struct {
	cert       *x509.Certificate
	wrapped    []byte
	cipher     asn1.ObjectIdentifier
	params     []byte // whole encoding
	ciphertext []byte
}

func (p parts) envelope() []byte {
	var b cryptobyte.Builder
	seq := func(b *cryptobyte.Builder, f func(*cryptobyte.Builder)) { b.AddASN1(cbasn1.SEQUENCE, f) }
	seq(&b, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 3})
		b.AddASN1(0xa0, func(b *cryptobyte.Builder) {
			seq(b, func(b *cryptobyte.Builder) {
				b.AddASN1Int64(0)
				b.AddASN1(cbasn1.SET, func(b *cryptobyte.Builder) {
					seq(b, func(b *cryptobyte.Builder) {
						b.AddASN1Int64(0)
						seq(b, func(b *cryptobyte.Builder) {
							b.AddBytes(p.cert.RawIssuer)
							b.AddASN1BigInt(p.cert.SerialNumber)
						})
						seq(b, func(b *cryptobyte.Builder) {
							b.AddASN1ObjectIdentifier(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1})
							b.AddASN1NULL()
						})
						b.AddASN1OctetString(p.wrapped)
					})
				})
				seq(b, func(b *cryptobyte.Builder) {
					b.AddASN1ObjectIdentifier(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1})
					seq(b, func(b *cryptobyte.Builder) {
						b.AddASN1ObjectIdentifier(p.cipher)
						b.AddBytes(p.params)
					})
					b.AddASN1(0x80, func(b *cryptobyte.Builder) { b.AddBytes(p.ciphertext) })
				})
			})
		})
	})
	return b.BytesOrPanic()
}

var (
	aes128CBC = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 2}
	aes128GCM = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 6}
)

func wrapKey(t testing.TB, to identity, key []byte) []byte {
	t.Helper()
	wrapped, err := rsa.EncryptPKCS1v15(rand.Reader, to.key.Public().(*rsa.PublicKey), key)
	if err != nil {
		t.Fatal(err)
	}
	return wrapped
}

// cbc encrypts what is padded already.
func cbc(t testing.TB, key, padded []byte) []byte {
	t.Helper()
	block, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	out := make([]byte, len(padded))
	cipher.NewCBCEncrypter(block, make([]byte, 16)).CryptBlocks(out, padded)
	return out
}

// TestDecryptTellsNothing holds that whatever is wrong after the algorithms
// are read gives the very same error.
func TestDecryptTellsNothing(t *testing.T) {
	id := rsaOne()
	key := make([]byte, 16)
	iv := append([]byte{4, 16}, make([]byte, 16)...)
	good := parts{
		cert: id.cert, wrapped: wrapKey(t, id, key), cipher: aes128CBC, params: iv,
		ciphertext: cbc(t, key, append([]byte("0123456789"), 6, 6, 6, 6, 6, 6)),
	}
	if got, err := cms.Decrypt(good.envelope(), id.cert, id.decrypter, cms.Policy{}); err != nil || string(got) != "0123456789" {
		t.Fatalf("the whole envelope: got %q, %v", got, err)
	}
	with := func(f func(*parts)) parts { p := good; f(&p); return p }
	padded := func(last ...byte) parts {
		return with(func(p *parts) {
			p.ciphertext = cbc(t, key, append(make([]byte, 16-len(last)), last...))
		})
	}
	cases := map[string]parts{
		"wrapped key is zero":      with(func(p *parts) { p.wrapped = make([]byte, 256) }),
		"wrapped key over modulus": with(func(p *parts) { p.wrapped = bytes.Repeat([]byte{0xff}, 256) }),
		"wrapped key too short":    with(func(p *parts) { p.wrapped = p.wrapped[:255] }),
		"wrapped key too long":     with(func(p *parts) { p.wrapped = append([]byte{0}, p.wrapped...) }),
		"wrapped key empty":        with(func(p *parts) { p.wrapped = nil }),
		"key of 32 bytes":          with(func(p *parts) { p.wrapped = wrapKey(t, id, make([]byte, 32)) }),
		"key of 1 byte":            with(func(p *parts) { p.wrapped = wrapKey(t, id, []byte{1}) }),
		"another key":              with(func(p *parts) { p.wrapped = wrapKey(t, id, bytes.Repeat([]byte{9}, 16)) }),
		"other RSA key":            with(func(p *parts) { p.wrapped = wrapKey(t, rsaTwo(), key) }),
		"ciphertext empty":         with(func(p *parts) { p.ciphertext = nil }),
		"not whole blocks":         with(func(p *parts) { p.ciphertext = p.ciphertext[:15] }),
		"one byte over a block":    with(func(p *parts) { p.ciphertext = append(p.ciphertext, 1) }),
		"IV short":                 with(func(p *parts) { p.params = append([]byte{4, 15}, make([]byte, 15)...) }),
		"IV long":                  with(func(p *parts) { p.params = append([]byte{4, 17}, make([]byte, 17)...) }),
		"IV missing":               with(func(p *parts) { p.params = nil }),
		"IV is NULL":               with(func(p *parts) { p.params = []byte{5, 0} }),
		"GCM without nonce":        with(func(p *parts) { p.cipher, p.params = aes128GCM, []byte{0x30, 0} }),
		"GCM with empty nonce":     with(func(p *parts) { p.cipher, p.params = aes128GCM, []byte{0x30, 2, 4, 0} }),
		"GCM forged":               with(func(p *parts) { p.cipher, p.params = aes128GCM, append([]byte{0x30, 14, 4, 12}, make([]byte, 12)...) }),
		"pad 0":                    padded(0),
		"pad 17":                   padded(17),
		"pad 255":                  padded(255),
		"pad uneven":               padded(3, 2, 3),
		"recipient missing":        with(func(p *parts) { p.cert = ecOne().cert }),
	}
	for name, p := range cases {
		// A wrapped key that does not open is replaced by a random one, under
		// which one padding in 256 looks right: so it must fail once in three.
		failed := false
		for range 3 {
			got, err := cms.Decrypt(p.envelope(), id.cert, id.decrypter, cms.Policy{})
			failed = failed || err == cms.ErrDecrypt && got == nil
			if err != nil && (err != cms.ErrDecrypt || got != nil) {
				t.Errorf("%s: got %q, %v, want %v itself", name, got, err, cms.ErrDecrypt)
			}
		}
		if !failed {
			t.Errorf("%s: it opened", name)
		}
	}
}

// grumbler is a key store that ignores SessionKeyLen and complains.
type grumbler struct {
	crypto.Decrypter
	asked crypto.DecrypterOpts
}

func (g *grumbler) Decrypt(_ io.Reader, _ []byte, opts crypto.DecrypterOpts) ([]byte, error) {
	g.asked = opts
	return nil, errors.New("padding is wrong")
}

func TestDecryptAsksForASessionKey(t *testing.T) {
	id := rsaOne()
	g := &grumbler{Decrypter: id.decrypter}
	_, err := cms.Decrypt(encrypt(t, []byte("x"), id.cert, cms.AES256CBC), id.cert, g, cms.Policy{})
	if err != cms.ErrDecrypt {
		t.Errorf("got %v, want %v itself", err, cms.ErrDecrypt)
	}
	if opts, ok := g.asked.(*rsa.PKCS1v15DecryptOptions); !ok || opts.SessionKeyLen != 32 {
		t.Errorf("asked with %#v, want a session key of 32 bytes", g.asked)
	}
}

func TestDecryptGCMInsideEnvelopedData(t *testing.T) {
	id := rsaOne()
	key, nonce := make([]byte, 16), make([]byte, 12)
	block, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	mode, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	p := parts{
		cert: id.cert, wrapped: wrapKey(t, id, key), cipher: aes128GCM,
		params:     append(append([]byte{0x30, 17, 4, 12}, nonce...), 2, 1, 16),
		ciphertext: mode.Seal(nil, nonce, []byte("as step-ca's clients send it"), nil),
	}
	got, err := cms.Decrypt(p.envelope(), id.cert, id.decrypter, cms.Policy{})
	if err != nil || string(got) != "as step-ca's clients send it" {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestUnpad(t *testing.T) {
	cases := []struct {
		in   string
		want string
		ok   bool
	}{
		{"000000000000000000000000000000" + "01", "000000000000000000000000000000", true},
		{strings.Repeat("10", 16), "", true},
		{"aa" + strings.Repeat("0f", 15), "aa", true},
		{strings.Repeat("bb", 16) + strings.Repeat("10", 16), strings.Repeat("bb", 16), true},
		{strings.Repeat("00", 16), "", false},
		{strings.Repeat("11", 16), "", false},
		{strings.Repeat("ff", 16), "", false},
		{strings.Repeat("aa", 14) + "0302", "", false},
		{strings.Repeat("aa", 13) + "020303", "", false},
		{"00" + strings.Repeat("10", 15), "", false},
	}
	for _, c := range cases {
		got, ok := cms.Unpad(unhex(t, c.in), 16)
		if ok != c.ok || hex.EncodeToString(got) != c.want {
			t.Errorf("%s: got %x, %v, want %s, %v", c.in, got, ok, c.want, c.ok)
		}
	}
}

// TestCriticalKeyIdentifier has the certificate that Windows makes for SCEP.
func TestCriticalKeyIdentifier(t *testing.T) {
	id := rsaOne()
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "windows"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 35}, Critical: true, Value: unhex(t, "300680040102030405")[:8]}},
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, id.key.Public(), id.key)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := x509.ParseCertificate(der); err == nil {
		t.Fatal("crypto/x509 takes it: the lenient parser is no longer needed")
	}
	cert := &x509.Certificate{
		Raw: der, RawIssuer: id.cert.RawIssuer, SerialNumber: big.NewInt(1), PublicKey: id.key.Public(),
	}
	bag, err := cms.CertsOnly(cert)
	if err != nil {
		t.Fatal(err)
	}
	certs, err := cms.Certificates(bag, 0)
	if err != nil || len(certs) != 1 {
		t.Fatalf("got %d certificates, %v", len(certs), err)
	}
	cert.RawIssuer = certs[0].RawIssuer
	got, err := cms.Verify(sign(t, []byte("x"), cms.Signer{Certificate: cert, Key: id.key}), cms.Accept{})
	if err != nil || got.Signer.Subject.CommonName != "windows" {
		t.Errorf("got %v", err)
	}
}

func TestStrangeCertificateBesideTheSigners(t *testing.T) {
	id := rsaOne()
	s := id.signer()
	s.Include = []*x509.Certificate{{Raw: unhex(t, "3003020101")}}
	got, err := cms.Verify(sign(t, []byte("x"), s), cms.Accept{})
	if err != nil || len(got.Certificates) != 1 {
		t.Errorf("got %v, want the signer's certificate alone", err)
	}
}

func TestTooManyCertificates(t *testing.T) {
	s := rsaOne().signer()
	s.Include = slices.Repeat([]*x509.Certificate{ecOne().cert}, 50)
	if _, err := cms.Verify(sign(t, nil, s), cms.Accept{}); !errors.Is(err, cms.ErrTooLarge) {
		t.Errorf("got %v, want %v", err, cms.ErrTooLarge)
	}
}

func TestRepeatedAttributeIsNone(t *testing.T) {
	twice := []cms.Attribute{{Type: oidTransactionID, Value: "a"}, {Type: oidTransactionID, Value: "b"}}
	got, err := cms.Verify(sign(t, nil, rsaOne().signer(), twice...), cms.Accept{})
	if err != nil {
		t.Fatal(err)
	}
	var v string
	if err := got.Attribute(oidTransactionID, &v); !errors.Is(err, cms.ErrAttribute) {
		t.Errorf("got %q, %v, want %v", v, err, cms.ErrAttribute)
	}
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
