// Package opener is the only place where escrowed keys are opened, and only to
// seal them again at once, to one device of their owner.
//
// It believes nothing that its caller says about who owns what. The caller
// names a device and a frame of certificate fingerprints; the opener finds the
// device's identity certificate itself, verifies it, reads the owner out of
// it, and opens no key that does not belong to that owner. Before each opening
// the journal is written; when that cannot be, nothing is opened. How many keys
// leave in an hour is limited, over restarts and several processes.
//
// It promises that a key leaves as a PKCS#12 file under a random password in a
// profile encrypted to the device, or not at all. Start at [Opener.Seal].
package opener

import (
	"context"
	"crypto/x509"
	"log/slog"
	"time"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/pfxconnector/escrow"
)

// Why nothing is opened.
var (
	ErrNoIdentity = fault.New(fault.Denied, "device_identity_missing",
		"The device has no identity certificate.", "It must enroll first.")
	ErrIdentity = fault.New(fault.Denied, "device_identity_refused",
		"The device's identity certificate does not prove whose device it is.", "The device must enroll again.")
	ErrIdentityKey = fault.New(fault.Denied, "device_identity_unsealable",
		"Nothing can be encrypted to the device's identity key.", "The device must enroll again with an RSA key for encryption.")
	ErrNotOwner = fault.New(fault.Denied, "escrow_not_owner",
		"The device's user has no such key.", "")
	ErrTampered = fault.New(fault.Denied, "escrow_tampered",
		"A sealed key is not what its record says.", "Restore the database from a backup and look into who changed it.")
	ErrKeyAway = fault.New(fault.Unavailable, "escrow_key_away",
		"The escrow key that opens this is not here now.", "Restore it from the backup of the keys.")
	ErrLimit = fault.New(fault.Unavailable, "escrow_limit",
		"So many keys were opened within the hour that no more are now.", "If that was expected, raise the limit.")
	ErrJournal = fault.New(fault.Unavailable, "escrow_no_journal",
		"The opening of a key cannot be written to the journal, so it was not opened.", "See whether the database has space and can be written.")
	ErrFrame = fault.New(fault.Invalid, "escrow_frame_invalid",
		"The profile asks for a key in a way that is not understood.", "")
)

// Identities finds the identity certificates of devices.
type Identities interface {
	// Bound gives the identity that the enrollment of a device is bound to, and
	// whether there is one.
	Bound(ctx context.Context, id subject.DeviceID) (cert.Record, bool, error)
}

// Deposits finds sealed keys.
type Deposits interface {
	// Deposits gives the wanted ones that the user has; what he does not have
	// is left out.
	Deposits(ctx context.Context, user subject.UserID, wanted []cert.Fingerprint) ([]escrow.Deposit, error)
}

// Journal is written before a key is opened.
type Journal interface {
	// Record stores the entry durably, or fails.
	Record(ctx context.Context, e journal.Entry) error
	// Opened counts the openings recorded since, those for a device and all, by
	// whichever process.
	Opened(ctx context.Context, device subject.DeviceID, since time.Time) (ofDevice, all int, err error)
}

// Keys has the escrow keys.
type Keys interface {
	// Ready tells whether any of them can be used now, and why not. It asks those
	// who hold what is not here.
	Ready(ctx context.Context) error
	// Unwrap opens a wrap with the key that it names. A fault of kind NotFound
	// when that key is not here; of kind Unavailable when who holds it does not
	// give it now.
	Unwrap(ctx context.Context, w escrow.Wrap, info []byte) (seal.Secret, error)
}

// Signer signs what goes to devices.
type Signer interface {
	// SignProfile wraps an encoded profile in a signature that devices trust.
	SignProfile(encoded []byte) ([]byte, error)
}

// Limits bounds how many keys are opened within any hour. Zero: the default.
type Limits struct {
	PerDevice int // 200
	Total     int // 10 000
}

// Config is what an opener needs; all but Gate and Limits is required.
type Config struct {
	Issuers    func() []*x509.Certificate // the CAs of device identities, of now and before; no other is trusted
	Identities Identities
	Deposits   Deposits
	Journal    Journal
	Keys       Keys
	Signer     Signer
	Gate       Gate // nil: no other MDM is served
	Limits     Limits
	Log        *slog.Logger
	Now        func() time.Time
}

// Ready tells whether keys can be opened now, and why not.
func (o *Opener) Ready(ctx context.Context) error { return o.Keys.Ready(ctx) }

// Opener opens and seals again. It is safe for concurrent use.
type Opener struct {
	Config
	limit *limiter
}

// New makes an opener.
func New(c Config) *Opener {
	if c.Issuers == nil || c.Identities == nil || c.Deposits == nil || c.Journal == nil || c.Keys == nil ||
		c.Signer == nil || c.Log == nil || c.Now == nil {
		panic("opener: nil dependency")
	}
	return &Opener{c, newLimiter(c.Limits)}
}
