package gateway

import (
	"crypto/rsa"
	"crypto/x509"
	"slices"
	"strings"
	"time"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/subject"
)

// Bounds of what another MDM sends.
const (
	maxChain       = 5
	maxCertificate = 16 << 10
	maxNamed       = 8 // addresses in a device's certificate
)

// presented reads a device's certificate and those above it. ErrDevice.
func presented(chain [][]byte) (leaf *x509.Certificate, above []*x509.Certificate, err error) {
	if len(chain) == 0 || len(chain) > maxChain {
		return nil, nil, ErrDevice
	}
	for i, der := range chain {
		if len(der) > maxCertificate {
			return nil, nil, ErrDevice
		}
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, nil, ErrDevice.With(err)
		}
		if i == 0 {
			leaf = c
		} else {
			above = append(above, c)
		}
	}
	return leaf, above, nil
}

// proven gives the certificate to seal to and the chains from it to the
// approved CAs, of which no other counts.
//
// Spec: RFC 5280 section 6.1
func (t Terms) proven(chain [][]byte, now time.Time) (*x509.Certificate, [][]*x509.Certificate, error) {
	leaf, above, err := presented(chain)
	if err != nil {
		return nil, nil, err
	}
	if err := sealable(leaf); err != nil {
		return nil, nil, err
	}
	anchors, between := x509.NewCertPool(), x509.NewCertPool()
	cas, err := t.authorities()
	if err != nil {
		return nil, nil, ErrAltered.With(err)
	}
	for _, ca := range cas {
		anchors.AddCert(ca)
	}
	for _, c := range above {
		between.AddCert(c)
	}
	chains, err := leaf.Verify(x509.VerifyOptions{Roots: anchors, Intermediates: between, CurrentTime: now,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	if err != nil {
		return nil, nil, ErrDeviceChain.With(err)
	}
	return leaf, chains, nil
}

// sealable tells what keeps a certificate from being a device's that something
// can be sealed to.
func sealable(c *x509.Certificate) error {
	k, is := c.PublicKey.(*rsa.PublicKey)
	switch {
	case !is || k.N.BitLen() < minRSABits || k.N.BitLen() > maxRSABits:
		return ErrDeviceKey
	case c.IsCA, !slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageClientAuth),
		c.KeyUsage != 0 && c.KeyUsage&x509.KeyUsageKeyEncipherment == 0:
		return ErrDeviceUsage
	}
	return nil
}

const idPrefix = "urn:uuid:"

// named gives what a device's certificate says its user is, in the approved
// way. ErrDeviceUser for nothing.
func (t Terms) named(c *x509.Certificate) (names []string, err error) {
	alt, err := cert.AltNamesOf(c.Extensions)
	if err != nil {
		return nil, ErrDeviceUser.With(err)
	}
	switch t.Naming {
	case ByMail:
		names = alt.Mail
	case ByUPN:
		names = alt.UPN
	case BySubject:
		names = subjectMail(c)
	case ByID:
		for _, uri := range alt.URI {
			if id, is := strings.CutPrefix(uri, idPrefix); is && subject.ValidID(id) {
				names = append(names, id)
			}
		}
	}
	if len(names) == 0 || len(names) > maxNamed {
		return nil, ErrDeviceUser
	}
	return names, nil
}

// subjectMail gives the addresses in the subject, normalised.
func subjectMail(c *x509.Certificate) (list []string) {
	for _, a := range c.Subject.Names {
		if text, is := a.Value.(string); is && a.Type.String() == "1.2.840.113549.1.9.1" {
			if m, err := subject.NormalizeMail(text); err == nil {
				list = append(list, m)
			}
		}
	}
	return list
}

// means tells whether a name of that kind is the user's.
func (t Terms) means(name string, u subject.User) bool {
	switch t.Naming {
	case ByID:
		return name == string(u.ID)
	case ByUPN:
		return name == u.UPN
	}
	return name == u.Mail || slices.Contains(u.Aliases, name)
}

// may tells which certificates may go to a device whose certificate has these
// names: those that have one of them, too. Only so nothing depends on what our
// own directory says of the user, which one administrator can change. His id
// binds him more tightly than any address.
func (t Terms) may(names []string) func(*x509.Certificate) bool {
	if t.Naming == ByID || t.OtherAddresses {
		return func(*x509.Certificate) bool { return true }
	}
	return func(c *x509.Certificate) bool {
		return slices.ContainsFunc(cert.NamesOf(c).All(), func(n string) bool { return slices.Contains(names, n) })
	}
}
