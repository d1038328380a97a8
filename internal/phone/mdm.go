package phone

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
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

// Enroll installs an enrollment profile as the user does in Settings: trust,
// SCEP, Authenticate, TokenUpdate. Nothing of it stays when it fails. When only
// TokenUpdate fails the phone is enrolled all the same and repeats it at the
// next Poll.
func (p *Phone) Enroll(ctx context.Context, profile []byte) error {
	p.op.Lock()
	defer p.op.Unlock()
	if p.state().enrollment != nil {
		return installErr(4001, mdmErr(12001, "The phone is managed already."), "Profile Installation Failed")
	}
	if err := p.install(ctx, profile, byHand); err != nil {
		return err
	}
	e := p.state().enrollment
	if e == nil {
		return nil
	}
	return p.updateToken(ctx)
}

// NewToken gives the phone another push token, as happens after a restore,
// and tells the server.
func (p *Phone) NewToken(ctx context.Context) error {
	p.op.Lock()
	defer p.op.Unlock()
	if p.state().enrollment == nil {
		return ErrNotEnrolled
	}
	p.changeEnrollment(func(e *Enrollment) { e.Token, e.tokenDue = random(p.cfg.Rand, 32), true })
	return p.updateToken(ctx)
}

func (p *Phone) changeEnrollment(f func(*Enrollment)) {
	next := p.state().clone()
	e := *next.enrollment
	f(&e)
	next.enrollment = &e
	p.commit(next)
}

// authenticate asks a server to take the phone in.
// Spec: Apple MDM, Authenticate
func (p *Phone) authenticate(ctx context.Context, e *Enrollment) error {
	m := dict{"MessageType": "Authenticate", "Topic": e.Topic, "UDID": p.cfg.UDID}
	if e.AccessRights&rightInformation != 0 {
		m["OSVersion"], m["BuildVersion"], m["ProductName"] = p.cfg.OSVersion, p.os.build(), p.cfg.Model
		m["SerialNumber"], m["IMEI"] = p.cfg.Serial, p.imei
	}
	a, err := p.send(ctx, e, CheckIn, m)
	if err != nil {
		return installErr(4001, mdmErr(12002, "The phone cannot check in: %v", err), "Profile Installation Failed")
	}
	if a.status != http.StatusOK {
		return installErr(4001, &Error{domainMDM, 12002, "The server refused the phone.", a.failed()}, "Profile Installation Failed")
	}
	p.log(EventEnroll, e.Profile, e.CheckInURL)
	return nil
}

// updateToken sends TokenUpdate when it is due.
// Spec: Apple MDM, TokenUpdate
func (p *Phone) updateToken(ctx context.Context) error {
	e := p.state().enrollment
	if e == nil || !e.tokenDue {
		return nil
	}
	m := dict{
		"MessageType": "TokenUpdate", "Topic": e.Topic, "UDID": p.cfg.UDID,
		"PushMagic": e.PushMagic, "Token": e.Token, "AwaitingConfiguration": false,
	}
	if e.AccessRights&rightLock != 0 {
		m["UnlockToken"] = random(p.cfg.Rand, 64)
	}
	a, err := p.send(ctx, e, CheckIn, m)
	if err != nil {
		return fmt.Errorf("TokenUpdate: %w", err)
	}
	if err := p.judge(a); err != nil {
		return fmt.Errorf("TokenUpdate: %w", err)
	}
	p.changeEnrollment(func(e *Enrollment) { e.tokenDue = false })
	return nil
}

// CheckOut sends CheckOut and changes nothing on the phone.
func (p *Phone) CheckOut(ctx context.Context) error {
	p.op.Lock()
	defer p.op.Unlock()
	e := p.state().enrollment
	if e == nil {
		return ErrNotEnrolled
	}
	return p.sendCheckOut(ctx, e)
}

// Spec: Apple MDM, CheckOut
func (p *Phone) sendCheckOut(ctx context.Context, e *Enrollment) error {
	a, err := p.send(ctx, e, CheckIn, dict{"MessageType": "CheckOut", "Topic": e.Topic, "UDID": p.cfg.UDID})
	if err == nil && a.status/100 != 2 {
		err = a.failed()
	}
	if err != nil {
		return fmt.Errorf("CheckOut: %w", err)
	}
	return nil
}

// RemoveManagement is the user's "Remove Management" in Settings: everything
// that came by MDM goes. A server that asked for it is told, best effort.
func (p *Phone) RemoveManagement(ctx context.Context) error {
	p.op.Lock()
	defer p.op.Unlock()
	e := p.state().enrollment
	if e == nil {
		return ErrNotEnrolled
	}
	p.unenroll("the user removed it")
	p.sayGoodbye(ctx, e)
	return nil
}

func (p *Phone) sayGoodbye(ctx context.Context, e *Enrollment) {
	if !e.checkOut {
		return
	}
	if err := p.sendCheckOut(ctx, e); err != nil {
		p.log(EventUnenroll, e.Profile, err.Error())
	}
}

// unenroll takes the enrollment away with all it brought.
func (p *Phone) unenroll(why string) {
	next := p.state().clone()
	profile := next.enrollment.Profile
	next.enrollment = nil
	next.profiles = slices.DeleteFunc(next.profiles, func(p *Profile) bool { return p.Managed })
	next.apps = appsWithoutMDM(next.apps)
	p.commit(next)
	p.last, p.polls = nil, false
	p.log(EventUnenroll, profile, why)
}

// Kind is one of the two addresses of an MDM server.
type Kind int

// The two kinds of message.
const (
	CheckIn Kind = iota // to CheckInURL
	Connect             // command results, to ServerURL
)

var contentTypes = map[Kind]string{
	CheckIn: "application/x-apple-aspen-mdm-checkin",
	Connect: "application/x-apple-aspen-mdm; charset=UTF-8",
}

// Send puts any body to the MDM server as this phone would, and returns the
// status and the answer: for tests of what a server must refuse. body is raw
// when it is []byte, else it is written as a property list. The phone itself
// draws no consequence from the answer.
func (p *Phone) Send(ctx context.Context, kind Kind, body any) (status int, answer []byte, err error) {
	p.op.Lock()
	defer p.op.Unlock()
	e := p.state().enrollment
	if e == nil {
		return 0, nil, ErrNotEnrolled
	}
	a, err := p.send(ctx, e, kind, body)
	if err != nil {
		return 0, nil, err
	}
	return a.status, a.body, nil
}

func (p *Phone) send(ctx context.Context, e *Enrollment, kind Kind, body any) (*answer, error) {
	raw, ok := body.([]byte)
	if !ok {
		var err error
		if raw, err = writePlist(body); err != nil {
			return nil, err
		}
	}
	h := http.Header{
		"Content-Type": {contentTypes[kind]},
		"User-Agent":   {"MDM-iOS/1.0"},
	}
	if e.SignMessage {
		sig, err := p.sign(e.Identity, raw)
		if err != nil {
			return nil, err
		}
		h["Mdm-Signature"] = []string{sig}
	}
	to := e.ServerURL
	if kind == CheckIn {
		to = e.CheckInURL
	}
	return fetch(ctx, p.net, http.MethodPut, to, h, raw)
}

// judge draws the consequences of an answer's status.
// Spec: Apple MDM, response codes: 401 removes the enrollment, and so does
// 403 with code com.apple.unrecognized.device from iOS 17.
func (p *Phone) judge(a *answer) error {
	switch {
	case a.status/100 == 2:
		return nil
	case a.status == http.StatusUnauthorized:
		p.unenroll("the server answered 401")
		return ErrRemoved
	case a.status == http.StatusForbidden && p.os.atLeast(version{17, 0}) && unrecognized(a):
		p.unenroll("the server does not recognise the phone")
		return ErrRemoved
	}
	return a.failed()
}

// unrecognized reads the error body of a 403, which is JSON or a property
// list and must say which.
func unrecognized(a *answer) bool {
	var code string
	switch a.mediaType() {
	case "application/json":
		var body struct{ Code string }
		if json.Unmarshal(a.body, &body) == nil {
			code = body.Code
		}
	case "application/xml", "text/xml", "application/x-plist":
		if d, err := readDict(a.body); err == nil {
			code = d.str("code")
		}
	}
	return code == "com.apple.unrecognized.device"
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
