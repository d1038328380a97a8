package storetest

import (
	"testing"
	"time"

	"github.com/signet-mdm/signet/internal/delivery"
	"github.com/signet-mdm/signet/internal/delivery/plan"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/internal/store"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/mdm"
	"github.com/signet-mdm/signet/notify"
)

// opened records that a key was opened for a device.
func opened(t *testing.T, db *store.DB, d subject.Device, when time.Time) {
	t.Helper()
	e := entry(journal.KeyOpened)
	e.At, e.User, e.Device = when, d.User, d.ID
	if err := db.Journal().Record(t.Context(), e); err != nil {
		t.Fatal(err)
	}
}

// testOpenings plays what a user is told of.
func testOpenings(t *testing.T, db *store.DB) {
	d, s := deliver(t, db), outbox(t, db)
	one := facet(t, db).device(d.id).Device
	u := one.User
	two := subject.Device{ID: subject.NewDeviceID(), User: u}
	invited := mdm.Invitation{Token: seal.Random().Hash(), Code: seal.Random().Hash(), User: subject.User{ID: u}, State: mdm.Invited,
		Device: two, CreatedAt: at, ExpiresAt: at.Add(time.Hour)}
	d.must(facet(t, db).Invited(t.Context(), invited, entry(journal.DeviceInvited)))
	untold := func(first, mailed time.Time) []notify.Untold {
		t.Helper()
		list, err := s.OpeningsUntold(t.Context(), first, mailed, 10)
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	if list := untold(at, at); len(list) != 0 {
		t.Errorf("nothing was opened: got %+v", list)
	}
	opened(t, db, one, at)
	opened(t, db, one, at.Add(time.Minute))
	opened(t, db, two, at.Add(time.Hour))
	if list := untold(at.Add(-time.Second), at); len(list) != 0 {
		t.Errorf("too early: got %+v", list)
	}
	list := untold(at, at)
	if len(list) != 1 || list[0].User != u || len(list[0].Openings) != 2 {
		t.Fatalf("got %+v, want both devices", list)
	}
	for _, o := range list[0].Openings {
		keys, last := 2, at.Add(time.Minute)
		if o.Device.ID == two.ID {
			keys, last = 1, at.Add(time.Hour)
		}
		if o.Keys != keys || !o.Last.Equal(last) || o.Device.User != u {
			t.Errorf("got %+v, want %d keys until %v", o, keys, last)
		}
	}
	tell := func(l notify.Untold, when time.Time) bool {
		t.Helper()
		told, err := s.OpeningsTold(t.Context(), l, notify.NewMail(notify.KeysOpened, l.User, "", notify.Facts{}, when), entry(journal.MailQueued))
		if err != nil {
			t.Fatal(err)
		}
		return told
	}
	opened(t, db, one, at.Add(2*time.Hour))
	if tell(list[0], at) {
		t.Error("a list that is another by now was told")
	}
	if mails, err := s.Mails(t.Context(), notify.MailQuery{Limit: 10}); err != nil || len(mails) != 0 {
		t.Errorf("mails of a list that is another: %+v, %v", mails, err)
	}
	if list = untold(at, at); !tell(list[0], at.Add(3*time.Hour)) || tell(list[0], at.Add(3*time.Hour)) {
		t.Error("a list is told once")
	}
	opened(t, db, one, at.Add(4*time.Hour))
	if list := untold(at.Add(9*time.Hour), at.Add(2*time.Hour)); len(list) != 0 {
		t.Errorf("within a day: got %+v", list)
	}
	if list := untold(at.Add(9*time.Hour), at.Add(3*time.Hour)); len(list) != 1 || list[0].Openings[0].Keys != 1 {
		t.Errorf("a day later: got %+v", list)
	}
	if n, err := s.OpeningsForgotten(t.Context(), at.Add(4*time.Hour)); err != nil || n != 0 {
		t.Errorf("forgotten too early: %d, %v", n, err)
	}
	if n, err := s.OpeningsForgotten(t.Context(), at.Add(5*time.Hour)); err != nil || n != 1 {
		t.Errorf("forgotten: %d, %v", n, err)
	}

	// Who hears that his certificates are there need not hear that they were opened.
	opened(t, db, one, at)
	ready := notify.NewMail(notify.Ready, u, one.ID, notify.Facts{}, at.Add(time.Minute))
	e := entry(journal.PlanStored)
	e.Due = subject.OfDevice(one.ID)
	d.must(db.Delivery().Telling(s).Planned(t.Context(), delivery.Decision{Lease: d.lease(), Told: &plan.Told{}, Mails: []notify.Mail{ready}}, e))
	if list := untold(at.Add(time.Hour), at.Add(9*time.Hour)); len(list) != 0 {
		t.Errorf("told already: got %+v", list)
	}
}
