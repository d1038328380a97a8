package mdm

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/subject"
)

// Connect takes a report from the holder of a verified certificate and gives
// the next command, empty when there is none; id and remote are as in
// [Service.CheckIn], and so are the errors. A report of a command that is done
// or that nobody knows is taken without effect, because the device repeats it
// until it is taken.
//
// Spec: Apple MDM, command protocol
func (s *Service) Connect(ctx context.Context, id cert.Record, remote string, body []byte) (reply []byte, err error) {
	r, err := parseReport(body)
	if err != nil {
		return nil, fmt.Errorf("report of %s: %w", id.Holder.Device, err)
	}
	c, err := s.caller(ctx, id, remote)
	if err != nil {
		return nil, err
	}
	if c.dev.State == Removed {
		return s.farewell(ctx, c, r)
	}
	if s.late(c, r.udid) {
		return s.renewal(ctx, c, r)
	}
	if err := s.admit(c, r.udid); err != nil {
		return nil, s.refuse(ctx, c, err)
	}
	if c.dev.State != Enrolled {
		return nil, ErrNotEnrolled
	}
	repeat, err := s.settle(ctx, c, r)
	if err != nil {
		return nil, err
	}
	return s.next(ctx, Poll{Device: c.dev.ID, After: r.command, Repeat: repeat, Refused: refusedAfter(r.status)})
}

// renewal serves a device whose identity has expired: it gets what renews its
// identity and nothing else, and its report of that is the only one that counts.
// Of another it is relieved, or it would repeat that for ever; the command stays
// as it is and comes again when the identity is renewed.
func (s *Service) renewal(ctx context.Context, c caller, r report) ([]byte, error) {
	p := Poll{Device: c.dev.ID, After: r.command, Refused: refusedAfter(r.status), Renewal: true}
	cmd, err := s.Store.Command(ctx, r.command)
	switch {
	case err != nil && !errors.Is(err, ErrCommandUnknown):
		return nil, fmt.Errorf("reading command: %w", err)
	case cmd.Renews || cmd.Device != "" && cmd.Device != c.dev.ID:
		if p.Repeat, err = s.settle(ctx, c, r); err != nil {
			return nil, err
		}
	}
	reply, err := s.next(ctx, p)
	if err != nil || len(reply) == 0 {
		return reply, err
	}
	e := s.told(c, journal.DeviceLate, nil)
	e.Due = subject.Scope{}
	if err := s.Store.Record(ctx, e); err != nil {
		return nil, fmt.Errorf("recording that a late device renews: %w", err)
	}
	return reply, nil
}

// refusedAfter says what to do with commands that this series of messages
// refused. A device comes back by itself only when its last word was NotNow,
// so a series that refused something is made to end with that; and it forgets
// nothing by it, because Idle begins a new series.
//
// Spec: Apple MDM, Handling NotNow status responses
func refusedAfter(status string) Refused {
	switch status {
	case statusIdle:
		return RefusedToo
	case statusNotNow:
		return SkipRefused
	}
	return RefusedLast
}

// farewell lets a removed device fetch its last command, if there is one.
func (s *Service) farewell(ctx context.Context, c caller, r report) ([]byte, error) {
	if c.id.Holder.User != c.dev.User || c.id.Use != cert.Identity {
		return nil, s.refuse(ctx, c, ErrIdentity)
	}
	if _, err := s.settle(ctx, c, r); err != nil {
		return nil, err
	}
	reply, err := s.next(ctx, Poll{Device: c.dev.ID, Refused: RefusedToo})
	if err == nil && len(reply) == 0 {
		return nil, ErrDeviceRemoved
	}
	return reply, err
}

func (s *Service) next(ctx context.Context, p Poll) ([]byte, error) {
	p.At = s.Now()
	p.Until = p.At.Add(leaseLife)
	cmd, found, err := s.Store.Next(ctx, p)
	if err != nil {
		return nil, fmt.Errorf("next command of %s: %w", p.Device, err)
	}
	if !found {
		return nil, nil
	}
	return cmd.encode()
}

// settle takes the report of a command and tells whether it came before.
func (s *Service) settle(ctx context.Context, c caller, r report) (repeat bool, err error) {
	if r.status == statusIdle {
		return false, nil
	}
	cmd, err := s.Store.Command(ctx, r.command)
	switch {
	case errors.Is(err, ErrCommandUnknown):
		return true, nil
	case err != nil:
		return false, fmt.Errorf("reading command: %w", err)
	case cmd.Device != c.dev.ID:
		return false, s.refuse(ctx, c, ErrCommandForeign)
	case cmd.State.Done():
		return true, nil
	}
	o := r.outcome(cmd, s.Now())
	settled, err := s.Store.Reported(ctx, o, s.told(c, journal.DeviceReported, detail(cmd, r, o)))
	if err != nil {
		return false, fmt.Errorf("storing result of %s: %w", cmd.UUID, err)
	}
	return !settled, nil
}

// patience is how long a refused command waits before a push asks for it
// again, by how often it was handed out.
func patience(attempts int) time.Duration {
	steps := []time.Duration{time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour}
	return steps[min(max(attempts-1, 0), len(steps)-1)]
}

func detail(c Command, r report, o Outcome) map[string]string {
	d := map[string]string{"command": c.UUID, "type": c.RequestType, "status": r.status}
	if len(o.Errors) > 0 {
		d["error"] = strconv.FormatInt(o.Errors[0].Code, 10)
	}
	return d
}
