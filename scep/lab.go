package scep

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"time"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/logx"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/internal/subject"
)

// ErrLab is returned for a static challenge that cannot be had.
var ErrLab = fault.New(fault.Invalid, "scep_lab",
	"The static challenge cannot be used.", "It needs 16 characters at least, and a certificate profile that is for no device.")

// minLab is how many bytes a static challenge has at least.
const minLab = 16

// labLife is how long a request with a static challenge may be tried.
const labLife = time.Hour

// Lab is a challenge that does not end, for the clients of a laboratory that
// can be told no other. Each key that it is presented with gets a certificate,
// in the name of one user and for a device of its own.
type Lab struct {
	Profile   string
	Challenge seal.Secret
	User      func(context.Context) (subject.User, error) // whose name it is
}

// check tells what is wrong with it; nil without one.
func (l *Lab) check(p Profile) error {
	switch {
	case len(l.Challenge.Reveal()) < minLab:
		return ErrLab.Saying("The static challenge has fewer than 16 characters.")
	case p.Use != cert.Signing || p.NeedsDevice:
		return ErrLab.Saying("The certificate profile " + p.Name + " is for devices or not for signing: it has no static challenge.")
	}
	return nil
}

// is tells whether that challenge is presented to that profile. It takes as long
// for any.
func (l *Lab) is(p Profile, presented seal.Secret) bool {
	if l == nil || l.Profile != p.Name || l.check(p) != nil {
		return false
	}
	want, got := l.Challenge.Hash(), presented.Hash()
	return subtle.ConstantTimeCompare(want[:], got[:]) == 1
}

// CheckLab tells why the static challenge, if there is one, cannot be used.
// ErrLab, ErrProfileUnknown.
func (v *Certifier) CheckLab(ctx context.Context) error {
	if v.Lab == nil {
		return nil
	}
	p, err := v.Profiles.Profile(ctx, v.Lab.Profile)
	if err != nil {
		return err
	}
	return v.Lab.check(p)
}

// ticket finds the challenge that a request presents. A static one becomes one
// of this transaction and key, so that all that holds for a challenge holds for
// it: one certificate, also when it is sent again.
func (v *Certifier) ticket(ctx context.Context, a issuing) (Ticket, error) {
	if v.guessing(a.profile) {
		return Ticket{}, ErrTooMany.Saying("The static challenge of this certificate profile is being guessed, from whatever address.")
	}
	if !v.Lab.is(a.profile, a.wanted.challenge) {
		t, err := v.Store.Ticket(ctx, a.wanted.challenge.Hash())
		unknown := errors.Is(err, ErrChallengeUnknown)
		switch {
		case unknown && a.profile.Validator != "", err == nil && t.elsewhere():
			return v.ticketElsewhere(ctx, a, t, !unknown)
		case unknown:
			v.guessed(ctx, a)
		}
		return t, err
	}
	hash := seal.Hash(sha256.Sum256([]byte("lab\x00" + a.Profile + "\x00" + a.Transaction + "\x00" + a.wanted.spki.String())))
	t, err := v.Store.Ticket(ctx, hash)
	if !errors.Is(err, ErrChallengeUnknown) {
		return t, err
	}
	if t, err = v.labTicket(ctx, a, hash); err != nil {
		return Ticket{}, err
	}
	return v.stored(ctx, "lab", t)
}

// stored stores a ticket in the name of a worker, and gives it as it is then;
// that of the same challenge where another request was faster.
func (v *Certifier) stored(ctx context.Context, worker string, t Ticket) (Ticket, error) {
	failed := v.Store.ChallengeMade(ctx, t, entry(t.Created, journal.Worker(worker), journal.ChallengeIssued, t.Grant))
	now, err := v.Store.Ticket(ctx, t.Hash)
	if err != nil && failed != nil {
		return Ticket{}, failed
	}
	return now, err
}

// maxGuesses is how many wrong challenges a profile with a static one takes in
// a minute, from whatever address: an RA may say any. Other challenges have 128
// random bits, and counting guesses at them would only lock people out.
const maxGuesses = 100

// guessing tells whether the static challenge of a profile is being guessed.
func (v *Certifier) guessing(p Profile) (is bool) {
	if v.Lab == nil || v.Lab.Profile != p.Name {
		return false
	}
	v.guesses.with(p.Name, v.Now(), func(n *int) { is = *n >= maxGuesses })
	return is
}

// guessed counts a wrong challenge, and says once a minute that there are many.
func (v *Certifier) guessed(ctx context.Context, a issuing) {
	if v.Lab != nil && v.Lab.Profile == a.Profile && v.guesses.another(a.Profile, v.Now()) == maxGuesses {
		v.Log.ErrorContext(ctx, "the static challenge is being guessed", logx.Profile, a.Profile, logx.Remote, a.Remote)
	}
}

// labTicket gives the ticket of a key that presents the static challenge.
func (v *Certifier) labTicket(ctx context.Context, a issuing, hash seal.Hash) (t Ticket, err error) {
	u, err := v.Lab.User(ctx)
	if err != nil {
		return t, err
	}
	if u.Disabled {
		return t, ErrHolder
	}
	d := subject.Device{ID: subject.NewDeviceID(), User: u.ID}
	names, err := a.profile.names(u, d)
	if err != nil {
		return t, err
	}
	g, now := Grant{Profile: a.Profile, Holder: cert.Holder{User: u.ID, Device: d.ID}, Names: names}, v.Now()
	return Ticket{Grant: g, Hash: hash, Created: now, Expires: now.Add(labLife)}, nil
}
