package delivery

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/signet-mdm/signet/appconfig"
	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/delivery/plan"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/logx"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/mdm"
)

// Reconcile takes due devices, plans for each, and stores the plans. It tells
// how many it took. A device whose facts cannot be planned for stays due, and
// does not keep the others waiting.
func (s *Service) Reconcile(ctx context.Context) (n int, err error) {
	now := s.Now()
	leases, err := s.Store.DevicesLeased(ctx, now, now.Add(leaseLife), batch)
	if err != nil || len(leases) == 0 {
		return 0, err
	}
	byDevice := make(map[subject.DeviceID]Lease, len(leases))
	ids := make([]subject.DeviceID, len(leases))
	for i, l := range leases {
		ids[i], byDevice[l.Device] = l.Device, l
	}
	facts, err := s.facts(ctx, ids)
	if err != nil {
		return 0, err
	}
	var errs []error
	for _, f := range facts {
		if err := s.store(ctx, byDevice[f.Device.ID], f); err != nil {
			errs = append(errs, fmt.Errorf("planning for device %s: %w", f.Device.ID, err))
		}
	}
	return len(leases) - len(errs), errors.Join(errs...)
}

// facts loads the facts of a batch and completes them.
func (s *Service) facts(ctx context.Context, ids []subject.DeviceID) ([]plan.Facts, error) {
	policies, err := s.Policies.Policies(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading policies: %w", err)
	}
	terms, err := s.terms(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the terms of renewal: %w", err)
	}
	facts, err := s.Store.Facts(ctx, ids)
	if err != nil {
		return nil, fmt.Errorf("reading facts: %w", err)
	}
	for i := range facts {
		f := &facts[i]
		f.Now, f.Prefix, f.Renews = s.Now(), s.Identifier, s.Enrollment != nil
		f.Tells, f.Terms = s.Tells, terms
		f.Policy = appconfig.Resolve(policies, f.User, f.Device)
		for _, c := range s.Roots() {
			f.Roots = append(f.Roots, cert.FingerprintOf(c.Raw))
		}
	}
	return facts, nil
}

func (s *Service) terms(ctx context.Context) (map[string]plan.Terms, error) {
	if s.Terms == nil {
		return nil, nil
	}
	return s.Terms.Terms(ctx)
}

func (s *Service) store(ctx context.Context, l Lease, f plan.Facts) error {
	p := plan.Make(f)
	d, err := s.decide(p, f)
	if err != nil {
		return err
	}
	d.Lease = l
	err = s.Store.Planned(ctx, d, s.entry(d, f))
	if errors.Is(err, ErrStale) {
		s.Log.DebugContext(ctx, "plan dropped: the device changed meanwhile", logx.Device, string(f.Device.ID))
		return nil
	}
	return err
}

// entry leaves the device due: what was done may be the ground for more.
func (s *Service) entry(d Decision, f plan.Facts) journal.Entry {
	count := map[plan.Do]int{}
	for _, m := range d.Moves {
		count[m.Do]++
	}
	detail := map[string]string{}
	for do, n := range count {
		detail[string(do)] = strconv.Itoa(n)
	}
	return journal.Entry{At: f.Now, Actor: journal.Worker("delivery"), Action: journal.PlanStored,
		User: f.User.ID, Device: f.Device.ID, Detail: detail, Due: subject.OfDevice(f.Device.ID)}
}

// decide turns a plan into what is stored. The question that decides how keys
// are packed comes first, those about what arrived come last.
func (s *Service) decide(p plan.Plan, f plan.Facts) (Decision, error) {
	d := Decision{Revoke: p.Revoke, Mails: mails(p, f), Told: p.Told, Next: p.Next}
	d.ask(p, f, func(q plan.Question) bool { return q == plan.Information })
	for _, step := range p.Steps {
		if step.Do == plan.Wait {
			continue
		}
		m, err := s.move(step, f)
		if err != nil {
			return d, err
		}
		d.Moves = append(d.Moves, m)
	}
	d.ask(p, f, func(q plan.Question) bool { return q != plan.Information })
	return d, nil
}

func (d *Decision) ask(p plan.Plan, f plan.Facts, now func(plan.Question) bool) {
	for _, a := range p.Asks {
		if now(a.Question) {
			d.Moves = append(d.Moves, Move{Do: Ask, Command: dated(question(f.Device.ID, a.Question), f.Now)})
		}
	}
}

func (s *Service) move(step plan.Step, f plan.Facts) (m Move, err error) {
	m = Move{Do: step.Do, Parcel: step.Parcel.ID}
	switch step.Do {
	case plan.Send, plan.Replace:
		if m.New, err = s.parcel(step.Item, f); err != nil {
			return m, err
		}
		m.Command = dated(bring(step.Item, f, m.New.ID), f.Now)
		m.New.Command.UUID = m.Command.UUID
	case plan.Again:
		if c := step.Parcel.Command; !c.DoneAt.IsZero() || c.UUID == "" {
			m.Command = dated(bring(step.Item, f, m.Parcel), f.Now)
		}
	case plan.Withdraw:
		m.Command = dated(takeAway(step.Parcel, f.Device.ID), f.Now)
	}
	return m, nil
}

// parcel lays out a new one.
func (s *Service) parcel(i plan.Item, f plan.Facts) (*Parcel, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return nil, fmt.Errorf("making parcel id: %w", err)
	}
	p := &Parcel{Device: f.Device.ID, User: f.User.ID, Parcel: plan.Parcel{
		ID: id.String(), Kind: i.Kind, Identifier: i.Identifier, Digest: i.Digest, Label: i.Label,
		Certs: i.Certs, Signs: i.Signs, NeedsKey: i.NeedsKey, CreatedAt: f.Now,
	}}
	if i.Kind == plan.Outlook {
		return p, nil
	}
	p.Profile, p.WantsSeal = true, true
	if p.Frame, err = json.Marshal(s.frame(i, f)); err != nil {
		return nil, fmt.Errorf("laying out %s: %w", i.Identifier, err)
	}
	return p, nil
}

func dated(c mdm.Command, at time.Time) *mdm.Command {
	c.CreatedAt = at
	return &c
}

func question(d subject.DeviceID, q plan.Question) mdm.Command {
	switch q {
	case plan.Information:
		return mdm.DeviceInformation(d)
	case plan.Profiles:
		return mdm.ProfileList(d)
	case plan.Apps:
		return mdm.ManagedApplicationList(d, appconfig.OutlookBundle)
	}
	return mdm.CertificateList(d)
}
