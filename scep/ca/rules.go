package ca

import (
	"bytes"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"slices"
	"strings"
	"time"

	"github.com/signet-mdm/signet/internal/cert"
)

// draft is a certificate that is held against the rules.
type draft struct {
	c      *x509.Certificate
	issuer *x509.Certificate
	form   form
	kind   Kind
	keys   Keys
	now    time.Time
}

// BrokenRule says which rule a certificate breaks.
type BrokenRule struct {
	Rule string // its name
	Why  string // a sentence for people
}

// OfKey tells whether it is the key that breaks the rule.
func (b *BrokenRule) OfKey() bool {
	switch b.Rule {
	case ruleKey, ruleKeyKind, ruleKeyProfile, ruleOwnKey:
		return true
	}
	return false
}

// The rules that a key can break by itself.
const (
	ruleKey        = "key"
	ruleKeyKind    = "key-kind"
	ruleKeyProfile = "key-profile"
	ruleOwnKey     = "own-key"
)

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
		least := d.form.usageOf(d.c.PublicKey)
		return d.c.KeyUsage&least == least && d.c.KeyUsage&^(least|d.form.more) == 0 && d.critical(oidKeyUsage)
	}},
	{"extended-key-usage", "The extended key usage is not that of its kind.", draft.goodExtended},
	{ruleKey, "The key is too weak, too large or of a kind that is not issued.", func(d draft) bool { return GoodKey(d.c.PublicKey) }},
	{ruleKeyKind, "The key cannot do what the certificate is for.", func(d draft) bool {
		if _, isRSA := d.c.PublicKey.(*rsa.PublicKey); isRSA {
			return d.c.KeyUsage&x509.KeyUsageKeyAgreement == 0
		}
		return d.c.KeyUsage&(x509.KeyUsageKeyEncipherment|x509.KeyUsageDataEncipherment) == 0
	}},
	{ruleKeyProfile, "The certificate profile is for other keys.", func(d draft) bool { return d.keys.allow(d.c.PublicKey) }},
	{ruleOwnKey, "The key is the CA's own.", func(d draft) bool {
		return d.kind == Root || !cert.SameKey(d.issuer.PublicKey, d.c.PublicKey)
	}},
	{"subject", "The subject is empty, too long or has control characters.", draft.goodSubject},
	{"names", "The names are not those of its kind.", draft.goodNames},
	{"names-form", "A name is no address, user principal name, host name or URI.", draft.wellFormed},
	{"repetition", "It says the same twice, or has two common names.", draft.nothingTwice},
	{"subject-mail", "The subject has an address that is not among the names.", draft.mailRepeated},
	{"name-constraints", "It has an address that the CA may not certify, or constraints that are for no CA of its kind.", draft.within},
	{"policy", "It claims a policy of the CA/Browser Forum, or any policy.", func(d draft) bool {
		return !slices.ContainsFunc(d.c.Policies, func(o x509.OID) bool {
			return strings.HasPrefix(o.String()+".", arcForum) || o.String() == anyPolicy
		})
	}},
	{"revocation", "It does not say where its revocation is published.", func(d draft) bool {
		lists := d.c.CRLDistributionPoints
		return len(lists) == 0 && !d.form.mail || len(lists) == 1 && isWeb(lists[0])
	}},
	{"no-check", "It says that nobody need look for its revocation, and is no OCSP signer, or the other way round.", func(d draft) bool {
		return d.has(noCheck.Id) == (d.kind == OCSPSigner)
	}},
	{"extensions", "It has a critical extension that nobody knows.", func(d draft) bool { return len(d.c.UnhandledCriticalExtensions) == 0 }},
	{"signature", "It names a signature algorithm that is not used.", func(d draft) bool {
		_, err := hashOf(d.c.SignatureAlgorithm)
		return err == nil
	}},
}

var (
	oidKeyUsage         = asn1.ObjectIdentifier{2, 5, 29, 15}
	oidBasicConstraints = asn1.ObjectIdentifier{2, 5, 29, 19}
)

const (
	arcForum  = "2.23.140."
	anyPolicy = "2.5.29.32.0"
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
	return d.c.IsCA && d.c.BasicConstraintsValid && d.critical(oidBasicConstraints) &&
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

func (d draft) has(id asn1.ObjectIdentifier) bool {
	return slices.ContainsFunc(d.c.Extensions, func(e pkix.Extension) bool { return e.Id.Equal(id) })
}
