package storetest

import (
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-mdm/signet/internal/access"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/internal/store"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/pfxconnector/tenant"
	"github.com/signet-mdm/signet/pfxconnector/transport"
)

// abroad is a database with two people, one of whom has two keys.
type abroad struct {
	store.Tenant
	t          *testing.T
	db         *store.DB
	alice, bob subject.User
}

func newAbroad(t *testing.T, db *store.DB) *abroad {
	a := &abroad{db.Tenant(), t, db, addUser(t, db, "alice@example.com"), addUser(t, db, "bob@example.com")}
	keep(t, db, deposit(a.alice, "a"), true)
	keep(t, db, deposit(a.alice, "b"), true)
	keep(t, db, deposit(a.bob, "a"), true)
	return a
}

func (a *abroad) must(err error) {
	a.t.Helper()
	if err != nil {
		a.t.Fatal(err)
	}
}

// plan plans at that time, and counts.
func (a *abroad) plan(w tenant.Want, key string, now time.Time) int {
	a.t.Helper()
	n, err := a.CopiesPlanned(a.t.Context(), w, key, now, now.Add(-24*time.Hour), 100)
	a.must(err)
	return n
}

func (a *abroad) lease(now time.Time, states ...tenant.State) []tenant.Copy {
	a.t.Helper()
	list, err := a.CopiesLeased(a.t.Context(), now, now.Add(time.Minute), 100, states...)
	a.must(err)
	return list
}

// to stores the copy in that state.
func (a *abroad) to(c tenant.Copy, s tenant.State, now time.Time) {
	a.t.Helper()
	c.State, c.Key, c.Next = s, "k-1", now
	if s == tenant.Sealed {
		c.Thumbprint, c.Package = "0f", tenant.Package{Blob: []byte{1}, Password: []byte{2}}
	}
	if s == tenant.There {
		c.Account, c.Package = "account", tenant.Package{}
	}
	a.must(a.CopyTried(a.t.Context(), tenant.Outcome{Copy: c, At: now}, nil))
}

// states gives the states of all copies.
func (a *abroad) states() (list []tenant.State) {
	a.t.Helper()
	all, err := a.Copies(a.t.Context(), "", "", 100)
	a.must(err)
	for _, c := range all {
		list = append(list, c.State)
	}
	slices.Sort(list)
	return list
}

func (a *abroad) want(what string, want ...tenant.State) {
	a.t.Helper()
	if got := a.states(); !slices.Equal(got, want) {
		a.t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func testTenant(t *testing.T, open Open) {
	everybody := tenant.Want{All: true}

	t.Run("a recipient is registered when people agreed, in the place of another", func(t *testing.T) {
		c := newCouncil(t, open(t))
		s := c.db.Tenant()
		if _, err := s.Registered(t.Context()); !errors.Is(err, tenant.ErrNoRecipient) {
			t.Errorf("at first: got %v", err)
		}
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		c.must(err)
		of := c.asked("c-1", "alice", "alice")
		r := tenant.Registration{ID: "r-1", Consent: of.ID, At: at, Mark: []byte("mark"), Recipient: tenant.Recipient{
			Tenant: "6babcaad-604b-40ac-a9d7-9fd97c0b779f", Provider: "P", Name: "n", Padding: transport.OAEPSHA512, Public: &key.PublicKey}}
		before := entries(t, c.db)
		if err := s.RecipientRegistered(t.Context(), r, of.Digest(), entry(journal.TenantKeyRegistered)); !errors.Is(err, access.ErrConsentOver) {
			t.Errorf("nobody agreed: got %v", err)
		}
		c.must(c.approve(of, "bob", "bob"))
		c.must(c.approve(of, "carol", "carol"))
		before += 2
		if err := s.RecipientRegistered(t.Context(), r, seal.SecretString("other").Hash(), entry(journal.TenantKeyRegistered)); !errors.Is(err, access.ErrConsentOver) {
			t.Errorf("another digest: got %v", err)
		}
		c.must(s.RecipientRegistered(t.Context(), r, of.Digest(), entry(journal.TenantKeyRegistered)))
		if n := entries(t, c.db); n != before+1 {
			t.Errorf("%d entries more, want 1", n-before)
		}
		got, err := s.Registered(t.Context())
		if diff := cmp.Diff(r, got); err != nil || diff != "" {
			t.Errorf("%v\n%s", err, diff)
		}
		if err := s.RecipientRegistered(t.Context(), r, of.Digest(), entry(journal.TenantKeyRegistered)); !errors.Is(err, access.ErrConsentOver) {
			t.Errorf("twice: got %v", err)
		}
		next := c.asked("c-2", "alice", "alice")
		c.must(c.approve(next, "bob", "bob"))
		c.must(c.approve(next, "carol", "carol"))
		r.ID, r.Consent = "r-2", next.ID
		c.must(s.RecipientRegistered(t.Context(), r, next.Digest(), entry(journal.TenantKeyRegistered)))
		if got, err := s.Registered(t.Context()); err != nil || got.ID != "r-2" {
			t.Errorf("the second: got %v, %v", got.ID, err)
		}
		c.must(s.RecipientWithdrawn(t.Context(), entry(journal.TenantKeyWithdrawn)))
		for _, err := range []error{s.RecipientWithdrawn(t.Context(), entry(journal.TenantKeyWithdrawn)), func() error { _, err := s.Registered(t.Context()); return err }()} {
			if !errors.Is(err, tenant.ErrNoRecipient) {
				t.Errorf("withdrawn: got %v", err)
			}
		}
	})

	t.Run("what is wanted and not there is planned, once", func(t *testing.T) {
		a := newAbroad(t, open(t))
		if n := a.plan(tenant.Want{}, "k-1", at); n != 0 {
			t.Errorf("for nobody: %d", n)
		}
		if n := a.plan(tenant.Want{Groups: []string{"G", "H"}}, "k-1", at); n != 0 {
			t.Errorf("for an empty group: %d", n)
		}
		_, err := a.db.Directory().GroupSaved(t.Context(), "H", []subject.UserID{a.bob.ID}, entry(journal.GroupChanged))
		a.must(err)
		if n := a.plan(tenant.Want{Groups: []string{"G", "H"}}, "k-1", at); n != 1 {
			t.Errorf("for a group: %d, want 1", n)
		}
		if n := a.plan(everybody, "k-1", at); n != 2 {
			t.Errorf("for all: %d more, want 2", n)
		}
		if n := a.plan(everybody, "k-1", at); n != 0 {
			t.Errorf("again: %d", n)
		}
		odd := deposit(a.bob, "odd")
		odd.Certificate.Deliverable = "no device takes such a key"
		keep(t, a.db, odd, true)
		if n := a.plan(everybody, "k-1", at); n != 0 {
			t.Errorf("what no device takes: %d", n)
		}
		off := a.bob
		off.Disabled = true
		a.must(a.db.Directory().UserSaved(t.Context(), off, entry(journal.UserChanged)))
		a.plan(everybody, "k-1", at)
		a.want("after one was disabled", tenant.Looking, tenant.Looking)
	})

	t.Run("a lease is one's own, until it ends", func(t *testing.T) {
		a := newAbroad(t, open(t))
		a.plan(everybody, "k-1", at)
		list := a.lease(at, tenant.Looking)
		if len(list) != 3 || list[0].Record.Fingerprint != list[0].Cert || list[0].User.Mail == "" || list[0].User.UPN == "" {
			t.Fatalf("got %+v", list)
		}
		if again := a.lease(at, tenant.Looking); len(again) != 0 {
			t.Errorf("leased twice: %d", len(again))
		}
		if n := a.plan(tenant.Want{}, "k-1", at); n != 0 {
			t.Errorf("what is leased was planned away: %d", n)
		}
		later := at.Add(2 * time.Minute)
		others := a.lease(later, tenant.Looking)
		before := entries(t, a.db)
		e := entry(journal.TenantSent)
		late := tenant.Outcome{Copy: list[0], At: later}
		late.State = tenant.Sealed
		a.must(a.CopyTried(t.Context(), late, &e))
		if n := entries(t, a.db); n != before {
			t.Error("who lost his lease wrote an entry")
		}
		a.want("after a late outcome", tenant.Looking, tenant.Looking, tenant.Looking)
		late.State = tenant.There
		a.must(a.CopyTried(t.Context(), late, &e))
		if n := entries(t, a.db); n != before+1 {
			t.Error("what was sent is not in the journal")
		}
		a.to(others[0], tenant.Sealed, later)
		a.want("after one was sealed", tenant.Looking, tenant.Looking, tenant.Sealed)
		sealed := a.lease(later, tenant.Sealed, tenant.Removing)
		if len(sealed) != 1 || !slices.Equal(sealed[0].Package.Blob, []byte{1}) || !slices.Equal(sealed[0].Package.Password, []byte{2}) ||
			sealed[0].Key != "k-1" || !sealed[0].Changed.Equal(later) {
			t.Errorf("got %+v", sealed)
		}
		failed := tenant.Outcome{Copy: sealed[0], At: later.Add(time.Hour)}
		failed.Code, failed.Attempts, failed.Next = "tenant_busy", 3, later.Add(time.Hour)
		a.must(a.CopyTried(t.Context(), failed, nil))
		if got := a.lease(later.Add(59*time.Minute), tenant.Sealed); len(got) != 0 {
			t.Error("it was due before its time")
		}
		got := a.lease(later.Add(time.Hour), tenant.Sealed)
		if len(got) != 1 || got[0].Code != "tenant_busy" || got[0].Attempts != 3 || !got[0].Changed.Equal(later) {
			t.Errorf("got %+v", got)
		}
		counts, err := a.CopyCounts(t.Context())
		if err != nil || counts.States[tenant.Sealed] != 1 || counts.States[tenant.Looking] != 2 || counts.Failed["tenant_busy"] != 1 {
			t.Errorf("got %+v, %v", counts, err)
		}
	})

	t.Run("what is sealed to another key or long ago is wanted anew", func(t *testing.T) {
		a := newAbroad(t, open(t))
		a.plan(everybody, "k-1", at)
		for i, c := range a.lease(at, tenant.Looking) {
			a.to(c, []tenant.State{tenant.Sealed, tenant.There, tenant.Looking}[i], at)
		}
		if n := a.plan(everybody, "k-1", at.Add(24*time.Hour)); n != 0 {
			t.Errorf("within a day: %d", n)
		}
		if n := a.plan(everybody, "k-1", at.Add(25*time.Hour)); n != 1 {
			t.Errorf("after a day: %d, want 1", n)
		}
		a.want("after a day", tenant.Looking, tenant.Looking, tenant.There)
		if n := a.plan(everybody, "k-2", at.Add(25*time.Hour)); n != 1 {
			t.Errorf("with another key: %d, want 1", n)
		}
		a.want("with another key", tenant.Looking, tenant.Looking, tenant.Looking)
	})

	t.Run("what is not wanted any more is forgotten, left or removed", func(t *testing.T) {
		for _, remove := range []bool{false, true} {
			a := newAbroad(t, open(t))
			a.plan(everybody, "k-1", at)
			for i, c := range a.lease(at, tenant.Looking) {
				a.to(c, []tenant.State{tenant.Sealed, tenant.There, tenant.There}[i], at)
			}
			nobody := tenant.Want{Remove: remove}
			a.plan(nobody, "k-1", at)
			if !remove {
				a.want("left", tenant.There, tenant.There)
				continue
			}
			a.want("removed", tenant.Removing, tenant.Removing, tenant.Removing)
			a.must(a.db.PFX().KeyRemoved(t.Context(), a.bob.ID, deposit(a.bob, "a").Key.Cert, entry(journal.KeyRemoved)))
			list := a.lease(at, tenant.Removing)
			if len(list) != 3 {
				t.Fatalf("%d are to be removed, want 3", len(list))
			}
			for _, c := range list {
				if (c.User.ID == a.bob.ID) != c.Record.Fingerprint.IsZero() {
					t.Errorf("got %+v", c)
				}
			}
			e := entry(journal.TenantRemoved)
			a.must(a.CopyTried(t.Context(), tenant.Outcome{Copy: list[0], Gone: true, At: at}, &e))
			a.want("one is gone", tenant.Removing, tenant.Removing)
			a.plan(tenant.Want{All: true, Remove: true}, "k-1", at.Add(2*time.Minute))
			if got := a.states(); slices.Contains(got, tenant.Looking) == false {
				t.Errorf("wanted again: got %v", got)
			}
		}
	})

	t.Run("copies are tried at once, or all anew, and listed", func(t *testing.T) {
		a := newAbroad(t, open(t))
		a.plan(everybody, "k-1", at)
		for _, c := range a.lease(at, tenant.Looking) {
			a.to(c, tenant.There, at)
		}
		n, err := a.CopiesDue(t.Context(), a.alice.ID, false, entry(journal.TenantSync))
		if err != nil || n != 0 {
			t.Errorf("got %d, %v, want 0", n, err)
		}
		n, err = a.CopiesDue(t.Context(), a.alice.ID, true, entry(journal.TenantSync))
		if err != nil || n != 2 {
			t.Errorf("anew: got %d, %v, want 2", n, err)
		}
		a.want("anew", tenant.Looking, tenant.Looking, tenant.There)
		var seen []string
		for after := ""; ; {
			list, err := a.Copies(t.Context(), "", after, 2)
			a.must(err)
			for _, c := range list {
				after = string(c.User.ID) + c.Cert.String()
				seen = append(seen, after)
			}
			if len(list) < 2 {
				break
			}
		}
		if len(seen) != 3 || !slices.IsSorted(seen) {
			t.Errorf("listed %v", seen)
		}
		if list, err := a.Copies(t.Context(), a.bob.ID, "", 10); err != nil || len(list) != 1 {
			t.Errorf("of one: got %d, %v", len(list), err)
		}
	})
}
