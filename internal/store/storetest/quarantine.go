package storetest

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/directory"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/store"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/pfxconnector"
	"github.com/signet-mdm/signet/pfxconnector/escrow"
)

// aside puts a key into quarantine.
func aside(t *testing.T, db *store.DB, name string, named ...subject.UserID) (escrow.Deposit, pfxconnector.Quarantine) {
	t.Helper()
	id, err := escrow.NewQuarantine()
	if err != nil {
		t.Fatal(err)
	}
	d := deposit(subject.User{ID: id, Mail: "dave@example.com"}, name)
	q := pfxconnector.Quarantine{ID: id, Certificate: d.Certificate, Why: "pfx_no_user_match", Named: append([]subject.UserID{}, named...), File: name + ".p12", By: d.Key.CreatedBy}
	if stored, err := quarantine(t, db, d, q); err != nil || !stored {
		t.Fatalf("KeysImported: got %v, %v", stored, err)
	}
	return d, q
}

// quarantine tells whether the key was stored.
func quarantine(t *testing.T, db *store.DB, d escrow.Deposit, q pfxconnector.Quarantine) (bool, error) {
	stored, err := db.PFX().KeysImported(t.Context(), []pfxconnector.Arrival{{Deposit: d, Quarantine: &q, Entry: entry(journal.KeyQuarantined)}})
	return err == nil && stored[0], err
}

// sealedTo is the key of d as it would be sealed to the user.
func sealedTo(d escrow.Deposit, u subject.UserID) escrow.Record {
	r := d.Key
	r.ID, r.User = string(subject.NewUserID()), u
	return r
}

func ask(t *testing.T, db *store.DB, id, to subject.UserID, fresh bool) error {
	t.Helper()
	e := entry(journal.KeyAssigning)
	e.Actor.Remote = "192.0.2.1"
	return db.PFX().AssignmentAsked(t.Context(), escrow.Assignment{From: id, To: to, By: e.Actor, Fresh: fresh, At: at, Mark: []byte("mark")}, e)
}

// given is that assignment, as far as it matters for what is done.
func given(id, to subject.UserID, fresh bool) escrow.Assignment {
	return escrow.Assignment{From: id, To: to, Fresh: fresh}
}

func testQuarantine(t *testing.T, open Open) {
	t.Run("what was set aside comes back whole", func(t *testing.T) {
		db := open(t)
		u := addUser(t, db, "alice@example.com")
		a, qa := aside(t, db, "a")
		_, qb := aside(t, db, "b", u.ID)
		list, err := db.PFX().InQuarantine(t.Context(), "", 10)
		if diff := cmp.Diff([]pfxconnector.Quarantine{qa, qb}, list); err != nil || diff != "" {
			t.Errorf("InQuarantine: %v\n%s", err, diff)
		}
		list, err = db.PFX().InQuarantine(t.Context(), string(qa.ID), 10)
		if diff := cmp.Diff([]pfxconnector.Quarantine{qb}, list); err != nil || diff != "" {
			t.Errorf("after the first: %v\n%s", err, diff)
		}
		if part, err := db.PFX().InQuarantine(t.Context(), "", 1); err != nil || len(part) != 1 {
			t.Errorf("one of them: got %d, %v", len(part), err)
		}
		one, err := db.PFX().Quarantine(t.Context(), qa.ID)
		if diff := cmp.Diff(qa, one); err != nil || diff != "" {
			t.Errorf("Quarantine: %v\n%s", err, diff)
		}
		d, found, err := db.PFX().QuarantinedDeposit(t.Context(), qa.ID)
		if diff := cmp.Diff(a, d); err != nil || !found || diff != "" {
			t.Errorf("QuarantinedDeposit: %v, %v\n%s", found, err, diff)
		}
		if _, err := db.PFX().Quarantine(t.Context(), u.ID); !errors.Is(err, pfxconnector.ErrQuarantineUnknown) {
			t.Errorf("a user: got %v, want ErrQuarantineUnknown", err)
		}
		if _, found, err := db.PFX().QuarantinedDeposit(t.Context(), u.ID); err != nil || found {
			t.Errorf("a user's: got %v, %v", found, err)
		}
	})

	t.Run("a certificate is there once", func(t *testing.T) {
		db := open(t)
		aside(t, db, "a")
		before := entries(t, db)
		id, _ := escrow.NewQuarantine()
		d := deposit(subject.User{ID: id}, "a")
		stored, err := quarantine(t, db, d, pfxconnector.Quarantine{ID: id, Certificate: d.Certificate})
		if err != nil || stored || entries(t, db) != before {
			t.Errorf("got %v, %v, %d more entries", stored, err, entries(t, db)-before)
		}
	})

	t.Run("many import the same at once", func(t *testing.T) {
		db := open(t)
		var wg sync.WaitGroup
		results := make(chan bool, 8)
		for range cap(results) {
			wg.Go(func() {
				id, _ := escrow.NewQuarantine()
				d := deposit(subject.User{ID: id}, "a")
				stored, err := quarantine(t, db, d, pfxconnector.Quarantine{ID: id, Certificate: d.Certificate})
				if err != nil {
					t.Error(err)
				}
				results <- stored
			})
		}
		wg.Wait()
		close(results)
		n := 0
		for stored := range results {
			if stored {
				n++
			}
		}
		if list, err := db.PFX().InQuarantine(t.Context(), "", 10); n != 1 || err != nil || len(list) != 1 {
			t.Errorf("%d say that they stored it, %d are there, %v; want 1", n, len(list), err)
		}
	})

	t.Run("an assignment is handed out to one, and done once", func(t *testing.T) {
		db := open(t)
		u := addUser(t, db, "alice@example.com")
		d, q := aside(t, db, "a")
		lease := func(now time.Time) (escrow.Assignment, bool) {
			t.Helper()
			a, found, err := db.PFX().AssignmentLeased(t.Context(), now, now.Add(time.Minute))
			if err != nil {
				t.Fatal(err)
			}
			return a, found
		}
		if _, found := lease(at); found {
			t.Error("there was one before anybody asked")
		}
		if err := db.PFX().KeyAssigned(t.Context(), given(q.ID, u.ID, false), sealedTo(d, u.ID), entry(journal.KeyAssigned)); !errors.Is(err, pfxconnector.ErrQuarantineUnknown) {
			t.Errorf("nobody asked: got %v, want ErrQuarantineUnknown", err)
		}
		if err := ask(t, db, q.ID, u.ID, false); err != nil {
			t.Fatal(err)
		}
		by := entry(journal.KeyAssigning).Actor
		by.Remote = "192.0.2.1"
		asked, found := lease(at)
		if diff := cmp.Diff(escrow.Assignment{From: q.ID, To: u.ID, By: by, At: at, Mark: []byte("mark")}, asked); !found || diff != "" {
			t.Errorf("%v\n%s", found, diff)
		}
		if _, found := lease(at.Add(time.Second)); found {
			t.Error("another got it as well")
		}
		if _, found := lease(at.Add(time.Hour)); !found {
			t.Error("after the lease nobody gets it")
		}
		sealed := sealedTo(d, u.ID)
		if err := db.PFX().KeyAssigned(t.Context(), given(q.ID, u.ID, false), sealed, entry(journal.KeyAssigned)); err != nil {
			t.Fatal(err)
		}
		got, err := db.PFX().Deposits(t.Context(), u.ID, []cert.Fingerprint{d.Key.Cert})
		want := escrow.Deposit{Certificate: d.Certificate, Key: sealed}
		want.Certificate.Holder.User = u.ID
		if diff := cmp.Diff([]escrow.Deposit{want}, got); err != nil || diff != "" {
			t.Errorf("Deposits: %v\n%s", err, diff)
		}
		if _, found, err := db.PFX().QuarantinedDeposit(t.Context(), q.ID); err != nil || found {
			t.Errorf("the old one: %v, %v", found, err)
		}
		if err := db.PFX().KeyAssigned(t.Context(), given(q.ID, u.ID, false), sealedTo(d, u.ID), entry(journal.KeyAssigned)); !errors.Is(err, pfxconnector.ErrQuarantineUnknown) {
			t.Errorf("twice: got %v, want ErrQuarantineUnknown", err)
		}
	})

	t.Run("what does not hold any more is not done", func(t *testing.T) {
		db := open(t)
		u, other := addUser(t, db, "alice@example.com"), addUser(t, db, "dave@example.com")
		d, q := aside(t, db, "a")
		assign := func(to subject.UserID) error {
			return db.PFX().KeyAssigned(t.Context(), given(q.ID, to, false), sealedTo(d, to), entry(journal.KeyAssigned))
		}
		if err := errors.Join(ask(t, db, q.ID, u.ID, false), ask(t, db, q.ID, other.ID, true)); err != nil {
			t.Fatal(err)
		}
		if err := assign(u.ID); !errors.Is(err, pfxconnector.ErrQuarantineUnknown) {
			t.Errorf("to who was named before: got %v", err)
		}
		if err := ask(t, db, q.ID, "u-9", false); err != nil {
			t.Fatal(err)
		}
		if err := assign("u-9"); !errors.Is(err, directory.ErrUserUnknown) {
			t.Errorf("nobody: got %v, want ErrUserUnknown", err)
		}
		keep(t, db, deposit(u, "a"), true)
		if err := ask(t, db, q.ID, u.ID, false); err != nil {
			t.Fatal(err)
		}
		if err := assign(u.ID); !errors.Is(err, pfxconnector.ErrHeld) {
			t.Errorf("who has it: got %v, want ErrHeld", err)
		}
		if err := db.PFX().AssignmentFailed(t.Context(), q.ID, other.ID, "x", entry(journal.KeyUnassigned)); err != nil {
			t.Fatal(err)
		}
		if now, err := db.PFX().Quarantine(t.Context(), q.ID); err != nil || now.To != u.ID || now.Failure != "" {
			t.Errorf("after the failure of another: got %+v, %v", now, err)
		}
		if err := db.PFX().AssignmentFailed(t.Context(), q.ID, u.ID, "x", entry(journal.KeyUnassigned)); err != nil {
			t.Fatal(err)
		}
		if now, err := db.PFX().Quarantine(t.Context(), q.ID); err != nil || now.To != "" || now.Failure != "x" {
			t.Errorf("after its failure: got %+v, %v", now, err)
		}
	})

	t.Run("a newcomer has no device and the primary address", func(t *testing.T) {
		db := open(t)
		f := facet(t, db)
		_, q := aside(t, db, "a") // which names dave
		alias := addUser(t, db, "alice@example.com")
		if err := ask(t, db, q.ID, alias.ID, true); !errors.Is(err, pfxconnector.ErrAssign) {
			t.Errorf("another address: got %v, want ErrAssign", err)
		}
		if err := ask(t, db, q.ID, "u-9", true); !errors.Is(err, directory.ErrUserUnknown) {
			t.Errorf("nobody: got %v, want ErrUserUnknown", err)
		}
		inv := f.invite("dave@example.com")
		if err := ask(t, db, q.ID, inv.User.ID, true); !errors.Is(err, pfxconnector.ErrAssign) {
			t.Errorf("invited already: got %v, want ErrAssign", err)
		}
	})

	t.Run("invited between asking and doing", func(t *testing.T) {
		db := open(t)
		f := facet(t, db)
		d, q := aside(t, db, "a")
		u := addUser(t, db, "dave@example.com")
		if err := ask(t, db, q.ID, u.ID, true); err != nil {
			t.Fatal(err)
		}
		f.inviteUser(u)
		if err := db.PFX().KeyAssigned(t.Context(), given(q.ID, u.ID, true), sealedTo(d, u.ID), entry(journal.KeyAssigned)); !errors.Is(err, pfxconnector.ErrAssign) {
			t.Errorf("got %v, want ErrAssign", err)
		}
	})

	t.Run("discarded for ever", func(t *testing.T) {
		db := open(t)
		u := addUser(t, db, "alice@example.com")
		keep(t, db, deposit(u, "a"), true)
		_, q := aside(t, db, "a")
		for i, want := range []error{nil, pfxconnector.ErrQuarantineUnknown} {
			if err := db.PFX().KeyDiscarded(t.Context(), q.ID, entry(journal.KeyDiscarded)); !errors.Is(err, want) {
				t.Errorf("%d: got %v, want %v", i, err, want)
			}
		}
		if _, found, err := db.PFX().QuarantinedDeposit(t.Context(), q.ID); err != nil || found {
			t.Errorf("it is there: %v, %v", found, err)
		}
		if list, err := db.PFX().Imported(t.Context(), u.ID); err != nil || len(list) != 1 {
			t.Errorf("the user's: got %d, %v; want 1", len(list), err)
		}
	})
}
