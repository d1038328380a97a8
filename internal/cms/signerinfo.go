package cms

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"fmt"
)

// signerInfo is what was read of a SignerInfo.
type signerInfo struct {
	issuer, serial []byte // or
	keyID          []byte
	digest         crypto.Hash
	key            keyKind
	attributes     [][]byte             // DER of each signed attribute as it came; nil without
	byType         map[string][]element // their values
	signature      []byte
}

type keyKind int

const (
	rsaKey keyKind = iota
	ecKey
)

// signatureAlgorithms lists what signatureAlgorithm may be: for which key, and
// which digest it implies (0: that of digestAlgorithm).
var signatureAlgorithms = map[string]struct {
	key    keyKind
	digest crypto.Hash
}{
	oidRSA:                   {rsaKey, 0},
	arcPKCS1 + "\x04":        {rsaKey, crypto.MD5},
	arcPKCS1 + "\x05":        {rsaKey, crypto.SHA1},
	arcPKCS1 + "\x0b":        {rsaKey, crypto.SHA256},
	arcPKCS1 + "\x0c":        {rsaKey, crypto.SHA384},
	arcPKCS1 + "\x0d":        {rsaKey, crypto.SHA512},
	arcX962 + "\x02\x01":     {ecKey, 0}, // id-ecPublicKey, as some clients write
	arcX962 + "\x04\x01":     {ecKey, crypto.SHA1},
	oidECDSAWithSHA256:       {ecKey, crypto.SHA256},
	arcX962 + "\x04\x03\x03": {ecKey, crypto.SHA384},
	arcX962 + "\x04\x03\x04": {ecKey, crypto.SHA512},
}

func (a Accept) digest(oid string) (crypto.Hash, error) {
	switch {
	case oid == oidSHA256:
		return crypto.SHA256, nil
	case oid == oidSHA384:
		return crypto.SHA384, nil
	case oid == oidSHA512:
		return crypto.SHA512, nil
	case oid == oidSHA1 && a.SHA1:
		return crypto.SHA1, nil
	case oid == oidMD5 && a.MD5:
		return crypto.MD5, nil
	}
	return 0, fmt.Errorf("digest %s: %w", dotted(oid), ErrAlgorithm)
}

// parseSigned reads SignedData with exactly one signer.
//
// Spec: RFC 5652 section 5.1
func parseSigned(ber []byte, a Accept) (*message, error) {
	contentType, c, err := openContentInfo(ber, a.MaxBytes)
	if err != nil {
		return nil, err
	}
	if contentType != oidSignedData {
		return nil, ErrMalformed
	}
	m := &message{accept: a}
	c.take(tagInteger)
	c.take(tagSet) // digestAlgorithms: the signer names its own
	encap := c.take(tagSequence).inside()
	if err := m.readContent(&encap); err != nil {
		return nil, err
	}
	if c.at(tagExplicit0) {
		if m.certificates, err = parseCertificates(c.next()); err != nil {
			return nil, err
		}
	}
	c.skip(tagExplicit1) // crls
	infos := c.take(tagSet).inside()
	if c.bad {
		return nil, ErrMalformed
	}
	if infos.empty() {
		return nil, ErrSigner
	}
	info := infos.take(tagSequence).inside()
	if !infos.empty() {
		return nil, ErrSigner
	}
	m.info, err = parseSignerInfo(info, a)
	return m, err
}

func (m *message) readContent(encap *cursor) error {
	m.contentType = string(encap.take(tagOID).body)
	if encap.at(tagExplicit0) {
		explicit := encap.next().inside()
		m.content = explicit.take(tagOctets).body
		if explicit.bad {
			return ErrMalformed
		}
	}
	if encap.bad {
		return ErrMalformed
	}
	return nil
}

// parseSignerInfo reads one.
//
// Spec: RFC 5652 section 5.3
func parseSignerInfo(c cursor, a Accept) (i signerInfo, err error) {
	c.take(tagInteger)
	if c.at(tagImplicit0) {
		i.keyID = c.next().body
	} else {
		id := c.take(tagSequence).inside()
		i.issuer, i.serial = id.take(tagSequence).raw, id.take(tagInteger).body
		c.bad = c.bad || id.bad
	}
	digest := c.take(tagSequence).inside()
	digestOID := string(digest.take(tagOID).body)
	if c.at(tagExplicit0) {
		if err := i.readAttributes(c.next()); err != nil {
			return i, err
		}
	}
	algorithm := c.take(tagSequence).inside()
	algorithmOID := string(algorithm.take(tagOID).body)
	i.signature = c.take(tagOctets).body
	if c.bad || digest.bad || algorithm.bad {
		return i, ErrMalformed
	}
	if i.digest, err = a.digest(digestOID); err != nil {
		return i, err
	}
	alg, known := signatureAlgorithms[algorithmOID]
	if !known || alg.digest != 0 && alg.digest != i.digest {
		return i, fmt.Errorf("signature algorithm %s: %w", dotted(algorithmOID), ErrAlgorithm)
	}
	i.key = alg.key
	return i, nil
}

func (i *signerInfo) readAttributes(e element) error {
	c := e.inside()
	i.attributes, i.byType = [][]byte{}, map[string][]element{}
	for !c.empty() {
		if len(i.attributes) == maxAttributes {
			return ErrTooLarge
		}
		attr := c.take(tagSequence)
		in := attr.inside()
		oid := string(in.take(tagOID).body)
		values := in.take(tagSet).inside()
		for !values.empty() {
			i.byType[oid] = append(i.byType[oid], values.next())
		}
		if c.bad || in.bad || values.bad {
			return ErrMalformed
		}
		i.attributes = append(i.attributes, attr.raw)
	}
	if c.bad {
		return ErrMalformed
	}
	return nil
}

// certificate finds the signer's; nil when it is not there.
func (i signerInfo) certificate(certs []*x509.Certificate) *x509.Certificate {
	for _, c := range certs {
		switch {
		case i.keyID != nil:
			if bytes.Equal(i.keyID, c.SubjectKeyId) {
				return c
			}
		case sameSerial(i.serial, c.SerialNumber) && bytes.Equal(i.issuer, c.RawIssuer):
			return c
		}
	}
	return nil
}
