package mdm_test

import (
	"testing"
	"time"

	"github.com/signet-mdm/signet/internal/delivery"
	"github.com/signet-mdm/signet/internal/delivery/plan"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/mdm"
)

// sealed gives the device a sealed parcel of that kind, as a plan does, and its
// command.
func (p *iphone) sealed(kind plan.Kind) mdm.Command {
	p.w.t.Helper()
	ctx, device, store := p.w.t.Context(), p.id.Holder.Device, p.w.db.Delivery()
	p.w.must(p.w.db.Journal().Record(ctx, journal.Entry{At: p.w.now, Action: journal.DeviceUpdated, Due: subject.OfDevice(device)}))
	leases, err := store.DevicesLeased(ctx, p.w.now, p.w.now.Add(time.Minute), 1)
	p.w.must(err)
	parcel := delivery.Parcel{Device: device, User: p.id.Holder.User, Frame: []byte("{}"), Parcel: plan.Parcel{
		ID: string(subject.NewDeviceID()), Kind: kind, Identifier: string(kind), NeedsKey: true, WantsSeal: true, CreatedAt: p.w.now}}
	c := mdm.InstallProfile(device, parcel.ID)
	c.CreatedAt, parcel.Command.UUID = p.w.now, c.UUID
	p.w.must(store.Planned(ctx, delivery.Decision{Lease: leases[0], Moves: []delivery.Move{{Do: plan.Send, New: &parcel, Command: &c}}},
		journal.Entry{At: p.w.now, Action: journal.PlanStored}))
	list, err := store.ParcelsLeased(ctx, p.w.now, p.w.now.Add(time.Minute), 1)
	p.w.must(err)
	_, err = store.ParcelSealed(ctx, delivery.SealedParcel{ID: parcel.ID, Device: device, Bytes: []byte(kind), At: p.w.now, Until: list[0].Until},
		journal.Entry{At: p.w.now, Action: journal.ParcelSealed})
	p.w.must(err)
	return c
}

// An expired identity gets its device what renews it, and nothing else, also
// when the device refuses at first and had something to report from before.
func TestLateIdentity(t *testing.T) {
	w := newWorld(t)
	p := w.enrolled(w.user("alice@example.com"), "U-1")
	first := p.queue("CertificateList", "SecurityInfo")[0]
	mail := p.sealed(plan.Mail)
	renewal := p.sealed(plan.Enrollment)
	p.ask("Idle", "", nil) // it has the first with it when its identity expires

	w.now = p.id.NotAfter.Add(89 * 24 * time.Hour)
	got := p.ask("Acknowledged", first.UUID, map[string]any{"CertificateList": []any{map[string]any{"Data": []byte("x")}}})
	if got.CommandUUID != renewal.UUID {
		t.Fatalf("got %s, want the renewal", got.kind())
	}
	if c := p.command(first.UUID); c.State.Done() || len(p.stored().Certificates) > 0 {
		t.Errorf("what an expired identity reports counts: %s", c.State)
	}
	if again := p.ask("NotNow", renewal.UUID, nil); again.CommandUUID != "" {
		t.Errorf("after NotNow: got %s", again.kind())
	}
	if c := p.command(renewal.UUID); c.State != mdm.Queued || !c.NotBefore.After(w.now) {
		t.Errorf("the renewal is %s until %v", c.State, c.NotBefore)
	}
	if again := p.ask("Idle", "", nil); again.CommandUUID != renewal.UUID {
		t.Errorf("later: got %q, want the renewal", again.kind())
	}
	if next := p.ask("Error", renewal.UUID, nil); next.CommandUUID != "" || p.command(renewal.UUID).State != mdm.Failed {
		t.Errorf("after an error: got %q", next.kind())
	}
	if n := w.entries(journal.DeviceLate, "", ""); n != 2 {
		t.Errorf("journal has %d entries, want one for each time it was handed out", n)
	}
	if seen := p.stored().SeenAt; !seen.Equal(w.now) {
		t.Errorf("seen at %v", seen)
	}

	// It has renewed: all the rest comes.
	old := *p
	p.id = w.identity(p.id.Holder.User, p.id.Holder.Device)
	w.must(p.checkIn("Authenticate", nil))
	w.must(p.checkIn("TokenUpdate", tokens))
	if kinds, _ := p.series(nil); len(kinds) != 2 {
		t.Errorf("afterwards: got %v; what is sealed to the old identity must not come", kinds)
	}
	if c := p.command(mail.UUID); c.Attempts != 0 {
		t.Error("the mail profile was handed out")
	}
	_, err := old.says("Idle", "", nil)
	wants(t, "the old identity", err, mdm.ErrIdentityExpired)
}

// After ninety days it gets nothing.
func TestTooLateIdentity(t *testing.T) {
	w := newWorld(t)
	p := w.enrolled(w.user("alice@example.com"), "U-1")
	p.sealed(plan.Enrollment)
	w.now = p.id.NotAfter.Add(90 * 24 * time.Hour)
	_, err := p.says("Idle", "", nil)
	wants(t, "after ninety days", err, mdm.ErrIdentityExpired)
	if n := w.refusals(mdm.ErrIdentityExpired.Code); n != 1 {
		t.Errorf("journal has %d refusals, want 1", n)
	}
}
