package ca

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"slices"
	"time"
)

// NewCSR makes the request for the certificate of a CA below an authority that
// is not ours, such as an offline root. It asks for the extensions that [Accept]
// wants to see.
//
// Spec: RFC 2986 section 4
func NewCSR(kind Kind, key crypto.Signer, names Names) ([]byte, error) {
	wanted, err := wantedExtensions(kind, key.Public(), names)
	if err != nil {
		return nil, fmt.Errorf("ca: requesting %s: %w", kind, err)
	}
	template := &x509.CertificateRequest{RawSubject: wanted.RawSubject}
	for _, e := range wanted.Extensions {
		if slices.ContainsFunc(requested, e.Id.Equal) {
			template.ExtraExtensions = append(template.ExtraExtensions, e)
		}
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, template, key)
	if err != nil {
		return nil, fmt.Errorf("ca: requesting %s: %w", kind, err)
	}
	return der, nil
}

// requested are the extensions of a request: basic constraints, key usage,
// extended key usage, subject key identifier, name constraints.
var requested = []asn1.ObjectIdentifier{oidBasicConstraints, oidKeyUsage, {2, 5, 29, 37}, {2, 5, 29, 14}, {2, 5, 29, 30}}

// wantedExtensions gives a certificate of nobody with what is asked for.
func wantedExtensions(kind Kind, pub crypto.PublicKey, names Names) (*x509.Certificate, error) {
	f, known := forms[kind]
	if !known || !f.isCA || kind == Root {
		return nil, fmt.Errorf("%q is no kind of issuing CA", kind)
	}
	t, err := template(Request{Kind: kind, Names: names, Key: pub}, f, time.Now())
	if err != nil {
		return nil, err
	}
	c, _, err := selfIssued(t, pub)
	return c, err
}
