package storetest

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/store"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/pfxconnector"
	"github.com/signet-mdm/signet/pfxconnector/escrow"
)

var importer = journal.Actor{Kind: journal.Admin, ID: "t", Remote: "192.0.2.1"}

// ticketFor makes a ticket and gives it as it is handed in.
func ticketFor(t *testing.T, db *store.DB, id string) pfxconnector.Ticket {
	t.Helper()
	ticket := pfxconnector.Ticket{ID: id, By: importer, Expires: at.Add(time.Minute)}
	if err := db.PFX().TicketMade(t.Context(), ticket); err != nil {
		t.Fatal(err)
	}
	ticket.Expires = at
	return ticket
}

func arrivals(u subject.User, names ...string) (list []pfxconnector.Arrival) {
	for _, name := range names {
		list = append(list, pfxconnector.Arrival{Deposit: deposit(u, name), Entry: entry(journal.KeyImported)})
	}
	return list
}

// unchecked stores a key that was sealed elsewhere.
func unchecked(t *testing.T, db *store.DB, u subject.User, name string) escrow.Deposit {
	t.Helper()
	list := arrivals(u, name)
	stored, err := db.PFX().KeysDeposited(t.Context(), ticketFor(t, db, "for "+name), list)
	if err != nil || !stored[0] {
		t.Fatalf("got %v, %v", stored, err)
	}
	return list[0].Deposit
}

func testSealed(t *testing.T, open func(*testing.T) *store.DB) {
	t.Run("a ticket is good once, for whom and as long as it was made", func(t *testing.T) {
		db := open(t)
		u := addUser(t, db, "alice@example.com")
		ticket, list := ticketFor(t, db, "a"), arrivals(u, "a", "b")
		for name, change := range map[string]func(*pfxconnector.Ticket){
			"another id":   func(t *pfxconnector.Ticket) { t.ID = "b" },
			"somebody":     func(t *pfxconnector.Ticket) { t.By.ID = "u" },
			"another kind": func(t *pfxconnector.Ticket) { t.By.Kind = journal.Local },
			"later":        func(t *pfxconnector.Ticket) { t.Expires = at.Add(time.Minute) },
		} {
			other := ticket
			change(&other)
			if stored, err := db.PFX().KeysDeposited(t.Context(), other, list); !errors.Is(err, pfxconnector.ErrTicket) || stored != nil {
				t.Errorf("%s: got %v, %v; want ErrTicket", name, stored, err)
			}
		}
		keep(t, db, deposit(u, "b"), true)
		before := entries(t, db)
		elsewhere := ticket
		elsewhere.By.Remote = "192.0.2.2"
		if stored, err := db.PFX().KeysDeposited(t.Context(), elsewhere, list); err != nil || !cmp.Equal(stored, []bool{true, false}) {
			t.Errorf("got %v, %v", stored, err)
		}
		if n := entries(t, db) - before; n != 1 {
			t.Errorf("got %d entries, want 1", n)
		}
		if _, err := db.PFX().KeysDeposited(t.Context(), ticket, arrivals(u, "c")); !errors.Is(err, pfxconnector.ErrTicket) {
			t.Errorf("again: got %v, want ErrTicket", err)
		}
		if got, err := db.PFX().Unchecked(t.Context(), u.ID); err != nil || !cmp.Equal(got, []cert.Fingerprint{list[0].Key.Cert}) {
			t.Errorf("unchecked: got %v, %v", got, err)
		}
	})

	t.Run("tickets are forgotten when they have expired", func(t *testing.T) {
		db := open(t)
		ticketFor(t, db, "a")
		for _, want := range []struct {
			at time.Time
			n  int
		}{{at, 0}, {at.Add(time.Minute), 1}, {at.Add(time.Hour), 0}} {
			if n, err := db.PFX().TicketsForgotten(t.Context(), want.at); err != nil || n != want.n {
				t.Errorf("%v: got %d, %v; want %d", want.at, n, err, want.n)
			}
		}
	})

	t.Run("what was sealed elsewhere is leased, and opened or marked", func(t *testing.T) {
		db := open(t)
		u := addUser(t, db, "alice@example.com")
		keep(t, db, deposit(u, "z"), true)
		good, bad, gone := unchecked(t, db, u, "good"), unchecked(t, db, u, "bad"), unchecked(t, db, u, "gone")
		if err := db.PFX().KeyRemoved(t.Context(), u.ID, gone.Key.Cert, entry(journal.KeyRemoved)); err != nil {
			t.Fatal(err)
		}
		lease := func(now time.Time, limit int) []escrow.Deposit {
			t.Helper()
			list, err := db.PFX().UncheckedLeased(t.Context(), now, now.Add(time.Minute), limit, entry(journal.KeysChecked))
			if err != nil {
				t.Fatal(err)
			}
			return list
		}
		before := entries(t, db)
		if one, other := lease(at, 1), lease(at, 9); len(one) != 1 || len(other) != 1 || one[0].Key.ID == other[0].Key.ID || len(one[0].Key.Wraps) != 2 {
			t.Errorf("got %v, then %v", one, other)
		}
		if n := entries(t, db) - before; n != 2 {
			t.Errorf("got %d entries, want 2", n)
		}
		if again := lease(at, 9); len(again) != 0 {
			t.Errorf("leased twice: %v", again)
		}
		if later := lease(at.Add(time.Hour), 9); len(later) != 2 {
			t.Errorf("after the lease: got %d, want 2", len(later))
		}
		if err := db.PFX().KeysChecked(t.Context(), []string{good.Key.ID}); err != nil {
			t.Fatal(err)
		}
		before = entries(t, db)
		for range 2 { // again, it does nothing
			if err := db.PFX().KeyFailed(t.Context(), bad, "broken", entry(journal.KeyAlarm)); err != nil {
				t.Fatal(err)
			}
		}
		if n := entries(t, db) - before; n != 1 {
			t.Errorf("got %d alarms, want 1", n)
		}
		if list, err := db.PFX().Unchecked(t.Context(), u.ID); err != nil || len(list) != 0 {
			t.Errorf("left: %v, %v", list, err)
		}
		records, err := db.PFX().Imported(t.Context(), u.ID)
		if err != nil || len(records) != 3 {
			t.Fatalf("got %d, %v", len(records), err)
		}
		for _, r := range records {
			if want := r.Fingerprint == bad.Key.Cert; (r.Deliverable == "broken") != want {
				t.Errorf("%s: deliverable is %q", r.Fingerprint, r.Deliverable)
			}
		}
	})
}
