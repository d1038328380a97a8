package plan

import (
	"slices"
	"time"

	"github.com/signet-mdm/signet/appconfig"
	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/subject"
)

// Facts is everything that the plan for one device depends on.
type Facts struct {
	Now      time.Time
	Prefix   string // what all profile identifiers begin with
	Device   subject.Device
	Enrolled bool      // it can be sent commands
	Removed  bool      // it never comes back
	Lost     bool      // and is in strange hands
	Seen     time.Time // its last word
	Refusal  string    // why its last request for a certificate was refused, a sentence; empty when it was not
	Open     int       // commands that are not done
	User     subject.User
	Policy   appconfig.Effective
	Roots    []cert.Fingerprint // that devices are to trust
	Renews   bool               // identities can be renewed here
	RenewAt  time.Time          // when somebody wished all its certificates renewed; zero: nobody did
	Terms    map[string]Terms   // of renewal, by certificate profile
	Records  []cert.Record      // those imported for the user, those issued to the device
	Parcels  []Parcel           // that are not over
	Asked    []Asked            // the latest question of each kind

	Tells bool  // the user is told of news by mail
	Told  *Told // what he knows; nil: nothing so far

	Identity   cert.Fingerprint // that the device proves itself with, and is sealed to; zero: not known
	IdentityAt time.Time        // since when
	Topic      string           // of its pushes, for ever

	Held       []Held    // certificates that the device said it holds
	HeldAt     time.Time // when; zero: never
	Profiles   []string  // of ours that the device said it has
	ProfilesAt time.Time
	App        App // Outlook, as the device told
	AppsAt     time.Time
	InformedAt time.Time // when it told about itself

	EnrolledAt time.Time // zero: never
}

// Held is a certificate on the device.
type Held struct {
	Fingerprint cert.Fingerprint
	Identity    bool // with its key
}

// App is an app that the device manages for us.
type App struct {
	State      string // Apple's word; "" is unknown or not managed
	Configured bool
}

// Kind is what sort of thing a parcel brings.
type Kind string

// The kinds.
const (
	Enrollment Kind = "enrollment" // the enrollment once more, for a new identity
	Roots      Kind = "roots"
	Mail       Kind = "mail"    // account, signing key and current encryption identity
	History    Kind = "history" // one older encryption identity
	Outlook    Kind = "outlook" // the app and its settings
)

// Parcel is one thing on its way to a device, or there.
type Parcel struct {
	ID         string
	Kind       Kind
	Identifier string // of the profile, or the app
	Digest     string // of everything in it but secrets
	Label      string // for people
	Certs      []cert.Fingerprint
	Signs      bool // the device makes a signing key with it
	Profile    bool // it is a profile, which is sealed or signed before it is fetched
	NeedsKey   bool
	WantsSeal  bool
	Sealed     bool      // the bytes are there
	SealedAt   time.Time // when they were made last
	OnDevice   bool      // something of this identifier may be on the device already
	Attempts   int       // how often it failed before
	Failure    string    // why it could not be sealed; "" when that did not fail
	FailedAt   time.Time
	Command    Command // that brings it
	Removal    Command // that takes it away; zero: none
	CreatedAt  time.Time
}

// Command is an MDM command as far as a plan cares.
type Command struct {
	UUID    string
	State   CommandState
	SentAt  time.Time
	DoneAt  time.Time
	Refused bool   // the device said "not now"
	Odd     bool   // the device could not read it, and will not read another
	Error   string // what the device said of a failure
}

// CommandState is where a command stands.
type CommandState string

// The states.
const (
	CommandQueued       CommandState = "queued"
	CommandSent         CommandState = "sent"
	CommandAcknowledged CommandState = "acknowledged"
	CommandFailed       CommandState = "failed"
	CommandCancelled    CommandState = "cancelled"
)

func (c Command) open() bool { return c.State == CommandQueued || c.State == CommandSent }

// Question is what a device can be asked.
type Question string

// The questions.
const (
	Information  Question = "DeviceInformation"
	Certificates Question = "CertificateList"
	Profiles     Question = "ProfileList"
	Apps         Question = "ManagedApplicationList"
)

// Asked is a question that was put to the device.
type Asked struct {
	Question Question
	Open     bool      // it has not answered
	DoneAt   time.Time // of the last answer, a refusal included
}

// holds tells whether the device listed the certificate, with its key when
// that is needed.
func (f Facts) holds(c cert.Fingerprint, identity bool) bool {
	return slices.ContainsFunc(f.Held, func(h Held) bool { return h.Fingerprint == c && (h.Identity || !identity) })
}

// SigningProfile is the usual certificate profile of the signing certificates
// that we have a device get; the terms tell of others. One of another profile,
// which an administrator gave out for the device, is none of ours to count, nor
// to revoke while the device and its user are there.
const SigningProfile = "smime-signing"

func (f Facts) ours(profile string) bool { return profile == SigningProfile || f.Terms[profile].Ours }

// signing gives the certificates for signing that this device got from a profile
// of ours, newest first.
func (f Facts) signing() []cert.Record {
	list := slices.DeleteFunc(slices.Clone(f.Records), func(r cert.Record) bool {
		return r.Source != cert.Issued || r.Holder.Device != f.Device.ID || !r.Use.Has(cert.Signing) || !f.ours(r.Profile)
	})
	slices.SortStableFunc(list, func(a, b cert.Record) int { return b.CreatedAt.Compare(a.CreatedAt) })
	return list
}

// Signing gives the newest certificate for signing that this device got, and
// whether there is one.
func (f Facts) Signing() (cert.Fingerprint, bool) {
	list := f.signing()
	if len(list) == 0 {
		return cert.Fingerprint{}, false
	}
	return list[0].Fingerprint, true
}

// IdentityEnd is when the certificate expires that the device proves itself with;
// zero when there is none.
func (f Facts) IdentityEnd() time.Time {
	r, _ := f.identity()
	return r.NotAfter
}

// identity gives the record of the certificate that the device proves itself
// with, and whether there is one.
func (f Facts) identity() (cert.Record, bool) {
	for _, r := range f.Records {
		if r.Fingerprint == f.Identity && r.Use == cert.Identity && r.Holder.Device == f.Device.ID {
			return r, true
		}
	}
	return cert.Record{}, false
}
