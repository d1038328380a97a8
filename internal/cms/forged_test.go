package cms_test

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"encoding/asn1"
	"errors"
	"slices"
	"testing"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/signet-mdm/signet/internal/cms"
)

// forgery lets a test build SignedData that no writer would. What is nil or
// zero is as it should be.
type forgery struct {
	id        identity
	content   []byte // whole encoding of eContent
	attrs     [][]byte
	noAttrs   bool
	signOver  []byte
	digest    asn1.ObjectIdentifier
	algorithm asn1.ObjectIdentifier
	mangle    func(signature []byte)
}

var (
	oidSHA256      = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1}
	oidRSA         = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}
	oidSHA1WithRSA = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 5}
	oidData        = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1}
)

func (f forgery) build(t *testing.T) []byte {
	t.Helper()
	digest := sha256.Sum256(f.signOver)
	signature, err := f.id.key.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	if f.mangle != nil {
		f.mangle(signature)
	}
	if f.digest == nil {
		f.digest = oidSHA256
	}
	if f.algorithm == nil {
		f.algorithm = oidRSA
	}
	var b cryptobyte.Builder
	seq := func(b *cryptobyte.Builder, g func(*cryptobyte.Builder)) { b.AddASN1(cbasn1.SEQUENCE, g) }
	seq(&b, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2})
		b.AddASN1(0xa0, func(b *cryptobyte.Builder) {
			seq(b, func(b *cryptobyte.Builder) {
				b.AddASN1Int64(1)
				b.AddASN1(cbasn1.SET, func(*cryptobyte.Builder) {})
				seq(b, func(b *cryptobyte.Builder) {
					b.AddASN1ObjectIdentifier(oidData)
					b.AddASN1(0xa0, func(b *cryptobyte.Builder) { b.AddBytes(f.content) })
				})
				b.AddASN1(0xa0, func(b *cryptobyte.Builder) { b.AddBytes(f.id.cert.Raw) })
				b.AddASN1(cbasn1.SET, func(b *cryptobyte.Builder) { seq(b, f.info(signature)) })
			})
		})
	})
	return b.BytesOrPanic()
}

func (f forgery) info(signature []byte) func(*cryptobyte.Builder) {
	return func(b *cryptobyte.Builder) {
		b.AddASN1Int64(1)
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddBytes(f.id.cert.RawIssuer)
			b.AddASN1BigInt(f.id.cert.SerialNumber)
		})
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) { b.AddASN1ObjectIdentifier(f.digest) })
		if !f.noAttrs {
			b.AddASN1(0xa0, func(b *cryptobyte.Builder) { b.AddBytes(bytes.Join(f.attrs, nil)) })
		}
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) { b.AddASN1ObjectIdentifier(f.algorithm) })
		b.AddASN1OctetString(signature)
	}
}

func attr(t *testing.T, oid asn1.ObjectIdentifier, value any) []byte {
	t.Helper()
	v, err := asn1.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(oid)
		b.AddASN1(cbasn1.SET, func(b *cryptobyte.Builder) { b.AddBytes(v) })
	})
	return b.BytesOrPanic()
}

func setOf(elements ...[]byte) []byte {
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SET, func(b *cryptobyte.Builder) { b.AddBytes(bytes.Join(elements, nil)) })
	return b.BytesOrPanic()
}

func TestVerifyOddMessages(t *testing.T) {
	id := rsaOne()
	pkcs9 := func(n int) asn1.ObjectIdentifier { return asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, n} }
	content := []byte("content")
	whole := append([]byte{4, 7}, content...)
	pieces := unhex(t, "2480"+"0403636f6e"+"2480"+"040174"+"0400"+"24020400"+"0000"+"0403656e74"+"0000")
	sum := sha256.Sum256(content)
	contentType, digest := attr(t, pkcs9(3), oidData), attr(t, pkcs9(4), sum[:])
	otherType := attr(t, pkcs9(3), asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 5})
	otherDigest := attr(t, pkcs9(4), make([]byte, 32))
	sorted, reversed := [][]byte{contentType, digest}, [][]byte{digest, contentType}
	cases := []struct {
		name string
		f    forgery
		want error
	}{
		{"as it should be", forgery{content: whole, attrs: sorted, signOver: setOf(sorted...)}, nil},
		{"content in nested pieces", forgery{content: pieces, attrs: sorted, signOver: setOf(sorted...)}, nil},
		{"no attributes", forgery{content: whole, noAttrs: true, signOver: content}, nil},
		{"unsorted, signed sorted", forgery{content: whole, attrs: reversed, signOver: setOf(sorted...)}, nil},
		{"unsorted, signed as sent", forgery{content: whole, attrs: reversed, signOver: setOf(reversed...)}, nil},
		{"sorted, signed otherwise", forgery{content: whole, attrs: sorted, signOver: setOf(reversed...)}, cms.ErrSignature},
		{"no contentType", forgery{content: whole, attrs: [][]byte{digest}, signOver: setOf(digest)}, nil},
		{"another contentType", forgery{content: whole, attrs: [][]byte{otherType, digest}, signOver: setOf(otherType, digest)}, cms.ErrSignature},
		{"no messageDigest", forgery{content: whole, attrs: [][]byte{contentType}, signOver: setOf(contentType)}, cms.ErrSignature},
		{"another messageDigest", forgery{content: whole, attrs: [][]byte{contentType, otherDigest}, signOver: setOf(contentType, otherDigest)}, cms.ErrSignature},
		{"two messageDigests", forgery{content: whole, attrs: [][]byte{digest, digest}, signOver: setOf(digest, digest)}, cms.ErrSignature},
		{"attributes empty", forgery{content: whole, signOver: content}, cms.ErrSignature},
		{"attributes not signed", forgery{content: whole, attrs: sorted, signOver: content}, cms.ErrSignature},
		{"attributes with implicit tag", forgery{content: whole, attrs: sorted, signOver: append([]byte{0xa0}, setOf(sorted...)[1:]...)}, cms.ErrSignature},
		{"content signed, attributes removed", forgery{content: whole, noAttrs: true, signOver: setOf(sorted...)}, cms.ErrSignature},
		{"too many attributes", forgery{content: whole, attrs: slices.Repeat(sorted, 33), signOver: nil}, cms.ErrTooLarge},
		{"signature changed", forgery{content: whole, attrs: sorted, signOver: setOf(sorted...), mangle: func(s []byte) { s[100] ^= 1 }}, cms.ErrSignature},
		{"signature zero", forgery{content: whole, attrs: sorted, signOver: setOf(sorted...), mangle: func(s []byte) { clear(s) }}, cms.ErrSignature},
		{"algorithm implies another digest", forgery{content: whole, attrs: sorted, signOver: setOf(sorted...), algorithm: oidSHA1WithRSA}, cms.ErrAlgorithm},
		{"algorithm of another key", forgery{content: whole, attrs: sorted, signOver: setOf(sorted...), algorithm: asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2}}, cms.ErrAlgorithm},
		{"unknown digest", forgery{content: whole, attrs: sorted, signOver: setOf(sorted...), digest: asn1.ObjectIdentifier{1, 2, 3}}, cms.ErrAlgorithm},
		{"content is no string", forgery{content: []byte{5, 0}, attrs: sorted, signOver: setOf(sorted...)}, cms.ErrMalformed},
		{"pieces of another type", forgery{content: unhex(t, "24020500"), attrs: sorted, signOver: setOf(sorted...)}, cms.ErrMalformed},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			c.f.id = id
			got, err := cms.Verify(c.f.build(t), cms.Accept{SHA1: true})
			if !errors.Is(err, c.want) {
				t.Fatalf("got %v, want %v", err, c.want)
			}
			if err == nil && !bytes.Equal(got.Content, content) {
				t.Errorf("got %q, want %q", got.Content, content)
			}
		})
	}
}
