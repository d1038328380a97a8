package storetest

import (
	"errors"
	"sync"
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

func testPFX(t *testing.T, open Open) {
	t.Run("what was deposited comes back whole", func(t *testing.T) {
		db := open(t)
		u := addUser(t, db, "alice@example.com")
		a, b := deposit(u, "a"), deposit(u, "b")
		b.Certificate.NotBefore = at.Add(time.Hour)
		keep(t, db, a, true)
		keep(t, db, b, true)
		got, err := db.PFX().Deposits(t.Context(), u.ID, []cert.Fingerprint{a.Key.Cert})
		if diff := cmp.Diff([]escrow.Deposit{a}, got); err != nil || diff != "" {
			t.Errorf("Deposits: %v\n%s", err, diff)
		}
		one, err := db.PFX().Deposit(t.Context(), a.Key.ID)
		if diff := cmp.Diff(a, one); err != nil || diff != "" {
			t.Errorf("Deposit: %v\n%s", err, diff)
		}
		if _, err := db.PFX().Deposit(t.Context(), "k-0"); !errors.Is(err, pfxconnector.ErrKeyUnknown) {
			t.Errorf("no such deposit: got %v, want ErrKeyUnknown", err)
		}
		list, err := db.PFX().Imported(t.Context(), u.ID)
		if diff := cmp.Diff([]cert.Record{b.Certificate, a.Certificate}, list); err != nil || diff != "" {
			t.Errorf("Imported: %v\n%s", err, diff)
		}
	})

	t.Run("the same again changes nothing", func(t *testing.T) {
		db := open(t)
		u := addUser(t, db, "alice@example.com")
		first, again := deposit(u, "a"), deposit(u, "a")
		keep(t, db, first, true)
		before := entries(t, db)
		keep(t, db, again, false)
		got, err := db.PFX().Deposits(t.Context(), u.ID, []cert.Fingerprint{first.Key.Cert})
		if err != nil || len(got) != 1 || got[0].Key.ID != first.Key.ID {
			t.Errorf("after the second import: %d deposits, %v; want the first", len(got), err)
		}
		if now := entries(t, db); now != before {
			t.Errorf("journal: got %d entries, want %d", now, before)
		}
	})

	t.Run("one user's key is not another's", func(t *testing.T) {
		db := open(t)
		alice, bob := addUser(t, db, "alice@example.com"), addUser(t, db, "bob@example.com")
		a := deposit(alice, "a")
		keep(t, db, a, true)
		got, err := db.PFX().Deposits(t.Context(), bob.ID, []cert.Fingerprint{a.Key.Cert})
		if err != nil || got == nil || len(got) != 0 {
			t.Errorf("Bob gets %v, %v; want an empty list", got, err)
		}
		if err := db.PFX().KeyRemoved(t.Context(), bob.ID, a.Key.Cert, entry(journal.KeyRemoved)); !errors.Is(err, pfxconnector.ErrKeyUnknown) {
			t.Errorf("Bob removes: got %v, want ErrKeyUnknown", err)
		}
		keep(t, db, deposit(bob, "a"), true) // a shared mailbox
		holders, err := db.PFX().Holders(t.Context(), a.Key.Cert)
		if diff := cmp.Diff([]subject.UserID{alice.ID, bob.ID}, holders); err != nil || diff != "" {
			t.Errorf("Holders: %v\n%s", err, diff)
		}
	})

	t.Run("many users' certificates at once", func(t *testing.T) {
		db := open(t)
		alice, bob, carol := addUser(t, db, "alice@example.com"), addUser(t, db, "bob@example.com"), addUser(t, db, "carol@example.com")
		a, b, c := deposit(alice, "a"), deposit(alice, "b"), deposit(bob, "a")
		b.Certificate.NotBefore = at.Add(time.Hour)
		for _, d := range []escrow.Deposit{a, b, c, deposit(carol, "c")} {
			keep(t, db, d, true)
		}
		got, err := db.PFX().ImportedOf(t.Context(), []subject.UserID{alice.ID, bob.ID, "nobody"})
		want := map[subject.UserID][]cert.Record{alice.ID: {b.Certificate, a.Certificate}, bob.ID: {c.Certificate}}
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("ImportedOf: %v\n%s", err, diff)
		}
	})

	t.Run("removal leaves nothing, and it can come again", func(t *testing.T) {
		db := open(t)
		u := addUser(t, db, "alice@example.com")
		a, b := deposit(u, "a"), deposit(u, "b")
		keep(t, db, a, true)
		keep(t, db, b, true)
		if err := db.PFX().KeyRemoved(t.Context(), u.ID, a.Key.Cert, entry(journal.KeyRemoved)); err != nil {
			t.Fatal(err)
		}
		got, err := db.PFX().Deposits(t.Context(), u.ID, []cert.Fingerprint{a.Key.Cert, b.Key.Cert})
		if diff := cmp.Diff([]escrow.Deposit{b}, got); err != nil || diff != "" {
			t.Errorf("after removal: %v\n%s", err, diff)
		}
		keep(t, db, deposit(u, "a"), true)
	})

	t.Run("two imports at once store one key", func(t *testing.T) {
		db := open(t)
		u := addUser(t, db, "alice@example.com")
		var wg sync.WaitGroup
		wins := make(chan bool, 8)
		for range cap(wins) {
			wg.Go(func() {
				stored, err := db.PFX().KeyImported(t.Context(), deposit(u, "a"), entry(journal.KeyImported))
				if err != nil {
					t.Error(err)
				}
				wins <- stored
			})
		}
		wg.Wait()
		close(wins)
		n := 0
		for won := range wins {
			if won {
				n++
			}
		}
		if n != 1 {
			t.Errorf("%d imports say that they stored it, want 1", n)
		}
	})
}

// deposit makes one with stand-in bytes; only the fingerprint is real.
func deposit(u subject.User, name string) escrow.Deposit {
	f := cert.FingerprintOf([]byte(name))
	return escrow.Deposit{
		Certificate: cert.Record{
			Fingerprint: f, SPKI: cert.FingerprintOf([]byte("spki " + name)), Holder: cert.Holder{User: u.ID},
			Source: cert.Imported, Use: cert.Both, Serial: "1a", Subject: "CN=x", Issuer: "CN=y",
			Addresses: []string{u.Mail}, NotBefore: at, NotAfter: at.AddDate(1, 0, 0), DER: []byte(name), CreatedAt: at,
		},
		Key: escrow.Record{
			ID: string(subject.NewUserID()), Binding: escrow.Binding{User: u.ID, Cert: f, SPKI: cert.FingerprintOf([]byte("spki " + name))},
			Suite: escrow.AES256GCM, Nonce: []byte{1}, Ciphertext: []byte{2},
			Wraps:  []escrow.Wrap{{Key: "age:2", Sealed: []byte{3}}, {Key: "hpke:1", Enc: []byte{4}, Sealed: []byte{5}}},
			Source: cert.FingerprintOf([]byte("file")), CreatedAt: at, CreatedBy: "local:test",
		},
	}
}

func keep(t *testing.T, db *store.DB, d escrow.Deposit, want bool) {
	t.Helper()
	stored, err := db.PFX().KeyImported(t.Context(), d, entry(journal.KeyImported))
	if err != nil || stored != want {
		t.Fatalf("KeyImported: got %v, %v; want %v", stored, err, want)
	}
}

func entries(t *testing.T, db *store.DB) int {
	t.Helper()
	list, err := db.Journal().Latest(t.Context(), 1000)
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}
