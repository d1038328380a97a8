package scep

import (
	"context"
	"errors"
	"regexp"
	"time"
	"unicode/utf8"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/scep/ca"
)

// Profile says what certificates are issued at one SCEP address. Texts may
// hold {{variables}}; they come from our records when the challenge is made,
// never from a request.
type Profile struct {
	Name         string   // in the address and in records
	Issuer       string   // name of the CA
	Use          cert.Use // Identity or Signing
	CommonName   []string // the first that has a value and fits
	Organization string
	Mail         []string // addresses; each must have a value
	URIs         []string
	Policy       string        // dotted OID of the organisation's own policy; may be empty
	Life         time.Duration // at most 825 days
	// RenewWithin is how long before its end a certificate can be renewed with
	// its own signature; 0: with a new challenge only.
	RenewWithin time.Duration
	// ChallengeLife is how long a challenge waits for the device.
	ChallengeLife time.Duration
	// Legacy also serves clients that speak DES, triple DES and SHA-1 only.
	// Replies are AES and SHA-256 all the same.
	Legacy bool
	// Approval says that a person decides on each certificate.
	Approval bool
	// NeedsDevice says that a challenge is for a device that is enrolled.
	NeedsDevice bool
	// MatchNames says that a request must ask for the names that the certificate
	// will have. It gets those in any case.
	MatchNames bool
}

// The names of the shipped profiles.
const (
	DeviceIdentity = "device-identity"
	MailSigning    = "smime-signing"
)

const day = 24 * time.Hour

// Shipped gives the profiles that come with Signet: device identities by one
// CA, S/MIME signing certificates by another.
//
// A signing challenge travels sealed to the device, so it lives longer than the
// identity's, which is shown to whoever downloads the enrollment profile.
func Shipped(deviceCA, mailCA string) []Profile {
	return []Profile{
		{
			Name: DeviceIdentity, Issuer: deviceCA, Use: cert.Identity,
			CommonName: []string{"{{deviceId}}"}, URIs: []string{cert.HolderURI("{{userId}}")},
			Life: 365 * day, RenewWithin: 90 * day, ChallengeLife: time.Hour,
		},
		{
			Name: MailSigning, Issuer: mailCA, Use: cert.Signing,
			CommonName: []string{"{{displayName}}", "{{mail}}"}, Mail: []string{"{{mail}}"},
			Life: 365 * day, RenewWithin: 90 * day, ChallengeLife: sealedLife,
		},
	}
}

var profileName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,63}$`)

func (p Profile) check() error {
	switch {
	case p.Use.Has(cert.Encryption):
		return ErrProfileEncryption
	case !profileName.MatchString(p.Name):
		return ErrProfileInvalid.Saying("The name of a certificate profile has other characters than a-z, 0-9 and -.")
	case p.kind() == "":
		return ErrProfileInvalid.Saying("The certificate profile " + p.Name + " is neither for signing nor for device identities.")
	case p.Life <= 0 || p.ChallengeLife <= 0 || p.RenewWithin < 0 || len(p.CommonName) == 0:
		return ErrProfileInvalid.Saying("The certificate profile " + p.Name + " lacks a lifetime or a common name.")
	case p.Use == cert.Identity && p.Approval:
		return ErrProfileInvalid.Saying("The certificate profile " + p.Name + " is for device identities: a device that enrolls waits for nobody.")
	}
	return nil
}

// Use says what the certificates of a profile are for. ErrProfileUnknown when
// there is none of that name.
func (s *Service) Use(ctx context.Context, profile string) (use cert.Use, err error) {
	l, err := s.line(ctx, profile)
	if err != nil {
		return use, err
	}
	return l.Profile.Use, nil
}

func (p Profile) kind() ca.Kind {
	switch p.Use {
	case cert.Identity:
		return ca.DeviceIdentity
	case cert.Signing:
		return ca.MailSigning
	}
	return ""
}

// names fills the templates in.
func (p Profile) names(u subject.User, d subject.Device) (n ca.Names, err error) {
	if n.CommonName, err = p.commonName(u, d); err != nil {
		return n, err
	}
	if n.Organization, err = subject.Expand(p.Organization, u, d); err != nil {
		return n, err
	}
	if n.Mail, err = expandAll(p.Mail, u, d); err != nil {
		return n, err
	}
	n.URIs, err = expandAll(p.URIs, u, d)
	return n, err
}

// maxCommonName is the bound of X.520, in characters.
const maxCommonName = 64

func (p Profile) commonName(u subject.User, d subject.Device) (string, error) {
	for _, template := range p.CommonName {
		name, err := subject.Expand(template, u, d)
		switch {
		case errors.Is(err, subject.ErrVariableEmpty):
			continue
		case err != nil:
			return "", err
		case utf8.RuneCountInString(name) <= maxCommonName:
			return name, nil
		}
	}
	return "", ErrNames
}

func expandAll(templates []string, u subject.User, d subject.Device) ([]string, error) {
	var out []string
	for _, t := range templates {
		s, err := subject.Expand(t, u, d)
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}
