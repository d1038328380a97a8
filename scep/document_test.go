package scep_test

import (
	"crypto/x509"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/scep"
	"github.com/signet-mdm/signet/scep/ca"
)

// newBook is a catalogue over the world's database.
func (w *world) newBook() *scep.Book {
	h := theHouse()
	return scep.NewBook(w.db.SCEP(), scep.Shipped("device", "smime"), func(name string) (*ca.Public, bool) {
		p, known := map[string]*ca.Public{"device": h.device.Issuer.Public, "smime": h.mail.Issuer.Public}[name]
		return p, known
	}, w.clock)
}

// write applies documents.
func write(t *testing.T, b *scep.Book, docs ...string) error {
	t.Helper()
	revision := must(b.Revision(t.Context()))(t)
	var texts [][]byte
	for _, d := range docs {
		if _, _, _, err := b.Compare(t.Context(), []byte(d)); err != nil {
			return err
		}
		texts = append(texts, []byte(d))
	}
	return b.Apply(t.Context(), worker, revision, texts)
}

const fullDocument = `kind: CertificateProfile
name: partners
for: signing
issuer: smime
subject: 'CN="{{displayName}}",E={{mail}},OU=Partners+UID={{OnPremisesSamAccountName}},O=Müller\, Söhne,C=DE'
san:
  mail: ["{{mail}}", "{{EmailAddress}}"]
  upn: ["{{UserPrincipalName}}"]
  dns: ["{{SerialNumber}}.phones.example.com"]
  uri: ["{{OnPremisesSecurityIdentifier}}", "urn:phone:{{DeviceName}}"]
key: {types: [rsa, ec], rsa_min: 3072, curves: [P-384]}
key_usage: [digitalSignature, nonRepudiation]
extended_key_usage: [emailProtection, clientAuth, 1.3.6.1.4.1.311.20.2.2]
policy: 1.3.6.1.4.1.32473.1
aia: false
validity: 180d
renew_within: 20%
challenge_life: 12h
names: match
`

// What a document says is what the certificate has.
func TestDocument(t *testing.T) {
	w := newWorld(t)
	b := w.newBook()
	if err := write(t, b, fullDocument); err != nil {
		t.Fatal(err)
	}
	p := must(b.Profile(t.Context(), "partners"))(t)
	if p.Use != cert.Signing || p.Life != 180*24*time.Hour || p.RenewalShare() != 20 || p.ChallengeLife != 12*time.Hour || !p.MatchNames || !p.NoAIA ||
		p.Usage != x509.KeyUsageDigitalSignature|x509.KeyUsageContentCommitment || p.Keys.RSAMin != 3072 || len(p.Extended) != 2 {
		t.Errorf("got %+v", p)
	}
	u, d := w.user, w.device
	u.Name = `Example, "Alice" + <a>=;`
	u.OnPremises = subject.OnPremises{SAMAccountName: `a,CN=admin`, SID: "S-1-5-21-1"}
	d.Serial, d.Name = "C39", `x/../y?z#"`
	names := must(scep.NamesOf(p, u, d))(t)
	want := ca.Names{CommonName: u.Name, Mail: []string{u.Mail}, UPN: []string{u.UPN}, Hosts: []string{"c39.phones.example.com"},
		URIs: []string{"tag:microsoft.com,2022-09-14:sid:S-1-5-21-1", "urn:phone:x%2F..%2Fy%3Fz%23%22"},
		Subject: cert.DN{{{Type: "C", Value: "DE"}}, {{Type: "O", Value: "Müller, Söhne"}},
			{{Type: "OU", Value: "Partners"}, {Type: "UID", Value: "a,CN=admin"}}, {{Type: "E", Value: u.Mail}}, {{Type: "CN", Value: u.Name}}}}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
	u.SID = ""
	if _, err := scep.NamesOf(p, u, d); !errors.Is(err, subject.ErrVariableEmpty) || !strings.Contains(fault.Of(err).Msg, "OnPremisesSecurityIdentifier") {
		t.Errorf("without SID: got %v", err)
	}
}

// A profile writes the document that makes it, and the same again changes nothing.
func TestDocumentRound(t *testing.T) {
	w := newWorld(t)
	b := w.newBook()
	if err := write(t, b, fullDocument); err != nil {
		t.Fatal(err)
	}
	for _, p := range must(b.Profiles(t.Context()))(t) {
		_, before, after, err := b.Compare(t.Context(), []byte(p.Document()))
		if diff := cmp.Diff(before, after); err != nil || diff != "" {
			t.Errorf("%s: %v\n%s\n%s", p.Name, err, diff, p.Document())
		}
		if err := write(t, b, p.Document()); err != nil {
			t.Errorf("%s: %v", p.Name, err)
		}
		if got := must(b.Profile(t.Context(), p.Name))(t); got.Document() != p.Document() {
			t.Errorf("%s becomes\n%s", p.Document(), got.Document())
		}
	}
}

func TestDocumentRefuses(t *testing.T) {
	w := newWorld(t)
	b := w.newBook()
	for name, c := range map[string]struct{ text, want string }{
		"unknown field":       {"kind: CertificateProfile\nname: x\nfoo: 1", "Line 3: a certificate profile has no field foo."},
		"odd field":           {"kind: CertificateProfile\nname: x\n'<b>': 1", "Line 3: a certificate profile has no such field."},
		"twice":               {"name: x\nname: y", "Line 2"},
		"wrong kind":          {"name: x\n\ncrl: 7x", "Line 3: the value is of the wrong kind"},
		"name":                {"name: A/b", "other characters"},
		"no name":             {"for: signing", "other characters"},
		"for both":            {"name: x\nfor: both", "for is signing"},
		"another identity":    {"name: x\nfor: identity\nissuer: device", "enrollment gives out"},
		"identity's subject":  {"name: device-identity\nsubject: CN=x", "leave subject and san out"},
		"identity with EC":    {"name: device-identity\nkey: {types: [ec]}", "so its key is rsa"},
		"identity for mail":   {"name: device-identity\nextended_key_usage: [emailProtection]", "extended-key-usage"},
		"identity, other CA":  {"name: device-identity\nissuer: smime", "other certificates"},
		"identity, approval":  {"name: device-identity\napproval: true", "waits for nobody"},
		"another use":         {"name: smime-signing\nfor: encryption", "stays as it is"},
		"issuer":              {"name: x\nissuer: y", "no CA of this installation"},
		"issuer of devices":   {"name: x\nissuer: device", "other certificates"},
		"subject":             {"name: x\nsubject: Alice", "Line 2: subject is no distinguished name"},
		"subject list":        {"name: x\nsubject: [{XX: a}]", "Line 2: subject is a text"},
		"two common names":    {"name: x\nsubject: CN=a,CN=b", "repetition"},
		"unknown variable":    {"name: x\nsubject: CN={{password}}", "no variable {{password}}"},
		"open brace":          {"name: x\nsubject: CN={{mail", "brace"},
		"a bar":               {"name: x\nsubject: CN=a|b", "text around variables"},
		"a semicolon":         {"name: x\nsubject: 'CN=a\\;b'", "text around variables"},
		"SID in the subject":  {"name: x\nsubject: 'CN={{OnPremisesSecurityIdentifier}}'", "san.uri only"},
		"long":                {"name: x\nsubject: CN=" + strings.Repeat("x", 65), "fits"},
		"country":             {"name: x\nsubject: 'CN=x,C=Germany'", "fits"},
		"no address":          {"name: x\nsan: {mail: []}", "names"},
		"address of subject":  {"name: x\nsubject: 'CN=x,E=other@example.com'", "subject-mail"},
		"no address at all":   {"name: x\nsan: {mail: [alice]}", "not a mail address"},
		"host":                {"name: x\nsan: {mail: ['{{mail}}'], dns: ['a b']}", "host name"},
		"URI":                 {"name: x\nsan: {mail: ['{{mail}}'], uri: ['a b']}", "names-form"},
		"RSA bits":            {"name: x\nkey: {rsa_min: 1024}", "bits from 2048"},
		"curve":               {"name: x\nkey: {curves: [P-521]}", "P-384"},
		"key type":            {"name: x\nkey: {types: [dsa]}", "rsa and ec"},
		"key usage":           {"name: x\nkey_usage: [certSign]", "key_usage is one of"},
		"encrypting signer":   {"name: x\nkey_usage: [keyEncipherment]", "key-usage"},
		"TLS server":          {"name: x\nextended_key_usage: [serverAuth]", "extended-key-usage"},
		"Kerberos KDC":        {"name: x\nextended_key_usage: [1.3.6.1.5.2.3.5]", "extended-key-usage"},
		"enrollment agent":    {"name: x\nextended_key_usage: [1.3.6.1.4.1.311.20.2.1]", "extended-key-usage"},
		"key recovery":        {"name: x\nextended_key_usage: [1.3.6.1.4.1.311.21.6]", "extended-key-usage"},
		"old TLS server":      {"name: x\nextended_key_usage: [2.16.840.1.113730.4.1]", "extended-key-usage"},
		"any usage":           {"name: x\nextended_key_usage: [anyExtendedKeyUsage]", "extended-key-usage"},
		"many usages":         {"name: x\nextended_key_usage: [" + strings.Repeat("'1.2.3.4', ", 51) + "]", "more than 50"},
		"huge usage":          {"name: x\nextended_key_usage: ['1.2.99999999999999999999']", "is an OID or one of"},
		"no usage":            {"name: x\nextended_key_usage: [mail]", "is an OID or one of"},
		"policy of the forum": {"name: x\npolicy: 2.23.140.1.5.1.3", "rule policy"},
		"no policy":           {"name: x\npolicy: one", "policy is an OID"},
		"no CRL":              {"name: x\ncrl: false", "revocation"},
		"life":                {"name: x\nvalidity: 826d", "825 days"},
		"life in months":      {"name: x\nvalidity: 12m", "days or hours"},
		"renewal":             {"name: x\nvalidity: 30d\nrenew_within: 31d", "before its certificates begin"},
		"percent":             {"name: x\nrenew_within: 100%", "1% to 99%"},
		"challenge life":      {"name: x\nchallenge_life: 91d", "90 days"},
		"names":               {"name: x\nnames: check", "names is ignore or match"},
		"device":              {"name: x\ndevice: maybe", "device is any or required"},
	} {
		_, _, _, err := b.Compare(t.Context(), []byte(c.text))
		if f := fault.Of(err); f == nil || !strings.Contains(f.Msg, c.want) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
}

func TestShippedProfiles(t *testing.T) {
	w := newWorld(t)
	b := w.newBook()
	changed := "kind: CertificateProfile\nname: smime-signing\nvalidity: 90d\nrenew_within: 50%\nextended_key_usage: [clientAuth]\n"
	if err := write(t, b, changed); err != nil {
		t.Fatal(err)
	}
	if p := must(b.Profile(t.Context(), scep.MailSigning))(t); p.Life != 90*24*time.Hour || p.Mail[0] != "{{mail}}" {
		t.Errorf("changed: got %+v", p)
	}
	if err := write(t, b, "name: short\nvalidity: 30d"); err != nil {
		t.Fatal(err)
	}
	if p := must(b.Profile(t.Context(), "short"))(t); p.RenewalShare() != 20 {
		t.Errorf("short-lived: renewal in the last %d percent, want 20", p.RenewalShare())
	}
	if err := write(t, b, "name: smime-signing\nremove: true"); err != nil {
		t.Fatal(err)
	}
	if p := must(b.Profile(t.Context(), scep.MailSigning))(t); p.Life != 365*24*time.Hour {
		t.Errorf("removed: got %+v, want it as shipped", p)
	}
	other := w.newBook() // as in another process
	_ = must(other.Profiles(t.Context()))(t)
	if err := write(t, b, "name: other\nfor: signing"); err != nil {
		t.Fatal(err)
	}
	w.sleep(2 * time.Second)
	if _, err := other.Profile(t.Context(), "other"); err != nil {
		t.Errorf("two seconds later: %v", err)
	}
	if err := b.Apply(t.Context(), worker, "stale", [][]byte{[]byte("name: third")}); !errors.Is(err, scep.ErrProfilesChanged) {
		t.Errorf("over another state: got %v", err)
	}
}

// Old challenges give the names that they were made for, and no request gets
// a certificate for encryption.
func TestProfileChanges(t *testing.T) {
	var b *scep.Book
	w := newWorld(t)
	b = w.newBook()
	w.config.Profiles = b
	w.restart()
	secret := w.challenge(scep.MailSigning)
	if err := write(t, b, "name: smime-signing\nsubject: 'CN={{displayName}},O=Changed'\nvalidity: 30d\nrenew_within: 20%"); err != nil {
		t.Fatal(err)
	}
	got := w.send(ask{profile: scep.MailSigning, challenge: secret.RevealString(), from: newClient(1), transaction: "T"})
	if got.cert == nil || got.cert.Subject.String() != "CN=Alice Example" || got.cert.NotAfter.After(w.clock().Add(31*24*time.Hour)) {
		t.Errorf("got %v", got.cert)
	}
	if _, err := w.s.Challenge(t.Context(), worker, scep.ChallengeRequest{Profile: scep.MailEncryption, User: w.user, Device: w.device}); !errors.Is(err, scep.ErrProfileEncryption) {
		t.Errorf("challenge for encryption: got %v", err)
	}
	if _, err := w.s.GetCACaps(t.Context(), scep.MailEncryption); !errors.Is(err, scep.ErrProfileEncryption) {
		t.Errorf("capabilities for encryption: got %v", err)
	}
	if _, err := w.keeper.Certify(t.Context(), scep.Application{Profile: scep.MailEncryption, Type: "19"}); !errors.Is(err, scep.ErrProfileEncryption) {
		t.Errorf("keeper: got %v", err)
	}
}

// The profiles that the page shows are taken.
func TestDocumentedProfiles(t *testing.T) {
	page := must(os.ReadFile("../docs/certificates.head.md"))(t)
	b := newWorld(t).newBook()
	examples := strings.Split(string(page), "```yaml\n")[1:]
	for _, e := range examples {
		text, _, _ := strings.Cut(e, "```")
		if err := write(t, b, text); err != nil {
			t.Errorf("%v\n%s", err, text)
		}
	}
	if len(examples) < 2 {
		t.Errorf("%d examples", len(examples))
	}
}

// What is read writes a document that reads the same, and whose names can be
// filled in or are refused.
func FuzzProfileDocument(f *testing.F) {
	for _, seed := range []string{fullDocument, "name: x\nsubject:\n  - O: a\n  - CN: ['{{mail}}', b]\n    UID: c", "name: x\nsubject: '{{OnPrem_Distinguished_Name}}'",
		"name: x\nkey: {curves: [P-256]}\nsan: {uri: ['{{OnPremisesSecurityIdentifier}}x']}", "name: x\nsubject: 'CN=\\#\\20\\,'", "&a [*a]", "{"} {
		f.Add([]byte(seed))
	}
	u := subject.User{Mail: "alice@example.com", UPN: "alice@example.com", Name: `a,"b+c=`, OnPremises: subject.OnPremises{DistinguishedName: "CN=a", SID: "S-1-5"}}
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := scep.ReadProfile(text)
		if err != nil {
			return
		}
		again, err := scep.ReadProfile([]byte(p.Document()))
		if err != nil || again.Document() != p.Document() {
			t.Fatalf("%v\n%s\n%s", err, p.Document(), again.Document())
		}
		_, _ = scep.NamesOf(p, u, subject.Device{ID: "d"})
	})
}

// A profile chooses among the addresses of a user. It gives nobody another's,
// nor the account of another.
func TestAddressesAreTheUsersOwn(t *testing.T) {
	w := newWorld(t)
	b := w.newBook()
	const head = "kind: CertificateProfile\nname: partners\nfor: signing\nsan:\n"
	const sid = "  mail: ['{{mail}}']\n  uri: ['tag:microsoft.com,2022-09-14:sid:"
	for san, want := range map[string]error{
		"  mail: [boss@example.com]\n":                                                           scep.ErrAddressForeign,
		"  mail: ['{{mail}}', 'x{{mail}}']\n":                                                    scep.ErrAddressForeign,
		"  mail: ['{{mail}}']\n  upn: [boss@example.com]\n":                                      scep.ErrAddressForeign,
		"  mail: ['{{mail}}']\n  upn: ['{{userPrincipalName}}']\n":                               nil,
		"  mail: ['{{mail}}']\nsubject: CN=boss@example.com\n":                                   scep.ErrAddressForeign,
		"  mail: ['{{mail}}']\nsubject: 'CN={{userName}}@a.org'\n":                               scep.ErrAddressForeign,
		"  mail: ['{{mail}}']\nsubject: 'CN={{mail}}'\n":                                         nil,
		sid + "S-1-5-21-1-2-3-500']\n":                                                           scep.ErrSIDForeign,
		sid + "{{userId}}']\n":                                                                   scep.ErrSIDForeign,
		"  mail: ['{{mail}}']\n  uri: ['TAG:microsoft.com,2022-09-14:SID:S-1-5-21-1-2-3-500']\n": scep.ErrSIDForeign,
		"  mail: ['{{mail}}']\n  uri: ['{{OnPremisesSecurityIdentifier}}']\n":                    nil,
	} {
		if err := write(t, b, head+san); !errors.Is(err, want) {
			t.Errorf("%s: got %v, want %v", san, err, want)
		}
	}
}
