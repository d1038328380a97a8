package gateway

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"time"

	"github.com/signet-mdm/signet/internal/cert"
)

// Bounds of a registration.
const (
	maxCAs      = 8
	maxCA       = 4 << 10 // bytes
	maxNetworks = 32
	maxPerHour  = 100_000
	maxLife     = 5 * 366 * 24 * time.Hour
	minRSABits  = 2048
	maxRSABits  = 8192
)

var nameForm = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)

// check tells what is wrong with terms.
func (t Terms) check(now time.Time) error {
	switch {
	case !nameForm.MatchString(t.Name):
		return ErrTerms.Saying("A name has at most 63 small letters, digits and hyphens.")
	case len(t.CAs) == 0 || len(t.CAs) > maxCAs:
		return ErrTerms.Saying("A connector has one to eight CA certificates.")
	case !slices.Contains([]Naming{ByMail, ByUPN, BySubject, ByID}, t.Naming):
		return ErrTerms.Saying("Device certificates name their user by mail, upn, subject-mail or id; those that do not cannot be served.")
	case len(t.Forms) == 0 || slices.ContainsFunc(t.Forms, func(f Form) bool { return f != Profile && f != PKCS12 }):
		return ErrTerms.Saying("The forms are profile and pkcs12.")
	case t.PerHour < 1 || t.PerHour > maxPerHour:
		return ErrTerms.Saying("The limit is 1 to 100000 keys an hour.")
	case !t.Expires.After(now) || t.Expires.After(now.Add(maxLife)):
		return ErrTerms.Saying("A connector lives at most five years.")
	case len(t.Networks) > maxNetworks || slices.ContainsFunc(t.Networks, notCIDR):
		return ErrTerms.Saying("Networks are at most 32, in the form 192.0.2.0/24.")
	}
	for _, der := range t.CAs {
		if problem := unfitCA(der, now); problem != "" {
			return ErrTerms.Saying(problem)
		}
	}
	return nil
}

func notCIDR(s string) bool {
	p, err := netip.ParsePrefix(s)
	return err != nil || p != p.Masked()
}

// unfitCA tells why a certificate is no anchor, "" for nothing.
func unfitCA(der []byte, now time.Time) string {
	c, err := x509.ParseCertificate(der)
	switch {
	case err != nil || len(der) > maxCA:
		return "A CA certificate cannot be read."
	case !c.BasicConstraintsValid || !c.IsCA || c.KeyUsage != 0 && c.KeyUsage&x509.KeyUsageCertSign == 0:
		return "A certificate among the CA certificates is not a CA's."
	case now.Before(c.NotBefore) || now.After(c.NotAfter):
		return "A CA certificate is not in force."
	}
	switch k := c.PublicKey.(type) {
	case *rsa.PublicKey:
		if n := k.N.BitLen(); n < minRSABits || n > maxRSABits {
			return "The RSA key of a CA has 2048 to 8192 bits."
		}
	case *ecdsa.PublicKey:
	default:
		return "A CA has an RSA or an ECDSA key."
	}
	return ""
}

// admits tells whether the connector may be used from that address.
func (t Terms) admits(remote string) bool {
	addr, err := netip.ParseAddr(remote)
	return len(t.Networks) == 0 || err == nil && slices.ContainsFunc(t.Networks, func(s string) bool {
		p, err := netip.ParsePrefix(s)
		return err == nil && p.Contains(addr.Unmap())
	})
}

// authorities gives the certificates of the CAs.
func (t Terms) authorities() (list []*x509.Certificate, err error) {
	for _, der := range t.CAs {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, err
		}
		list = append(list, c)
	}
	return list, nil
}

// Request is all that people agree to, in the one form that it has.
func (c Connector) Request() string {
	text, err := json.Marshal(struct {
		ID      string
		Terms   Terms
		Created int64
		By      string
	}{c.ID, c.Terms.normal(), c.Created.UnixMicro(), string(c.By.Kind) + " " + c.By.ID})
	if err != nil {
		panic("gateway: " + err.Error()) // our own types only
	}
	return string(text)
}

// Sentence is the same for people.
func (c Connector) Sentence() string {
	s := fmt.Sprintf("Let the MDM %q have the certificates of users, with their keys, for devices whose certificates name them by %s", c.Name, c.Naming)
	for _, der := range c.CAs {
		s += ", of the CA with SHA-256 " + cert.FingerprintOf(der).String()
	}
	if c.OtherAddresses {
		s += ", also certificates with other addresses (weaker)"
	}
	return s + fmt.Sprintf("; as %s; %d keys an hour; until %s.", c.Forms, c.PerHour, c.Expires.UTC().Format(time.DateOnly))
}

// Digest is what the keeper signs.
func (c Connector) Digest() cert.Fingerprint {
	return sha256.Sum256([]byte("signet/connector/v1\x00" + c.Request()))
}

// normal is the one way to write the same terms.
func (t Terms) normal() Terms {
	t.Expires = t.Expires.UTC().Truncate(time.Microsecond)
	t.CAs = slices.Clone(t.CAs)
	slices.SortFunc(t.CAs, bytes.Compare)
	t.CAs = slices.CompactFunc(t.CAs, bytes.Equal)
	t.Forms = slices.Compact(slices.Sorted(slices.Values(t.Forms)))
	t.Networks = slices.Compact(slices.Sorted(slices.Values(t.Networks)))
	return t
}
