// Package mdm is the life of devices: invitation, enrollment, check-in and the
// queue of commands with Apple's rules for it. It knows neither SQL nor HTTP
// nor what a command is for.
//
// It promises that a device proves itself by a certificate that was issued for
// exactly this device and user, before any of its words count; that nothing is
// bound outside Authenticate; that every message may come twice; and that no
// failure it returns means 401, which would make a phone drop its enrollment.
//
// Start reading at [Service.Invite], [Service.CheckIn] and [Service.Connect].
package mdm

import (
	"context"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/mdm/profile"
)

// Config says how to run it.
type Config struct {
	Store        Store
	BaseURL      string               // https://host[:port], no path
	DeviceURL    string               // the same for enrolled devices, who keep it for ever; empty: BaseURL
	Identifier   string               // what all profile identifiers begin with, for ever; empty: Prefix(BaseURL)
	Organization string               // shown to people; may be empty
	Rights       profile.AccessRights // 0: profile.CertificateDelivery
	Lab          bool                 // the link alone enrolls, without a code: demo and tests only
	LinkLife     time.Duration        // how long a link can be redeemed; 0: 7 days
	Now          func() time.Time
	// Topic gives the push certificate's UID as it is now, for devices that
	// enroll; they keep it for ever.
	Topic func(context.Context) (string, error)
}

// Lengths of time that nobody configures.
const (
	defaultLinkLife = 7 * 24 * time.Hour
	leaseLife       = 10 * time.Second    // a command is with the device; longer than two polls can cross
	previousLife    = 24 * time.Hour      // the identity before a renewal still counts
	lateLife        = 90 * 24 * time.Hour // an expired identity still gets its device what renews it
)

// Service is the MDM server.
type Service struct {
	Config
}

// New makes the service. It panics on a missing dependency.
func New(c Config) *Service {
	if c.Store == nil || c.Now == nil || c.BaseURL == "" || c.Topic == nil {
		panic("mdm: nil dependency")
	}
	if c.DeviceURL == "" {
		c.DeviceURL = c.BaseURL
	}
	if c.Identifier == "" {
		c.Identifier = Prefix(c.BaseURL)
	}
	if c.Rights == 0 {
		c.Rights = profile.CertificateDelivery
	}
	if c.LinkLife == 0 {
		c.LinkLife = defaultLinkLife
	}
	return &Service{c}
}

// Prefix gives the reversed host name of a URL, as profile identifiers begin:
// "org.example.mdm" for https://mdm.example.org. An IP address stays as it is.
func Prefix(baseURL string) string {
	u, err := url.Parse(baseURL)
	if err != nil || u.Hostname() == "" {
		return "signet"
	}
	host := strings.ToLower(u.Hostname())
	if net.ParseIP(host) != nil {
		return "signet." + strings.NewReplacer(".", "-", ":", "-").Replace(host)
	}
	labels := strings.Split(host, ".")
	slices.Reverse(labels)
	return strings.Join(labels, ".")
}

// DevicePage lists the devices that a query asks for, newest first; never nil.
func (s *Service) DevicePage(ctx context.Context, q Query) ([]Device, error) {
	return s.Store.DevicePage(ctx, q)
}

// Device gives one device by our id, its UDID or its serial number.
// ErrDeviceUnknown when there is none.
func (s *Service) Device(ctx context.Context, key string) (Detail, error) {
	return s.Store.Detail(ctx, key)
}

// Removals by people that need no confirmation: so many in an hour, and of a
// larger fleet no more than so many of a hundred.
const (
	removalSpan    = time.Hour
	removalMost    = 5
	removalPercent = 5
	removalFleet   = 20
)

// Remove ends the management of a device: its queue is cancelled, and when it
// comes back it is told to drop the enrollment and all that it brought. It is
// due, so that its certificates get revoked. ErrDeviceUnknown when there is no
// such device; removing twice is no error. ErrManyRemoved for many enrolled ones
// in a short time, unless that is confirmed.
func (s *Service) Remove(ctx context.Context, by journal.Actor, id subject.DeviceID, many bool) error {
	d, err := s.Store.Device(ctx, id)
	if err != nil {
		return err
	}
	if d.State == Removed {
		return nil
	}
	e, farewell := s.entry(by, journal.DeviceRemoved, d), s.farewellTo(d)
	if farewell == nil {
		return s.Store.DeviceRemoved(ctx, id, nil, e)
	}
	x := Dismissal{Device: id, Farewell: *farewell, Since: e.At.Add(-removalSpan), Most: removalMost, Percent: removalPercent, Fleet: removalFleet}
	if many {
		x.Most, e.Detail = 0, map[string]string{"many": "confirmed"}
	}
	return s.Store.DeviceDismissed(ctx, x, e)
}

// Lost removes a device of that user because it is in strange hands: what was
// issued to it gets revoked as compromised. ErrDeviceUnknown when the user has
// no such device; one that was removed already stays as it is.
func (s *Service) Lost(ctx context.Context, by journal.Actor, user subject.UserID, id subject.DeviceID) error {
	d, err := s.Store.Device(ctx, id)
	switch {
	case err != nil:
		return err
	case d.User != user:
		return ErrDeviceUnknown
	case d.State == Removed:
		return nil
	}
	return s.Store.DeviceLost(ctx, id, s.farewellTo(d), s.entry(by, journal.DeviceLost, d))
}

// farewellTo is the last command to an enrolled device; nil to others.
func (s *Service) farewellTo(d Device) *Command {
	if d.State != Enrolled {
		return nil
	}
	c := RemoveProfile(d.ID, s.enrollmentID())
	c.CreatedAt = s.Now()
	return &c
}

// Refresh asks an enrolled device about itself and its certificates again, makes
// it due, and lets what it refused too often be tried again; with renew its
// certificates are renewed though their time has not come. ErrDeviceUnknown or
// ErrNotEnrolled when it cannot be asked.
func (s *Service) Refresh(ctx context.Context, by journal.Actor, id subject.DeviceID, renew bool) error {
	d, err := s.Store.Device(ctx, id)
	if err != nil {
		return err
	}
	if d.State != Enrolled {
		return ErrNotEnrolled
	}
	commands := []Command{DeviceInformation(id), CertificateList(id)}
	for i := range commands {
		commands[i].CreatedAt = s.Now()
	}
	e := s.entry(by, journal.DeviceRefresh, d)
	if renew {
		e.Detail = map[string]string{"renew": "yes"}
	}
	return s.Store.Refreshed(ctx, Refreshment{Device: id, Commands: commands, Renew: renew}, e)
}

// Refused writes down that a stranger was turned away: remote is its address,
// c the certificate it showed (zero: none), why a fault code. The caller bounds
// how often.
func (s *Service) Refused(ctx context.Context, remote string, c cert.Fingerprint, why string) error {
	return s.Store.Record(ctx, journal.Entry{At: s.Now(), Actor: journal.Actor{Kind: journal.Device, Remote: remote},
		Action: journal.DeviceRefused, Cert: c, Detail: map[string]string{"code": why}})
}

// entry is about a device, which becomes due by it.
func (s *Service) entry(by journal.Actor, a journal.Action, d Device) journal.Entry {
	return journal.Entry{At: s.Now(), Actor: by, Action: a, User: d.User, Device: d.ID, Due: subject.OfDevice(d.ID)}
}
