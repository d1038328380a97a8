// Package ca makes certificates and revocation lists. It is handed a
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

// Issuer is a CA: its certificate, the key to it and the certificates above.
type Issuer struct {
	name    string
	cert    *x509.Certificate
	key     crypto.Signer
	parents []*x509.Certificate
	urls    URLs
}

// URLs is where the public finds what an issuer publishes; what is empty is
// left out of certificates. Plain http is what verifiers fetch without trouble.
type URLs struct {
	CRL         string
	Certificate string
}

// URLsBelow gives the addresses of the issuer named name on the server at
// base, which has no path: "http://mdm.example.com".
func URLsBelow(base, name string) URLs {
	return URLs{CRL: base + "/pki/" + name + ".crl", Certificate: base + "/pki/" + name + ".cer"}
}

// NewIssuer takes a CA's key and its certificates: its own, then each one's
// issuer up to the self-signed root. Name is how the issuer is known in URLs
// and records, for ever.
func NewIssuer(name string, key crypto.Signer, certs []*x509.Certificate, urls URLs) (*Issuer, error) {
	if name == "" || key == nil || len(certs) == 0 {
		panic("ca: nil dependency")
	}
	own := certs[0]
	if !cert.SameKey(key.Public(), own.PublicKey) {
		return nil, fmt.Errorf("ca: issuer %s: the key is not that of its certificate", name)
	}
	if !own.IsCA || own.KeyUsage&x509.KeyUsageCertSign == 0 || len(own.SubjectKeyId) == 0 {
		return nil, fmt.Errorf("ca: issuer %s: its certificate is not that of a CA", name)
	}
	if err := checkChain(certs); err != nil {
		return nil, fmt.Errorf("ca: issuer %s: %w", name, err)
	}
	return &Issuer{name: name, cert: own, key: key, parents: certs[1:], urls: urls}, nil
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
func (i *Issuer) Name() string { return i.name }

// Certificate is the CA's own.
func (i *Issuer) Certificate() *x509.Certificate { return i.cert }

// Chain is the CA's own certificate and those above, up to the root.
func (i *Issuer) Chain() []*x509.Certificate {
	return append([]*x509.Certificate{i.cert}, i.parents...)
}

// Made tells whether c carries this CA's signature. It looks at no date.
func (i *Issuer) Made(c *x509.Certificate) bool {
	return bytes.Equal(c.RawIssuer, i.cert.RawSubject) && c.CheckSignatureFrom(i.cert) == nil
}
