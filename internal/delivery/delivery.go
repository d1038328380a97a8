// Package delivery brings to each device what it should have: it takes devices
// that are due, lets package plan decide, and writes the differences down as
// parcels and commands; it has parcels sealed by whoever holds the keys; and it
// tells people how far things are.
//
// It promises that a step may be killed anywhere and run again with the same
// final state; that no key and no challenge is in what it stores, save sealed
// to the device and for a day at most; that a device that never changes costs
// nothing; and that nothing counts as installed before the device shows it.
//
// Start at [Service.Reconcile], [Sealer.Seal] and [Service.Device].
package delivery

import (
	"context"
	"crypto/x509"
	"errors"
	"log/slog"
	"time"

	"github.com/signet-mdm/signet/appconfig"
	"github.com/signet-mdm/signet/internal/delivery/plan"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/mdm"
	"github.com/signet-mdm/signet/mdm/profile"
	"github.com/signet-mdm/signet/notify"
)

// ErrStale is returned by a store when something happened to the device since
// it was leased: the plan is dropped, and the device stays due.
var ErrStale = errors.New("delivery: the device changed meanwhile")

// Store keeps parcels, and knows who is due.
type Store interface {
	// DevicesLeased takes up to limit due devices that nobody has, and keeps
	// them from others until the lease ends. Two callers never get the same.
	DevicesLeased(ctx context.Context, now, until time.Time, limit int) ([]Lease, error)
	// Facts gives what plans depend on, for devices that exist, in a constant
	// number of statements: all but Now, Prefix, Policy, Roots, Renews, Terms
	// and Tells.
	Facts(ctx context.Context, devices []subject.DeviceID) ([]plan.Facts, error)
	// Planned carries out a decision and gives the lease back, all or nothing.
	// ErrStale when the lease is over or something happened to the device since.
	// An entry is written unless there was nothing to do; then the device is
	// not due any more, and Next is noted.
	Planned(ctx context.Context, d Decision, e journal.Entry) error
	// Ticked makes due whom time alone has changed: those whose Next has come,
	// and those who spoke again after their sealed bytes, made before stale,
	// were dropped. It forgets parcels that are over since forget, and tells
	// how many devices became due.
	Ticked(ctx context.Context, now, stale, forget time.Time) (int, error)
	// DevicesOf lists the enrolled devices of users, newest first; empty, never
	// nil. One statement.
	DevicesOf(ctx context.Context, users ...subject.UserID) ([]subject.DeviceID, error)
}

// Lease is a due device that is ours for a while.
type Lease struct {
	Device subject.DeviceID
	Rev    int64 // what has happened to it so far
	Until  time.Time
}

// Decision is a plan as it is stored.
type Decision struct {
	Lease
	Moves  []Move // in this order
	Revoke []plan.Revocation
	Mails  []notify.Mail // to the user; those beyond what one day allows are left out
	Told   *plan.Told    // what he knows then; nil: as before
	Next   time.Time     // counts when there is nothing else
}

// Empty tells whether there is nothing to do.
func (d Decision) Empty() bool { return len(d.Moves)+len(d.Revoke) == 0 && d.Told == nil }

// Move is what happens to one parcel, or a question.
type Move struct {
	Do      plan.Do
	Parcel  string       // that is there; "": none
	New     *Parcel      // with Send and Replace
	Command *mdm.Command // with Send, Replace, Withdraw, Ask, and with Again unless its command is still open
}

// Ask is the move that only queues a command.
const Ask plan.Do = "ask"

// Parcel is a new parcel.
type Parcel struct {
	plan.Parcel
	Device subject.DeviceID
	User   subject.UserID
	Frame  []byte // the profile as JSON, without secrets; nil for what is no profile
}

// Policies has the policies.
type Policies interface {
	// Policies lists all policies.
	Policies(ctx context.Context) ([]appconfig.Policy, error)
}

// Terms knows the certificate profiles, as far as renewal goes.
type Terms interface {
	// Terms gives what they say of renewal, by name. One that is not there has
	// the usual terms. From then on Roots gives what is in force then.
	Terms(ctx context.Context) (map[string]plan.Terms, error)
}

// Config says how to deliver. All but Organization, Roots, Enrollment and Terms
// is required.
type Config struct {
	Store        Store
	Policies     Policies
	Identifier   string // what all profile identifiers begin with, for ever
	Organization string
	Roots        func() []*x509.Certificate // that mail certificates are trusted through; nil: none
	// Enrollment lays out the profile that enrolled a device with that topic,
	// with an empty challenge. Nil: identities of devices are not renewed.
	Enrollment func(d subject.Device, topic string) profile.Profile
	Tells      bool  // users are told of news by mail
	Terms      Terms // nil: the usual ones
	Log        *slog.Logger
	Now        func() time.Time
}

// How long work is ours, and how much of it is taken at once.
const (
	leaseLife  = time.Minute
	batch      = 50
	staleAfter = 24 * time.Hour
	remember   = 30 * 24 * time.Hour
)

// Service plans. It holds no key.
type Service struct {
	Config
}

// New makes the service.
func New(c Config) *Service {
	if c.Store == nil || c.Policies == nil || c.Identifier == "" || c.Log == nil || c.Now == nil {
		panic("delivery: nil dependency")
	}
	if c.Roots == nil {
		c.Roots = func() []*x509.Certificate { return nil }
	}
	return &Service{c}
}

// Tick makes due whom time alone has changed, and tells how many that were.
func (s *Service) Tick(ctx context.Context) (int, error) {
	now := s.Now()
	return s.Store.Ticked(ctx, now, now.Add(-staleAfter), now.Add(-remember))
}
