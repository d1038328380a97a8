package mdm

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/plist"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/internal/subject"
)

// message is a check-in message.
//
// Spec: Apple MDM, Check-in
type message struct {
	MessageType  string
	UDID         string
	EnrollmentID string // user enrollment has this in place of a UDID
	UserID       string // the user channel
	Topic        string

	OSVersion, ProductName, SerialNumber, DeviceName string // Authenticate

	Token, UnlockToken []byte // TokenUpdate
	PushMagic          string
}

// Limits of what one value may hold, in bytes.
const (
	maxText  = 255
	maxToken = 16 << 10
)

func parseMessage(body []byte) (message, error) {
	var m message
	if err := plist.Unmarshal(body, &m, plist.CheckIn); err != nil {
		return m, err
	}
	if m.UDID == "" {
		m.UDID = m.EnrollmentID
	}
	switch {
	case m.UserID != "":
		return m, ErrUserChannel
	case m.UDID == "" || !plain(m.UDID) || !plain(m.Topic) || !strings.HasPrefix(m.Topic, "com.apple.mgmt."):
		return m, ErrMessage
	case len(m.Token) > maxToken || len(m.UnlockToken) > maxToken || len(m.PushMagic) > maxText:
		return m, ErrMessage
	}
	return m, nil
}

// plain tells whether s is short printable ASCII, as identifiers are.
func plain(s string) bool {
	return len(s) <= maxText && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' })
}

// label makes a foreign text fit to be shown: no control characters, nothing
// that turns a line round, not too long.
func label(s string) string {
	s = strings.Map(func(r rune) rune {
		if subject.Unshowable(r) || r == unicode.ReplacementChar {
			return -1
		}
		return r
	}, s)
	return strings.ToValidUTF8(s[:min(len(s), maxText)], "")
}

// CheckIn takes a check-in message from the holder of a verified certificate:
// id is its issuance record, remote the peer's address. The answer to a device
// is reply, which is empty for all messages of today.
//
// Errors are those of this package and of plist. The edge must never make 401
// of one; for ErrDeviceRemoved it says that the device is not recognised.
func (s *Service) CheckIn(ctx context.Context, id cert.Record, remote string, body []byte) (reply []byte, err error) {
	m, err := parseMessage(body)
	if err != nil {
		return nil, fmt.Errorf("check-in of %s: %w", id.Holder.Device, err)
	}
	c, err := s.caller(ctx, id, remote)
	if err != nil {
		return nil, err
	}
	switch m.MessageType {
	case "Authenticate":
		return nil, s.authenticate(ctx, c, m)
	case "TokenUpdate":
		return nil, s.updateToken(ctx, c, m)
	case "CheckOut":
		return nil, s.checkOut(ctx, c, m)
	}
	return nil, ErrMessage
}

// authenticate binds the device of the certificate to the UDID that speaks, or
// renews its identity. Only here is anything bound.
//
// Spec: Apple MDM, Authenticate
func (s *Service) authenticate(ctx context.Context, c caller, m message) error {
	if c.dev.State == Removed {
		return ErrDeviceRemoved
	}
	if err := s.sound(c); err != nil {
		return s.refuse(ctx, c, err)
	}
	if c.dev.UDID != "" && c.dev.UDID != m.UDID || c.superseded() {
		return s.refuse(ctx, c, ErrIdentity)
	}
	b := Binding{Device: c.dev.ID, UDID: m.UDID, Identity: c.id.Fingerprint, Topic: m.Topic, At: s.Now(),
		Told: Information{Name: label(m.DeviceName), Model: label(m.ProductName), OSVersion: label(m.OSVersion), Serial: label(m.SerialNumber)}}
	entries := []journal.Entry{s.told(c, journal.DeviceUpdated, authenticated(c))}
	old, err := s.holderOf(ctx, c, m.UDID)
	if err != nil {
		return err
	}
	if old.ID != "" {
		b.Supersedes = old.ID
		e := s.entry(c.actor(), journal.DeviceRemoved, old)
		e.Detail = map[string]string{"replaced_by": string(c.dev.ID)}
		entries = append(entries, e)
	}
	if err := s.Store.Authenticated(ctx, b, entries...); err != nil {
		return fmt.Errorf("binding device %s: %w", c.dev.ID, err)
	}
	return nil
}

// authenticated says for the journal whether it is a renewal: another identity
// was issued for a device that has one.
func authenticated(c caller) map[string]string {
	d := map[string]string{"message": "Authenticate"}
	if !c.dev.Identity.IsZero() && c.dev.Identity != c.id.Fingerprint {
		d["renews"] = c.dev.Identity.String()
	}
	return d
}

// holderOf finds the other device that has the UDID: the same iPhone under an
// older invitation. Managed for another user it is not given up, or whoever
// has an invitation could end the management of any phone whose UDID he knows.
func (s *Service) holderOf(ctx context.Context, c caller, udid string) (Device, error) {
	old, err := s.Store.DeviceByUDID(ctx, udid)
	switch {
	case errors.Is(err, ErrDeviceUnknown) || err == nil && old.ID == c.dev.ID:
		return Device{}, nil
	case err != nil:
		return Device{}, fmt.Errorf("looking for the UDID: %w", err)
	case old.User != c.dev.User && old.State != Removed:
		return Device{}, s.refuse(ctx, c, ErrDeviceTaken)
	}
	return old, nil
}

// updateToken stores where pushes go. The first one after Authenticate ends
// the enrollment.
//
// Spec: Apple MDM, TokenUpdate
func (s *Service) updateToken(ctx context.Context, c caller, m message) error {
	if c.dev.State == Removed {
		return ErrDeviceRemoved
	}
	if err := s.admit(c, m.UDID); err != nil {
		return s.refuse(ctx, c, err)
	}
	if len(m.Token) == 0 || m.PushMagic == "" {
		return ErrMessage
	}
	action := journal.DeviceUpdated
	if c.dev.State != Enrolled {
		action = journal.DeviceEnrolled
	}
	err := s.Store.TokensUpdated(ctx, Tokens{
		Device: c.dev.ID, Topic: m.Topic, At: s.Now(), Token: seal.NewSecret(m.Token),
		PushMagic: seal.SecretString(m.PushMagic), UnlockToken: seal.NewSecret(m.UnlockToken),
	}, s.told(c, action, map[string]string{"message": "TokenUpdate"}))
	if err != nil {
		return fmt.Errorf("storing push token of %s: %w", c.dev.ID, err)
	}
	return nil
}

// checkOut ends the management on the device's own word.
//
// Spec: Apple MDM, CheckOut
func (s *Service) checkOut(ctx context.Context, c caller, m message) error {
	if c.dev.State != Removed {
		if err := s.admit(c, m.UDID); err != nil {
			return s.refuse(ctx, c, err)
		}
	}
	e := s.told(c, journal.DeviceRemoved, map[string]string{"message": "CheckOut"})
	if err := s.Store.DeviceRemoved(ctx, c.dev.ID, nil, e); err != nil {
		return fmt.Errorf("checking out %s: %w", c.dev.ID, err)
	}
	return nil
}
