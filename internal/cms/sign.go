package cms

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// Signer is who signs. The key, RSA or EC, fits the certificate.
type Signer struct {
	Certificate *x509.Certificate
	Key         crypto.Signer
	Include     []*x509.Certificate // more certificates to put into the message, in order
	Time        time.Time           // written as signingTime; zero: now
}

// Attribute is a signed attribute with one value, marshalled with
// encoding/asn1: a string becomes a PrintableString where it can, []byte an
// OCTET STRING, asn1.RawValue itself.
type Attribute struct {
	Type  asn1.ObjectIdentifier
	Value any
}

// Sign gives attached SignedData in ContentInfo, DER, with SHA-256 and the
// attributes contentType, messageDigest and signingTime besides attrs. Nil
// content leaves eContent out, as SCEP wants for FAILURE and PENDING; empty
// content does not.
//
// Spec: RFC 5652 section 5; RFC 8894 section 3.2
func Sign(content []byte, s Signer, attrs ...Attribute) ([]byte, error) {
	return s.sign(content, content != nil, attrs)
}

// SignDetached signs content and leaves it out of the message.
func SignDetached(content []byte, s Signer) ([]byte, error) { return s.sign(content, false, nil) }

// CertsOnly gives SignedData without signers that carries certificates in the
// order given: for GetCACert and CertRep.
//
// Spec: RFC 8894 section 3.4
func CertsOnly(certs ...*x509.Certificate) ([]byte, error) {
	return contentInfo(oidSignedData, func(b *cryptobyte.Builder) {
		b.AddASN1Int64(1)
		b.AddASN1(cbasn1.SET, func(*cryptobyte.Builder) {})
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) { addOID(b, oidData) })
		addCertificates(b, certs)
		b.AddASN1(cbasn1.SET, func(*cryptobyte.Builder) {})
	})
}

func (s Signer) sign(content []byte, attach bool, attrs []Attribute) ([]byte, error) {
	algorithm, err := s.algorithm()
	if err != nil {
		return nil, err
	}
	signed, err := s.attributes(content, attrs)
	if err != nil {
		return nil, err
	}
	digest := sha256.Sum256(wrap(tagSet, signed))
	signature, err := s.Key.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil {
		return nil, fmt.Errorf("cms: signing: %w", err)
	}
	return contentInfo(oidSignedData, func(b *cryptobyte.Builder) {
		b.AddASN1Int64(1)
		b.AddASN1(cbasn1.SET, addSHA256)
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			addOID(b, oidData)
			if attach {
				b.AddASN1(tagExplicit0, func(b *cryptobyte.Builder) { b.AddASN1OctetString(content) })
			}
		})
		addCertificates(b, append([]*x509.Certificate{s.Certificate}, s.Include...))
		b.AddASN1(cbasn1.SET, func(b *cryptobyte.Builder) { s.addInfo(b, algorithm, signed, signature) })
	})
}

// addInfo writes the SignerInfo.
//
// Spec: RFC 5652 section 5.3
func (s Signer) addInfo(b *cryptobyte.Builder, algorithm func(*cryptobyte.Builder), signed, signature []byte) {
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1Int64(1)
		addIssuerAndSerial(b, s.Certificate)
		addSHA256(b)
		b.AddASN1(tagExplicit0, func(b *cryptobyte.Builder) { b.AddBytes(signed) })
		algorithm(b)
		b.AddASN1OctetString(signature)
	})
}

func addSHA256(b *cryptobyte.Builder) { addAlgorithm(b, oidSHA256, nil) }

// algorithm gives the signatureAlgorithm for the key.
//
// Quirk: strongSwan before 5.9.11 takes rsaEncryption only, so no
// sha256WithRSAEncryption; RFC 3370 section 3.2 recommends it as well.
func (s Signer) algorithm() (func(*cryptobyte.Builder), error) {
	pub, ok := s.Key.Public().(interface{ Equal(crypto.PublicKey) bool })
	if !ok || !pub.Equal(s.Certificate.PublicKey) {
		return nil, errors.New("cms: signing key does not fit the signer's certificate")
	}
	switch s.Certificate.PublicKey.(type) {
	case *rsa.PublicKey:
		return func(b *cryptobyte.Builder) { addAlgorithm(b, oidRSA, addNull) }, nil
	case *ecdsa.PublicKey:
		return func(b *cryptobyte.Builder) { addAlgorithm(b, oidECDSAWithSHA256, nil) }, nil
	}
	return nil, fmt.Errorf("cms: signing with %T: %w", s.Certificate.PublicKey, ErrAlgorithm)
}

// The attributes of every signature.
//
// Spec: RFC 5652 section 11
var (
	contentTypeAttr   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 3}
	messageDigestAttr = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 4}
	signingTimeAttr   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 5}
)

// attributes encodes the signed attributes in the order of a DER SET OF,
// without the outer tag.
func (s Signer) attributes(content []byte, attrs []Attribute) ([]byte, error) {
	digest := sha256.Sum256(content)
	at := s.Time
	if at.IsZero() {
		at = time.Now()
	}
	all := append([]Attribute{
		{contentTypeAttr, asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1}},
		{messageDigestAttr, digest[:]},
		{signingTimeAttr, at.UTC().Truncate(time.Second)},
	}, attrs...)
	encoded := make([][]byte, len(all))
	for i, a := range all {
		var err error
		if encoded[i], err = a.encode(); err != nil {
			return nil, err
		}
	}
	return sortedSet(encoded), nil
}

func (a Attribute) encode() ([]byte, error) {
	value, err := asn1.Marshal(a.Value)
	if err != nil {
		return nil, fmt.Errorf("cms: signed attribute %v: %w", a.Type, err)
	}
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(a.Type)
		b.AddASN1(cbasn1.SET, func(b *cryptobyte.Builder) { b.AddBytes(value) })
	})
	return b.Bytes()
}

// sortedSet joins the elements of a SET OF in DER order.
//
// Spec: X.690 section 11.6
func sortedSet(elements [][]byte) []byte {
	slices.SortFunc(elements, bytes.Compare)
	return bytes.Join(elements, nil)
}

// wrap puts identifier and length before a body.
func wrap(id byte, body []byte) []byte {
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.Tag(id), func(b *cryptobyte.Builder) { b.AddBytes(body) })
	return b.BytesOrPanic()
}

// addCertificates keeps the order given, although a DER SET OF would be
// sorted: every reader takes it, and some look at the first one only.
func addCertificates(b *cryptobyte.Builder, certs []*x509.Certificate) {
	b.AddASN1(tagExplicit0, func(b *cryptobyte.Builder) {
		for _, c := range certs {
			b.AddBytes(c.Raw)
		}
	})
}
