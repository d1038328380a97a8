// Package pfxconnector takes PKCS#12 files of any program into escrow: it
// reads a file, looks at every identity in it, finds whose it is and seals its
// private key at once. It keeps the user's encryption history and says which
// certificate of it is current.
//
// It promises that who imports cannot read back: there is only the public half
// of the escrow key here, and neither file nor password outlive [Service.Import].
// Importing the same again changes nothing.
package pfxconnector

import (
	"context"
	"time"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/pfxconnector/escrow"
	"github.com/signet-mdm/signet/pfxconnector/pfx"
)

// Why an identity is refused. The status in the report is the code without
// "pfx_".
var (
	ErrCA = fault.New(fault.Invalid, "pfx_ca_certificate",
		"This is the key of a CA, not of a person.", "CA keys do not belong into this escrow.")
	ErrWeak = fault.New(fault.Invalid, "pfx_weak_key",
		"The key is too weak to protect anything.", "--allow-weak imports it all the same.")
	ErrNotMail = fault.New(fault.Invalid, "pfx_not_smime",
		"The certificate is not for mail.", "--purpose encryption imports it all the same.")
	ErrNotEncryption = fault.New(fault.Invalid, "pfx_not_encryption",
		"The certificate is not for encryption; signing keys are not escrowed.", "--allow-signing-escrow imports it all the same.")
	ErrPurpose = fault.New(fault.Invalid, "pfx_purpose_impossible",
		"A key of this kind cannot serve that purpose.", "Leave the purpose out to go by the certificate.")
	ErrNoUser = fault.New(fault.Invalid, "pfx_no_user_match",
		"No user has an address that the certificate names.", "Say whose it is with --user, or add the user first.")
	ErrAmbiguous = fault.New(fault.Invalid, "pfx_ambiguous_user",
		"The certificate names several users.", "Say whose it is with --user.")
	ErrThumbprint = fault.New(fault.Invalid, "thumbprint_mismatch",
		"The certificate in the file is not the one that was announced.", "Give the thumbprint of the certificate that is in the file.")
	ErrOtherUser = fault.New(fault.Conflict, "pfx_other_user",
		"Another user holds this certificate already.", "If both are to have it, say so with --user.")
)

// ErrKeyUnknown is returned for a certificate that the user has no imported
// key of.
var ErrKeyUnknown = fault.New(fault.NotFound, "pfx_unknown",
	"The user has no such imported certificate.", "signet pfx list shows them.")

// Why somebody does not decide about an imported certificate.
var (
	ErrPin = fault.New(fault.Conflict, "pfx_unfit_for_new_mail",
		"New mail cannot be encrypted to this certificate.", "Choose another, or leave the choice to the rules.")
	ErrPurposeOurs = fault.New(fault.Conflict, "pfx_purpose_issued",
		"The certificate was issued here for encryption, and that is what it is for.", "")
)

// Why a key does not come out of quarantine.
var (
	ErrQuarantineUnknown = fault.New(fault.NotFound, "pfx_quarantine_unknown",
		"There is no such key in quarantine.", "signet pfx quarantine list shows them.")
	ErrAssign = fault.New(fault.Denied, "pfx_assignment_refused",
		"Nothing shows that this key is that user's, and you did not import it.", "Who imported it may assign it, or import its file again with --user.")
	ErrHeld = fault.New(fault.Conflict, "pfx_held_already",
		"The user has this certificate already.", "Discard the one in quarantine.")
)

// ErrRecipient is returned for a key that is sealed to an escrow key which was
// destroyed: nobody could open it.
var ErrRecipient = fault.New(fault.Conflict, "pfx_recipient_destroyed",
	"The escrow key that this is sealed to was destroyed.", "Seal to the one of now; a front end of its own gets it by making its data directory anew.")

// KeyDestroyed is why a certificate of our own is not delivered whose key was
// removed.
const KeyDestroyed = "Its key was destroyed."

// Arrival is a deposit with what the journal tells of it.
type Arrival struct {
	escrow.Deposit
	Quarantine *Quarantine // of a key that is bound to a place there; else nil
	Entry      journal.Entry
}

// Store keeps certificates with their sealed keys.
type Store interface {
	// KeysImported stores the deposits, all or none, but for those whose user has
	// that certificate already, or that are for the quarantine and in it: with these it does nothing, their entries
	// included, and tells false. ErrRecipient when a wrap is for a key that was
	// destroyed.
	KeysImported(ctx context.Context, list []Arrival) ([]bool, error)
	// TicketMade stores a ticket.
	TicketMade(ctx context.Context, t Ticket) error
	// TicketsForgotten deletes those that had expired at that time, and tells
	// how many.
	TicketsForgotten(ctx context.Context, now time.Time) (int, error)
	// KeysDeposited is KeysImported for what was sealed elsewhere: nobody knows
	// yet whether it opens. It takes the ticket, which must be the same actor's
	// and not have expired; its Expires is the time of now: ErrTicket.
	KeysDeposited(ctx context.Context, t Ticket, list []Arrival) ([]bool, error)
	// Unchecked gives the user's certificates whose keys were sealed elsewhere
	// and not opened since.
	Unchecked(ctx context.Context, id subject.UserID) ([]cert.Fingerprint, error)
	// Holders gives the users who have that certificate; empty when nobody.
	Holders(ctx context.Context, f cert.Fingerprint) ([]subject.UserID, error)
	// Imported lists a user's certificates whose keys are or were in escrow:
	// those that were imported or made for encryption; never nil.
	Imported(ctx context.Context, id subject.UserID) ([]cert.Record, error)
	// ImportedOf is Imported for many users at once; who has none is left out.
	ImportedOf(ctx context.Context, ids []subject.UserID) (map[subject.UserID][]cert.Record, error)
	// Deposit gives the sealed key of that id with its certificate.
	// ErrKeyUnknown when there is none.
	Deposit(ctx context.Context, id string) (escrow.Deposit, error)
	// InQuarantine lists at most limit keys in quarantine, in the order of their
	// ids, those that follow after; never nil.
	InQuarantine(ctx context.Context, after string, limit int) ([]Quarantine, error)
	// Quarantine gives one; ErrQuarantineUnknown.
	Quarantine(ctx context.Context, id subject.UserID) (Quarantine, error)
	// AssignmentAsked notes whose a key in quarantine is to be. When it is to be
	// somebody new's, he must have no device, and his primary address be one that
	// the certificate names: ErrAssign. ErrQuarantineUnknown.
	AssignmentAsked(ctx context.Context, a escrow.Assignment, e journal.Entry) error
	// KeyDiscarded deletes what opens a key in quarantine, then the rest of it.
	// ErrQuarantineUnknown.
	KeyDiscarded(ctx context.Context, id subject.UserID, e journal.Entry) error
	// PurposeChanged says what an imported certificate is for. ErrKeyUnknown when
	// the user has none such.
	PurposeChanged(ctx context.Context, id subject.UserID, f cert.Fingerprint, use cert.Use, e journal.Entry) error
	// KeyPinned marks one of the user's certificates whose keys are in escrow,
	// and no other of his; with a zero fingerprint none. ErrKeyUnknown when he has
	// none such.
	KeyPinned(ctx context.Context, id subject.UserID, f cert.Fingerprint, e journal.Entry) error
	// KeyRemoved deletes what opens the key, then the key, then the
	// certificate. One of our own CA stays on record, for its revocation, as
	// undeliverable by [KeyDestroyed]. ErrKeyUnknown when the user has none such.
	KeyRemoved(ctx context.Context, id subject.UserID, f cert.Fingerprint, e journal.Entry) error
}

// Users finds people.
type Users interface {
	// User gives the user with that address or UPN, normalised; a fault of
	// kind NotFound when there is none.
	User(ctx context.Context, key string) (subject.User, error)
}

// Config is what a service needs; all but Marks and Limits is required.
type Config struct {
	Store  Store
	Users  Users
	Sealer *escrow.Sealer
	Marks  *seal.Box  // that the keeper knows assignments by; without it none is made
	Limits pfx.Limits // zero: pfx.Default
	Now    func() time.Time
}

// Service imports, lists and removes.
type Service struct{ Config }

// New makes a service.
func New(c Config) *Service {
	if c.Store == nil || c.Users == nil || c.Sealer == nil || c.Now == nil {
		panic("pfxconnector: nil dependency")
	}
	if c.Limits == (pfx.Limits{}) {
		c.Limits = pfx.Default
	}
	return &Service{c}
}
