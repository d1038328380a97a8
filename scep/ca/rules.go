package ca

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"math/big"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/signet-mdm/signet/internal/cert"
)

// draft is a certificate that is held against the rules.
type draft struct {
	c      *x509.Certificate
	issuer *x509.Certificate
	form   form
	kind   Kind
	now    time.Time
}

// BrokenRule says which rule a certificate breaks.
type BrokenRule struct {
	Rule string // its name
	Why  string // a sentence for people
}

func (b *BrokenRule) Error() string { return "ca: rule " + b.Rule + ": " + b.Why }

// rules are held against every certificate before it is signed. What public
// linters find besides is checked in tests.
//
// Spec: CA/Browser Forum S/MIME BR 7.1; RFC 5280 section 4
var rules = []struct {
	name string
	why  string
	kept func(d draft) bool
}{
	{"serial", "The serial number has not 16 to 20 positive bytes.", draft.goodSerial},
	{"issuer", "The issuer is not named as it names itself.", func(d draft) bool {
		return bytes.Equal(d.c.RawIssuer, d.issuer.RawSubject) && bytes.Equal(d.c.AuthorityKeyId, d.issuer.SubjectKeyId)
	}},
	{"not-before", "It does not begin now.", func(d draft) bool {
		return !d.c.NotBefore.After(d.now) && !d.c.NotBefore.Before(d.now.Add(-time.Hour))
	}},
	{"validity", "It is valid for too long for its kind, or never.", func(d draft) bool {
		return d.c.NotAfter.After(d.now) && d.c.NotAfter.Sub(d.c.NotBefore) < d.form.maxLife
	}},
	{"within-ca", "It begins before or ends after the CA.", func(d draft) bool {
		return !d.c.NotBefore.Before(d.issuer.NotBefore) && !d.c.NotAfter.After(d.issuer.NotAfter)
	}},
	{"basic-constraints", "It is a CA and must not be, or the other way round.", draft.goodConstraints},
	{"key-usage", "The key usage is not that of its kind.", func(d draft) bool {
		return d.c.KeyUsage == d.form.usage && d.critical(oidKeyUsage)
	}},
	{"extended-key-usage", "The extended key usage is not that of its kind.", func(d draft) bool {
		return slices.Equal(d.c.ExtKeyUsage, d.form.extended) && len(d.c.UnknownExtKeyUsage) == 0
	}},
	{"key", "The key is too weak, too large or of a kind that is not issued.", func(d draft) bool { return GoodKey(d.c.PublicKey) }},
	{"key-kind", "The key cannot do what the certificate is for.", func(d draft) bool {
		_, isRSA := d.c.PublicKey.(*rsa.PublicKey)
		return isRSA || d.c.KeyUsage&x509.KeyUsageKeyEncipherment == 0
	}},
	{"own-key", "The key is the CA's own.", func(d draft) bool {
		return d.kind == Root || !cert.SameKey(d.issuer.PublicKey, d.c.PublicKey)
	}},
	{"subject", "The subject is empty, too long or has control characters.", draft.goodSubject},
	{"names", "The names are not those of its kind.", draft.goodNames},
	{"policy", "It claims a policy of the CA/Browser Forum.", func(d draft) bool {
		return !slices.ContainsFunc(d.c.PolicyIdentifiers, func(o asn1.ObjectIdentifier) bool { return len(o) > 2 && o[:3].Equal(arcForum) })
	}},
	{"revocation", "It does not say where its revocation is published.", func(d draft) bool {
		return !d.form.public || len(d.c.CRLDistributionPoints) == 1 && isWeb(d.c.CRLDistributionPoints[0])
	}},
	{"extensions", "It has a critical extension that nobody knows.", func(d draft) bool { return len(d.c.UnhandledCriticalExtensions) == 0 }},
	{"signature", "It names a signature algorithm that is not used.", func(d draft) bool {
		_, err := hashOf(d.c.SignatureAlgorithm)
		return err == nil
	}},
}

var (
	oidKeyUsage = asn1.ObjectIdentifier{2, 5, 29, 15}
	arcForum    = asn1.ObjectIdentifier{2, 23, 140}
)

func check(d draft) error {
	for _, r := range rules {
		if !r.kept(d) {
			return &BrokenRule{r.name, r.why}
		}
	}
	return nil
}

func (d draft) goodSerial() bool {
	n := (d.c.SerialNumber.BitLen() + 7) / 8
	return d.c.SerialNumber.Sign() > 0 && n >= 16 && n <= 20
}

func (d draft) goodConstraints() bool {
	if !d.form.isCA {
		return !d.c.IsCA
	}
	return d.c.IsCA && d.c.BasicConstraintsValid && d.critical(asn1.ObjectIdentifier{2, 5, 29, 19}) &&
		d.c.MaxPathLenZero == (d.kind != Root)
}

func (d draft) critical(id asn1.ObjectIdentifier) bool {
	for _, e := range d.c.Extensions {
		if e.Id.Equal(id) {
			return e.Critical
		}
	}
	return false
}

// The bounds of X.520 on an attribute, and how large RSA keys may be: larger
// ones cost every reader.
const (
	maxAttribute = 64
	minRSABits   = 2048
	maxRSABits   = 4096
)

func (d draft) goodSubject() bool {
	for _, a := range d.c.Subject.Names {
		s, ok := a.Value.(string)
		if !ok || s == "" || len([]rune(s)) > maxAttribute || strings.ContainsFunc(s, unicode.IsControl) {
			return false
		}
	}
	return len(d.c.Subject.Names) > 0
}

// goodNames wants of each kind the names that its readers look for, and no
// others. NamesOf is what everybody else reads, so it must agree.
func (d draft) goodNames() bool {
	c := d.c
	mail, uris, hosts := len(cert.NamesOf(c).Mail), len(c.URIs), len(c.DNSNames)+len(c.IPAddresses)
	switch d.kind {
	case DeviceIdentity:
		_, err := cert.HolderOf(c)
		return err == nil
	case MailSigning:
		return mail > 0 && uris+hosts == 0
	case TLSServer:
		return hosts > 0 && mail+uris == 0
	}
	return mail+uris+hosts == 0
}

func isWeb(s string) bool {
	u, err := url.Parse(s)
	return err == nil && u.Host != "" && (u.Scheme == "http" || u.Scheme == "https")
}

// GoodKey tells whether certificates are made for this key: RSA of 2048 to
// 4096 bits with a sane exponent, or one of the curves P-256 and P-384.
func GoodKey(pub any) bool {
	switch key := pub.(type) {
	case *rsa.PublicKey:
		bits := key.N.BitLen()
		return bits >= minRSABits && bits <= maxRSABits && bits%8 == 0 && key.E >= 3 && key.E%2 == 1 && !hasSmallFactor(key.N)
	case *ecdsa.PublicKey:
		return key.Curve == elliptic.P256() || key.Curve == elliptic.P384()
	}
	return false
}

// smallPrimes is the product of the odd primes below 100: no honest modulus
// shares a factor with it.
var smallPrimes = func() *big.Int {
	product := big.NewInt(1)
	for n := int64(3); n < 100; n += 2 {
		if big.NewInt(n).ProbablyPrime(0) {
			product.Mul(product, big.NewInt(n))
		}
	}
	return product
}()

func hasSmallFactor(n *big.Int) bool {
	return n.Bit(0) == 0 || new(big.Int).GCD(nil, nil, n, smallPrimes).BitLen() > 1
}
