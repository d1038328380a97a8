// Package keymaker makes keys for people to whom nobody can encrypt mail, and
// makes others before their certificates end. It runs in the keeper only.
//
// It promises that a key is sealed, to every recipient that imported keys are
// sealed to, before its certificate is stored, and that both are stored
// together or not at all: a process that dies leaves a serial number that is
// revoked, and nothing that anybody could have used. However often it is told,
// and by however many, a user gets one certificate, not two.
//
// From then on the certificate is one of the user's encryption history like an
// imported one. Start at [Maker.Issue] and [Maker.Renew].
package keymaker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/pfxconnector/escrow"
)

// What can go wrong with a key that is to be made.
var (
	ErrUser = fault.New(fault.Denied, "encryption_user_disabled",
		"The user is disabled: nobody makes a key for him.", "")
	ErrRaced = fault.New(fault.Unavailable, "encryption_raced",
		"Somebody else had a key made for the user at the same time.", "Look again; there is one now.")
	ErrUnusable = fault.New(fault.Conflict, "encryption_unusable",
		"The certificate that was made could not become the user's current one.", "Look at the certificate profile smime-encryption: it must name the user's primary address.")
)

// Store keeps what is made.
type Store interface {
	// Imported lists a user's certificates whose keys are in escrow.
	Imported(ctx context.Context, id subject.UserID) ([]cert.Record, error)
	// LastMade gives the last certificate that was made for the user; zero when
	// there is none.
	LastMade(ctx context.Context, id subject.UserID) (cert.Fingerprint, error)
	// KeyMade completes the reservation of m's serial number and stores the
	// certificate with its sealed key, all or nothing: ErrRaced when another was
	// made after m.Follows, ErrUser when the user is disabled or gone. Nothing is
	// sealed to an escrow key that was destroyed.
	KeyMade(ctx context.Context, m Made, e journal.Entry) error
	// MadeEnding lists the last certificates that were made for enabled users,
	// are good, and have no more than that share of their validity left.
	MadeEnding(ctx context.Context, now time.Time, percent int) ([]Ending, error)
}

// Made is a certificate with its sealed key.
type Made struct {
	escrow.Deposit
	Issuer  string           // in whose records the serial number is reserved
	Follows cert.Fingerprint // that was made for the user before; zero: nothing
}

// Ending is a certificate that is to be followed by another.
type Ending struct {
	Cert      cert.Fingerprint
	User      subject.UserID
	NotBefore time.Time
	NotAfter  time.Time
}

// Certifier has the CA.
type Certifier interface {
	// MakeEncryption makes a key for the user, PKCS #8, and a certificate for it.
	// It writes the serial number down in the records of issuer, and nothing else.
	MakeEncryption(ctx context.Context, u subject.User, follows cert.Fingerprint) (issuer string, r cert.Record, key seal.Secret, err error)
	// EncryptionRenewal tells how much of the validity is left when another is to
	// follow, in percent; 0: none does.
	EncryptionRenewal(ctx context.Context) (percent int, err error)
}

// Users finds people.
type Users interface {
	// User gives the user with that id; a fault of kind NotFound when there is
	// none.
	User(ctx context.Context, key string) (subject.User, error)
}

// Config is what a maker needs; all of it.
type Config struct {
	Store     Store
	Users     Users
	Certifier Certifier
	Sealer    *escrow.Sealer
	Log       *slog.Logger
	Now       func() time.Time
}

// Maker makes keys.
type Maker struct{ Config }

// New makes a maker.
func New(c Config) *Maker {
	if c.Store == nil || c.Users == nil || c.Certifier == nil || c.Sealer == nil || c.Log == nil || c.Now == nil {
		panic("keymaker: nil dependency")
	}
	return &Maker{c}
}

// Issue sees that the user with that id has a certificate that others encrypt
// to: it makes one unless he has. ErrUser for one who is disabled.
func (m *Maker) Issue(ctx context.Context, by journal.Actor, id string) error {
	u, err := m.Users.User(ctx, id)
	if err != nil {
		return fmt.Errorf("looking for user %s: %w", id, err)
	}
	current, err := m.current(ctx, u)
	if err != nil || current != nil {
		return err
	}
	return m.make(ctx, by, u)
}

// current gives the certificate that others encrypt to; nil when there is none.
func (m *Maker) current(ctx context.Context, u subject.User) (*cert.Record, error) {
	records, err := m.Store.Imported(ctx, u.ID)
	if err != nil {
		return nil, fmt.Errorf("reading certificates of %s: %w", u.ID, err)
	}
	return cert.Choose(records, u.Mail, m.Now()).Current, nil
}

// makeTime is how long it may take from the serial number to what is stored.
const makeTime = time.Minute

// make makes a key, seals it, and then stores it with its certificate.
func (m *Maker) make(ctx context.Context, by journal.Actor, u subject.User) error {
	if u.Disabled {
		return ErrUser
	}
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), makeTime)
	defer stop()
	follows, err := m.Store.LastMade(ctx, u.ID)
	if err != nil {
		return fmt.Errorf("looking for what was made for %s: %w", u.ID, err)
	}
	issuer, r, key, err := m.Certifier.MakeEncryption(ctx, u, follows)
	if err != nil {
		return fmt.Errorf("making a certificate for %s: %w", u.ID, err)
	}
	defer key.Wipe()
	made := Made{Issuer: issuer, Follows: follows}
	if made.Deposit, err = m.seal(by, r, key); err != nil {
		return err
	}
	if choice := cert.Choose([]cert.Record{made.Certificate}, u.Mail, m.Now()); choice.Current == nil {
		return ErrUnusable.With(errors.New(choice.Reasons[r.Fingerprint]))
	}
	e := journal.Entry{At: r.CreatedAt, Actor: by, Action: journal.KeyMade, User: u.ID, Cert: r.Fingerprint,
		Due: subject.OfUser(u.ID), Detail: map[string]string{"serial": string(r.Serial), "profile": r.Profile}}
	if err := m.Store.KeyMade(ctx, made, e); err != nil {
		return fmt.Errorf("storing the key of %s: %w", r.Fingerprint, err)
	}
	return nil
}

// seal puts a key into escrow.
func (m *Maker) seal(by journal.Actor, r cert.Record, key seal.Secret) (escrow.Deposit, error) {
	leaf, err := r.Certificate()
	if err != nil {
		return escrow.Deposit{}, fmt.Errorf("reading certificate %s: %w", r.Fingerprint, err)
	}
	r.Deliverable = cert.Undeliverable(leaf)
	sealed, err := m.Sealer.Seal(escrow.Key{User: r.Holder.User, Certificate: leaf, PKCS8: key.Reveal()})
	if err != nil {
		return escrow.Deposit{}, fmt.Errorf("sealing %s: %w", r.Fingerprint, err)
	}
	sealed.CreatedAt, sealed.CreatedBy = r.CreatedAt, string(by.Kind)+":"+by.ID
	return escrow.Deposit{Certificate: r, Key: sealed}, nil
}
