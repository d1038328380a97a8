package phone

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"math/big"
)

// signed is a CMS SignedData that was read.
type signed struct {
	contentType  oid
	content      []byte
	certificates []*x509.Certificate
	signers      []signer
}

type signer struct {
	issuer     []byte
	serial     *big.Int
	keyID      []byte
	hash       crypto.Hash
	algorithm  oid
	attributes []attribute
	signature  []byte
}

type signedDataASN1 struct {
	Version      int
	Digests      asn1.RawValue `asn1:"set"`
	Content      contentInfoASN1
	Certificates asn1.RawValue   `asn1:"optional,tag:0"`
	CRLs         asn1.RawValue   `asn1:"optional,tag:1"`
	Signers      []asn1.RawValue `asn1:"set"`
}

type contentInfoASN1 struct {
	Type    oid
	Content asn1.RawValue `asn1:"explicit,optional,tag:0"`
}

type signerInfoASN1 struct {
	Version    int
	ID         asn1.RawValue
	Digest     algorithmASN1
	Attributes asn1.RawValue `asn1:"optional,tag:0"`
	Algorithm  algorithmASN1
	Signature  []byte
	Unsigned   asn1.RawValue `asn1:"optional,tag:1"`
}

type algorithmASN1 struct {
	ID     oid
	Params asn1.RawValue `asn1:"optional"`
}

// unmarshal reads exactly one DER value.
func unmarshal(b []byte, v any, params string) error {
	rest, err := asn1.UnmarshalWithParams(b, v, params)
	if err == nil && len(rest) > 0 {
		err = fmt.Errorf("%d bytes after the end", len(rest))
	}
	return err
}

// cmsContent reads the outermost ContentInfo, BER or DER, and gives the DER of
// what is in it.
func cmsContent(ber []byte, want oid) ([]byte, error) {
	kind, b, err := cmsInfo(ber)
	if err == nil && !kind.Equal(want) {
		err = fmt.Errorf("CMS content type %v, want %v", kind, want)
	}
	return b, err
}

// cmsInfo is cmsContent for content of any type.
func cmsInfo(ber []byte) (kind oid, content []byte, err error) {
	b, err := der(ber)
	if err != nil {
		return nil, nil, err
	}
	var info contentInfoASN1
	if err := unmarshal(b, &info, ""); err != nil {
		return nil, nil, fmt.Errorf("CMS: %w", err)
	}
	return info.Type, info.Content.Bytes, nil
}

// readSigned reads a SignedData without verifying it.
func readSigned(ber []byte) (*signed, error) {
	b, err := cmsContent(ber, oidSignedData)
	if err != nil {
		return nil, err
	}
	var raw signedDataASN1
	if err := unmarshal(b, &raw, ""); err != nil {
		return nil, fmt.Errorf("CMS SignedData: %w", err)
	}
	m := &signed{contentType: raw.Content.Type}
	if len(raw.Content.Content.FullBytes) > 0 {
		if err := unmarshal(raw.Content.Content.Bytes, &m.content, ""); err != nil {
			return nil, fmt.Errorf("CMS eContent: %w", err)
		}
	}
	if m.certificates, err = x509.ParseCertificates(raw.Certificates.Bytes); err != nil {
		return nil, fmt.Errorf("CMS certificates: %w", err)
	}
	for _, s := range raw.Signers {
		one, err := readSigner(s.FullBytes)
		if err != nil {
			return nil, fmt.Errorf("CMS SignerInfo: %w", err)
		}
		m.signers = append(m.signers, one)
	}
	return m, nil
}

func readSigner(b []byte) (s signer, err error) {
	var raw signerInfoASN1
	if err := unmarshal(b, &raw, ""); err != nil {
		return s, err
	}
	s.algorithm, s.signature = raw.Algorithm.ID, raw.Signature
	if s.hash, err = digestOf(raw.Digest.ID); err != nil {
		return s, err
	}
	if s.issuer, s.serial, s.keyID, err = readIdentifier(raw.ID); err != nil {
		return s, err
	}
	for rest := raw.Attributes.Bytes; len(rest) > 0; {
		var a struct {
			ID     oid
			Values asn1.RawValue `asn1:"set"`
		}
		if rest, err = asn1.Unmarshal(rest, &a); err != nil {
			return s, err
		}
		s.attributes = append(s.attributes, attribute{a.ID, a.Values.Bytes})
	}
	return s, nil
}

// readIdentifier reads the way CMS names a certificate: by issuer and serial
// number, or [0] by subject key identifier.
func readIdentifier(v asn1.RawValue) (issuer []byte, serial *big.Int, keyID []byte, err error) {
	if v.Class == asn1.ClassContextSpecific && v.Tag == 0 {
		return nil, nil, v.Bytes, nil
	}
	var id struct {
		Issuer asn1.RawValue
		Serial *big.Int
	}
	err = unmarshal(v.FullBytes, &id, "")
	return id.Issuer.FullBytes, id.Serial, nil, err
}

// names reports whether an identifier names this certificate.
func names(c *x509.Certificate, issuer []byte, serial *big.Int, keyID []byte) bool {
	if keyID != nil {
		return bytes.Equal(c.SubjectKeyId, keyID)
	}
	return serial != nil && c.SerialNumber.Cmp(serial) == 0 && bytes.Equal(c.RawIssuer, issuer)
}

// attribute gives the DER value of a signed attribute, nil when absent.
func (s signer) attribute(id oid) []byte {
	for _, a := range s.attributes {
		if a.id.Equal(id) {
			return a.value
		}
	}
	return nil
}

// certificate finds the signer's certificate in the message.
func (m *signed) certificate(s signer) *x509.Certificate {
	for _, c := range m.certificates {
		if names(c, s.issuer, s.serial, s.keyID) {
			return c
		}
	}
	return nil
}

// verify checks one signature over content with the key of cert.
func (s signer) verify(cert *x509.Certificate, contentType oid, content []byte) error {
	over := content
	if s.attributes != nil {
		var digest []byte
		var kind oid
		if err := unmarshal(s.attribute(oidMessageDigest), &digest, ""); err != nil || !bytes.Equal(digest, sum(s.hash, content)) {
			return fmt.Errorf("messageDigest does not match the content")
		}
		if err := unmarshal(s.attribute(oidContentType), &kind, ""); err != nil || !kind.Equal(contentType) {
			return fmt.Errorf("contentType attribute does not match the content type")
		}
		over = tlv(0x31, attributeSet(s.attributes))
	}
	switch key := cert.PublicKey.(type) {
	case *rsa.PublicKey:
		if !s.usesRSA() {
			return fmt.Errorf("signature algorithm %v with an RSA key", s.algorithm)
		}
		return rsa.VerifyPKCS1v15(key, s.hash, sum(s.hash, over), s.signature)
	case *ecdsa.PublicKey:
		if !ecdsa.VerifyASN1(key, sum(s.hash, over), s.signature) {
			return fmt.Errorf("ECDSA signature is wrong")
		}
		return nil
	}
	return fmt.Errorf("signer key %T", cert.PublicKey)
}

// usesRSA reports whether the signature algorithm is RSA with PKCS #1 v1.5
// padding and the digest named beside it.
func (s signer) usesRSA() bool {
	return s.algorithm.Equal(oidRSA) || s.algorithm.Equal(ofHash(s.hash).rsa)
}
