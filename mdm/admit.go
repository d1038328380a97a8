package mdm

import (
	"context"
	"errors"
	"fmt"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/journal"
)

// caller is who sent a message: a certificate that was verified, and from
// where. Whether it may speak for the device is decided here.
type caller struct {
	id     cert.Record
	remote string
	dev    Device // as stored; zero when unknown
}

// caller finds the device that the certificate was issued for.
func (s *Service) caller(ctx context.Context, id cert.Record, remote string) (caller, error) {
	c := caller{id: id, remote: remote}
	dev, err := s.Store.Device(ctx, id.Holder.Device)
	if errors.Is(err, ErrDeviceUnknown) {
		return c, s.refuse(ctx, c, err)
	}
	if err != nil {
		return c, fmt.Errorf("reading device %s: %w", id.Holder.Device, err)
	}
	c.dev = dev
	return c, nil
}

// sound tells what is wrong with the certificate itself: that it is not for
// this device and user, or not good now.
func (s *Service) sound(c caller) error {
	switch {
	case c.id.Holder.User != c.dev.User || c.id.Use != cert.Identity:
		return ErrIdentity
	case c.id.Revoked():
		return ErrIdentityRevoked
	case !c.id.ValidAt(s.Now()):
		return ErrIdentityExpired // its one exception is in late
	}
	return nil
}

// admit tells whether the caller may speak for the enrolled device udid.
//
// Spec: Apple MDM, Managing certificates: the UDID belongs to the identity
func (s *Service) admit(c caller, udid string) error {
	if err := s.sound(c); err != nil {
		return err
	}
	switch {
	case udid != c.dev.UDID:
		return ErrIdentity
	case c.id.Fingerprint == c.dev.Identity:
		return nil
	case c.id.Fingerprint == c.dev.Previous && s.Now().Before(c.dev.IdentityAt.Add(previousLife)):
		return nil // what it had cached may still come under the old identity
	}
	return ErrIdentity
}

// late tells whether the caller is the enrolled device udid with an identity
// that was good and has expired not too long ago.
func (s *Service) late(c caller, udid string) bool {
	now := s.Now()
	return errors.Is(s.sound(c), ErrIdentityExpired) && c.dev.State == Enrolled &&
		udid == c.dev.UDID && c.id.Fingerprint == c.dev.Identity &&
		now.After(c.id.NotAfter) && now.Before(c.id.NotAfter.Add(lateLife))
}

// superseded tells whether the device went on to another identity after this
// one was issued. One that an iPhone just got is younger than what it had, so
// whoever comes back with an older one is not going forward.
func (c caller) superseded() bool {
	return !c.dev.IdentityAt.IsZero() && c.id.Fingerprint != c.dev.Identity && c.id.CreatedAt.Before(c.dev.IdentityAt)
}

// refuse writes down why a message was refused and gives why. A message that
// could not be written down is refused all the same.
func (s *Service) refuse(ctx context.Context, c caller, why error) error {
	e := journal.Entry{At: s.Now(), Actor: c.actor(), Action: journal.DeviceRefused, User: c.id.Holder.User,
		Device: c.id.Holder.Device, Cert: c.id.Fingerprint, Detail: map[string]string{"code": fault.Code(why)}}
	if err := s.Store.Record(ctx, e); err != nil {
		return fmt.Errorf("recording that a device was refused: %w", errors.Join(err, why))
	}
	return why
}

func (c caller) actor() journal.Actor {
	return journal.Actor{Kind: journal.Device, ID: string(c.id.Holder.Device), Remote: c.remote}
}

// told is about the caller's device, which becomes due by it.
func (s *Service) told(c caller, a journal.Action, detail map[string]string) journal.Entry {
	e := s.entry(c.actor(), a, c.dev)
	e.Cert, e.Detail = c.id.Fingerprint, detail
	return e
}
