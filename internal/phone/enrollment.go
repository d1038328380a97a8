package phone

import (
	"crypto/x509"
	"net/url"
	"strings"
)

// Enrollment is the phone's bond to its MDM server.
type Enrollment struct {
	Profile      string // PayloadIdentifier of the enrollment profile
	Topic        string
	ServerURL    string
	CheckInURL   string
	AccessRights int64
	SignMessage  bool
	Identity     *Identity
	PushMagic    string
	Token        []byte // the push token

	checkOut bool
	tokenDue bool // the server has not taken the last TokenUpdate
	pins     map[string]*x509.CertPool
}

// Access rights.
// Spec: Apple MDM, com.apple.mdm AccessRights
const (
	rightInspectProfiles int64 = 1 << iota
	rightInstallProfiles
	rightLock
	rightErase
	rightInformation
	rightNetwork
	rightInspectProvisioning
	rightInstallProvisioning
	rightInspectApps
	rightRestrictions
	rightSecurity
	rightSettings
	rightApps
)

// Enrollment returns the phone's enrollment, false when it has none.
func (p *Phone) Enrollment() (Enrollment, bool) {
	if e := p.state().enrollment; e != nil {
		return *e, true
	}
	return Enrollment{}, false
}

// readEnrollment takes the com.apple.mdm payload out of a profile that is
// being installed and checks it.
// Spec: Apple MDM, com.apple.mdm
func (in *installation) readEnrollment(d dict) (*Enrollment, error) {
	e := &Enrollment{
		Profile: in.profile.Identifier, Topic: d.str("Topic"), ServerURL: d.str("ServerURL"), CheckInURL: d.str("CheckInURL"),
		AccessRights: d.integer("AccessRights"), SignMessage: d.flag("SignMessage"),
		Identity: in.identity(d.str("IdentityCertificateUUID")), checkOut: d.flag("CheckOutWhenRemoved"),
		Token: random(in.phone.cfg.Rand, 32), PushMagic: uuidOf(in.phone.cfg.Rand), tokenDue: true,
	}
	if e.CheckInURL == "" {
		e.CheckInURL = e.ServerURL
	}
	server, ok1 := https(e.ServerURL)
	checkIn, ok2 := https(e.CheckInURL)
	switch {
	case !ok1 || !ok2:
		return nil, mdmErr(12011, "ServerURL and CheckInURL must be https addresses.")
	case !strings.HasPrefix(e.Topic, "com.apple.mgmt."):
		return nil, mdmErr(12022, "The topic does not start with com.apple.mgmt.")
	case !validRights(e.AccessRights):
		return nil, mdmErr(12000, "The access rights are invalid.")
	}
	e.pins = map[string]*x509.CertPool{}
	in.pin(e.pins, server.Hostname(), d.strings("ServerURLPinningCertificateUUIDs"))
	in.pin(e.pins, checkIn.Hostname(), d.strings("CheckInURLPinningCertificateUUIDs"))
	return e, nil
}

func https(s string) (*url.URL, bool) {
	u, err := url.Parse(s)
	return u, err == nil && u.Scheme == "https" && u.Host != ""
}

// validRights holds rights to Apple's rules: some right, no unknown bit, and
// installing needs inspecting.
func validRights(r int64) bool {
	if r <= 0 || r > 8191 {
		return false
	}
	return (r&rightInstallProfiles == 0 || r&rightInspectProfiles != 0) &&
		(r&rightInstallProvisioning == 0 || r&rightInspectProvisioning != 0)
}

// renews checks that an enrollment may replace the one there is.
// Spec: Apple MDM, com.apple.mdm: what may never change
func (e *Enrollment) renews(old *Enrollment) error {
	switch {
	case e.Profile != old.Profile:
		return mdmErr(12001, "The phone is managed by another profile.")
	case e.Topic != old.Topic || e.ServerURL != old.ServerURL || e.CheckInURL != old.CheckInURL:
		return mdmErr(12012, "Topic, ServerURL and CheckInURL may not change.")
	case e.AccessRights&^old.AccessRights != 0:
		return mdmErr(12012, "Access rights may not be added.")
	}
	return nil
}
