package phone

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"time"
)

// authority is who answers SCEP requests: to whom to encrypt, and whose
// signature to expect. Without a registration authority all three are one.
type authority struct {
	ca, recipient, signer *x509.Certificate
	all                   []*x509.Certificate
}

// readAuthority reads a GetCACert answer. The content type is compared as a
// whole: a charset parameter makes it another type.
// Spec: RFC 8894 section 4.2.1
func readAuthority(contentType string, body, fingerprint []byte, now time.Time) (*authority, error) {
	var a *authority
	var err error
	switch contentType {
	case "application/x-x509-ca-cert":
		a, err = singleCA(body, fingerprint)
	case "application/x-x509-ca-ra-cert":
		a, err = withRA(body, fingerprint, now)
	default:
		return nil, scepErr(22002, nil, "The SCEP server returned a certificate as %.60q.", contentType)
	}
	if err != nil {
		return nil, err
	}
	if _, ok := a.recipient.PublicKey.(*rsa.PublicKey); !ok {
		return nil, scepErr(22003, fmt.Errorf("recipient key is %T", a.recipient.PublicKey), "The Registration Authority's response is invalid.")
	}
	return a, nil
}

// singleCA takes the one certificate for everything. Its key usage is not
// looked at.
// Stricter: whether a real phone compares the fingerprint here is unconfirmed.
func singleCA(body, fingerprint []byte) (*authority, error) {
	c, err := x509.ParseCertificate(body)
	if err != nil {
		return nil, scepErr(22002, err, "The Certificate Authority's response is invalid.")
	}
	all := []*x509.Certificate{c}
	if len(fingerprint) > 0 && fingerprinted(all, fingerprint) == nil {
		return nil, errFingerprint()
	}
	return &authority{c, c, c, all}, nil
}

func errFingerprint() error {
	return scepErr(22002, nil, "The Certificate Authority's fingerprint does not match.")
}

// fingerprinted finds the certificate with this digest; its length tells the
// algorithm.
func fingerprinted(all []*x509.Certificate, digest []byte) *x509.Certificate {
	hash, known := map[int]crypto.Hash{
		16: crypto.MD5, 20: crypto.SHA1, 28: crypto.SHA224, 32: crypto.SHA256, 48: crypto.SHA384, 64: crypto.SHA512,
	}[len(digest)]
	if !known {
		return nil
	}
	for _, c := range all {
		if bytes.Equal(sum(hash, c.Raw), digest) {
			return c
		}
	}
	return nil
}

const mayDecrypt = x509.KeyUsageKeyEncipherment

// withRA sorts the certificates by key usage: a pair that signs and decrypts is
// preferred to one that does both, and all must lead to the same CA.
// Quirk: an issuing CA without digitalSignature or keyEncipherment is no
// candidate, so issuing CA and root alone end here.
func withRA(body, fingerprint []byte, now time.Time) (*authority, error) {
	m, err := readSigned(body)
	if err != nil || len(m.certificates) == 0 || len(m.signers) != 0 {
		return nil, scepErr(22003, err, "The Registration Authority's response is invalid.")
	}
	a := &authority{all: m.certificates}
	anchors := a.anchors()
	if len(fingerprint) > 0 {
		c := fingerprinted(a.all, fingerprint)
		if c == nil {
			return nil, errFingerprint()
		}
		anchors = []*x509.Certificate{c}
	}
	a.choose(anchors, now)
	if a.signer == nil || a.recipient == nil {
		cause := &Error{domainStatus, -67731, "The key usage is incorrect.", nil}
		return nil, scepErr(22003, cause, "The Registration Authority's response is invalid.")
	}
	return a, nil
}

// anchors are the certificates at which a chain may end: the self-signed ones,
// or every CA when there is none.
func (a *authority) anchors() []*x509.Certificate {
	var roots, cas []*x509.Certificate
	for _, c := range a.all {
		if bytes.Equal(c.RawIssuer, c.RawSubject) {
			roots = append(roots, c)
		}
		if c.IsCA {
			cas = append(cas, c)
		}
	}
	if roots != nil {
		return roots
	}
	return cas
}

func (a *authority) choose(anchors []*x509.Certificate, now time.Time) {
	var sign, decrypt, both []*x509.Certificate
	top := map[*x509.Certificate]*x509.Certificate{}
	for _, c := range a.all {
		if top[c] = a.top(c, anchors, now); top[c] == nil {
			continue
		}
		switch c.KeyUsage & (x509.KeyUsageDigitalSignature | mayDecrypt) {
		case x509.KeyUsageDigitalSignature:
			sign = append(sign, c)
		case mayDecrypt:
			decrypt = append(decrypt, c)
		case x509.KeyUsageDigitalSignature | mayDecrypt:
			both = append(both, c)
		}
	}
	for _, s := range sign {
		for _, d := range decrypt {
			if top[s] == top[d] {
				a.ca, a.signer, a.recipient = top[s], s, d
				return
			}
		}
	}
	if len(both) > 0 {
		a.ca, a.signer, a.recipient = top[both[0]], both[0], both[0]
	}
}

// top gives the anchor to which a certificate's chain leads, nil when none
// builds or the certificate is an anchor itself.
func (a *authority) top(c *x509.Certificate, anchors []*x509.Certificate, now time.Time) *x509.Certificate {
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	for _, r := range anchors {
		if r == c {
			return nil
		}
		roots.AddCert(r)
	}
	for _, o := range a.all {
		between.AddCert(o)
	}
	chains, err := c.Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: between, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	if err != nil {
		return nil
	}
	last := chains[0][len(chains[0])-1]
	for _, r := range anchors {
		if r.Equal(last) {
			return r
		}
	}
	return nil
}
