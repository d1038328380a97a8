package phone

import (
	"context"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"
)

func (p *Phone) dial(ctx context.Context, network, addr string, visitAnyway bool) (net.Conn, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	config := &tls.Config{
		RootCAs:              p.trust(host),
		Time:                 p.cfg.Now,
		MinVersion:           tls.VersionTLS12,
		InsecureSkipVerify:   visitAnyway,
		GetClientCertificate: p.tlsIdentity,
	}
	if !visitAnyway && p.os.atLeast(version{13, 0}) {
		config.VerifyConnection = func(c tls.ConnectionState) error { return acceptable(c.PeerCertificates[0]) }
	}
	d := tls.Dialer{Config: config}
	return d.DialContext(ctx, network, addr)
}

// acceptable holds a server's certificate to what iOS asks of every one, also
// below a root of one's own.
// Spec: Apple, Requirements for trusted certificates in iOS 13
func acceptable(c *x509.Certificate) error {
	key, isRSA := c.PublicKey.(*rsa.PublicKey)
	switch {
	case isRSA && key.N.BitLen() < 2048:
		return fmt.Errorf("the server's RSA key has %d bits", key.N.BitLen())
	case len(c.DNSNames)+len(c.IPAddresses) == 0:
		return errors.New("the server's certificate has no subject alternative name")
	case c.NotBefore.Before(time.Date(2019, 7, 1, 0, 0, 0, 0, time.UTC)):
		return nil // what follows is for newer certificates
	case !slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageServerAuth):
		return errors.New("the server's certificate is not for serverAuth")
	case c.NotAfter.Sub(c.NotBefore) > 825*24*time.Hour:
		return errors.New("the server's certificate is valid for more than 825 days")
	}
	return nil
}

// trust gives the authorities a host's certificate must lead to: the pinned
// ones for an MDM server that has pins, else all the phone trusts.
func (p *Phone) trust(host string) *x509.CertPool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if e := p.st.enrollment; e != nil && e.pins[host] != nil {
		return e.pins[host]
	}
	if p.pending != nil {
		return p.pending
	}
	return p.st.trust(p.cfg.Roots)
}

func (p *Phone) tlsIdentity(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
	e := p.state().enrollment
	if !p.cfg.MutualTLS || e == nil {
		return &tls.Certificate{}, nil
	}
	id := e.Identity
	return &tls.Certificate{Certificate: [][]byte{id.Certificate.Raw}, PrivateKey: id.Key, Leaf: id.Certificate}, nil
}
