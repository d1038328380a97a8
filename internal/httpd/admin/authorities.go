package admin

import (
	"context"
	"crypto/x509"
	"net/http"
	"time"

	"github.com/signet-mdm/signet/internal/access"
	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/directory"
	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/scep"
)

// Issuing makes challenges, has requests approved and ends certificates.
type Issuing interface {
	Approvals
	// Use says what the certificates of a profile are for.
	// scep.ErrProfileUnknown when there is none.
	Use(ctx context.Context, profile string) (cert.Use, error)
	// Challenge makes a one-time challenge for a certificate of that profile.
	Challenge(ctx context.Context, by journal.Actor, r scep.ChallengeRequest) (scep.Challenge, error)
	// Revoke revokes a certificate and publishes that; twice changes nothing.
	Revoke(ctx context.Context, by journal.Actor, f cert.Fingerprint, reason string) error
}

// ErrIdentityChallenge is returned when a challenge for a device's identity is
// asked for.
var ErrIdentityChallenge = fault.New(fault.Denied, "challenge_identity",
	"Identities of devices are only given out by enrollment.", "Invite the user instead.")

// NewChallenge asks for a challenge.
type NewChallenge struct {
	Profile string `json:"profile" maxLength:"64" doc:"Certificate profile, such as smime-signing"`
	User    string `json:"user" maxLength:"320" doc:"Whose certificate it is to be: our id, an address or a UPN"`
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
}

// CA is one of our CAs as lists show it.
type CA struct {
	Name      string    `json:"name" doc:"By which addresses know it"`
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
	return CA{Name: a.Name, Subject: c.Subject.String(), Issuer: c.Issuer.String(), Serial: string(cert.SerialOf(c.SerialNumber)),
		SHA256: cert.FingerprintOf(c.Raw).String(), NotBefore: c.NotBefore, NotAfter: c.NotAfter,
		PEM: string(cert.PEM(c))}
}

func (a *API) authorities() {
	register(a, operation{id: "createChallenge", once: true, tag: "certificates", method: http.MethodPost, path: "/challenges",
		summary: "Make a one-time challenge for a SCEP client", permission: access.ChallengeIssue, maxBody: small,
		status: http.StatusCreated,
		faults: []*fault.Error{scep.ErrProfileUnknown, scep.ErrHolder, ErrIdentityChallenge, directory.ErrUserUnknown}}, a.createChallenge)
	register(a, operation{id: "revoke", tag: "certificates", method: http.MethodPost, path: "/certificates/{cert}/revocation",
		summary: "Revoke a certificate that we issued", permission: access.CARevoke, maxBody: small,
		faults: []*fault.Error{scep.ErrCertificateUnknown, scep.ErrReason}}, a.revoke)
	register(a, operation{id: "listAuthorities", tag: "certificates", method: http.MethodGet, path: "/authorities", summary: "List our CAs",
		permission: access.CARead}, a.listAuthorities)
}

// createChallenge is for clients that are no enrolled device, so the
// certificate names a device of its own. It could not be an existing one: with
// an identity of an invited device whoever calls this would enroll in another
// user's name, without his code. Of identities there is none at all: only enrollment
// gives them out.
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
	device := subject.Device{ID: subject.NewDeviceID(), User: u.ID}
	c, err := a.Issuing.Challenge(ctx, by, scep.ChallengeRequest{Profile: in.Body.Profile, User: u, Device: device})
	if err != nil {
		return nil, err
	}
	out := Challenge{URL: c.URL, Challenge: c.Secret.RevealString(), Expires: c.Expires, Profile: in.Body.Profile, User: u.Mail, Device: string(device.ID)}
	if a.PlainURL != "" {
		out.HTTPURL = a.PlainURL + "/scep/" + in.Body.Profile
	}
	return &body[Challenge]{out}, nil
}

func (a *API) revoke(ctx context.Context, by journal.Actor, in *struct {
	Cert string `path:"cert" pattern:"^[0-9a-f]{64}$" doc:"SHA-256 of the certificate, hex"`
	Body struct {
		Reason string `json:"reason,omitempty" maxLength:"40" doc:"A name of RFC 5280, such as keyCompromise"`
	}
}) (*struct{}, error) {
	f, err := cert.ParseFingerprint(in.Cert)
	if err != nil {
		return nil, ErrRequest.With(err)
	}
	return &struct{}{}, a.Issuing.Revoke(ctx, by, f, in.Body.Reason)
}

func (a *API) listAuthorities(context.Context, journal.Actor, *struct{}) (*body[list[CA]], error) {
	return listOf(a.Authorities, newCA), nil
}
