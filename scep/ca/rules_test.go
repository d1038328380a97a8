package ca_test

import (
	"crypto"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"math/big"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/scep/ca"
)

// spoiled is a certificate made without any rule.
type spoiled struct {
	template x509.Certificate
	key      crypto.PublicKey
	parent   x509.Certificate
	keys     ca.Keys
}

// subject sets a subject that crypto/x509 would write otherwise.
func (s *spoiled) subject(t *testing.T, text string) {
	t.Helper()
	s.template.RawSubject = must[[]byte](t)(must[cert.DN](t)(cert.ParseDN(text)).Marshal())
}

func (s *spoiled) altNames(t *testing.T, n ca.Names) {
	t.Helper()
	s.rawAltNames(must[pkix.Extension](t)(ca.AltNames(n)).Value)
}

func (s *spoiled) rawAltNames(der []byte) {
	s.template.EmailAddresses = nil
	s.template.ExtraExtensions = append(s.template.ExtraExtensions, pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Value: der})
}

// Each rule refuses what breaks it and nothing but it.
func TestRules(t *testing.T) {
	h := newHouse(t)
	signer := ecKey(t, elliptic.P256()) // signs in place of the CA, whose key tests do not have
	leaf, large := rsaKey(t, "leaf", 2048), &rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), 5000), E: 65537}
	large.N.Add(large.N, big.NewInt(1))
	policy := func(s string) []x509.OID { return []x509.OID{must[x509.OID](t)(x509.ParseOID(s))} }
	forever := func(s *spoiled, life time.Duration) {
		s.template.NotAfter = s.template.NotBefore.Add(life - time.Second)
	}
	cases := []struct {
		rule, name string
		kind       ca.Kind
		spoil      func(*spoiled)
	}{
		{"", "identity", ca.DeviceIdentity, func(*spoiled) {}},
		{"", "signing", ca.MailSigning, func(*spoiled) {}},
		{"", "825 days", ca.MailSigning, func(s *spoiled) { forever(s, 825*24*time.Hour) }},
		{"", "P-384", ca.MailSigning, func(s *spoiled) { s.key = ecKey(t, elliptic.P384()).Public() }},
		{"", "own policy", ca.MailSigning, func(s *spoiled) { s.template.Policies = policy("1.3.6.1.4.1.32473.1") }},
		{"serial", "15 bytes", ca.MailSigning, func(s *spoiled) { s.template.SerialNumber = new(big.Int).Lsh(big.NewInt(1), 119) }},
		{"serial", "sequential", ca.MailSigning, func(s *spoiled) { s.template.SerialNumber = big.NewInt(2) }},
		{"issuer", "another name", ca.MailSigning, func(s *spoiled) { s.parent.RawSubject = h.root.Certificate().RawSubject }},
		{"issuer", "another key id", ca.MailSigning, func(s *spoiled) { s.parent.SubjectKeyId = []byte{1} }},
		{"not-before", "tomorrow", ca.MailSigning, func(s *spoiled) { s.template.NotBefore = now.Add(24 * time.Hour) }},
		{"not-before", "yesterday", ca.MailSigning, func(s *spoiled) { s.template.NotBefore = now.Add(-24 * time.Hour) }},
		{"validity", "826 days", ca.MailSigning, func(s *spoiled) { forever(s, 826*24*time.Hour) }},
		{"validity", "a second more", ca.DeviceIdentity, func(s *spoiled) { forever(s, 825*24*time.Hour+time.Second) }},
		{"validity", "over already", ca.MailSigning, func(s *spoiled) { s.template.NotAfter = now.Add(-time.Second) }},
		{"within-ca", "ends later", ca.MailSigning, func(s *spoiled) { s.parent.NotAfter = now.Add(time.Hour) }},
		{"within-ca", "begins before", ca.MailSigning, func(s *spoiled) { s.parent.NotBefore = now }},
		{"basic-constraints", "a CA", ca.MailSigning, func(s *spoiled) { s.template.IsCA, s.template.BasicConstraintsValid = true, true }},
		{"basic-constraints", "no CA", ca.DeviceCA, func(s *spoiled) { s.template.IsCA, s.template.MaxPathLenZero = false, false }},
		{"basic-constraints", "any path", ca.DeviceCA, func(s *spoiled) { s.template.MaxPathLenZero, s.template.MaxPathLen = false, -1 }},
		{"key-usage", "more", ca.MailSigning, func(s *spoiled) { s.template.KeyUsage |= x509.KeyUsageKeyEncipherment }},
		{"key-usage", "none", ca.MailSigning, func(s *spoiled) { s.template.KeyUsage = 0 }},
		{"", "more usages", ca.MailSigning, func(s *spoiled) {
			s.template.KeyUsage |= x509.KeyUsageContentCommitment
			s.template.ExtKeyUsage = append(s.template.ExtKeyUsage, x509.ExtKeyUsageClientAuth)
			s.template.UnknownExtKeyUsage = []asn1.ObjectIdentifier{{1, 2, 3}}
		}},
		{"", "no list for devices", ca.DeviceIdentity, func(s *spoiled) { s.template.CRLDistributionPoints = nil }},
		{"", "all kinds of names", ca.MailSigning, func(s *spoiled) {
			s.altNames(t, ca.Names{Mail: []string{"alice@example.com", "jürgen@xn--bcher-kva.example"}, UPN: []string{"alice@corp.example"},
				Hosts: []string{"host.example"}, URIs: []string{"tag:microsoft.com,2022-09-14:sid:S-1-5-21-1"}})
			s.subject(t, `CN=Example\, Alice,E=alice@example.com,OU=a+UID=7,OU=b,C=DE`)
		}},
		{"", "encryption, RSA", ca.MailEncryption, func(s *spoiled) { s.template.KeyUsage |= x509.KeyUsageDataEncipherment }},
		{"", "encryption, EC", ca.MailEncryption, func(s *spoiled) {
			s.key, s.template.KeyUsage = ecKey(t, elliptic.P256()).Public(), x509.KeyUsageKeyAgreement
		}},
		{"key-usage", "encryption that signs", ca.MailEncryption, func(s *spoiled) { s.template.KeyUsage |= x509.KeyUsageDigitalSignature }},
		{"key-usage", "agreement with RSA", ca.MailEncryption, func(s *spoiled) { s.template.KeyUsage = x509.KeyUsageKeyAgreement }},
		{"key-usage", "not critical", ca.MailSigning, func(s *spoiled) {
			s.template.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 15}, Value: []byte{3, 2, 7, 0x80}}}
		}},
		{"key-usage", "certificates", ca.MailSigning, func(s *spoiled) { s.template.KeyUsage |= x509.KeyUsageCertSign }},
		{"extended-key-usage", "TLS server", ca.MailSigning, func(s *spoiled) { s.template.ExtKeyUsage = append(s.template.ExtKeyUsage, x509.ExtKeyUsageServerAuth) }},
		{"extended-key-usage", "any", ca.MailSigning, func(s *spoiled) { s.template.ExtKeyUsage = append(s.template.ExtKeyUsage, x509.ExtKeyUsageAny) }},
		{"extended-key-usage", "code", ca.DeviceIdentity, func(s *spoiled) { s.template.ExtKeyUsage = append(s.template.ExtKeyUsage, x509.ExtKeyUsageCodeSigning) }},
		{"extended-key-usage", "time", ca.MailEncryption, func(s *spoiled) {
			s.template.ExtKeyUsage = append(s.template.ExtKeyUsage, x509.ExtKeyUsageTimeStamping)
		}},
		{"extended-key-usage", "OCSP", ca.MailSigning, func(s *spoiled) { s.template.ExtKeyUsage = append(s.template.ExtKeyUsage, x509.ExtKeyUsageOCSPSigning) }},
		{"extended-key-usage", "a device that mails", ca.DeviceIdentity, func(s *spoiled) {
			s.template.ExtKeyUsage = append(s.template.ExtKeyUsage, x509.ExtKeyUsageEmailProtection)
		}},
		{"extended-key-usage", "mail left out", ca.MailSigning, func(s *spoiled) { s.template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }},
		{"extended-key-usage", "more for an RA", ca.Registration, func(s *spoiled) { s.template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }},
		{"key-kind", "encryption with EC as if RSA", ca.MailEncryption, func(s *spoiled) {
			s.key, s.template.KeyUsage = ecKey(t, elliptic.P256()).Public(), x509.KeyUsageKeyAgreement|x509.KeyUsageDataEncipherment
		}},
		{"key", "RSA of Infineon", ca.MailSigning, func(s *spoiled) { s.key = &rsa.PublicKey{N: infineon(), E: 65537} }},
		{"key-profile", "RSA of 2048 bits", ca.MailSigning, func(s *spoiled) { s.keys.RSAMin = 3072 }},
		{"key-profile", "RSA of too many bits", ca.MailSigning, func(s *spoiled) { s.keys.RSAMax = 2047 }},
		{"key-profile", "no RSA", ca.MailSigning, func(s *spoiled) { s.keys.Types = []string{"ec"} }},
		{"key-profile", "no EC", ca.MailSigning, func(s *spoiled) {
			s.key, s.keys.Types = ecKey(t, elliptic.P256()).Public(), []string{"rsa"}
		}},
		{"key-profile", "another curve", ca.MailSigning, func(s *spoiled) {
			s.key, s.keys.Curves = ecKey(t, elliptic.P256()).Public(), []string{"P-384"}
		}},
		{"", "the right curve", ca.MailSigning, func(s *spoiled) {
			s.key, s.keys.Curves = ecKey(t, elliptic.P384()).Public(), []string{"P-384"}
		}},
		{"subject", "direction turned round", ca.MailSigning, func(s *spoiled) { s.template.Subject.CommonName = "a\u202eb" }},
		{"subject", "a country that is none", ca.MailSigning, func(s *spoiled) { s.subject(t, "CN=x,C=D") }},
		{"subject", "an empty attribute", ca.MailSigning, func(s *spoiled) { s.subject(t, "CN=x,OU=") }},
		{"subject", "129 characters of a place", ca.MailSigning, func(s *spoiled) { s.subject(t, "CN=x,L="+strings.Repeat("a", 129)) }},
		{"names", "an IP address", ca.MailSigning, func(s *spoiled) { s.template.IPAddresses = []net.IP{{10, 0, 0, 1}} }},
		{"names", "two users", ca.DeviceIdentity, func(s *spoiled) { s.template.URIs = append(s.template.URIs, s.template.URIs[0]) }},
		{"names", "a name of unknown kind", ca.MailSigning, func(s *spoiled) {
			s.rawAltNames([]byte("\x30\x17\x81\x11alice@example.com\x88\x02\x2a\x03"))
		}},
		{"names", "an empty list", ca.MailSigning, func(s *spoiled) { s.rawAltNames([]byte("\x30\x00")) }},
		{"names-form", "an underscore", ca.MailSigning, func(s *spoiled) {
			s.altNames(t, ca.Names{Mail: []string{"alice@example.com"}, Hosts: []string{"a_b.example"}})
		}},
		{"names-form", "a star", ca.MailSigning, func(s *spoiled) {
			s.altNames(t, ca.Names{Mail: []string{"alice@example.com"}, Hosts: []string{"*.example.com"}})
		}},
		{"names-form", "an empty label", ca.MailSigning, func(s *spoiled) {
			s.altNames(t, ca.Names{Mail: []string{"alice@example.com"}, Hosts: []string{"a..example"}})
		}},
		{"names-form", "a hyphen at the end", ca.MailSigning, func(s *spoiled) {
			s.altNames(t, ca.Names{Mail: []string{"alice@example.com"}, Hosts: []string{"a-.example"}})
		}},
		{"names-form", "a URI without scheme", ca.MailSigning, func(s *spoiled) { s.altNames(t, ca.Names{Mail: []string{"alice@example.com"}, URIs: []string{"a/b"}}) }},
		{"names-form", "a URI of a scheme alone", ca.MailSigning, func(s *spoiled) { s.altNames(t, ca.Names{Mail: []string{"alice@example.com"}, URIs: []string{"urn:"}}) }},
		{"repetition", "an address", ca.MailSigning, func(s *spoiled) { s.template.EmailAddresses = []string{"alice@example.com", "Alice@example.com"} }},
		{"repetition", "a usage", ca.MailSigning, func(s *spoiled) {
			s.template.UnknownExtKeyUsage = []asn1.ObjectIdentifier{{1, 2, 3}, {1, 2, 3}}
		}},
		{"repetition", "a unit", ca.MailSigning, func(s *spoiled) { s.subject(t, "CN=x,OU=a,OU=a") }},
		{"repetition", "common names", ca.MailSigning, func(s *spoiled) { s.subject(t, "CN=x,CN=y") }},
		{"subject-mail", "another address", ca.MailSigning, func(s *spoiled) { s.subject(t, "CN=x,E=bob@example.com") }},
		{"name-constraints", "in no CA", ca.MailSigning, func(s *spoiled) { s.template.PermittedEmailAddresses = []string{"example.com"} }},
		{"policy", "any", ca.MailSigning, func(s *spoiled) { s.template.Policies = policy("2.5.29.32.0") }},
		{"revocation", "none for a key that encrypts", ca.MailEncryption, func(s *spoiled) { s.template.CRLDistributionPoints = nil }},
		{"revocation", "two lists", ca.DeviceIdentity, func(s *spoiled) {
			s.template.CRLDistributionPoints = append(s.template.CRLDistributionPoints, "http://example.com/2.crl")
		}},
		{"extended-key-usage", "none", ca.DeviceIdentity, func(s *spoiled) { s.template.ExtKeyUsage = nil }},
		{"key", "RSA of 1024 bits", ca.MailSigning, func(s *spoiled) { s.key = rsaKey(t, "small", 1024).Public() }},
		{"key", "RSA of 5001 bits", ca.MailSigning, func(s *spoiled) { s.key = large }},
		{"key", "RSA with exponent 2", ca.MailSigning, func(s *spoiled) { s.key = &rsa.PublicKey{N: leaf.N, E: 2} }},
		{"key", "RSA with a factor of 3", ca.MailSigning, func(s *spoiled) { s.key = &rsa.PublicKey{N: withFactor(3), E: 65537} }},
		{"key", "RSA of 2049 bits", ca.MailSigning, func(s *spoiled) { s.key = &rsa.PublicKey{N: new(big.Int).SetBit(leaf.N, 2048, 1), E: 65537} }},
		{"key", "P-521", ca.MailSigning, func(s *spoiled) { s.key = ecKey(t, elliptic.P521()).Public() }},
		{"key", "P-224", ca.MailSigning, func(s *spoiled) { s.key = ecKey(t, elliptic.P224()).Public() }},
		{"key-kind", "EC that deciphers", ca.DeviceIdentity, func(s *spoiled) { s.key = ecKey(t, elliptic.P256()).Public() }},
		{"own-key", "the CA's", ca.MailSigning, func(s *spoiled) { s.key = h.mail.Certificate().PublicKey }},
		{"subject", "empty", ca.MailSigning, func(s *spoiled) { s.template.Subject = pkix.Name{} }},
		{"subject", "line feed", ca.MailSigning, func(s *spoiled) { s.template.Subject.CommonName = "a\nb" }},
		{"subject", "65 characters", ca.MailSigning, func(s *spoiled) { s.template.Subject.CommonName = strings.Repeat("ä", 65) }},
		{"names", "no address", ca.MailSigning, func(s *spoiled) { s.template.EmailAddresses = nil }},
		{"names", "an address that is none", ca.MailSigning, func(s *spoiled) { s.template.EmailAddresses = []string{"alice"} }},
		{"names", "no user", ca.DeviceIdentity, func(s *spoiled) { s.template.URIs = nil }},
		{"names", "an address", ca.Registration, func(s *spoiled) { s.template.EmailAddresses = []string{"a@example.com"} }},
		{"names", "no host", ca.TLSServer, func(s *spoiled) { s.template.DNSNames = nil }},
		{"policy", "of the forum", ca.MailSigning, func(s *spoiled) { s.template.Policies = policy("2.23.140.1.5.1.3") }},
		{"revocation", "no list", ca.MailSigning, func(s *spoiled) { s.template.CRLDistributionPoints = nil }},
		{"revocation", "LDAP", ca.MailSigning, func(s *spoiled) { s.template.CRLDistributionPoints = []string{"ldap://example.com/cn=x"} }},
		{"no-check", "of a mail certificate", ca.MailSigning, func(s *spoiled) {
			s.template.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 5}, Value: []byte{5, 0}}}
		}},
		{"extensions", "critical and unknown", ca.MailSigning, func(s *spoiled) {
			s.template.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 2, 3}, Critical: true, Value: []byte{5, 0}}}
		}},
		{"signature", "PSS", ca.MailSigning, func(s *spoiled) { s.template.SignatureAlgorithm = x509.SHA256WithRSAPSS }},
	}
	tried := map[string]bool{}
	for _, c := range cases {
		tried[c.rule] = true
		t.Run(c.rule+" "+c.name, func(t *testing.T) {
			issuer := h.mail.Certificate()
			s := spoiled{template: honest(c.kind), key: leaf.Public(), parent: *issuer}
			c.spoil(&s)
			var by crypto.Signer = signer
			if s.template.SignatureAlgorithm == x509.SHA256WithRSAPSS {
				by = leaf
			}
			s.parent.PublicKey = by.Public()
			der, err := x509.CreateCertificate(rand.Reader, &s.template, &s.parent, s.key, by)
			if err != nil {
				t.Fatal(err)
			}
			got := must[*x509.Certificate](t)(x509.ParseCertificate(der))
			from := *issuer
			from.NotBefore, from.NotAfter = s.parent.NotBefore, s.parent.NotAfter
			err = ca.Check(c.kind, got, &from, s.keys, now)
			rule, broken := errors.AsType[*ca.BrokenRule](err)
			if c.rule == "" && err != nil || c.rule != "" && (!broken || rule.Rule != c.rule) {
				t.Errorf("got %v, want rule %q", err, c.rule)
			}
		})
	}
	for _, name := range ca.RuleNames() {
		if !tried[name] {
			t.Errorf("no case breaks the rule %s", name)
		}
	}
}

// honest is a template that keeps all rules of its kind.
func honest(kind ca.Kind) x509.Certificate {
	c := x509.Certificate{
		SerialNumber: new(big.Int).Lsh(big.NewInt(3), 120), Subject: pkix.Name{CommonName: "Alice Example"},
		NotBefore: now.Add(-time.Minute), NotAfter: now.Add(300 * 24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, CRLDistributionPoints: []string{"http://mdm.example.com/pki/smime.crl"},
	}
	switch kind {
	case ca.MailSigning:
		c.ExtKeyUsage, c.EmailAddresses = []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection}, []string{"alice@example.com"}
	case ca.MailEncryption:
		c.KeyUsage = x509.KeyUsageKeyEncipherment
		c.ExtKeyUsage, c.EmailAddresses = []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection}, []string{"alice@example.com"}
	case ca.DeviceIdentity:
		c.KeyUsage |= x509.KeyUsageKeyEncipherment
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
		c.Subject.CommonName = string(subject.NewDeviceID())
		c.URIs = []*url.URL{{Scheme: "urn", Opaque: strings.TrimPrefix(cert.HolderURI(subject.NewUserID()), "urn:")}}
	case ca.Registration:
		c.KeyUsage |= x509.KeyUsageKeyEncipherment
	case ca.TLSServer:
		c.ExtKeyUsage, c.DNSNames = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, []string{"mdm.example.com"}
	case ca.DeviceCA:
		c.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
		c.IsCA, c.BasicConstraintsValid, c.MaxPathLenZero = true, true, true
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	}
	return c
}

// withFactor gives an odd number of 2048 bits that n divides.
func withFactor(n int64) *big.Int {
	x := new(big.Int).Lsh(big.NewInt(1), 2047)
	x.Add(x, big.NewInt(1))
	for new(big.Int).Mod(x, big.NewInt(n)).Sign() != 0 {
		x.Add(x, big.NewInt(2))
	}
	return x
}

// infineon gives a modulus whose factors are powers of 65537 modulo small
// primes, as the chips made them.
func infineon() *big.Int {
	m := big.NewInt(1)
	for p := int64(2); p <= 167; p++ {
		if big.NewInt(p).ProbablyPrime(0) {
			m.Mul(m, big.NewInt(p))
		}
	}
	factor := func(power int64) *big.Int {
		rest := new(big.Int).Exp(big.NewInt(65537), big.NewInt(power), m)
		k := new(big.Int).Lsh(big.NewInt(3), 1022-uint(m.BitLen())) // so that the product has 2048 bits
		for p := new(big.Int); ; k.Add(k, big.NewInt(1)) {
			if p.Add(p.Mul(k, m), rest).ProbablyPrime(0) {
				return p
			}
		}
	}
	return new(big.Int).Mul(factor(12345), factor(54321))
}

// What is issued is what was prepared, and once.
func TestIssueSignsWhatWasPrepared(t *testing.T) {
	h := newHouse(t)
	p := must[*ca.Prepared](t)(h.mail.Prepare(signing(rsaKey(t, "leaf", 2048).Public()), now))
	if h.mail.Made(p.Draft) {
		t.Error("the draft has the CA's signature")
	}
	if _, err := h.device.Issue(p); !errors.Is(err, ca.ErrSpent) {
		t.Errorf("another issuer: got %v, want ErrSpent", err)
	}
	c := must[*x509.Certificate](t)(h.mail.Issue(p))
	if string(c.RawTBSCertificate) != string(p.TBS()) || cert.SerialOf(c.SerialNumber) != p.Serial() || !h.mail.Made(c) {
		t.Error("the certificate is not what was prepared")
	}
	if _, err := h.mail.Issue(p); !errors.Is(err, ca.ErrSpent) {
		t.Errorf("a second time: got %v, want ErrSpent", err)
	}
	if !c.NotBefore.Equal(now.Add(-5 * time.Minute)) {
		t.Errorf("it begins at %v, want five minutes before %v", c.NotBefore, now)
	}
}

func TestPrepareRefuses(t *testing.T) {
	h := newHouse(t)
	key := rsaKey(t, "leaf", 2048).Public()
	for name, change := range map[string]func(*ca.Request){
		"unknown kind": func(r *ca.Request) { r.Kind = "x" },
		"bad policy":   func(r *ca.Request) { r.Policy = "one.two" },
		"no key":       func(r *ca.Request) { r.Key = nil },
		"826 days":     func(r *ca.Request) { r.Life = 826 * 24 * time.Hour },
		"no address":   func(r *ca.Request) { r.Names.Mail = nil },
		"long address": func(r *ca.Request) { r.Names.Mail = []string{strings.Repeat("a", 1<<20) + "@example.com"} },
	} {
		r := signing(key)
		change(&r)
		if _, err := h.mail.Prepare(r, now); err == nil {
			t.Errorf("%s: it was prepared", name)
		}
	}
	late := now.AddDate(14, 11, 0)
	p := must[*ca.Prepared](t)(h.mail.Prepare(signing(key), late))
	if end := h.mail.Certificate().NotAfter; p.Draft.NotAfter.After(end) {
		t.Errorf("it ends at %v, after the CA at %v", p.Draft.NotAfter, end)
	}
}

func TestSerialsAreLongAndFresh(t *testing.T) {
	h := newHouse(t)
	seen := map[cert.Serial]bool{}
	for range 50 {
		p := must[*ca.Prepared](t)(h.mail.Prepare(signing(rsaKey(t, "leaf", 2048).Public()), now))
		if n := p.Draft.SerialNumber.BitLen(); seen[p.Serial()] || n <= 120 || n > 127 {
			t.Errorf("serial number %s has %d bits", p.Serial(), n)
		}
		seen[p.Serial()] = true
	}
}

func TestNewIssuerRefuses(t *testing.T) {
	h := newHouse(t)
	key := ecKey(t, elliptic.P256())
	own := must[*x509.Certificate](t)(ca.NewMailCA(h.root, key.Public(), ca.Names{CommonName: "x"}, now))
	leafKey := rsaKey(t, "leaf", 2048)
	leaf := issue(t, h.mail, signing(leafKey.Public()))
	root := h.root.Certificate()
	for name, c := range map[string]struct {
		key   crypto.Signer
		certs []*x509.Certificate
	}{
		"another's key": {ecKey(t, elliptic.P256()), []*x509.Certificate{own, root}},
		"no root":       {key, []*x509.Certificate{own}},
		"another root":  {key, []*x509.Certificate{own, h.mail.Certificate(), root}},
		"not a CA":      {leafKey, []*x509.Certificate{leaf, h.mail.Certificate(), root}},
	} {
		if _, err := ca.NewIssuer("x", c.key, c.certs, ca.URLs{}); err == nil {
			t.Errorf("%s: it was taken", name)
		}
	}
	if _, err := ca.NewIssuer("x", key, []*x509.Certificate{own, root}, ca.URLs{}); err != nil {
		t.Errorf("the right ones: %v", err)
	}
}

func TestParseReason(t *testing.T) {
	for s, want := range map[string]bool{"": true, "unspecified": true, "keyCompromise": true, "certificateHold": false, "removeFromCRL": false, "KeyCompromise": false} {
		if _, got := ca.ParseReason(s); got != want {
			t.Errorf("%q: got %v, want %v", s, got, want)
		}
	}
}
