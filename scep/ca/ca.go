// Package ca makes certificates, revocation lists and OCSP answers. It is handed a
// crypto.Signer and knows nothing of where keys live, who asks and why.
//
// It promises that a certificate is made in two steps: [Issuer.Prepare] builds
// it and holds it against the list of rules (rules.go), [Issuer.Issue] signs
// exactly the bytes that were checked, once. Between the two the caller writes
// down the serial number, so that none is ever used twice. What a certificate
// may be used for follows from its [Kind] alone.
//
// Start reading at [Issuer].
package ca

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"

	"github.com/signet-mdm/signet/internal/cert"
)

// Issuer is a CA with its key, which the keeper alone has.
type Issuer struct {
	*Public
	key crypto.Signer
}

// Public is what everybody may know of a CA: its certificate and those above.
type Public struct {
	name    string
	cert    *x509.Certificate
	parents []*x509.Certificate
	urls    URLs
}

// URLs is where the public finds what an issuer publishes; what is empty is
// left out of certificates. Plain http is what verifiers fetch without trouble.
type URLs struct {
	CRL         string // ends in .crl
	Certificate string
	OCSP        string
	// Shards is over how many lists the revocations of new certificates are
	// spread, each below the address of the whole list. At most 1: there is
	// the whole list only.
	Shards int
}

// URLsBelow gives the addresses of the issuer named name on the server at
// base, which has no path: "http://mdm.example.com". There are no shards.
func URLsBelow(base, name string) URLs {
	return URLs{CRL: base + "/pki/" + name + ".crl", Certificate: base + "/pki/" + name + ".cer", OCSP: base + "/ocsp/" + name}
}

// NewIssuer takes a CA's key and what [NewPublic] takes.
func NewIssuer(name string, key crypto.Signer, certs []*x509.Certificate, urls URLs) (*Issuer, error) {
	if key == nil {
		panic("ca: nil dependency")
	}
	p, err := NewPublic(name, certs, urls)
	if err != nil {
		return nil, err
	}
	if !cert.SameKey(key.Public(), p.cert.PublicKey) {
		return nil, fmt.Errorf("ca: issuer %s: the key is not that of its certificate", name)
	}
	return &Issuer{p, key}, nil
}

// NewPublic takes a CA's certificates: its own, then each one's issuer up to
// the self-signed root. Name is how the issuer is known in URLs and records,
// for ever.
func NewPublic(name string, certs []*x509.Certificate, urls URLs) (*Public, error) {
	if name == "" || len(certs) == 0 {
		panic("ca: nil dependency")
	}
	own := certs[0]
	if !own.IsCA || own.KeyUsage&x509.KeyUsageCertSign == 0 || len(own.SubjectKeyId) == 0 {
		return nil, fmt.Errorf("ca: issuer %s: its certificate is not that of a CA", name)
	}
	if err := checkChain(certs); err != nil {
		return nil, fmt.Errorf("ca: issuer %s: %w", name, err)
	}
	return &Public{name, own, certs[1:], urls}, nil
}

// checkChain wants each certificate signed by the next and the last by itself.
func checkChain(certs []*x509.Certificate) error {
	for i, c := range certs {
		parent := certs[min(i+1, len(certs)-1)]
		if err := c.CheckSignatureFrom(parent); err != nil {
			return fmt.Errorf("chain up to the root, at %s: %w", c.Subject, err)
		}
	}
	if last := certs[len(certs)-1]; !bytes.Equal(last.RawIssuer, last.RawSubject) {
		return errors.New("chain ends before the self-signed root")
	}
	return nil
}

// Name is how the issuer is known in URLs and records.
func (p *Public) Name() string { return p.name }

// Certificate is the CA's own.
func (p *Public) Certificate() *x509.Certificate { return p.cert }

// Chain is the CA's own certificate and those above, up to the root.
func (p *Public) Chain() []*x509.Certificate {
	return append([]*x509.Certificate{p.cert}, p.parents...)
}

// Made tells whether c carries this CA's signature. It looks at no date.
func (p *Public) Made(c *x509.Certificate) bool {
	return bytes.Equal(c.RawIssuer, p.cert.RawSubject) && c.CheckSignatureFrom(p.cert) == nil
}
