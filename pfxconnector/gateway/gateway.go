// Package gateway hands escrowed certificates to devices that another MDM
// manages. That MDM hands over a device's certificate and names a user; it gets
// that user's certificates, sealed to that device.
//
// It promises that no administrator decides alone which MDM that may be: what
// it may do ([Terms]) is approved by other people, and the keeper signs exactly
// that, so that a row which was changed afterwards is worth nothing. And it
// believes the other MDM as little as possible: the keeper itself checks that
// the device's certificate comes from the CA that was approved, is in force and
// names the user, and hands over, unless the terms say otherwise, only
// certificates that name the same address.
//
// [Service] is the side of administrators and of the other MDM, [Gate] and
// [Keeper] are the keeper's.
package gateway

import (
	"time"

	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/journal"
)

// What is wrong with a registration, or with who decides on it.
var (
	ErrTerms = fault.New(fault.Invalid, "connector_terms_invalid",
		"The registration is not usable.", "docs/connector.md says what each part is.")
	ErrExists = fault.New(fault.Conflict, "connector_exists",
		"There is a connector of that name already.", "Take another name; what was approved is never changed.")
	ErrUnknown = fault.New(fault.NotFound, "connector_unknown",
		"There is no such connector.", "signet connector list shows them.")
	ErrOver = fault.New(fault.Conflict, "connector_over",
		"This connector is not as it was: it was approved or ended meanwhile.", "signet connector show tells its state.")
)

// Why another MDM gets nothing.
var (
	ErrWaiting = fault.New(fault.Denied, "connector_waiting",
		"This connector waits for approval.", "Other people approve it: signet approval approve.")
	ErrRevoked = fault.New(fault.Denied, "connector_revoked",
		"This connector was revoked, or its time is over.", "Register it anew.")
	ErrAltered = fault.New(fault.Denied, "connector_altered",
		"The registration is not what was approved.", "Somebody changed the database. Look into it, and register the connector anew.")
	ErrNetwork = fault.New(fault.Denied, "connector_network",
		"This connector may not be used from this address.", "")
	ErrForm = fault.New(fault.Denied, "connector_form",
		"This connector may not get certificates in that form.", "signet connector show tells which it may.")
	ErrLimit = fault.New(fault.Unavailable, "connector_limit",
		"So many keys were handed over within the hour that no more are now.", "Try again later, or register the connector with a higher limit.")
	ErrNothing = fault.New(fault.NotFound, "connector_nothing",
		"There is no certificate for this device.", "The list of the user's certificates says why each is withheld.")
)

// Why a device is not believed.
var (
	ErrDevice = fault.New(fault.Invalid, "connector_device_unreadable",
		"This is no device certificate with its chain.", "Send at most five X.509 certificates, the device's first.")
	ErrDeviceChain = fault.New(fault.Denied, "connector_device_untrusted",
		"The device's certificate does not come from the CA of this connector, or is not in force.", "Send the intermediate certificates, too, and check the dates.")
	ErrDeviceUsage = fault.New(fault.Denied, "connector_device_usage",
		"The device's certificate is not for client authentication and key encipherment.", "Set both in the other MDM's certificate template.")
	ErrDeviceKey = fault.New(fault.Denied, "connector_device_key",
		"Nothing can be sealed to this device: that takes an RSA key of 2048 to 8192 bits; elliptic curves are not supported.", "Have the other MDM issue RSA device certificates.")
	ErrDeviceUser = fault.New(fault.Denied, "connector_device_user",
		"The device's certificate does not name that user, and nobody else.", "Put the user's address into the other MDM's certificate template.")
	ErrDeviceRevoked = fault.New(fault.Denied, "connector_device_revoked",
		"The device's certificate was revoked.", "")
	ErrCRL = fault.New(fault.Invalid, "connector_crl_invalid",
		"This is no revocation list of a CA of this connector, or an older one than is here.", "Send the newest list of the registered CA, DER or PEM.")
	ErrCRLStale = fault.New(fault.Denied, "connector_crl_stale",
		"There is no current revocation list for the device's certificate.", "Hand over the CA's newest list.")
)

// Form is how certificates are handed over.
type Form string

// The forms. Either way a key leaves sealed to the device's certificate.
const (
	Profile Form = "profile" // one configuration profile, encrypted to the device and signed by us
	PKCS12  Form = "pkcs12"  // files with random passwords, both encrypted to the device as CMS
)

// Naming is how device certificates name their user.
type Naming string

// The namings. All others are refused: a certificate that names nobody says
// nothing about whose keys may go there.
const (
	ByMail    Naming = "mail"         // rfc822Name of the SubjectAltName
	ByUPN     Naming = "upn"          // Microsoft's user principal name there
	BySubject Naming = "subject-mail" // emailAddress of the subject
	ByID      Naming = "id"           // urn:uuid: and our id of the user, as URI of the SubjectAltName
)

// Terms is what an MDM may do, as people approve it.
type Terms struct {
	Name           string
	CAs            [][]byte // DER; device certificates chain to one of them
	Naming         Naming
	OtherAddresses bool // also certificates of the user that name none of the device's addresses
	Forms          []Form
	Networks       []string // CIDR, from where it may be used; none: anywhere
	PerHour        int      // keys
	RequireCRL     bool     // no device without a current revocation list
	Expires        time.Time
}

// State is how far a registration is.
type State string

// The states; they follow from the other fields.
const (
	Waiting  State = "waiting"
	Approved State = "approved"
	Revoked  State = "revoked"
	Expired  State = "expired"
)

// ConsentKind is what people agree to is called.
const ConsentKind = "connector.serve"

// waitingLife is how long a registration waits for them: as long as a consent.
const waitingLife = 24 * time.Hour

// Connector is the registration of another MDM. Its secret is not in it.
type Connector struct {
	ID string
	Terms
	Created time.Time
	By      journal.Actor // who registered it
	Consent string        // id of what people are asked to agree to
	Seal    []byte        // the keeper's signature over the digest; empty until they have
	Revoked time.Time
}

// StateAt is its state for people. Whether the seal is good only the keeper
// knows.
func (c Connector) StateAt(now time.Time) State {
	switch {
	case !c.Revoked.IsZero():
		return Revoked
	case !now.Before(c.Expires), len(c.Seal) == 0 && !now.Before(c.Created.Add(waitingLife)):
		return Expired
	case len(c.Seal) == 0:
		return Waiting
	}
	return Approved
}
