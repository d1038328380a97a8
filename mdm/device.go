package mdm

import (
	"time"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/subject"
)

// State is where a device stands in its life. It only moves forward.
type State string

// The states.
const (
	Invited   State = "invited"   // a link was made; no device is known yet
	Enrolling State = "enrolling" // Authenticate came, TokenUpdate did not
	Enrolled  State = "enrolled"
	Removed   State = "removed" // checked out, replaced, or removed by an administrator
)

// Device is a device with what enrollment says of it.
type Device struct {
	subject.Device
	Owner      string // the user's address, for people
	State      State
	Identity   cert.Fingerprint // the certificate that it authenticated with last
	IdentityAt time.Time        // when that was
	Previous   cert.Fingerprint // the one before
	CreatedAt  time.Time
	EnrolledAt time.Time // first TokenUpdate; zero: never
	SeenAt     time.Time // last message, exact to a minute
	WakeAt     time.Time // from when on a push is wanted; zero: none is
	Open       int       // commands that are not done
	LastError  *Command  // the last that failed; nil: none, or not looked for
	Ends       time.Time // when the first of the certificates issued to it expires that it uses; zero: not looked for, or it has none
}

// Query says which devices to list, newest first.
type Query struct {
	User   subject.UserID   // only those of this user
	State  State            // only those in this state
	Silent time.Time        // only enrolled ones that said nothing since then
	Ending time.Time        // only enrolled ones of whose certificates one in use expires before then
	Before time.Time        // those that follow the one made then
	ID     subject.DeviceID // and with this id; zero for the newest
	Limit  int              // how many at most
}

// Detail is everything about one device.
type Detail struct {
	Device
	Commands     []Command // newest first, at most 100
	Certificates []Held
	Apps         []App
	ListedAt     time.Time // when it last listed its certificates; zero: never
	IdentityEnd  time.Time // when the identity expires; zero: it has none
}

// Held is a certificate that a device says it holds.
type Held struct {
	Fingerprint cert.Fingerprint
	Identity    bool // with its private key
}

// App is an app that a device says it manages.
type App struct {
	Bundle     string
	State      string // Apple's word, such as "Managed"
	Configured bool   // it has an app configuration
}

// ToldOnce are the states that a device tells once only; they stay until it
// tells another.
//
// Spec: Apple MDM, ManagedApplicationList
var ToldOnce = []string{"UserInstalledApp", "UserRejected", "UpdateRejected", "ManagementRejected", "Failed"}

// Information is what DeviceInformation tells; empty fields were not told.
type Information struct {
	Name, Model, OSVersion, Serial, IMEI, MEID, WiFiMAC string
}
