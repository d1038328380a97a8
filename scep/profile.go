package scep

import (
	"context"
	"crypto/x509"
	"errors"
	"regexp"
	"slices"
	"time"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/scep/ca"
)

// Profile says what certificates are issued at one SCEP address. Texts may
// hold {{variables}}; they come from our records when the challenge is made,
// never from a request.
type Profile struct {
	Name   string   // in the address and in records
	Issuer string   // name of the CA
	Use    cert.Use // Identity, Signing, or Encryption, which is never issued over SCEP

	Subject          []Step // from the outside in
	DirectorySubject bool   // the subject is the user's distinguished name, and Subject is empty
	Mail             []string
	UPN              []string
	Hosts            []string
	URIs             []string

	Usage    x509.KeyUsage // besides what the use needs
	Extended []string      // extended key usages besides that of the use, dotted OIDs
	Policy   string        // dotted OID of the organisation's own policy; may be empty
	Keys     ca.Keys
	NoCRL    bool
	NoAIA    bool

	Life time.Duration // at most 825 days
	// RenewWithin is how long before its end a certificate can be renewed with
	// its own signature, RenewPercent the same as a share of its validity; both
	// 0: with a new challenge only.
	RenewWithin  time.Duration
	RenewPercent int
	// ChallengeLife is how long a challenge waits for the device.
	ChallengeLife time.Duration
	// Legacy also serves clients that speak DES, triple DES and SHA-1 only.
	// Replies are AES and SHA-256 all the same.
	Legacy bool
	// Approval says that a person decides on each certificate.
	Approval bool
	// NeedsDevice says that a challenge is for a device that is enrolled.
	NeedsDevice bool
	// Delivered says that delivery takes it: that policies may name it.
	Delivered bool
	// MatchNames says that a request must ask for the names that the certificate
	// will have. It gets those in any case.
	MatchNames bool
	// Validator is who is asked about challenges that are not ours, [Intune];
	// empty for nobody.
	Validator string
}

// Step is one step of a subject.
type Step []Part

// Part is one attribute of a subject; of several values the first counts that
// has one and fits.
type Part struct {
	Attribute string // as in [cert.Attribute]
	Values    []string
}

// The names of the shipped profiles.
const (
	DeviceIdentity = "device-identity"
	MailSigning    = "smime-signing"
	MailEncryption = "smime-encryption"
)

const (
	day = 24 * time.Hour
	// usualWindow is how long before their end certificates of shipped profiles
	// can be renewed by their own signature. Devices are told later.
	usualWindow = 90 * day
)

// IsShipped tells whether a profile of that name comes with Signet.
func IsShipped(name string) bool {
	return name == DeviceIdentity || name == MailSigning || name == MailEncryption
}

// Shipped gives the profiles that come with Signet: device identities by one
// CA, S/MIME certificates by another. No device gets one for encryption: its
// key is made by the keeper.
//
// A signing challenge travels sealed to the device, so it lives longer than the
// identity's, which is shown to whoever downloads the enrollment profile.
func Shipped(deviceCA, mailCA string) []Profile {
	mail := Profile{
		Issuer: mailCA, Subject: commonName("{{displayName}}", "{{mail}}"), Mail: []string{"{{mail}}"},
		Life: 365 * day, RenewWithin: usualWindow, ChallengeLife: sealedLife,
	}
	signing, encryption := mail, mail
	signing.Name, signing.Use = MailSigning, cert.Signing
	encryption.Name, encryption.Use, encryption.ChallengeLife = MailEncryption, cert.Encryption, 0
	return []Profile{
		{
			Name: DeviceIdentity, Issuer: deviceCA, Use: cert.Identity,
			Subject: commonName("{{deviceId}}"), URIs: []string{cert.HolderURI("{{userId}}")},
			Life: 365 * day, RenewWithin: usualWindow, ChallengeLife: time.Hour,
		},
		signing, encryption,
	}
}

func commonName(values ...string) []Step { return []Step{{{"CN", values}}} }

var profileName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,63}$`)

// The bounds of what documents settle.
const (
	maxLife          = 825 * day
	maxChallengeLife = 90 * day
)

func (p Profile) check() error {
	what := "The certificate profile " + p.Name + " "
	switch {
	case p.Use != cert.Signing && p.Issuer == Upstream:
		return ErrUpstreamIdentity
	case !profileName.MatchString(p.Name):
		return ErrProfileInvalid.Saying("The name of a certificate profile has other characters than a-z, 0-9 and -, or more than 64.")
	case p.kind() == "":
		return ErrProfileInvalid.Saying(what + "is for neither signing, nor encryption, nor device identities; no key is for two of them.")
	case len(p.Subject) == 0 && !p.DirectorySubject:
		return ErrProfileInvalid.Saying(what + "lacks a subject.")
	case p.Life <= 0 || p.Life > maxLife:
		return ErrProfileInvalid.Saying(what + "needs a validity of at most 825 days.")
	case p.RenewWithin < 0 || p.RenewWithin > p.Life || p.RenewPercent < 0 || p.RenewPercent > 99:
		return ErrProfileInvalid.Saying(what + "renews before its certificates begin.")
	case p.Use != cert.Encryption && (p.ChallengeLife <= 0 || p.ChallengeLife > maxChallengeLife):
		return ErrProfileInvalid.Saying(what + "needs challenges that live at most 90 days.")
	case p.Use == cert.Identity && p.Approval:
		return ErrProfileInvalid.Saying(what + "is for device identities: a device that enrolls waits for nobody.")
	case p.Use == cert.Identity && p.Name != DeviceIdentity:
		return ErrProfileInvalid.Saying(what + "is for device identities, which enrollment gives out by " + DeviceIdentity + " only.")
	case p.Delivered && (p.Use != cert.Signing || !p.fitsDevices()):
		return ErrProfileInvalid.Saying(what + "is for delivery: it must be for signing, take RSA keys of 2048 bits, and want neither approval nor matching names.")
	}
	return p.checkValidator()
}

func (p Profile) checkValidator() error {
	why := ""
	switch {
	case p.Validator == "":
		return nil
	case p.Validator != Intune:
		return ErrProfileInvalid.Saying("In the certificate profile, validator is none or " + Intune + ".")
	case p.Use == cert.Identity:
		why = "is for device identities, which open keys, and only devices that enrolled here have one"
	case p.Use != cert.Signing:
		why = "is for encryption, whose keys are not made on devices"
	case p.Issuer == Upstream:
		why = "is of the other certification authority, which wants its own challenge in the request"
	case p.Approval:
		why = "wants approval, and a device that is managed elsewhere waits for nobody"
	case p.NeedsDevice:
		why = "is for enrolled devices, and those with other challenges are none"
	default:
		return nil
	}
	return ErrValidatorUse.Saying("The certificate profile " + p.Name + " can have no validator: it " + why + ".")
}

// Delivers tells whether devices get its certificates by delivery.
func (p Profile) Delivers() bool { return p.Delivered || p.Name == MailSigning }

// fitsDevices tells whether a device can get its certificate without a person:
// it waits for nobody, asks for no names, and makes an RSA key of 2048 bits.
func (p Profile) fitsDevices() bool {
	rsa := len(p.Keys.Types) == 0 || slices.Contains(p.Keys.Types, "rsa")
	return !p.Approval && !p.MatchNames && rsa && p.Keys.RSAMin <= 2048
}

// overSCEP tells whether devices can get its certificates.
func (p Profile) overSCEP() error {
	if p.Use.Has(cert.Encryption) {
		return ErrProfileEncryption
	}
	return p.check()
}

// renews gives from when on a certificate can be renewed with its own
// signature; false for never.
func (p Profile) renews(r cert.Record) (time.Time, bool) {
	within := p.RenewWithin
	if p.RenewPercent > 0 {
		within = r.NotAfter.Sub(r.NotBefore) / 100 * time.Duration(p.RenewPercent)
	}
	return r.NotAfter.Add(-within), within > 0
}

// RenewalShare is how much of the validity is left when renewal begins by the
// wish of whoever wrote the profile, in percent; 0 where he left that to us.
func (p Profile) RenewalShare() int {
	if p.RenewPercent > 0 {
		return p.RenewPercent
	}
	if p.RenewWithin == usualWindow {
		return 0
	}
	return int(p.RenewWithin * 100 / p.Life)
}

// request gives what a certificate of the profile shall say.
func (p Profile) request(names ca.Names) ca.Request {
	return ca.Request{Kind: p.kind(), Names: names, Life: p.Life, Policy: p.Policy, Usage: p.Usage, Extended: p.Extended,
		Keys: p.Keys, NoCRL: p.NoCRL, NoAIA: p.NoAIA}
}

// rehearse tells in people's words whether the CA would issue it. What another
// CA makes is looked at when it comes.
func (p Profile) rehearse(issuer *ca.Public, names ca.Names, now time.Time) error {
	if p.Issuer == Upstream {
		return nil
	}
	err := issuer.Rehearse(p.request(names), now)
	if rule, broken := errors.AsType[*ca.BrokenRule](err); broken {
		return ErrProfileBroken.Saying("A certificate of the profile " + p.Name + " would break the rule " + rule.Rule + ": " + rule.Why).With(err)
	}
	return err
}

// Use says what the certificates of a profile are for. ErrProfileUnknown when
// there is none of that name, ErrProfileEncryption when none are issued here.
func (s *Service) Use(ctx context.Context, profile string) (use cert.Use, err error) {
	l, err := s.line(ctx, profile)
	if err != nil {
		return use, err
	}
	return l.Profile.Use, nil
}

// CertificateProfiles lists all profiles, those of which nothing is issued here
// too.
func (s *Service) CertificateProfiles(ctx context.Context) ([]Profile, error) {
	return s.Profiles.Profiles(ctx)
}

func (p Profile) kind() ca.Kind {
	switch p.Use {
	case cert.Identity:
		return ca.DeviceIdentity
	case cert.Signing:
		return ca.MailSigning
	case cert.Encryption:
		return ca.MailEncryption
	}
	return ""
}

// sampleUser and sampleDevice have a value for every variable that a phone can
// have one for.
var (
	sampleUser = subject.User{
		ID: "018f9d7c-0000-7000-8000-000000000001", UPN: "alice@corp.example", Mail: "alice@example.com", Name: "Alice Example",
		GivenName: "Alice", Surname: "Example", OnPremises: subject.OnPremises{Department: "Mail", SAMAccountName: "alice",
			OnPremisesUPN: "alice@ad.example", DistinguishedName: "CN=Alice Example,DC=corp,DC=example", SID: "S-1-5-21-1-2-3-1104"},
	}
	sampleDevice = subject.Device{
		ID: "018f9d7c-0000-7000-8000-000000000002", User: sampleUser.ID, UDID: "00008120-0000000000000001", Serial: "C39XY1234",
		Model: "iPhone17,1", Name: "phone", OSVersion: "18.2", IMEI: "350000000000006", MEID: "A0000000000001", WiFiMAC: "02:00:00:00:00:01",
	}
)
