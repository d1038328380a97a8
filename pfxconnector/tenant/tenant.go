// Package tenant hands users' encryption histories on to the Microsoft Intune
// tenant of an organisation that has one: the only documented way by which such
// certificates come into Outlook for iOS by themselves.
//
// It promises that nothing leaves but to a recipient key which several people
// agreed to, and which no row of the database can put in the place of another;
// that what leaves is a PKCS#12 file under a random password encrypted to that
// key; and that only what has changed is sent, once more after a crash. Whose
// account it is there, Entra says: it must have the user's own address, and one
// that the certificate itself names, whatever the database says.
//
// The keeper seals ([Service.Seal]), the worker plans and sends ([Service.Plan],
// [Service.Send]). It is off unless the configuration says otherwise.
package tenant

import (
	"context"
	"log/slog"
	"time"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/internal/subject"
)

// Failures that callers tell apart.
var (
	ErrOff = fault.New(fault.Conflict, "tenant_off",
		"This server delivers to no Intune tenant.", "Fill in the section tenant of the configuration.")
	ErrNoRecipient = fault.New(fault.Conflict, "tenant_key_missing",
		"There is no recipient key of the Intune tenant that people agreed to.", "Ask for one with signet intune key ask, and have it approved.")
	ErrForged = fault.New(fault.Denied, "tenant_key_forged",
		"The recipient key of the Intune tenant is not the one that people agreed to.", "Restore the database from a backup and look into who changed it.")
	ErrOtherTenant = fault.New(fault.Invalid, "tenant_differs",
		"The recipient key is for another tenant than the one of the configuration.", "Ask for the key again, with the tenant in tenant.id.")
	ErrRequest = fault.New(fault.Invalid, "tenant_key_invalid",
		"This is no recipient key of an Intune tenant.", "It takes the tenant's id, provider and name of 1 to 200 printable characters, an OAEP padding with SHA-2, and an RSA key of 2048, 3072 or 4096 bits.")
	ErrAccount = fault.New(fault.Invalid, "tenant_account_unknown",
		"The tenant has no account with the user's principal name.", "Give the user the UPN that he has in Entra: signet apply.")
	ErrAccountDiffers = fault.New(fault.Denied, "tenant_account_differs",
		"The account with the user's principal name does not have his mail address.", "Correct the UPN here, or the addresses in Entra; another's account is never filled.")
	ErrNames = fault.New(fault.Denied, "tenant_certificate_differs",
		"The certificate names no address of the account that it would go to.", "If it is that person's, add the address that it names to the account in Entra.")
	ErrBusy = fault.New(fault.Unavailable, "tenant_busy",
		"The Intune tenant cannot be reached, or wants to be left alone for a while.", "It is tried again by itself.")
	ErrSignIn = fault.New(fault.Unavailable, "tenant_sign_in",
		"Microsoft Entra ID does not sign Signet in.", "Check tenant.id, tenant.client_id, and the secret or certificate, which may have expired.")
	ErrPermission = fault.New(fault.Denied, "tenant_permission",
		"The tenant does not let Signet write certificates.", "Give the app registration DeviceManagementConfiguration.ReadWrite.All and User.Read.All of Microsoft Graph, and an administrator's consent.")
	ErrRefused = fault.New(fault.Invalid, "tenant_refused",
		"Microsoft Graph refused the certificate without saying why.", "The log has the request id for Microsoft; look whether provider and key name are those that the connector knows.")
	ErrAnswer = fault.New(fault.Unavailable, "tenant_answer",
		"Microsoft Graph answered with something else than what its documentation says.", "")
)

// State is how far a copy is.
type State string

// The states of a copy.
const (
	Looking  State = "looking"  // whether the user has an account there, before anything is opened
	Wanted   State = "wanted"   // to be sealed by the keeper
	Sealed   State = "sealed"   // to be sent
	There    State = "there"    // the tenant took it
	Removing State = "removing" // to be taken away there
)

// Copy is one certificate of a user as the tenant has it, or is to have it.
type Copy struct {
	User       subject.User
	Cert       cert.Fingerprint
	Record     cert.Record // zero when it is not in escrow any more
	State      State
	Key        string // id of the registration that it is or was sealed to
	Account    string // id of his account there; empty: not found yet
	Thumbprint string // SHA-1, lower case; empty: never sealed
	Package    Package
	Code       string // of the last failure; empty: none
	Attempts   int
	Next       time.Time // when it is tried again
	Changed    time.Time
	Until      time.Time // of the lease
}

// Package is what leaves: it opens with the tenant's private key only.
type Package struct {
	Blob     []byte // PKCS#12
	Password []byte // of it, encrypted; as it waits in the database in a box, for that certificate and Blob alone
}

// Object is what is written to the tenant.
type Object struct {
	Account    string
	UPN        string
	Thumbprint string
	Use        cert.Use
	NotBefore  time.Time
	NotAfter   time.Time
	Recipient  Recipient
	Package    Package
	Created    time.Time
}

// Account is a user of the tenant.
type Account struct {
	ID        string
	Addresses []string // all that are his
}

// Graph is the tenant. Its failures are those of this package.
type Graph interface {
	// Account finds a user; ErrAccount.
	Account(ctx context.Context, upn string) (Account, error)
	// Put makes the object, or replaces the one that is there.
	Put(ctx context.Context, o Object) error
	// Remove takes one away; none there is no error.
	Remove(ctx context.Context, account, thumbprint string) error
}

// Sealer opens a user's key and seals it to the approved recipient.
type Sealer interface {
	// SealForTenant gives the package, and the registration that it is sealed to.
	SealForTenant(ctx context.Context, user subject.User, f cert.Fingerprint) (Package, Registration, error)
}

// Want is whose certificates are to be there.
type Want struct {
	All    bool
	Groups []string // by name
	Remove bool     // what is not to be there any more is taken away
}

// Outcome is what became of a copy.
type Outcome struct {
	Copy
	Gone bool // it is not there any more, and forgotten
	At   time.Time
}

// Counts is how many copies there are in each state, and how many failed lately.
type Counts struct {
	States map[State]int
	Failed map[string]int // by code
}

// Store keeps the registrations and the copies.
type Store interface {
	// RecipientRegistered stores a key in the place of the one before, and uses
	// the consent of that id and digest up; access.ErrConsentOver.
	RecipientRegistered(ctx context.Context, r Registration, digest seal.Hash, e journal.Entry) error
	// RecipientWithdrawn ends the registration; what is sealed to it and not sent
	// is forgotten. ErrNoRecipient.
	RecipientWithdrawn(ctx context.Context, e journal.Entry) error
	// Registered gives the one that was neither withdrawn nor replaced;
	// ErrNoRecipient. Whether people agreed to it is to be seen by its mark.
	Registered(ctx context.Context) (Registration, error)

	// CopiesPlanned adds what is wanted and not there, has sealed anew what is
	// sealed to another key or was sealed before stale, and, if wanted, removed
	// what is not wanted. It does at most limit of each, and counts them.
	CopiesPlanned(ctx context.Context, w Want, key string, now, stale time.Time, limit int) (int, error)
	// CopiesLeased gives at most limit copies in these states that are due.
	CopiesLeased(ctx context.Context, now, until time.Time, limit int, states ...State) ([]Copy, error)
	// CopyTried notes what became of a leased copy, if it is leased still.
	CopyTried(ctx context.Context, o Outcome, e *journal.Entry) error
	// CopiesDue lets those of a user, or of all, be tried at once, and with again
	// those that are there be sent once more. It counts them.
	CopiesDue(ctx context.Context, user subject.UserID, again bool, e journal.Entry) (int, error)
	// Copies lists at most limit, those of a user or of all that follow after
	// (user id and fingerprint); never nil.
	Copies(ctx context.Context, user subject.UserID, after string, limit int) ([]Copy, error)
	// CopyCounts counts them.
	CopyCounts(ctx context.Context) (Counts, error)
}

// Config is what the service needs. Graph is needed by the worker, Sealer by the
// keeper.
type Config struct {
	ID     string // of the tenant; empty: off
	Want   Want
	Store  Store
	Box    *seal.Box // for the marks of registrations
	Graph  Graph
	Sealer Sealer
	Log    *slog.Logger
	Now    func() time.Time
}

// Service delivers to one tenant.
type Service struct{ Config }

// New panics on a missing dependency.
func New(c Config) *Service {
	if c.Store == nil || c.Box == nil || c.Log == nil || c.Now == nil {
		panic("tenant: nil dependency")
	}
	return &Service{c}
}
