package admin

import (
	"context"
	"crypto/x509"
	"net/http"
	"slices"
	"time"

	"github.com/signet-mdm/signet/internal/access"
	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/directory"
	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/rollover"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/mdm"
	"github.com/signet-mdm/signet/scep"
)

// Issuing makes challenges, has requests approved and ends certificates.
type Issuing interface {
	Approvals
	Revoking
	// Use says what the certificates of a profile are for.
	// scep.ErrProfileUnknown when there is none.
	Use(ctx context.Context, profile string) (cert.Use, error)
	// CertificateProfiles lists all certificate profiles.
	CertificateProfiles(ctx context.Context) ([]scep.Profile, error)
	// Challenge makes a one-time challenge for a certificate of that profile.
	Challenge(ctx context.Context, by journal.Actor, r scep.ChallengeRequest) (scep.Challenge, error)
}

// ErrDeliveredChallenge is returned when a challenge is asked for that would take
// the place of one which a device is on its way to use.
var ErrDeliveredChallenge = fault.New(fault.Denied, "challenge_delivered",
	"Signet gives this certificate to the device by itself.", "Leave the device out, or use a certificate profile of your own.")

// ErrIdentityChallenge is returned when a challenge for a device's identity is
// asked for.
var ErrIdentityChallenge = fault.New(fault.Denied, "challenge_identity",
	"Identities of devices are only given out by enrollment.", "Invite the user instead.")

// NewChallenge asks for a challenge.
type NewChallenge struct {
	Profile string `json:"profile" maxLength:"64" doc:"Certificate profile, such as smime-signing"`
	User    string `json:"user" maxLength:"320" doc:"Whose certificate it is to be: our id, an address or a UPN"`
	Device  string `json:"device,omitempty" maxLength:"64" doc:"An enrolled device of that user, which the certificate is for: our id, its UDID or its serial number. Left out: a client that is not managed here"`
	Hours   int    `json:"hours,omitempty" default:"1" minimum:"1" maximum:"72" doc:"How long the challenge is good"`
}

// Challenge lets a SCEP client get one certificate.
type Challenge struct {
	URL       string    `json:"url" doc:"Where the client asks"`
	HTTPURL   string    `json:"http_url" doc:"The same without TLS; empty when the server has no such listener"`
	Challenge string    `json:"challenge" doc:"Good once; shown this once"`
	Expires   time.Time `json:"expires" doc:"When it is void"`
	Profile   string    `json:"profile" doc:"Certificate profile"`
	User      string    `json:"user" doc:"Address"`
	Device    string    `json:"device" doc:"Id by which the certificate is told from those of other devices"`
}

// Authority is one of our CAs.
type Authority struct {
	Name        string
	Certificate *x509.Certificate
	Line        string // authority that it is one of
	State       rollover.State
}

// CA is one of our CAs as lists show it.
type CA struct {
	Name      string    `json:"name" doc:"By which addresses know it"`
	Authority string    `json:"authority" doc:"That certificate profiles name; it has several CAs, one after another"`
	State     string    `json:"state" enum:"next,current,past" doc:"Whether it issues: not yet, now, not any more"`
	Subject   string    `json:"subject" doc:"RFC 4514"`
	Issuer    string    `json:"issuer" doc:"RFC 4514; its own subject for a root"`
	Serial    string    `json:"serial" doc:"Hex"`
	SHA256    string    `json:"sha256" doc:"Of the certificate, hex"`
	NotBefore time.Time `json:"notBefore" doc:"Begin of validity"`
	NotAfter  time.Time `json:"notAfter" doc:"End of validity"`
	PEM       string    `json:"pem" doc:"The certificate"`
}

func newCA(a Authority) CA {
	c := a.Certificate
	return CA{Name: a.Name, Authority: a.Line, State: string(a.State), Subject: c.Subject.String(), Issuer: c.Issuer.String(), Serial: string(cert.SerialOf(c.SerialNumber)),
		SHA256: cert.FingerprintOf(c.Raw).String(), NotBefore: c.NotBefore, NotAfter: c.NotAfter,
		PEM: string(cert.PEM(c))}
}

func (a *API) authorities() {
	register(a, operation{id: "createChallenge", once: true, tag: "certificates", method: http.MethodPost, path: "/challenges",
		summary: "Make a one-time challenge for a SCEP client", permission: access.ChallengeIssue, maxBody: small,
		status: http.StatusCreated,
		faults: []*fault.Error{scep.ErrProfileUnknown, scep.ErrProfileEncryption, scep.ErrProfileBroken, scep.ErrNames, subject.ErrVariableEmpty, scep.ErrHolder, scep.ErrDomain, ErrIdentityChallenge, ErrDeliveredChallenge, scep.ErrDeviceNeeded,
			directory.ErrUserUnknown, mdm.ErrDeviceUnknown}}, a.createChallenge)
	register(a, operation{id: "listAuthorities", tag: "certificates", method: http.MethodGet, path: "/authorities", summary: "List our CAs",
		permission: access.CARead}, a.listAuthorities)
}

// createChallenge is for SCEP clients that are told of it by a person. Of
// identities there is none at all: with one of an invited device whoever calls
// this would enroll in another user's name, without his code, and be given his
// keys; only enrollment gives them out. Without a device the certificate names
// one of its own.
//
// A signing certificate may name an enrolled device of its user. It opens
// nothing: the opener takes identities only, by another CA, and mdm knows a
// device by them. What it could do is take the place of the one that the device
// is to get from us, so that the device would fail or its own be revoked as
// superseded: what is delivered is refused, and nothing but that is counted by
// deliveries.
func (a *API) createChallenge(ctx context.Context, by journal.Actor, in *body[NewChallenge]) (*body[Challenge], error) {
	use, err := a.Issuing.Use(ctx, in.Body.Profile)
	switch {
	case err != nil:
		return nil, err
	case use.Has(cert.Identity):
		return nil, ErrIdentityChallenge
	}
	u, err := a.Users.User(ctx, in.Body.User)
	if err != nil {
		return nil, err
	}
	device, err := a.challenged(ctx, in.Body, u)
	if err != nil {
		return nil, err
	}
	c, err := a.Issuing.Challenge(ctx, by, scep.ChallengeRequest{Profile: in.Body.Profile, User: u, Device: device,
		Life: time.Duration(in.Body.Hours) * time.Hour})
	if err != nil {
		return nil, err
	}
	out := Challenge{URL: c.URL, Challenge: c.Secret.RevealString(), Expires: c.Expires, Profile: in.Body.Profile, User: u.Mail, Device: string(c.Device)}
	if a.PlainURL != "" {
		out.HTTPURL = a.PlainURL + "/scep/" + in.Body.Profile
	}
	return &body[Challenge]{out}, nil
}

// challenged finds the device that a challenge is for; none when it names none.
func (a *API) challenged(ctx context.Context, n NewChallenge, u subject.User) (subject.Device, error) {
	if n.Device == "" {
		return subject.Device{}, nil
	}
	profiles, err := a.Issuing.CertificateProfiles(ctx)
	if err != nil {
		return subject.Device{}, err
	}
	if slices.ContainsFunc(profiles, func(p scep.Profile) bool { return p.Name == n.Profile && p.Delivers() }) {
		return subject.Device{}, ErrDeliveredChallenge
	}
	d, err := a.Devices.Device(ctx, n.Device)
	switch {
	case err != nil:
		return subject.Device{}, err
	case d.User != u.ID || d.State != mdm.Enrolled:
		return subject.Device{}, scep.ErrHolder
	}
	return d.Device.Device, nil
}

func (a *API) listAuthorities(context.Context, journal.Actor, *struct{}) (*body[list[CA]], error) {
	return listOf(a.Authorities(), newCA), nil
}
