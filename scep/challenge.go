package scep

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"time"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/internal/subject"
)

// ChallengeRequest says for what certificate a challenge is wanted.
type ChallengeRequest struct {
	Profile string
	User    subject.User
	Device  subject.Device // of that user; zero for a client that is managed elsewhere, which gets an id of its own
	Life    time.Duration  // how long it waits; 0: as long as the profile says
}

// Challenge is what a SCEP payload needs.
type Challenge struct {
	Secret      seal.Secret
	URL         string
	Fingerprint []byte // SHA-256 of the root's certificate, CAFingerprint of the payload
	Expires     time.Time
	Device      subject.DeviceID
}

// Challenge makes a challenge that gives one certificate of that profile, with
// what the records say now, to whoever presents it first. Unused older ones of
// the same profile and device are void from then on. It fails when a name that
// the profile wants has no value, and without a device when the profile needs
// one.
func (s *Service) Challenge(ctx context.Context, by journal.Actor, r ChallengeRequest) (Challenge, error) {
	l, err := s.line(ctx, r.Profile)
	if err != nil {
		return Challenge{}, err
	}
	switch {
	case r.Device.ID == "" && (l.NeedsDevice || l.Profile.Use == cert.Identity):
		return Challenge{}, ErrDeviceNeeded
	case r.Device.ID == "":
		r.Device = subject.Device{ID: subject.NewDeviceID(), User: r.User.ID}
	}
	if r.User.Disabled || r.Device.User != r.User.ID || !subject.ValidID(string(r.User.ID)) || !subject.ValidID(string(r.Device.ID)) {
		return Challenge{}, ErrHolder
	}
	names, err := l.names(r.User, r.Device)
	if err != nil {
		return Challenge{}, s.nameless(ctx, by, r, err)
	}
	for _, addr := range names.Mail {
		if !l.issuer.Permits(addr) {
			return Challenge{}, ErrDomain
		}
	}
	now, g := s.Now(), Grant{Profile: l.Name, Holder: cert.Holder{User: r.User.ID, Device: r.Device.ID}, Names: names}
	if l.Profile.Use != cert.Identity { // whose names are always the same
		if err := l.rehearse(l.issuer, names, now); err != nil {
			return Challenge{}, s.nameless(ctx, by, r, err)
		}
	}
	secret, until, err := s.secret(ctx, l, g, now.Add(cmp.Or(r.Life, l.ChallengeLife)))
	if err != nil {
		return Challenge{}, err
	}
	t := Ticket{Grant: g, Hash: secret.Hash(), Created: now, Expires: until}
	if err := s.Store.ChallengeMade(ctx, t, entry(now, by, journal.ChallengeIssued, t.Grant)); err != nil {
		return Challenge{}, err
	}
	chain := l.issuer.Chain()
	sum := sha256.Sum256(chain[len(chain)-1].Raw) // the root stays when the issuing CA is replaced
	return Challenge{Secret: secret, URL: s.URL + "/" + l.Name, Fingerprint: sum[:], Expires: t.Expires, Device: r.Device.ID}, nil
}

// nameless writes down for whom there is no challenge, and why, and gives the
// reason.
func (s *Service) nameless(ctx context.Context, by journal.Actor, r ChallengeRequest, why error) error {
	f := fault.Of(why)
	if f == nil {
		return why
	}
	g := Grant{Profile: r.Profile, Holder: cert.Holder{User: r.User.ID, Device: r.Device.ID}}
	e := entry(s.Now(), by, journal.ChallengeFailed, g)
	e.Detail["code"], e.Detail["why"] = f.Code, f.Msg
	return errors.Join(why, s.Store.Noted(ctx, e))
}

// SigningChallenge makes a challenge for an S/MIME signing certificate of that
// profile, "" for the usual one, which a configuration profile on its way to a
// device holds. ErrDelivered and ErrUndelivered when that could not come to
// anything.
func (s *Service) SigningChallenge(ctx context.Context, profile string, u subject.User, d subject.Device) (url string, secret seal.Secret, err error) {
	p, err := s.Profiles.Profile(ctx, cmp.Or(profile, MailSigning))
	switch {
	case err != nil:
		return "", seal.Secret{}, err
	case !p.Delivers():
		return "", seal.Secret{}, ErrUndelivered
	case p.Approval || p.MatchNames:
		return "", seal.Secret{}, ErrDelivered
	}
	c, err := s.Challenge(ctx, journal.Worker("delivery"), ChallengeRequest{Profile: p.Name, User: u, Device: d})
	return c.URL, c.Secret, err
}

// sealedLife is the life of challenges that travel sealed to one device and are
// kept for it up to a day.
const sealedLife = 25 * time.Hour

// IdentityChallenge makes a challenge with which a device renews its identity.
func (s *Service) IdentityChallenge(ctx context.Context, u subject.User, d subject.Device) (url string, secret seal.Secret, err error) {
	c, err := s.Challenge(ctx, journal.Worker("delivery"), ChallengeRequest{Profile: DeviceIdentity, User: u, Device: d, Life: sealedLife})
	return c.URL, c.Secret, err
}

// refusal tells why t gives no certificate of that profile now; nil when it
// does.
func (t Ticket) refusal(profile string, now time.Time) error {
	switch {
	case t.Profile != profile:
		return ErrChallengeProfile
	case !t.Used.IsZero():
		return ErrChallengeUsed
	case !t.Voided.IsZero():
		return ErrChallengeVoid
	case !now.Before(t.Expires):
		return ErrChallengeExpired
	case t.Gone:
		return ErrHolder
	}
	return nil
}

// entry is about the holder of g.
func entry(at time.Time, by journal.Actor, a journal.Action, g Grant) journal.Entry {
	return journal.Entry{At: at, Actor: by, Action: a, User: g.Holder.User, Device: g.Holder.Device,
		Detail: map[string]string{"profile": g.Profile}}
}
