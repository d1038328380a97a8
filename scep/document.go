package scep

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/scep/ca"
)

// DocumentKind is what a document of a certificate profile begins with.
const DocumentKind = "CertificateProfile"

// document is a certificate profile as people write it. What is left out is as
// in the shipped profile of that name; in a new one, as in smime-signing. The
// doc tags are docs/certificates.md.
type document struct {
	Kind     string    `yaml:"kind"`
	Name     string    `yaml:"name" doc:"Part of the address, a-z, 0-9 and -"`
	Remove   bool      `yaml:"remove,omitempty" doc:"The profile is to go; a shipped one is as shipped again"`
	For      string    `yaml:"for,omitempty" doc:"signing, encryption or identity; never another once the profile exists"`
	Issuer   string    `yaml:"issuer,omitempty" doc:"Name of the CA, as in signet ca show"`
	Subject  *dnText   `yaml:"subject,omitempty" doc:"RFC 4514 text, or a list of steps from the outside in"`
	SAN      *altNames `yaml:"san,omitempty" doc:"Alternative names"`
	Key      *keyText  `yaml:"key,omitempty" doc:"Which keys are taken"`
	Usage    *[]string `yaml:"key_usage,omitempty,flow" doc:"Besides what for needs: nonRepudiation for signing, dataEncipherment for encryption"`
	Extended *[]string `yaml:"extended_key_usage,omitempty,flow" doc:"Names or OIDs, besides emailProtection or clientAuth"`
	Policy   *string   `yaml:"policy,omitempty" doc:"OID of your own policy; none of the CA/Browser Forum"`
	CRL      *bool     `yaml:"crl,omitempty" doc:"Name the revocation list; may be false for identity only"`
	AIA      *bool     `yaml:"aia,omitempty" doc:"Name where the CA's certificate is found"`

	Validity      string  `yaml:"validity,omitempty" doc:"Such as 365d; at most 825d"`
	RenewWithin   *string `yaml:"renew_within,omitempty" doc:"Renewal begins so long before the end: 90d, or 20% of the validity; never for with a new challenge only"`
	ChallengeLife string  `yaml:"challenge_life,omitempty" doc:"How long a challenge waits, such as 25h; at most 90d"`
	Legacy        *bool   `yaml:"legacy,omitempty" doc:"Also serve clients that speak triple DES and SHA-1 only"`
	Approval      *bool   `yaml:"approval,omitempty" doc:"A person decides on each certificate"`
	Delivery      *bool   `yaml:"delivery,omitempty" doc:"Policies may name it for the keys that devices make; never changed once the profile exists"`
	Names         string  `yaml:"names,omitempty" doc:"ignore, or match: the request must ask for the names that the certificate will have"`
	Device        string  `yaml:"device,omitempty" doc:"any, or required: challenges are for enrolled devices only"`
	Validator     string  `yaml:"validator,omitempty" doc:"none, or intune: challenges that are not ours are validated by Microsoft Intune"`
}

type altNames struct {
	Mail []string `yaml:"mail,omitempty,flow" doc:"Mail addresses"`
	UPN  []string `yaml:"upn,omitempty,flow" doc:"User principal names"`
	DNS  []string `yaml:"dns,omitempty,flow" doc:"Host names"`
	URI  []string `yaml:"uri,omitempty,flow" doc:"URIs; values in them are escaped"`
}

type keyText struct {
	Types  []string `yaml:"types,omitempty,flow" doc:"rsa, ec"`
	RSAMin int      `yaml:"rsa_min,omitempty" doc:"Bits, 2048 to 4096"`
	RSAMax int      `yaml:"rsa_max,omitempty" doc:"Bits, 2048 to 4096"`
	Curves []string `yaml:"curves,omitempty,flow" doc:"P-256, P-384"`
}

// readDocument reads the first document of text, strictly. Errors name the line.
func readDocument(text []byte) (d document, err error) {
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	err = decoder.Decode(&d)
	if problem, is := errors.AsType[*yaml.TypeError](err); is {
		return d, ErrProfileInvalid.Saying(problemAt(problem.Errors[0]))
	}
	if f := fault.Of(err); f != nil {
		return d, f
	}
	if err != nil {
		return d, ErrProfileInvalid.Saying("The document of a certificate profile is no YAML.")
	}
	return d, nil
}

var yamlProblem = regexp.MustCompile(`^line (\d{1,7}): (field ([a-z_]{1,30}) not found)?`)

// problemAt keeps of what the YAML reader says the line, and the name of the
// field if it is no more than a name.
func problemAt(said string) string {
	m := yamlProblem.FindStringSubmatch(said)
	switch {
	case m == nil:
		return "A value of the certificate profile is of the wrong kind."
	case m[3] != "":
		return "Line " + m[1] + ": a certificate profile has no field " + m[3] + "."
	case strings.Contains(said, "not found"):
		return "Line " + m[1] + ": a certificate profile has no such field."
	}
	return "Line " + m[1] + ": the value is of the wrong kind, or the field stands twice."
}

// over gives the profile that d makes of base.
func (d document) over(base Profile) (Profile, error) {
	p := base
	p.Name = d.Name
	if d.Issuer != "" {
		p.Issuer = d.Issuer
	}
	for _, part := range []func(*Profile) error{d.setFor, d.setNames, d.setUsage, d.setKey, d.setTimes, d.setOffice} {
		if err := part(&p); err != nil {
			return p, err
		}
	}
	return p, p.check()
}

var uses = map[string]cert.Use{"signing": cert.Signing, "encryption": cert.Encryption, "identity": cert.Identity}

func (d document) setFor(p *Profile) error {
	if d.For == "" {
		return nil
	}
	use, known := uses[d.For]
	if !known {
		return invalid("for is signing, encryption or identity; no key is for two of them")
	}
	p.Use = use
	return nil
}

func (d document) setNames(p *Profile) error {
	if p.Use == cert.Identity && (d.Subject != nil || d.SAN != nil) {
		return invalid("a device identity names its device and user, and nothing else: leave subject and san out")
	}
	if d.Subject != nil {
		p.Subject, p.DirectorySubject = d.Subject.steps, d.Subject.directory
	}
	if d.SAN != nil {
		p.Mail, p.UPN, p.Hosts, p.URIs = d.SAN.Mail, d.SAN.UPN, d.SAN.DNS, d.SAN.URI
	}
	return p.checkTemplates()
}

func (p Profile) checkTemplates() error {
	lists := map[string][]string{"san.mail": p.Mail, "san.upn": p.UPN, "san.dns": p.Hosts, "san.uri": p.URIs}
	for _, step := range p.Subject {
		for _, part := range step {
			lists["subject"] = append(lists["subject"], part.Values...)
		}
	}
	for _, where := range slices.Sorted(maps.Keys(lists)) {
		if len(lists[where]) > maxNames {
			return invalid(fmt.Sprintf("%s has more than %d values", where, maxNames))
		}
		for _, text := range lists[where] {
			if err := checkTemplate(where, text); err != nil {
				return err
			}
		}
	}
	return nil
}

// maxNames bounds what a profile asks for of one kind of name.
const maxNames = 50

// The names of key usages that a profile can ask for, or repeat.
var keyUsages = map[string]x509.KeyUsage{
	"digitalSignature": x509.KeyUsageDigitalSignature, "nonRepudiation": x509.KeyUsageContentCommitment,
	"contentCommitment": x509.KeyUsageContentCommitment, "keyEncipherment": x509.KeyUsageKeyEncipherment,
	"dataEncipherment": x509.KeyUsageDataEncipherment, "keyAgreement": x509.KeyUsageKeyAgreement,
}

// extendedUsages are the names of extended key usages. The barred ones are here
// so that the refusal says which.
var extendedUsages = map[string]string{
	"clientAuth": "1.3.6.1.5.5.7.3.2", "emailProtection": "1.3.6.1.5.5.7.3.4", "smartcardLogon": "1.3.6.1.4.1.311.20.2.2",
	"documentSigning": "1.3.6.1.5.5.7.3.36", "microsoftDocumentSigning": "1.3.6.1.4.1.311.10.3.12",
	"encryptingFileSystem": "1.3.6.1.4.1.311.10.3.4", "ipsecIKE": "1.3.6.1.5.5.7.3.17",
	"serverAuth": "1.3.6.1.5.5.7.3.1", "codeSigning": "1.3.6.1.5.5.7.3.3", "timeStamping": "1.3.6.1.5.5.7.3.8",
	"ocspSigning": "1.3.6.1.5.5.7.3.9", "anyExtendedKeyUsage": "2.5.29.37.0",
}

// ofUse is the extended key usage that comes with a use.
var ofUse = map[cert.Use]string{cert.Identity: "clientAuth", cert.Signing: "emailProtection", cert.Encryption: "emailProtection"}

func (d document) setUsage(p *Profile) error {
	if d.Usage != nil {
		p.Usage = 0
		for _, name := range *d.Usage {
			u, known := keyUsages[name]
			if !known {
				return invalid("key_usage is one of " + strings.Join(slices.Sorted(maps.Keys(keyUsages)), ", "))
			}
			p.Usage |= u
		}
	}
	if d.Extended != nil {
		p.Extended = nil
		if len(*d.Extended) > maxNames {
			return invalid(fmt.Sprintf("extended_key_usage has more than %d values", maxNames))
		}
		for _, name := range *d.Extended {
			oid, known := extendedUsages[name]
			if !known {
				oid = name
			}
			if !dotted(oid) || hugeArc.MatchString(oid) {
				return invalid("extended_key_usage is an OID or one of " + strings.Join(slices.Sorted(maps.Keys(extendedUsages)), ", "))
			}
			if oid != extendedUsages[ofUse[p.Use]] {
				p.Extended = append(p.Extended, oid)
			}
		}
	}
	if d.Policy != nil {
		if *d.Policy != "" && !dotted(*d.Policy) {
			return invalid("policy is an OID, such as 1.3.6.1.4.1.32473.1")
		}
		p.Policy = *d.Policy
	}
	set(&p.NoCRL, d.CRL, true)
	set(&p.NoAIA, d.AIA, true)
	return nil
}

// set takes over a flag that is written, turned round if it says the contrary.
func set(into, written *bool, contrary bool) {
	if written != nil {
		*into = *written != contrary
	}
}

// hugeArc is a number in an OID that crypto/x509 cannot write into an extended
// key usage.
var hugeArc = regexp.MustCompile(`[0-9]{10}`)

func dotted(text string) bool {
	_, err := x509.ParseOID(text)
	return err == nil && len(text) <= 100
}

func (d document) setKey(p *Profile) error {
	if d.Key == nil {
		return nil
	}
	k := *d.Key
	among := func(list []string, allowed ...string) bool {
		return !slices.ContainsFunc(list, func(s string) bool { return !slices.Contains(allowed, s) })
	}
	bits := func(n int) bool { return n == 0 || n >= 2048 && n <= 4096 }
	switch {
	case !among(k.Types, "rsa", "ec"):
		return invalid("key.types is a list of rsa and ec")
	case !among(k.Curves, "P-256", "P-384"):
		return invalid("key.curves is a list of P-256 and P-384")
	case !bits(k.RSAMin) || !bits(k.RSAMax) || k.RSAMax != 0 && k.RSAMin > k.RSAMax:
		return invalid("key.rsa_min and key.rsa_max are bits from 2048 to 4096, in this order")
	case p.Use == cert.Identity && len(k.Types) > 0 && !slices.Contains(k.Types, "rsa"):
		return invalid("a device identity decrypts what is sealed to it, so its key is rsa")
	}
	p.Keys = ca.Keys(k)
	return nil
}

func (d document) setTimes(p *Profile) (err error) {
	if d.Validity != "" {
		if p.Life, err = span("validity", d.Validity); err != nil {
			return err
		}
	}
	if d.ChallengeLife != "" {
		if p.ChallengeLife, err = span("challenge_life", d.ChallengeLife); err != nil {
			return err
		}
	}
	if p.Use == cert.Encryption {
		p.ChallengeLife = 0
	}
	if d.RenewWithin == nil {
		if p.RenewWithin > p.Life/2 { // what is short-lived has a window to match
			p.RenewWithin, p.RenewPercent = 0, usualShare
		}
		return nil
	}
	p.RenewWithin, p.RenewPercent = 0, 0
	text := *d.RenewWithin
	if share, percent := strings.CutSuffix(text, "%"); percent {
		p.RenewPercent, err = strconv.Atoi(share)
		if err != nil || p.RenewPercent < 1 || p.RenewPercent > 99 {
			return invalid("renew_within is from 1% to 99% of the validity")
		}
		return nil
	}
	if text != "never" {
		p.RenewWithin, err = span("renew_within", text)
	}
	return err
}

// usualShare is the renewal threshold that Intune advises, in percent.
const usualShare = 20

// setOffice is about what happens around the certificate.
func (d document) setOffice(p *Profile) error {
	set(&p.Approval, d.Approval, false)
	set(&p.Legacy, d.Legacy, false)
	set(&p.Delivered, d.Delivery, false)
	if IsShipped(p.Name) && p.Delivered {
		return invalid("delivery is for profiles of your own: smime-signing is delivered in any case, the other shipped ones never by a policy")
	}
	if d.Validator != "" {
		if p.Validator = d.Validator; p.Validator == noValidator {
			p.Validator = ""
		}
	}
	for _, choice := range []struct {
		field, text, off, on string
		into                 *bool
	}{{"names", d.Names, "ignore", "match", &p.MatchNames}, {"device", d.Device, "any", "required", &p.NeedsDevice}} {
		switch choice.text {
		case "":
		case choice.on, choice.off:
			*choice.into = choice.text == choice.on
		default:
			return invalid(choice.field + " is " + choice.off + " or " + choice.on)
		}
	}
	return nil
}

// noValidator is how a document says that there is none.
const noValidator = "none"

func invalid(why string) error {
	return ErrProfileInvalid.Saying("In the certificate profile, " + why + ".")
}

// span reads days or hours.
func span(field, text string) (time.Duration, error) {
	if len(text) > 1 {
		n, err := strconv.Atoi(text[:len(text)-1])
		if unit := map[byte]time.Duration{'d': day, 'h': time.Hour}[text[len(text)-1]]; err == nil && unit > 0 && n > 0 && n <= 100_000 {
			return time.Duration(n) * unit, nil
		}
	}
	return 0, invalid(field + " is a number of days or hours, such as 365d or 12h")
}

func spanText(d time.Duration) string {
	if d%day == 0 {
		return strconv.Itoa(int(d/day)) + "d"
	}
	return strconv.Itoa(int(d/time.Hour)) + "h"
}
