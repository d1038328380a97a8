package ca

import (
	"crypto"
	"crypto/x509"
	"fmt"
	"time"
)

// NewRoot makes a self-signed root certificate for key.
func NewRoot(key crypto.Signer, names Names, now time.Time) (*x509.Certificate, error) {
	f := forms[Root]
	t, err := template(Request{Kind: Root, Names: names, Key: key.Public()}, f, now)
	if err != nil {
		return nil, fmt.Errorf("ca: making root: %w", err)
	}
	t.AuthorityKeyId = t.SubjectKeyId
	c, algorithm, err := selfIssued(t, key.Public())
	if err != nil {
		return nil, fmt.Errorf("ca: making root: %w", err)
	}
	if err := check(draft{c, c, f, Root, Keys{}, now}); err != nil {
		return nil, err
	}
	self := &Issuer{&Public{cert: c}, key}
	return self.Issue(&Prepared{Draft: c, issuer: self, algorithm: algorithm})
}

// NewDeviceCA makes the certificate of a CA that issues device identities.
func NewDeviceCA(root *Issuer, pub crypto.PublicKey, names Names, now time.Time) (*x509.Certificate, error) {
	return root.make(Request{Kind: DeviceCA, Key: pub, Names: names}, now)
}

// NewMailCA makes the certificate of a CA that issues S/MIME certificates.
func NewMailCA(root *Issuer, pub crypto.PublicKey, names Names, now time.Time) (*x509.Certificate, error) {
	return root.make(Request{Kind: MailCA, Key: pub, Names: names}, now)
}

// NewRA makes the certificate with which an issuing CA answers SCEP; the key
// is RSA.
func NewRA(issuer *Issuer, pub crypto.PublicKey, names Names, now time.Time) (*x509.Certificate, error) {
	return issuer.make(Request{Kind: Registration, Key: pub, Names: names}, now)
}

// NewProfileSigner makes a certificate that signs configuration profiles; its
// common name is what people see under "Signed by".
func NewProfileSigner(root *Issuer, pub crypto.PublicKey, names Names, now time.Time) (*x509.Certificate, error) {
	return root.make(Request{Kind: ProfileSigner, Key: pub, Names: names}, now)
}

// NewTLSServer makes a server certificate for host names and IP addresses.
func NewTLSServer(root *Issuer, pub crypto.PublicKey, hosts []string, now time.Time) (*x509.Certificate, error) {
	if len(hosts) == 0 {
		return nil, fmt.Errorf("ca: making a TLS certificate: no host")
	}
	name := hosts[0]
	if len(name) > maxAttribute { // nobody reads it, the alternative names count
		name = "server"
	}
	return root.make(Request{Kind: TLSServer, Key: pub, Names: Names{CommonName: name, Hosts: hosts}}, now)
}

// make does both steps for a certificate of our own, which is in no record.
func (i *Issuer) make(r Request, now time.Time) (*x509.Certificate, error) {
	p, err := i.Prepare(r, now)
	if err != nil {
		return nil, err
	}
	return i.Issue(p)
}
