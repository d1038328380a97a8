package delivery

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/signet-mdm/signet/appconfig"
	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/delivery/plan"
	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/subject"
)

// ErrDevice is returned for a device that does not exist.
var ErrDevice = fault.New(fault.NotFound, "delivery_device_unknown",
	"There is no such device.", "signet device list shows them.")

// Progress is how far the delivery to one device is, for people.
type Progress struct {
	Device    subject.Device `json:"device"`
	Enrolled  time.Time      `json:"enrolled"`
	Lines     []Line         `json:"lines"`
	Installed int            `json:"installed"` // lines that are done
	Hint      string         `json:"hint"`      // what the user can do now; "" for nothing
	Notes     []string       `json:"notes"`     // what nobody can do, or what is not in effect
	Seen      time.Time      `json:"seen"`      // when the device last spoke
}

// Done tells whether everything is there.
func (p Progress) Done() bool { return p.Installed == len(p.Lines) }

// Line is one thing that the device should have, or is to lose.
type Line struct {
	Words      string           `json:"words"`
	Kind       plan.Kind        `json:"kind"`
	Identifier string           `json:"identifier"`
	Cert       cert.Fingerprint `json:"-"` // zero: none, or not known yet
	State      State            `json:"state"`
	Reason     string           `json:"reason"` // of a failure
	Ask        string           `json:"ask"`    // what the user is to do so that it goes on; "" for nothing
	Why        string           `json:"why"`    // what the planner says, for administrators
	Tries      int              `json:"tries"`  // how often it failed
	Next       time.Time        `json:"next"`   // when it is tried again after that; zero: not by itself

	Certificate bool      `json:"certificate"` // it is one of the user's own
	From, Until time.Time `json:"-"`           // its validity; zero: not known yet
}

// State is what people see of a parcel.
type State string

// The states.
const (
	Queued    State = "queued"
	Sealed    State = "sealed"
	Sent      State = "sent"
	Installed State = "installed"
	Failed    State = "failed"
	Removing  State = "removing"
	Removed   State = "removed"
)

// shown is what people see of what the planner knows.
var shown = map[plan.State]State{
	"": Queued, plan.Queued: Queued, plan.Parked: Queued, plan.Ready: Sealed, plan.Sent: Sent, plan.Arrived: Sent,
	plan.Installed: Installed, plan.Failed: Failed, plan.Removing: Removing, plan.Lingering: Removing, plan.Gone: Removed,
}

// silence is after how long without a word the user is asked to help.
const silence = time.Minute

// Device tells how far the delivery to a device is. ErrDevice when there is
// none.
func (s *Service) Device(ctx context.Context, id subject.DeviceID) (Progress, error) {
	list, err := s.progress(ctx, []subject.DeviceID{id})
	if err != nil {
		return Progress{}, err
	}
	if len(list) == 0 {
		return Progress{}, ErrDevice
	}
	return list[0], nil
}

// User tells the same for each of a user's devices that is enrolled, newest
// first; empty, never nil.
func (s *Service) User(ctx context.Context, id subject.UserID) ([]Progress, error) {
	of, err := s.Users(ctx, []subject.UserID{id})
	return append([]Progress{}, of[id]...), err
}

// Users does that for many, in a number of statements that grows with every
// fiftieth device only.
func (s *Service) Users(ctx context.Context, ids []subject.UserID) (map[subject.UserID][]Progress, error) {
	devices, err := s.Store.DevicesOf(ctx, ids...)
	if err != nil {
		return nil, fmt.Errorf("listing devices of users: %w", err)
	}
	of := make(map[subject.UserID][]Progress, len(ids))
	for some := range slices.Chunk(devices, batch) {
		list, err := s.progress(ctx, some)
		if err != nil {
			return nil, err
		}
		for _, p := range list {
			of[p.Device.User] = append(of[p.Device.User], p)
		}
	}
	return of, nil
}

// progress keeps the order of ids.
func (s *Service) progress(ctx context.Context, ids []subject.DeviceID) ([]Progress, error) {
	facts, err := s.facts(ctx, ids)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(facts, func(a, b plan.Facts) int {
		return slices.Index(ids, a.Device.ID) - slices.Index(ids, b.Device.ID)
	})
	list := make([]Progress, len(facts))
	for i, f := range facts {
		list[i] = Show(f)
	}
	return list, nil
}

// Explain tells everything that the planner thinks of a device, and why, one
// thing a line. ErrDevice when there is none.
func (s *Service) Explain(ctx context.Context, id subject.DeviceID) ([]plan.Line, error) {
	facts, err := s.facts(ctx, []subject.DeviceID{id})
	if err != nil {
		return nil, err
	}
	if len(facts) == 0 {
		return nil, ErrDevice
	}
	return plan.Explain(facts[0]), nil
}

// Show works out the progress from facts.
func Show(f plan.Facts) Progress {
	p := Progress{Device: f.Device, Enrolled: f.EnrolledAt, Lines: []Line{}, Notes: notes(f), Seen: f.Seen}
	for _, step := range plan.Make(f).Steps {
		p.Lines = append(p.Lines, lines(step, f)...)
	}
	for _, l := range p.Lines {
		if l.State == Installed {
			p.Installed++
		}
	}
	if !p.Done() {
		p.Hint = hint(p)
	}
	return p
}

// lines shows one thing; the mail profile is as many as it has parts, and the
// enrollment is between the device and us unless it fails.
func lines(step plan.Step, f plan.Facts) []Line {
	if (step.Item.Kind == plan.Enrollment || step.Parcel.Kind == plan.Enrollment) && step.State != plan.Failed {
		return nil
	}
	l := Line{Words: step.Item.Label, Kind: step.Item.Kind, Identifier: step.Item.Identifier,
		State: shown[step.State], Reason: f.Reason(step.Parcel), Why: step.Why, Ask: ask(step, f)}
	if step.Do == plan.Replace || step.Do == plan.Send {
		l.State, l.Reason, l.Ask = Queued, "", ""
	}
	if l.State == Failed {
		l.Tries = step.Parcel.Attempts + 1
		if !f.GivenUp(step.Parcel) {
			l.Next = f.NextTry(step.Parcel)
		}
	}
	if step.Item.Kind == "" {
		l.Words, l.Kind, l.Identifier = step.Parcel.Label, step.Parcel.Kind, step.Parcel.Identifier
		return []Line{l}
	}
	switch {
	case step.Item.Hold && step.Parcel.ID == "":
		return nil // there is a note about it
	case step.Item.Kind == plan.Mail:
		return mailLines(l, step.Item, f)
	case step.Item.Kind == plan.History:
		return []Line{l.certificate("To read older mail"+years(step.Item.Encryption, f), step.Item.Encryption, f)}
	}
	return []Line{l}
}

// certificate is the line of one of the user's certificates; c is zero when it
// is not known yet.
func (l Line) certificate(words string, c cert.Fingerprint, f plan.Facts) Line {
	l.Words, l.Cert, l.Certificate = words, c, true
	if r, known := record(c, f); known {
		l.From, l.Until = r.NotBefore, r.NotAfter
	}
	return l
}

func mailLines(l Line, i plan.Item, f plan.Facts) (list []Line) {
	if i.Account.Kind != appconfig.None {
		list = append(list, l)
	}
	if i.Signs || !i.Signing.IsZero() {
		c := i.Signing
		if made, ok := f.Signing(); i.Signs && ok {
			c = made
		}
		list = append(list, l.certificate("To sign your mail", c, f))
	}
	if !i.Encryption.IsZero() {
		list = append(list, l.certificate("To read mail"+since(i.Encryption, f), i.Encryption, f))
	}
	return list
}

func record(c cert.Fingerprint, f plan.Facts) (cert.Record, bool) {
	for _, r := range f.Records {
		if r.Fingerprint == c {
			return r, true
		}
	}
	return cert.Record{}, false
}

func since(c cert.Fingerprint, f plan.Facts) string {
	if r, ok := record(c, f); ok {
		return fmt.Sprintf(" since %d", r.NotBefore.UTC().Year())
	}
	return ""
}

func years(c cert.Fingerprint, f plan.Facts) string {
	r, ok := record(c, f)
	if !ok {
		return ""
	}
	return " (" + plan.Years(r) + ")"
}

// notes say what is not in effect, and what is never claimed.
func notes(f plan.Facts) []string {
	list := []string{}
	for _, p := range f.Policy.Problems {
		list = append(list, p.Why)
	}
	if keyless(f) {
		list = append(list, "No encryption certificate was imported for this user: encrypted mail cannot be read.")
	}
	if f.Policy.Outlook() {
		list = append(list, "Outlook takes its settings from here, but certificates only from a file that is opened in Outlook itself.")
	}
	if f.Refusal != "" {
		list = append(list, "The device asked for a certificate and was refused: "+f.Refusal)
	}
	for _, o := range f.Overdue() {
		switch {
		case o.Use.Has(cert.Signing) && f.Now.After(o.End):
			list = append(list, "The certificate to sign mail with expired on "+o.End.Format(time.DateOnly)+" and is not renewed yet.")
		case o.Use.Has(cert.Signing):
			list = append(list, "The certificate to sign mail with expires on "+o.End.Format(time.DateOnly)+" and is not renewed yet.")
		case !f.Now.After(o.End):
			list = append(list, "The device's certificate expires on "+o.End.Format(time.DateOnly)+" and is not renewed yet; the device has to speak to the server.")
		}
	}
	switch end := f.IdentityEnd(); {
	case end.IsZero() || !f.Now.After(end):
	case f.Now.Before(end.Add(lateLife)):
		list = append(list, "The device's certificate has expired; before anything else it has to renew that.")
	default:
		list = append(list, "The device's certificate has expired too long ago; the device has to be enrolled again.")
	}
	return list
}

// keyless tells whether a policy wants certificates out of escrow and there is none.
func keyless(f plan.Facts) bool {
	return f.Policy.Apple() && f.Policy.Account().EncryptsFrom == appconfig.Imported && !slices.ContainsFunc(f.Records, cert.Record.Escrowed)
}

// lateLife is how long mdm lets an expired identity renew itself.
const lateLife = 90 * 24 * time.Hour

// hint tells the user what helps.
func hint(p Progress) string {
	for _, l := range p.Lines {
		if l.Ask != "" {
			return l.Ask
		}
	}
	return ""
}

// ask says what the user is to do about one thing.
func ask(step plan.Step, f plan.Facts) string {
	p, state := step.Parcel, shown[step.State]
	switch {
	case state == Installed || state == Removed:
		return ""
	case p.Command.Refused || p.Removal.Refused:
		return "Unlock your " + f.Device.Word() + "."
	case p.Kind == plan.Outlook && state == Sent:
		return "Your " + f.Device.Word() + " asks whether it may install Outlook."
	case state == Sealed && f.Now.Sub(f.Seen) > silence:
		return "Unlock your " + f.Device.Word() + "."
	}
	return ""
}
