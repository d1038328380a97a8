// Package zlint_test has zlint judge what the CAs make: each certificate profile
// that is shipped, the certificates of the installation itself, revocation lists
// and OCSP answers. It is a module of its own, so that nobody who builds Signet
// fetches a linter.
//
// Errors are not accepted. A warning or a notice has its row in
// docs/divergences.md, which says why it stays.
package zlint_test

import (
	"bytes"
	"cmp"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	zx509 "github.com/zmap/zcrypto/x509"
	"github.com/zmap/zlint/v3"
	"github.com/zmap/zlint/v3/lint"
	"golang.org/x/crypto/ocsp"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/scep"
	"github.com/signet-mdm/signet/scep/ca"
)

// registry leaves out what is for CAs of the public web, and for certificate
// transparency, which no S/MIME certificate takes part in.
var registry = func() lint.Registry {
	r, err := lint.GlobalRegistry().Filter(lint.FilterOptions{IncludeSources: lint.SourceList{
		lint.RFC3279, lint.RFC5280, lint.RFC5480, lint.RFC5891, lint.RFC6960, lint.RFC8813,
		lint.CABFSMIMEBaselineRequirements, lint.Community,
	}})
	if err != nil {
		panic(err)
	}
	return r
}()

var now = time.Now()

var rsaKey = mustRSA(2048)

func mustRSA(bits int) *rsa.PrivateKey {
	k, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		panic(err)
	}
	return k
}

func ecKey(curve elliptic.Curve) *ecdsa.PrivateKey {
	k, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		panic(err)
	}
	return k
}

// house is an installation with one kind of CA keys.
type house struct {
	root, device, mail *ca.Issuer
	certs              map[string]*x509.Certificate // its own, by what they are
}

func newHouse(t *testing.T, rootKey, deviceKey, mailKey crypto.Signer) house {
	t.Helper()
	h := house{certs: map[string]*x509.Certificate{}}
	made := func(name string) func(*x509.Certificate, error) *x509.Certificate {
		return func(c *x509.Certificate, err error) *x509.Certificate {
			t.Helper()
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			h.certs[name] = c
			return c
		}
	}
	issuer := func(name string, key crypto.Signer, chain ...*x509.Certificate) *ca.Issuer {
		t.Helper()
		urls := ca.URLsBelow("http://mdm.example.com", name)
		urls.Shards = 4
		i, err := ca.NewIssuer(name, key, chain, urls)
		if err != nil {
			t.Fatal(err)
		}
		return i
	}
	names := func(common string) ca.Names { return ca.Names{CommonName: common, Organization: "Example Ltd"} }
	root := made("root")(ca.NewRoot(rootKey, names("Example Root CA"), now))
	h.root = issuer("root", rootKey, root)
	h.device = issuer("device", deviceKey, made("device CA")(ca.NewDeviceCA(h.root, deviceKey.Public(), names("Example Device CA"), now)), root)
	h.mail = issuer("smime", mailKey, made("S/MIME CA")(ca.NewMailCA(h.root, mailKey.Public(), names("Example S/MIME CA"), now)), root)
	made("RA")(ca.NewRA(h.mail, rsaKey.Public(), names("Example S/MIME RA"), now))
	made("profile signer")(ca.NewProfileSigner(h.root, rsaKey.Public(), names("Example Ltd"), now))
	made("TLS server")(ca.NewTLSServer(h.root, ecKey(elliptic.P256()).Public(), []string{"mdm.example.com"}, now))
	responder, err := ca.NewResponder(h.mail, now)
	if err != nil {
		t.Fatal(err)
	}
	made("OCSP signer")(responder.Certificate(), nil)
	return h
}

// houses have the default keys, and RSA throughout.
func houses(t *testing.T) map[string]house {
	big := mustRSA(3072)
	return map[string]house{
		"ECDSA": newHouse(t, ecKey(elliptic.P384()), big, ecKey(elliptic.P256())),
		"RSA":   newHouse(t, mustRSA(3072), mustRSA(3072), mustRSA(3072)),
	}
}

func TestOwnCertificates(t *testing.T) {
	for kind, h := range houses(t) {
		for name, c := range h.certs {
			t.Run(kind+"/"+name, func(t *testing.T) { judge(t, c) })
		}
	}
}

// people have an ASCII address, and one that needs SmtpUTF8Mailbox.
var people = map[string]subject.User{
	"ASCII": {ID: "01a2111a-9218-7870-a6e8-90bf2abb8025", Mail: "alice@example.com", Name: "Alice Example"},
	"UTF-8": {ID: "01a2111a-9218-7870-a6e8-90bf2abb8026", Mail: "jürgen@example.com", Name: "Jürgen Müller"},
}

// leafKeys are of devices, and of the keeper.
var leafKeys = map[string]crypto.Signer{"RSA": mustRSA(2048), "P-256": ecKey(elliptic.P256()), "P-384": ecKey(elliptic.P384())}

// TestShippedProfiles lints each profile for each person and key, and each S/MIME
// one a second time as if it claimed the strict policy: most lints look only at
// those that do.
func TestShippedProfiles(t *testing.T) {
	for kind, h := range houses(t) {
		for _, s := range shipped(h) {
			for who, u := range people {
				for what, key := range leafKeys {
					if _, isRSA := key.(*rsa.PrivateKey); !isRSA && s.kind == ca.DeviceIdentity {
						continue // profiles are sealed to it
					}
					t.Run(strings.Join([]string{kind, s.Name, who, what}, "/"), func(t *testing.T) {
						judge(t, s.issue(t, u, key), s.excused()...)
						if s.kind != ca.DeviceIdentity {
							u.Name = "" // in the name of the mailbox, which is all that policy vouches for
							if n := judge(t, strict(t, s.issue(t, u, key)))[lint.CABFSMIMEBaselineRequirements]; n < minSMIME {
								t.Errorf("%d S/MIME lints looked at it, want at least %d", n, minSMIME)
							}
						}
					})
				}
			}
		}
	}
}

// minSMIME is how many lints of the S/MIME requirements are for a strict leaf.
const minSMIME = 15

// profile is one that is shipped, with the CA that issues by it.
type profile struct {
	scep.Profile
	kind   ca.Kind
	issuer *ca.Issuer
}

// excused are the errors that a profile makes on purpose, each with a row in
// docs/divergences.md too.
func (p profile) excused() []string {
	if p.kind == ca.DeviceIdentity {
		return []string{"e_key_usage_and_extended_key_usage_inconsistent"} // it signs, and is sealed to
	}
	return []string{"e_exactly_one_smime_policy"} // a private CA claims none
}

func shipped(h house) (list []profile) {
	for _, p := range scep.Shipped("device", "smime") {
		switch p.Use {
		case cert.Identity:
			list = append(list, profile{p, ca.DeviceIdentity, h.device})
		case cert.Signing:
			list = append(list, profile{p, ca.MailSigning, h.mail})
		case cert.Encryption:
			list = append(list, profile{p, ca.MailEncryption, h.mail})
		}
	}
	if !slices.ContainsFunc(list, func(p profile) bool { return p.kind == ca.MailEncryption }) { // the kind is there all the same
		list = append(list, profile{scep.Profile{Name: "smime-encryption", Issuer: "smime", Life: 365 * 24 * time.Hour}, ca.MailEncryption, h.mail})
	}
	return list
}

// issue makes a certificate with what the shipped profiles say of the person.
func (p profile) issue(t *testing.T, u subject.User, key crypto.Signer) *x509.Certificate {
	t.Helper()
	names := ca.Names{CommonName: cmp.Or(u.Name, u.Mail), Mail: []string{u.Mail}}
	if p.kind == ca.DeviceIdentity {
		names = ca.Names{CommonName: "01a2111a-9218-7870-a6e8-90bf2abb8030", URIs: []string{cert.HolderURI(u.ID)}}
	}
	prepared, err := p.issuer.Prepare(ca.Request{Kind: p.kind, Names: names, Key: key.Public(), Life: p.Life, Policy: p.Policy}, now)
	if err != nil {
		t.Fatal(err)
	}
	c, err := p.issuer.Issue(prepared)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// strict gives the same certificate with the policy of strict, mailbox-validated
// S/MIME, signed by nobody.
func strict(t *testing.T, c *x509.Certificate) *x509.Certificate {
	t.Helper()
	policies, err := asn1.Marshal([]struct{ ID asn1.ObjectIdentifier }{{asn1.ObjectIdentifier{2, 23, 140, 1, 5, 1, 3}}})
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: c.SerialNumber, RawSubject: c.RawSubject, NotBefore: c.NotBefore, NotAfter: c.NotAfter,
		ExtraExtensions: append(slices.Clone(c.Extensions), pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 32}, Value: policies})}
	var key crypto.Signer = rsaKey
	if c.SignatureAlgorithm == x509.ECDSAWithSHA256 {
		key = ecKey(elliptic.P256())
	}
	parent := &x509.Certificate{RawSubject: c.RawIssuer, PublicKey: key.Public()}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, c.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	twin, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return twin
}

// judge lints a certificate, and looks at what zlint does not. It tells how many
// lints of each source were for it.
func judge(t *testing.T, c *x509.Certificate, excused ...string) map[lint.LintSource]int {
	t.Helper()
	if n := len(c.SerialNumber.Bytes()); n < 16 || n > 20 || c.SerialNumber.Sign() <= 0 {
		t.Errorf("a serial number of %d bytes", n)
	}
	if life := c.NotAfter.Add(time.Second).Sub(c.NotBefore); !c.IsCA && slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageEmailProtection) && life > 825*24*time.Hour {
		t.Errorf("it is valid for %v", life)
	}
	z, err := zx509.ParseCertificate(c.Raw)
	if err != nil {
		t.Fatal(err)
	}
	return report(t, zlint.LintCertificateEx(z, registry), excused...)
}

func TestLists(t *testing.T) {
	revoked := []ca.Revocation{
		{Serial: "0123456789abcdef0123456789abcdef", At: now.Add(-time.Hour), Reason: ca.KeyCompromise},
		{Serial: "0223456789abcdef0123456789abcdef", At: now.Add(-time.Minute)},
	}
	for kind, h := range houses(t) {
		for name, l := range map[string]ca.List{
			"empty": {Number: 1},
			"whole": {Number: 2, Revoked: revoked},
			"shard": {Number: 3, Shard: "03", Partial: true, Revoked: revoked},
		} {
			for _, i := range []*ca.Issuer{h.root, h.device, h.mail} {
				t.Run(kind+"/"+name+"/"+i.Name(), func(t *testing.T) {
					der, err := i.CRL(l, now)
					if err != nil {
						t.Fatal(err)
					}
					z, err := zx509.ParseRevocationList(der)
					if err != nil {
						t.Fatal(err)
					}
					report(t, zlint.LintRevocationListEx(z, registry))
				})
			}
		}
	}
}

func TestAnswers(t *testing.T) {
	for kind, h := range houses(t) {
		responder, err := ca.NewResponder(h.mail, now)
		if err != nil {
			t.Fatal(err)
		}
		for name, r := range map[string]ca.Revocation{"good": {}, "revoked": {At: now.Add(-time.Hour), Reason: ca.Superseded}} {
			t.Run(kind+"/"+name, func(t *testing.T) {
				der, err := responder.Answer(ca.Question{Serial: "0123456789abcdef0123456789abcdef", Hash: crypto.SHA1}, r, now)
				if err != nil {
					t.Fatal(err)
				}
				z, err := ocsp.ParseResponse(der, nil)
				if err != nil {
					t.Fatal(err)
				}
				report(t, zlint.LintOcspResponseEx(z, registry))
			})
		}
	}
}

// explained is the page that says why a warning stays.
var explained = func() []byte {
	page, err := os.ReadFile("../../../docs/divergences.md")
	if err != nil {
		panic(err)
	}
	return page
}()

// report fails for errors, and for what is not explained.
func report(t *testing.T, set *zlint.ResultSet, excused ...string) map[lint.LintSource]int {
	t.Helper()
	ran := map[lint.LintSource]int{}
	for name, r := range set.Results {
		failed := r.Status == lint.Error || r.Status == lint.Fatal
		switch {
		case failed && !slices.Contains(excused, name):
			t.Errorf("%s: %s", name, r.Details)
		case failed, r.Status == lint.Warn, r.Status == lint.Notice:
			if !bytes.Contains(explained, []byte("`"+name+"`")) {
				t.Errorf("%s is not explained in docs/divergences.md: %s", name, r.Details)
			}
		}
		if r.Status != lint.NA && r.Status != lint.NE {
			ran[r.LintMetadata.Source]++
		}
	}
	for _, name := range excused {
		if s := set.Results[name].Status; s != lint.Error {
			t.Errorf("%s is excused, and says %v", name, s)
		}
	}
	if len(ran) == 0 {
		t.Error("no lint looked at it")
	}
	return ran
}
