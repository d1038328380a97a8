package ca

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// ErrSpent is returned for a prepared certificate that was signed before, or
// prepared by another issuer.
var ErrSpent = errors.New("ca: prepared certificate is not for this issuer, or was issued before")

// Issue signs what p holds, once: a second time is ErrSpent.
func (i *Issuer) Issue(p *Prepared) (*x509.Certificate, error) {
	if p.issuer != i || !p.spent.CompareAndSwap(false, true) {
		return nil, ErrSpent
	}
	hash, err := hashOf(p.Draft.SignatureAlgorithm)
	if err != nil {
		return nil, err
	}
	h := hash.New()
	h.Write(p.TBS())
	signature, err := i.key.Sign(rand.Reader, h.Sum(nil), hash)
	if err != nil {
		return nil, fmt.Errorf("ca: signing certificate %s: %w", p.Serial(), err)
	}
	c, err := assemble(p.TBS(), p.algorithm, signature)
	if err != nil {
		return nil, fmt.Errorf("ca: assembling certificate %s: %w", p.Serial(), err)
	}
	if err := c.CheckSignatureFrom(i.cert); err != nil || !bytes.Equal(c.RawTBSCertificate, p.TBS()) {
		return nil, fmt.Errorf("ca: certificate %s is not what was prepared: %w", p.Serial(), err)
	}
	return c, nil
}

// hashOf tells what the signature algorithms that we use hash with.
func hashOf(a x509.SignatureAlgorithm) (crypto.Hash, error) {
	switch a {
	case x509.SHA256WithRSA, x509.ECDSAWithSHA256:
		return crypto.SHA256, nil
	case x509.ECDSAWithSHA384:
		return crypto.SHA384, nil
	case x509.ECDSAWithSHA512:
		return crypto.SHA512, nil
	}
	return 0, fmt.Errorf("ca: no certificates are signed with %v", a)
}

// assemble puts a certificate together.
//
// Spec: RFC 5280 section 4.1
func assemble(tbs, algorithm, signature []byte) (*x509.Certificate, error) {
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes(tbs)
		b.AddBytes(algorithm)
		b.AddASN1BitString(signature)
	})
	der, err := b.Bytes()
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}
