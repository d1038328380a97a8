package phone

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	_ "crypto/sha1"
	_ "crypto/sha256"
	_ "crypto/sha512"
	"crypto/x509"
	"fmt"
	"io"
	"slices"
	"time"
)

// signing says how to write a CMS SignedData.
// Spec: RFC 5652 section 5
type signing struct {
	cert       *x509.Certificate
	key        crypto.Signer
	extra      []*x509.Certificate // sent along after cert
	hash       crypto.Hash
	attributes []attribute // nil: the signature is over the content itself
	detached   bool
	indefinite bool // BER as Apple writes it; else DER
	bare       bool // no certificates
}

// attribute is a signed attribute with one value in DER.
type attribute struct {
	id    oid
	value []byte
}

func (a attribute) der() []byte {
	return tlv(0x30, marshal(a.id), tlv(0x31, a.value))
}

// usual gives the attributes every CMS signature over content has.
func usual(hash crypto.Hash, content []byte, now time.Time) []attribute {
	return []attribute{
		{oidContentType, marshal(oidData)},
		{oidSigningTime, marshal(now.UTC())},
		{oidMessageDigest, marshal(sum(hash, content))},
	}
}

// write signs content, whose type is id-data.
func (s signing) write(rand io.Reader, content []byte) ([]byte, error) {
	info, err := s.signerInfo(rand, content)
	if err != nil {
		return nil, err
	}
	wrap := tlv
	if s.indefinite {
		wrap = open
	}
	return wrap(0x30, marshal(oidSignedData), wrap(0xa0, wrap(0x30,
		marshal(1),
		tlv(0x31, algorithm(ofHash(s.hash).id)),
		wrap(0x30, marshal(oidData), s.content(content)),
		s.certificates(wrap),
		tlv(0x31, info)))), nil
}

func (s signing) content(b []byte) []byte {
	switch {
	case s.detached:
		return nil
	case s.indefinite:
		return open(0xa0, open(0x24, chunks(b)))
	}
	return tlv(0xa0, tlv(0x04, b))
}

func (s signing) certificates(wrap func(byte, ...[]byte) []byte) []byte {
	if s.bare {
		return nil
	}
	all := [][]byte{s.cert.Raw}
	for _, c := range s.extra {
		if !slices.ContainsFunc(all, func(b []byte) bool { return bytes.Equal(b, c.Raw) }) {
			all = append(all, c.Raw)
		}
	}
	if !s.indefinite {
		slices.SortFunc(all, bytes.Compare) // DER sorts a SET
	}
	return wrap(0xa0, all...)
}

func (s signing) signerInfo(rand io.Reader, content []byte) ([]byte, error) {
	signed, attrs := content, []byte(nil)
	if s.attributes != nil {
		set := attributeSet(s.attributes)
		signed, attrs = tlv(0x31, set), tlv(0xa0, set)
	}
	sig, err := s.key.Sign(rand, sum(s.hash, signed), s.hash)
	if err != nil {
		return nil, fmt.Errorf("signing: %w", err)
	}
	alg := algorithm(oidRSA)
	if _, ec := s.key.Public().(*ecdsa.PublicKey); ec {
		alg = tlv(0x30, marshal(ofHash(s.hash).ecdsa))
	}
	return tlv(0x30, marshal(1), issuerAndSerial(s.cert), algorithm(ofHash(s.hash).id), attrs, alg, tlv(0x04, sig)), nil
}

// attributeSet gives the content of a SET OF in DER order.
func attributeSet(attrs []attribute) []byte {
	var all [][]byte
	for _, a := range attrs {
		all = append(all, a.der())
	}
	slices.SortFunc(all, bytes.Compare)
	return bytes.Join(all, nil)
}

func issuerAndSerial(c *x509.Certificate) []byte {
	return tlv(0x30, c.RawIssuer, marshal(c.SerialNumber))
}
