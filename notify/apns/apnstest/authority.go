package apnstest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"time"

	"github.com/signet-mdm/signet/notify"
)

// authority stands for Apple's: it certifies the double itself and those who
// push.
type authority struct {
	key    crypto.Signer
	cert   *x509.Certificate
	pool   *x509.CertPool
	server tls.Certificate
}

func newAuthority() (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	a := &authority{key: key, pool: x509.NewCertPool()}
	now := time.Now()
	template := &x509.Certificate{SerialNumber: serial(), Subject: pkix.Name{CommonName: "Test push authority"}, NotBefore: now.Add(-time.Hour),
		NotAfter: now.AddDate(10, 0, 0), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature}
	if a.cert, err = a.sign(template, template, key.Public()); err != nil {
		return nil, err
	}
	a.pool.AddCert(a.cert)
	own, err := a.sign(&x509.Certificate{SerialNumber: serial(), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotBefore: now.Add(-time.Hour),
		NotAfter: now.AddDate(1, 0, 0), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}, a.cert, key.Public())
	if err != nil {
		return nil, err
	}
	a.server = tls.Certificate{Certificate: [][]byte{own.Raw}, PrivateKey: key}
	return a, nil
}

func (a *authority) sign(template, parent *x509.Certificate, public crypto.PublicKey) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, a.key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// Roots is whom clients of the double must trust.
func (a *authority) Roots() *x509.CertPool { return a.pool }

// PEM is the authority's certificate.
func (a *authority) PEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})
}

var uid = asn1.ObjectIdentifier{0, 9, 2342, 19200300, 100, 1, 1}

// topicOf gives the UID of a push certificate.
func topicOf(c *x509.Certificate) string {
	for _, n := range c.Subject.Names {
		if text, ok := n.Value.(string); ok && n.Type.Equal(uid) {
			return text
		}
	}
	return ""
}

// Certificate makes a push certificate for a public key, as Apple's looks,
// that ends at that time.
func (a *authority) Certificate(public crypto.PublicKey, topic string, notAfter time.Time) (*x509.Certificate, error) {
	names := []pkix.AttributeTypeAndValue{{Type: uid, Value: topic},
		{Type: asn1.ObjectIdentifier{2, 5, 4, 3}, Value: "APSP:" + topic}, {Type: asn1.ObjectIdentifier{2, 5, 4, 6}, Value: "US"}}
	return a.sign(&x509.Certificate{SerialNumber: serial(), Subject: pkix.Name{ExtraNames: names}, NotBefore: notAfter.AddDate(-1, -3, 0),
		NotAfter: notAfter, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}, a.cert, public)
}

// Certify makes one for a request in PEM. Apple's page wants it signed by a
// vendor first.
func (a *authority) Certify(request []byte, topic string, notAfter time.Time) ([]byte, error) {
	block, _ := pem.Decode(request)
	if block == nil || block.Type != "CERTIFICATE REQUEST" {
		return nil, errors.New("this is no certificate request")
	}
	csr, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return nil, err
	}
	if err := csr.CheckSignature(); err != nil {
		return nil, err
	}
	c, err := a.Certificate(csr.PublicKey, topic, notAfter)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}), nil
}

// Credential makes a key and a push certificate that is good for a year.
func (a *authority) Credential(topic string) (notify.Credential, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return notify.Credential{}, err
	}
	c, err := a.Certificate(key.Public(), topic, time.Now().AddDate(1, 0, 0))
	return notify.Credential{Topic: topic, Certificate: c, Key: key}, err
}

func serial() *big.Int {
	b := make([]byte, 16)
	rand.Read(b)
	return new(big.Int).SetBytes(b)
}
