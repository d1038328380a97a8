package delivery

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/logx"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/mdm/profile"
)

// Opener opens escrowed keys and seals them to a device at once.
type Opener interface {
	// Ready tells whether keys can be opened now; with an error, which says why
	// not, what needs one has to wait.
	Ready(ctx context.Context) error
	// Seal fills the keys into the frame, encrypts it to the device and signs
	// it. iosMajor is 0 when it is unknown. It checks by itself whose device
	// that is.
	Seal(ctx context.Context, device subject.DeviceID, frame profile.Profile, iosMajor int) ([]byte, error)
}

// Challenger lets devices get signing certificates.
type Challenger interface {
	// SigningChallenge makes a one-time challenge for a signing certificate of
	// that certificate profile, "" for the usual one, and voids the unused ones
	// of before.
	SigningChallenge(ctx context.Context, profile string, user subject.User, device subject.Device) (url string, secret seal.Secret, err error)
	// SigningNames gives the names that the certificate will have, where the
	// device must ask for them: a CA that is not ours takes them from its
	// request. No name: it may ask for what it likes.
	SigningNames(ctx context.Context, profile string, user subject.User, device subject.Device) (name [][][]string, mail, uris []string, err error)
}

// Renewer lets devices renew their identity.
type Renewer interface {
	// IdentityChallenge makes a one-time challenge for a device identity, and
	// voids the unused ones of before.
	IdentityChallenge(ctx context.Context, user subject.User, device subject.Device) (url string, secret seal.Secret, err error)
}

// Signer signs what goes to devices.
type Signer interface {
	// SignProfile wraps an encoded profile in a signature that devices trust.
	SignProfile(encoded []byte) ([]byte, error)
}

// Parcels keeps what is to be sealed.
type Parcels interface {
	// ParcelsLeased takes up to limit parcels that want to be sealed, oldest
	// first, and keeps them from others until the lease ends. Two callers never
	// get the same.
	ParcelsLeased(ctx context.Context, now, until time.Time, limit int) ([]Unsealed, error)
	// KeylessLeased is ParcelsLeased of those that need no key.
	KeylessLeased(ctx context.Context, now, until time.Time, limit int) ([]Unsealed, error)
	// ParcelSealed stores the bytes and wants the device woken, or tells that
	// it did not: the lease is over, or they are not wanted any more.
	ParcelSealed(ctx context.Context, s SealedParcel, e journal.Entry) (stored bool, err error)
	// ParcelFailed notes why it could not be sealed. Under the same conditions.
	ParcelFailed(ctx context.Context, f FailedParcel, e journal.Entry) (stored bool, err error)
}

// Unsealed is a parcel that wants to be sealed.
type Unsealed struct {
	ID       string
	Device   subject.Device
	User     subject.User
	Frame    []byte
	NeedsKey bool
	Until    time.Time // end of the lease
}

// SealedParcel is a parcel that was sealed.
type SealedParcel struct {
	ID     string
	Device subject.DeviceID
	Bytes  []byte
	At     time.Time
	Until  time.Time // of the lease
}

// FailedParcel is a parcel that could not be sealed.
type FailedParcel struct {
	ID     string
	Reason string // a sentence, for people
	At     time.Time
	Until  time.Time // of the lease
}

// SealerConfig is what a sealer needs; all of it but Renewer.
type SealerConfig struct {
	Parcels    Parcels
	Opener     Opener
	Challenger Challenger
	Renewer    Renewer // nil where [Config] has no Enrollment
	Signer     Signer
	Log        *slog.Logger
	Now        func() time.Time
}

// Sealer seals parcels. It runs where the keys are.
type Sealer struct {
	SealerConfig
}

// NewSealer makes a sealer.
func NewSealer(c SealerConfig) *Sealer {
	if c.Parcels == nil || c.Opener == nil || c.Challenger == nil || c.Signer == nil || c.Log == nil || c.Now == nil {
		panic("delivery: nil dependency")
	}
	if c.Renewer == nil {
		c.Renewer = noRenewer{}
	}
	return &Sealer{c}
}

// How long parcels are ours, and how many at once.
const (
	sealLease = 2 * time.Minute
	sealBatch = 16
)

// Seal seals parcels that want it and tells how many it looked at. One that
// cannot be sealed is noted as failed, with the reason, and does not keep the
// others waiting. What was sealed and not stored is sealed again, with new
// passwords and challenges. While no key can be opened, what needs one waits.
func (s *Sealer) Seal(ctx context.Context) (n int, err error) {
	now, lease := s.Now(), s.Parcels.ParcelsLeased
	if s.Opener.Ready(ctx) != nil {
		lease = s.Parcels.KeylessLeased
	}
	list, err := lease(ctx, now, now.Add(sealLease), sealBatch)
	if err != nil {
		return 0, fmt.Errorf("leasing parcels: %w", err)
	}
	var errs []error
	for _, u := range list {
		if err := s.one(ctx, u); err != nil {
			errs = append(errs, fmt.Errorf("parcel %s: %w", u.ID, err))
		}
	}
	return len(list) - len(errs), errors.Join(errs...)
}

func (s *Sealer) one(ctx context.Context, u Unsealed) error {
	at := s.Now() // what happens to the device from here on may make the bytes stale
	sealed, failure := s.seal(ctx, u)
	e := journal.Entry{At: at, Actor: journal.Worker("keeper"), User: u.User.ID, Device: u.Device.ID,
		Detail: map[string]string{"parcel": u.ID}}
	var err error
	switch {
	case failure == nil:
		e.Action = journal.ParcelSealed
		_, err = s.Parcels.ParcelSealed(ctx, SealedParcel{ID: u.ID, Device: u.Device.ID, Bytes: sealed, At: e.At, Until: u.Until}, e)
	case ctx.Err() != nil:
		return failure // the process ends; nothing is wrong with the parcel
	case u.NeedsKey && s.Opener.Ready(ctx) != nil:
		return failure // it went away meanwhile: the parcel waits, until the lease ends
	default:
		s.Log.WarnContext(ctx, "parcel not sealed", logx.Parcel, u.ID, logx.Device, string(u.Device.ID), logx.Err, failure)
		e.Action, e.Detail["code"], e.Due = journal.ParcelFailed, fault.Code(failure), subject.OfDevice(u.Device.ID)
		_, err = s.Parcels.ParcelFailed(ctx, FailedParcel{ID: u.ID, Reason: reason(failure), At: e.At, Until: u.Until}, e)
	}
	return err
}

// reason is what people are shown; only declared failures say more than that
// there was one.
func reason(err error) string {
	if f := fault.Of(err); f != nil {
		return f.Msg
	}
	return "It could not be sealed; the server's log says why."
}

// seal makes the bytes that the device gets.
func (s *Sealer) seal(ctx context.Context, u Unsealed) ([]byte, error) {
	var frame profile.Profile
	if err := json.Unmarshal(u.Frame, &frame); err != nil {
		return nil, fmt.Errorf("reading frame: %w", err)
	}
	challenge := s.challenger(frame)
	for _, p := range frame.SCEPs() {
		url, challenge, err := challenge(ctx, p.Profile, u.User, u.Device)
		if err != nil {
			return nil, fmt.Errorf("making a challenge: %w", err)
		}
		if err := s.name(ctx, u, p); err != nil {
			return nil, err
		}
		renew(frame, p, challenge)
		p.URL, p.Challenge = url, challenge
	}
	if u.NeedsKey {
		return s.Opener.Seal(ctx, u.Device.ID, frame, u.Device.OSMajor())
	}
	encoded, err := frame.Encode()
	if err != nil {
		return nil, err
	}
	return s.Signer.SignProfile(encoded)
}

// name has the device ask for the names that its certificate will have.
func (s *Sealer) name(ctx context.Context, u Unsealed, p *profile.SCEP) error {
	name, mail, uris, err := s.Challenger.SigningNames(ctx, p.Profile, u.User, u.Device)
	if err != nil {
		return fmt.Errorf("looking up the names of a signing certificate: %w", err)
	}
	if len(name) > 0 && p.KeyUsage == profile.SigningKey {
		p.Subject, p.AltNames = name, profile.AltNames{Email: mail, URI: uris}
	}
	return nil
}

// challenger tells who gives the challenges of a profile: one that enrolls asks
// for an identity.
func (s *Sealer) challenger(frame profile.Profile) func(context.Context, string, subject.User, subject.Device) (string, seal.Secret, error) {
	if slices.ContainsFunc(frame.Payloads, func(p profile.Payload) bool { _, is := p.(*profile.MDM); return is }) {
		return func(ctx context.Context, _ string, u subject.User, d subject.Device) (string, seal.Secret, error) {
			return s.Renewer.IdentityChallenge(ctx, u, d)
		}
	}
	return s.Challenger.SigningChallenge
}

// noRenewer stands where no identity is renewed.
type noRenewer struct{}

func (noRenewer) IdentityChallenge(context.Context, subject.User, subject.Device) (string, seal.Secret, error) {
	return "", seal.Secret{}, errors.New("delivery: identities are not renewed here")
}

// renew gives a SCEP payload, and all that names it, a UUID of its own: under
// the old one a device might keep the key it has.
//
// Spec: Apple, CommonPayloadKeys, PayloadUUID
func renew(frame profile.Profile, p *profile.SCEP, challenge seal.Secret) {
	old := p.UUID
	p.UUID = profile.UUID(p.Identifier, challenge.Hash().String())
	for _, payload := range frame.Payloads {
		switch a := payload.(type) {
		case *profile.Exchange:
			if a.SigningUUID == old {
				a.SigningUUID = p.UUID
			}
		case *profile.MDM:
			if a.IdentityUUID == old {
				a.IdentityUUID = p.UUID
			}
		case *profile.Mail:
			if a.SigningUUID == old {
				a.SigningUUID = p.UUID
			}
		}
	}
}
