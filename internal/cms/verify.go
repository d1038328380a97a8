package cms

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	_ "crypto/md5" // the hashes of accept.digest
	"crypto/rsa"
	_ "crypto/sha1"
	_ "crypto/sha256"
	_ "crypto/sha512"
	"crypto/subtle"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"
)

// Accept says what verification accepts beyond SHA-256, SHA-384 and SHA-512.
type Accept struct {
	SHA1, MD5  bool
	MaxBytes   int // of the message; 0: DefaultMaxBytes
	MaxRSABits int // of the signer's key; 0: 8192, which no policy exceeds
}

// Signed is a message whose signature was verified.
type Signed struct {
	Content      []byte              // nil when there is none; shares memory with the message
	Signer       *x509.Certificate   // who signed; not chained to anything
	Certificates []*x509.Certificate // all in the message that can be parsed, in order
	Digest       crypto.Hash         // used for content and signature

	attributes map[string][]element // by type, values in order
}

// Verify reads attached SignedData, BER or DER, and verifies its one
// signature. It does not chain the signer's certificate and does not look at
// any date. Errors are ErrTooLarge, ErrMalformed, ErrAlgorithm, ErrSigner and
// ErrSignature.
//
// Spec: RFC 5652 section 5.4
func Verify(ber []byte, a Accept) (*Signed, error) {
	m, err := parseSigned(ber, a)
	if err != nil {
		return nil, err
	}
	return m.verify(m.content)
}

// Detached is a signature that was read but not verified.
type Detached struct {
	message *message
	signer  *x509.Certificate
}

// ReadDetached reads a signature over content that comes from elsewhere. It
// verifies nothing: whoever must know the signer before he spends work on the
// content, reads first. Errors are those of [Verify], but ErrSignature.
//
// Quirk: iOS writes Mdm-Signature in BER with indefinite lengths, with SHA-1
// and without signed attributes.
func ReadDetached(ber []byte, a Accept) (*Detached, error) {
	m, err := parseSigned(ber, a)
	if err != nil {
		return nil, err
	}
	c, err := m.signer()
	if err != nil {
		return nil, err
	}
	return &Detached{m, c}, nil
}

// Signer gives the certificate that the message says its signer has.
func (d *Detached) Signer() *x509.Certificate { return d.signer }

// Verify verifies the signature over content. A message that brings other
// content along is refused.
func (d *Detached) Verify(content []byte) (*Signed, error) {
	if len(d.message.content) > 0 && !bytes.Equal(d.message.content, content) {
		return nil, ErrSignature
	}
	return d.message.verify(content)
}

// size tells whether the key is no larger than accepted: the work of a check
// grows with the square of its bits.
func (a Accept) size(key crypto.PublicKey) bool {
	most := maxRSABits
	if a.MaxRSABits > 0 {
		most = min(most, a.MaxRSABits)
	}
	pub, ok := key.(*rsa.PublicKey)
	return !ok || pub.N.BitLen() <= most
}

// Attribute decodes the one value of a signed attribute into v as
// asn1.Unmarshal does; a *asn1.RawValue takes any type.
func (s *Signed) Attribute(oid asn1.ObjectIdentifier, v any) error {
	name, err := asn1.Marshal(oid)
	if err != nil {
		return fmt.Errorf("attribute %v: %w", oid, ErrAttribute)
	}
	values := s.attributes[string(name[2:])]
	if len(values) != 1 {
		return fmt.Errorf("attribute %v has %d values: %w", oid, len(values), ErrAttribute)
	}
	if rest, err := asn1.Unmarshal(values[0].raw, v); err != nil || len(rest) > 0 {
		return fmt.Errorf("attribute %v is of another type: %w", oid, ErrAttribute)
	}
	return nil
}

// message is SignedData as read, before verification.
type message struct {
	contentType  string
	content      []byte
	certificates []*x509.Certificate
	info         signerInfo
	accept       Accept
}

// signer finds the certificate of the one who signed.
func (m *message) signer() (*x509.Certificate, error) {
	c := m.info.certificate(m.certificates)
	switch {
	case c == nil:
		return nil, ErrSigner
	case !m.accept.size(c.PublicKey):
		return nil, ErrAlgorithm
	}
	return c, nil
}

func (m *message) verify(content []byte) (*Signed, error) {
	signer, err := m.signer()
	if err != nil {
		return nil, err
	}
	s := &Signed{
		Content: content, Signer: signer, Certificates: m.certificates,
		Digest: m.info.digest, attributes: m.info.byType,
	}
	if err := s.check(m); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *Signed) check(m *message) error {
	if m.info.attributes == nil {
		return m.info.check(s.Signer.PublicKey, s.Content)
	}
	if err := s.fits(m.contentType); err != nil {
		return err
	}
	return m.info.checkAttributes(s.Signer.PublicKey)
}

// fits tells whether the signed attributes speak of this content.
func (s *Signed) fits(contentType string) error {
	var digest []byte
	if err := s.Attribute(messageDigestAttr, &digest); err != nil {
		return ErrSignature
	}
	h := s.Digest.New()
	h.Write(s.Content)
	if subtle.ConstantTimeCompare(h.Sum(nil), digest) != 1 {
		return ErrSignature
	}
	// RFC 5652 wants contentType present; old clients leave it out.
	for _, v := range s.attributes[oidContentType] {
		if string(v.body) != contentType {
			return ErrSignature
		}
	}
	return nil
}

// checkAttributes verifies over the attributes as a DER SET OF, or in the
// order they came: some clients sign what they wrote without sorting it.
func (i signerInfo) checkAttributes(pub crypto.PublicKey) error {
	sorted := wrap(tagSet, sortedSet(slices.Clone(i.attributes)))
	err := i.check(pub, sorted)
	asSent := wrap(tagSet, bytes.Join(i.attributes, nil))
	if !errors.Is(err, ErrSignature) || bytes.Equal(asSent, sorted) {
		return err
	}
	return i.check(pub, asSent)
}

// check verifies the signature over signed.
func (i signerInfo) check(pub crypto.PublicKey, signed []byte) error {
	h := i.digest.New()
	h.Write(signed)
	switch key := pub.(type) {
	case *rsa.PublicKey:
		if i.key != rsaKey {
			return ErrAlgorithm
		}
		if rsa.VerifyPKCS1v15(key, i.digest, h.Sum(nil), i.signature) != nil {
			return ErrSignature
		}
	case *ecdsa.PublicKey:
		if i.key != ecKey {
			return ErrAlgorithm
		}
		if !ecdsa.VerifyASN1(key, h.Sum(nil), i.signature) {
			return ErrSignature
		}
	default:
		return fmt.Errorf("signature with %T: %w", pub, ErrAlgorithm)
	}
	return nil
}
