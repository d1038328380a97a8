package pfx

import (
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/seal"
)

// maxIntegers is what an RSA key of five primes has: nine, and three for each
// prime beyond two.
const maxIntegers = 18

// maxRSAWork is how much checking the RSA keys of one file may cost together,
// in keys of 2048 bits, each of which takes a seventh of a millisecond; the work
// grows with the cube of the bits.
const maxRSAWork = 512

// privateKey is what crypto.PrivateKey promises in its comment.
type privateKey interface {
	Public() crypto.PublicKey
	Equal(crypto.PrivateKey) bool
}

type key struct {
	private privateKey
	pkcs8   seal.Secret
	name    string
}

// public compares keys.
func (k key) public() interface{ Equal(crypto.PublicKey) bool } {
	return k.private.Public().(interface{ Equal(crypto.PublicKey) bool })
}

// key parses PKCS #8. Sizes are looked at first: a modulus of a million bits
// costs the parser more than a minute.
//
// Spec: RFC 5958 section 2
func (r *reader) key(pkcs8 []byte) (k key, f *fault.Error) {
	der, kind, f := r.minimal(pkcs8)
	if f != nil {
		return k, f
	}
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		if kind == oidRSA {
			return k, ErrKeyMalformed
		}
		return k, ErrKeyUnsupported
	}
	switch p := parsed.(type) {
	case *rsa.PrivateKey:
		k.private = p
	case *ecdsa.PrivateKey:
		k.private = p
	case ed25519.PrivateKey:
		k.private = p
	case *ecdh.PrivateKey:
		k.private = p
	default:
		return k, ErrKeyUnsupported
	}
	out, err := x509.MarshalPKCS8PrivateKey(k.private)
	if err != nil {
		return k, ErrKeyUnsupported
	}
	k.pkcs8 = seal.NewSecret(out)
	return k, nil
}

// minimal rewrites PKCS #8 as version 0 without attributes, the key inside in
// DER, and refuses integers that are too large.
func (r *reader) minimal(pkcs8 []byte) (der []byte, kind string, f *fault.Error) {
	s, err := r.normal(pkcs8)
	var info, id, inner cryptobyte.String
	if err != nil || !s.ReadASN1(&info, cbasn1.SEQUENCE) || !info.SkipASN1(cbasn1.INTEGER) ||
		!info.ReadASN1Element(&id, cbasn1.SEQUENCE) || !info.ReadASN1(&inner, cbasn1.OCTET_STRING) {
		return nil, "", ErrKeyMalformed
	}
	body, err := r.normal(inner)
	if err != nil {
		return nil, "", ErrKeyMalformed
	}
	alg := id
	a, ok := readAlgorithm(&alg)
	if !ok {
		return nil, "", ErrKeyMalformed
	}
	n, longest := integers(body)
	if a.oid == oidRSA && n > maxIntegers || longest > r.limits.RSABits {
		return nil, "", ErrTooManyBits
	}
	if a.oid == oidRSA && !r.chargeRSA(longest) {
		return nil, "", ErrLimit.Saying("The RSA keys in the file are together more work than is allowed.")
	}
	// One buffer of the right size: no growth, no stale copies.
	b := cryptobyte.NewFixedBuilder(make([]byte, 0, len(id)+len(body)+32))
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1Int64(0)
		b.AddBytes(id)
		b.AddASN1OctetString(body)
	})
	if der, err = b.Bytes(); err != nil {
		return nil, "", ErrKeyMalformed
	}
	r.secret(der)
	return der, a.oid, nil
}

// chargeRSA takes a key of so many bits from what the file's RSA keys may cost,
// and tells whether it is within.
func (r *reader) chargeRSA(bits int) bool {
	cost := int64(bits) * int64(bits) * int64(bits)
	if r.rsaBits+cost > maxRSAWork<<33 { // 2048 to the third power
		return false
	}
	r.rsaBits += cost
	return true
}

// integers counts those of a DER structure and gives the bits of the longest.
// The walker has bounded the depth.
func integers(der cryptobyte.String) (n, longest int) {
	for !der.Empty() {
		var body cryptobyte.String
		var tag cbasn1.Tag
		if !der.ReadAnyASN1(&body, &tag) {
			return n, longest
		}
		switch {
		case tag == cbasn1.INTEGER:
			n, longest = n+1, max(longest, bitLen(body))
		case tag == cbasn1.SEQUENCE:
			m, l := integers(body)
			n, longest = n+m, max(longest, l)
		}
	}
	return n, longest
}

// bitLen of the contents of an INTEGER, leading zeros not counted.
func bitLen(body []byte) int {
	for len(body) > 0 && body[0] == 0 {
		body = body[1:]
	}
	if len(body) == 0 {
		return 0
	}
	bits := 8 * len(body)
	for mask := byte(0x80); body[0]&mask == 0; mask >>= 1 {
		bits--
	}
	return bits
}
