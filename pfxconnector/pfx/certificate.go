package pfx

import (
	"bytes"
	"crypto/x509"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/signet-mdm/signet/internal/fault"
)

type certificate struct {
	*x509.Certificate
	name string
}

// certificate parses DER, of which it keeps a copy.
// Quirk: the standard library leaves out the public key of an X25519
// certificate.
func (r *reader) certificate(der []byte) (*x509.Certificate, *fault.Error) {
	if len(der) > r.limits.CertificateBytes {
		return nil, ErrCertificateSize
	}
	if modulusBits(der) > r.limits.RSABits {
		return nil, ErrTooManyBits
	}
	c, err := x509.ParseCertificate(bytes.Clone(der))
	if err != nil {
		return nil, ErrCertificate
	}
	if c.PublicKey == nil {
		c.PublicKey, _ = x509.ParsePKIXPublicKey(c.RawSubjectPublicKeyInfo)
	}
	return c, nil
}

// modulusBits looks at an RSA key before anybody computes with it. It gives 0
// for other keys and for what the parser will refuse.
//
// Spec: RFC 5280 section 4.1
func modulusBits(der cryptobyte.String) int {
	var cert, tbs, spki, algID, n cryptobyte.String
	if !der.ReadASN1(&cert, cbasn1.SEQUENCE) || !cert.ReadASN1(&tbs, cbasn1.SEQUENCE) ||
		!tbs.SkipOptionalASN1(explicit0) || !tbs.SkipASN1(cbasn1.INTEGER) { // version, serial
		return 0
	}
	for range 4 { // signature, issuer, validity, subject
		if !tbs.SkipASN1(cbasn1.SEQUENCE) {
			return 0
		}
	}
	var bits []byte
	if !tbs.ReadASN1(&spki, cbasn1.SEQUENCE) || !spki.ReadASN1(&algID, cbasn1.SEQUENCE) ||
		!spki.ReadASN1BitStringAsBytes(&bits) {
		return 0
	}
	key := cryptobyte.String(bits)
	if !key.ReadASN1(&key, cbasn1.SEQUENCE) || !key.ReadASN1(&n, cbasn1.INTEGER) {
		return 0
	}
	return bitLen(n)
}
