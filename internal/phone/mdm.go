package phone

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
)

// Enroll installs an enrollment profile as the user does in Settings: trust,
// SCEP, Authenticate, TokenUpdate. Nothing of it stays when it fails. When only
// TokenUpdate fails the phone is enrolled all the same and repeats it at the
// next Poll. A profile without MDM is just installed, as the user's own; then
// its root certificates are not trusted for TLS.
func (p *Phone) Enroll(ctx context.Context, profile []byte) error {
	p.op.Lock()
	defer p.op.Unlock()
	if err := p.install(ctx, profile, byHand); err != nil {
		return err
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
		return &Error{domainMDM, 12002, "The phone cannot check in.", err}
	}
	if a.status != http.StatusOK {
		return &Error{domainMDM, 12002, "The server refused the phone.", a.failed()}
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
