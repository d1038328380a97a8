package mdm

import (
	"context"
	"time"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/internal/subject"
)

// Store keeps all that mdm knows.
type Store interface {
	Invitations
	Enrollments
	Queue
	Shelf
}

// Invitations keeps invitations with the devices they were made for.
type Invitations interface {
	// Invited inserts the device, in state Invited, and its invitation.
	Invited(ctx context.Context, inv Invitation, e journal.Entry) error
	// Invitation finds one by its token's hash, with its user, its device and
	// the device's state. ErrInvitation when there is none.
	Invitation(ctx context.Context, token seal.Hash) (Invitation, error)
	// InvitationOf finds the one of a device. ErrInvitation when there is none.
	InvitationOf(ctx context.Context, device subject.DeviceID) (Invitation, error)
	// CodeTried redeems the invitation when the try's code is its code, it is
	// not redeemed, not over and has tries left, and tells whether it did.
	// Otherwise it counts the try. Atomic; one of many at once wins.
	CodeTried(ctx context.Context, t Try) (redeemed bool, err error)
	// ProfileDownloaded notes at e.At that the enrollment profile of a device
	// was fetched.
	ProfileDownloaded(ctx context.Context, device subject.DeviceID, e journal.Entry) error
	// Stages gives how far the invitations of devices have come, in one
	// statement; those that do not exist are left out.
	Stages(ctx context.Context, devices []subject.DeviceID) (map[subject.DeviceID]Stage, error)
}

// Try is one attempt to redeem an invitation.
type Try struct {
	Token, Code      seal.Hash
	MaxTries         int
	At               time.Time
	Accepted, Failed journal.Entry // one of them is written
}

// Enrollments keeps the life of devices.
type Enrollments interface {
	// Authenticated binds the device to its UDID and identity; one in state
	// Invited becomes Enrolling. The binding's Supersedes loses the UDID and
	// becomes Removed with its queue cancelled. ErrIdentity when the device was
	// bound to another UDID or removed meanwhile, ErrDeviceTaken when the UDID
	// is still another's.
	Authenticated(ctx context.Context, b Binding, entries ...journal.Entry) error
	// TokensUpdated stores the push address; an Enrolling device becomes
	// Enrolled. An absent unlock token leaves the one there is.
	TokensUpdated(ctx context.Context, t Tokens, e journal.Entry) error
	// DeviceRemoved makes a device Removed and cancels its queue; then farewell
	// is queued unless it is nil. A device that is Removed already stays as it
	// is but for its queue, and no entry is written.
	DeviceRemoved(ctx context.Context, id subject.DeviceID, farewell *Command, e journal.Entry) error
	// DeviceLost does what DeviceRemoved does, and remembers that the device is
	// in strange hands.
	DeviceLost(ctx context.Context, id subject.DeviceID, farewell *Command, e journal.Entry) error
	// DeviceDismissed does what DeviceRemoved does to an enrolled device that
	// people remove. ErrManyRemoved when, with this one, they removed more since
	// than is allowed; of many at once no more than that many succeed.
	DeviceDismissed(ctx context.Context, d Dismissal, e journal.Entry) error
	// Record writes an entry that has no other effect.
	Record(ctx context.Context, e journal.Entry) error
}

// Dismissal is an enrolled device that people remove.
type Dismissal struct {
	Device   subject.DeviceID
	Farewell Command
	Since    time.Time // their removals from then on count
	Most     int       // so many may be removed, 0: any number
	Percent  int       // and not more than so many of a hundred that there were
	Fleet    int       // where there were at least so many
}

// Binding is what Authenticate brings.
type Binding struct {
	Device     subject.DeviceID
	UDID       string
	Identity   cert.Fingerprint
	Topic      string
	Told       Information // empty fields leave what is stored
	Supersedes subject.DeviceID
	At         time.Time
}

// Tokens is what TokenUpdate brings.
type Tokens struct {
	Device      subject.DeviceID
	Topic       string
	Token       seal.Secret
	PushMagic   seal.Secret
	UnlockToken seal.Secret // empty: none came
	At          time.Time
}

// Queue keeps the commands of devices.
type Queue interface {
	// Queued puts commands behind those of their devices. All or none.
	Queued(ctx context.Context, commands []Command, e journal.Entry) error
	// Refreshed puts commands behind those of the device, and lets what it
	// refused too often be brought again. With a wish to renew, what was issued
	// to the device before e.At is to be renewed.
	Refreshed(ctx context.Context, r Refreshment, e journal.Entry) error
	// Command gives a command without its Payload. ErrCommandUnknown when there
	// is none.
	Command(ctx context.Context, uuid string) (Command, error)
	// Reported ends a command and stores what its result told; or, with State
	// Queued, puts it back into the queue until NotBefore, without an entry. It
	// tells whether it did: a command that is done stays as it is and no entry
	// is written.
	Reported(ctx context.Context, o Outcome, e journal.Entry) (bool, error)
	// Next leases a command of the device, with Fields and Payload, and tells
	// whether there was one. Two calls never lease the same command while its
	// lease runs, save that a Repeat gets what its first time got. A command
	// with a parcel that is not sealed yet is passed over. It also notes that
	// the device was seen and when it should be woken next.
	Next(ctx context.Context, p Poll) (Command, bool, error)
}

// Refreshment is what somebody asks of a device that is enrolled.
type Refreshment struct {
	Device   subject.DeviceID
	Commands []Command
	Renew    bool // its certificates
}

// Outcome is what a device reports of a command.
type Outcome struct {
	Device       subject.DeviceID
	Command      string
	State        CommandState // Acknowledged, Failed, or Queued for NotNow
	NotBefore    time.Time    // with Queued
	Errors       []ErrorItem
	At           time.Time
	Certificates []Held       // all it holds, when Listed
	Listed       bool         // Certificates counts
	Profiles     []string     // identifiers of all it has of ours, when Shown
	Shown        bool         // Profiles counts
	Apps         []App        // what it told of apps
	Configured   bool         // and of their configuration; else only their State counts
	Gone         []string     // bundles that it does not manage any more
	Information  *Information // nil: none
}

// Poll is a request for the next command.
type Poll struct {
	Device  subject.DeviceID
	After   string // the command that was just reported; "" for Idle
	Repeat  bool   // that report came before: its answer was lost
	Refused Refused
	Renewal bool // only a command that renews the identity
	At      time.Time
	Until   time.Time // end of the lease
}

// Refused says what to do with commands whose NotBefore lies ahead.
type Refused int

// The ways.
const (
	SkipRefused Refused = iota
	RefusedLast         // only when there is nothing else
	RefusedToo          // in their order
)

// Shelf finds devices.
type Shelf interface {
	// Device gives a device by our id. ErrDeviceUnknown when there is none.
	Device(ctx context.Context, id subject.DeviceID) (Device, error)
	// DeviceByUDID gives the device that has that UDID now. ErrDeviceUnknown
	// when there is none.
	DeviceByUDID(ctx context.Context, udid string) (Device, error)
	// DevicePage lists what a query asks for, in a constant number of
	// statements; empty, never nil.
	DevicePage(ctx context.Context, q Query) ([]Device, error)
	// Detail gives a device by our id, its UDID or its serial number, the
	// newest of several. ErrDeviceUnknown when there is none.
	Detail(ctx context.Context, key string) (Detail, error)
}
