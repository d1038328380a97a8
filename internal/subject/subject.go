// Package subject names whom everything is about: users, groups, devices, the
// scopes that policies and events apply to, and the {{variables}} that
// templates may use.
//
// Ids are ours, UUIDs, immutable and never taken from outside: not the UDID,
// not an address, not a directory's id.
package subject

import (
	"strings"
	"time"

	"github.com/google/uuid"
)

// UserID, GroupID and DeviceID are UUIDs in their usual text form. DeviceID is
// made at invitation, before the device is known.
type (
	UserID   string
	GroupID  string
	DeviceID string
)

// NewUserID makes an id.
func NewUserID() UserID { return UserID(newID()) }

// NewGroupID makes an id.
func NewGroupID() GroupID { return GroupID(newID()) }

// NewDeviceID makes an id.
func NewDeviceID() DeviceID { return DeviceID(newID()) }

// newID is time-ordered, so that indexes stay compact.
func newID() string { return uuid.Must(uuid.NewV7()).String() }

// ValidID tells whether s is a UUID in its canonical text form.
func ValidID(s string) bool {
	id, err := uuid.Parse(s)
	return err == nil && id.String() == s
}

// User is a person whose certificates we hold.
type User struct {
	ID        UserID
	UPN       string // user principal name; sign-in name
	Mail      string // primary SMTP address, normalised
	Aliases   []string
	Name      string // display name
	GivenName string
	Surname   string
	OnPremises
	Groups    []GroupID
	Disabled  bool
	CreatedAt time.Time
}

// OnPremises is what an organisation's own directory says of a user. Nothing
// here depends on it; certificates may carry it.
type OnPremises struct {
	Department        string
	SAMAccountName    string // the short name of sign-in
	OnPremisesUPN     string // where it is not the UPN of the cloud
	DistinguishedName string // RFC 4514 text
	SID               string // S-1-5-21-…
}

// Device is an iPhone or iPad of one user, with what it last said of itself.
type Device struct {
	ID        DeviceID
	User      UserID
	UDID      string // or EnrollmentID; empty until it enrolled
	Serial    string
	Model     string // ProductName, such as "iPhone17,1"
	Name      string
	OSVersion string // such as "18.2"; empty when it did not say
	IMEI      string // none on a device without a modem, or that is its user's own
	MEID      string
	WiFiMAC   string
}

// Word is what people call such a device: iPhone, iPad, or device when it did
// not say.
func (d Device) Word() string {
	for _, w := range []string{"iPhone", "iPad"} {
		if strings.HasPrefix(d.Model, w) {
			return w
		}
	}
	return "device"
}

// Called is how the device and its model are called, as far as we know.
func (d Device) Called() string {
	switch {
	case d.Name == "" || d.Name == d.Model:
		return d.Model
	case d.Model == "":
		return d.Name
	}
	return d.Name + " (" + d.Model + ")"
}

// OSMajor gives the leading number of OSVersion, 0 when unknown.
func (d Device) OSMajor() int {
	n := 0
	for _, c := range d.OSVersion {
		if c < '0' || c > '9' || n > 999 {
			break
		}
		n = n*10 + int(c-'0')
	}
	return n
}

// Scope is a set of subjects, the union of its parts. The zero value is empty.
type Scope struct {
	All     bool
	Users   []UserID
	Groups  []GroupID
	Devices []DeviceID
}

// Plus is the union of both.
func (s Scope) Plus(o Scope) Scope {
	return Scope{
		All:     s.All || o.All,
		Users:   append(s.Users[:len(s.Users):len(s.Users)], o.Users...),
		Groups:  append(s.Groups[:len(s.Groups):len(s.Groups)], o.Groups...),
		Devices: append(s.Devices[:len(s.Devices):len(s.Devices)], o.Devices...),
	}
}

// OfUser is the scope of all devices of one user.
func OfUser(id UserID) Scope { return Scope{Users: []UserID{id}} }

// OfDevice is the scope of one device.
func OfDevice(id DeviceID) Scope { return Scope{Devices: []DeviceID{id}} }
