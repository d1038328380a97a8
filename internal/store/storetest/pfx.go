package storetest

import (
	"errors"
	"slices"
	"strings"
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

	t.Run("at most one certificate of a user is pinned", func(t *testing.T) {
		db := open(t)
		u, other := addUser(t, db, "alice@example.com"), addUser(t, db, "bob@example.com")
		a, b := deposit(u, "a"), deposit(u, "b")
		keep(t, db, a, true)
		keep(t, db, b, true)
		keep(t, db, deposit(other, "a"), true)
		pin := func(u subject.User, f cert.Fingerprint) error {
			return db.PFX().KeyPinned(t.Context(), u.ID, f, entry(journal.KeyPinned))
		}
		pinned := func() (list []cert.Fingerprint) {
			records, err := db.PFX().Imported(t.Context(), u.ID)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range records {
				if r.Pinned {
					list = append(list, r.Fingerprint)
				}
			}
			return list
		}
		if err := errors.Join(pin(other, a.Key.Cert), pin(u, a.Key.Cert), pin(u, b.Key.Cert)); err != nil {
			t.Fatal(err)
		}
		if err := pin(u, cert.Fingerprint{1}); !errors.Is(err, pfxconnector.ErrKeyUnknown) {
			t.Errorf("got %v, want ErrKeyUnknown", err)
		}
		if diff := cmp.Diff([]cert.Fingerprint{b.Key.Cert}, pinned()); diff != "" {
			t.Error(diff)
		}
		if err := pin(u, cert.Fingerprint{}); err != nil || pinned() != nil {
			t.Errorf("got %v and %v; want none", pinned(), err)
		}
		if records, err := db.PFX().Imported(t.Context(), other.ID); err != nil || !records[0].Pinned {
			t.Errorf("the other's: got %+v, %v", records, err)
		}
	})

	t.Run("the purpose of what was imported changes, of nothing else", func(t *testing.T) {
		db := open(t)
		u, other := addUser(t, db, "alice@example.com"), addUser(t, db, "bob@example.com")
		d := deposit(u, "a")
		keep(t, db, d, true)
		keep(t, db, deposit(other, "a"), true)
		change := func(f cert.Fingerprint) error {
			return db.PFX().PurposeChanged(t.Context(), u.ID, f, cert.Encryption, entry(journal.KeyPurpose))
		}
		if err := change(cert.Fingerprint{1}); !errors.Is(err, pfxconnector.ErrKeyUnknown) {
			t.Errorf("got %v, want ErrKeyUnknown", err)
		}
		if err := change(d.Key.Cert); err != nil {
			t.Fatal(err)
		}
		for id, want := range map[subject.UserID]cert.Use{u.ID: cert.Encryption, other.ID: cert.Both} {
			if list, err := db.PFX().Imported(t.Context(), id); err != nil || list[0].Use != want {
				t.Errorf("got %+v, %v; want %s", list, err, want)
			}
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

	t.Run("wraps are replaced and nothing else", func(t *testing.T) {
		db := open(t)
		u := addUser(t, db, "alice@example.com")
		a, b := deposit(u, "a"), deposit(u, "b")
		keep(t, db, a, true)
		keep(t, db, b, true)
		held, err := db.PFX().Wrapped(t.Context(), "hpke:1", "", 10)
		if err != nil || len(held) != 2 || held[0].Record >= held[1].Record || held[0].Key != "hpke:1" || len(held[0].Sealed) == 0 {
			t.Fatalf("Wrapped: got %v, %v", held, err)
		}
		if one, err := db.PFX().Wrapped(t.Context(), "hpke:1", held[0].Record, 1); err != nil || len(one) != 1 || one[0].Record != held[1].Record {
			t.Errorf("after the first: got %v, %v", one, err)
		}
		before := entries(t, db)
		anew := escrow.Wrap{Key: "hpke:2", Enc: []byte{6}, Sealed: []byte{7}}
		list := []escrow.Held{{Record: a.Key.ID, Wrap: anew}, {Record: "gone", Wrap: anew}}
		for _, want := range []int{1, 0} { // the second time it is done already
			n, err := db.PFX().Rewrapped(t.Context(), "hpke:1", list, entry(journal.EscrowRewrapped))
			if err != nil || n != want || entries(t, db) != before+1 {
				t.Errorf("Rewrapped: got %d, %v and %d entries, want %d and one", n, err, entries(t, db)-before, want)
			}
		}
		a.Key.Wraps[1] = anew
		got, err := db.PFX().Deposits(t.Context(), u.ID, []cert.Fingerprint{a.Key.Cert, b.Key.Cert})
		if diff := cmp.Diff(map[cert.Fingerprint]escrow.Deposit{a.Key.Cert: a, b.Key.Cert: b}, byCert(got)); err != nil || diff != "" {
			t.Errorf("Deposits: %v\n%s", err, diff)
		}
		wraps, err := db.Operations().Wraps(t.Context())
		if diff := cmp.Diff(map[escrow.KeyID]int{"age:2": 2, "hpke:1": 1, "hpke:2": 1}, wraps); err != nil || diff != "" {
			t.Errorf("Wraps: %v\n%s", err, diff)
		}
	})

	t.Run("recovery wraps are replaced and nothing else", func(t *testing.T) {
		db := open(t)
		u := addUser(t, db, "alice@example.com")
		a, b, c := deposit(u, "a"), deposit(u, "b"), deposit(u, "c")
		b.Key.Wraps = b.Key.Wraps[1:] // none for any
		c.Key.Wraps[0].Key = "age:3"  // that of now
		for _, d := range []escrow.Deposit{a, b, c} {
			keep(t, db, d, true)
		}
		first, second := a, b
		if b.Key.ID < a.Key.ID {
			first, second = b, a
		}
		lacking := func(after string, limit int, want ...escrow.Deposit) {
			t.Helper()
			list, err := db.PFX().Unrecoverable(t.Context(), "age:3", after, limit)
			if diff := cmp.Diff(want, list); err != nil || diff != "" {
				t.Errorf("Unrecoverable: %v\n%s", err, diff)
			}
		}
		lacking("", 10, first, second)
		lacking("", 1, first)
		lacking(first.Key.ID, 10, second)
		before := entries(t, db)
		anew := escrow.Wrap{Key: "age:3", Sealed: []byte{9, 9}}
		list := []escrow.Held{{Record: a.Key.ID, Wrap: anew}, {Record: "gone", Wrap: anew}, {Record: b.Key.ID, Wrap: anew}}
		for range 2 { // again is no error
			if n, err := db.PFX().RecoveryReplaced(t.Context(), list, entry(journal.RecoveryRewrapped)); err != nil || n != 2 {
				t.Errorf("RecoveryReplaced: got %d, %v, want 2", n, err)
			}
		}
		if n, err := db.PFX().RecoveryReplaced(t.Context(), list[1:2], entry(journal.RecoveryRewrapped)); err != nil || n != 0 || entries(t, db) != before+2 {
			t.Errorf("of nothing: got %d, %v and %d entries, want two", n, err, entries(t, db)-before)
		}
		lacking("", 10)
		a.Key.Wraps = []escrow.Wrap{anew, a.Key.Wraps[1]}
		b.Key.Wraps = []escrow.Wrap{anew, b.Key.Wraps[0]}
		got, err := db.PFX().Deposits(t.Context(), u.ID, []cert.Fingerprint{a.Key.Cert, b.Key.Cert, c.Key.Cert})
		if diff := cmp.Diff(map[cert.Fingerprint]escrow.Deposit{a.Key.Cert: a, b.Key.Cert: b, c.Key.Cert: c}, byCert(got)); err != nil || diff != "" {
			t.Errorf("Deposits: %v\n%s", err, diff)
		}
	})

	t.Run("a certificate of two users gives each his own record", func(t *testing.T) {
		db := open(t)
		a := deposit(addUser(t, db, "alice@example.com"), "a")
		b := deposit(addUser(t, db, "bob@example.com"), "a")
		keep(t, db, a, true)
		keep(t, db, b, true)
		want := []escrow.Deposit{a, b}
		slices.SortFunc(want, func(x, y escrow.Deposit) int { return strings.Compare(x.Key.ID, y.Key.ID) })
		list, err := db.PFX().Unrecoverable(t.Context(), "age:3", "", 10)
		if diff := cmp.Diff(want, list); err != nil || diff != "" {
			t.Errorf("Unrecoverable: %v\n%s", err, diff)
		}
	})

	t.Run("nothing is sealed to a destroyed escrow key", func(t *testing.T) {
		db := open(t)
		u := addUser(t, db, "alice@example.com")
		a := deposit(u, "a")
		keep(t, db, a, true)
		destroyed := func(want int) {
			t.Helper()
			left, err := db.PFX().EscrowDestroyed(t.Context(), "hpke:1", entry(journal.EscrowDestroyed))
			if err != nil || left != want {
				t.Errorf("EscrowDestroyed: got %d left, %v, want %d", left, err, want)
			}
		}
		destroyed(1)
		keep(t, db, deposit(u, "b"), true) // it was not destroyed
		for _, name := range []string{"a", "b"} {
			if err := db.PFX().KeyRemoved(t.Context(), u.ID, cert.FingerprintOf([]byte(name)), entry(journal.KeyRemoved)); err != nil {
				t.Fatal(err)
			}
		}
		before := entries(t, db)
		destroyed(0)
		destroyed(0)
		if n := entries(t, db) - before; n != 1 {
			t.Errorf("got %d entries, want 1", n)
		}
		if _, err := imported(t, db, deposit(u, "c")); !errors.Is(err, pfxconnector.ErrRecipient) {
			t.Errorf("importing: got %v, want ErrRecipient", err)
		}
		d := deposit(u, "d")
		d.Key.Wraps[1].Key = "hpke:2"
		keep(t, db, d, true)
		back := []escrow.Held{{Record: d.Key.ID, Wrap: escrow.Wrap{Key: "hpke:1", Sealed: []byte{8}}}}
		if _, err := db.PFX().Rewrapped(t.Context(), "hpke:2", back, entry(journal.EscrowRewrapped)); !errors.Is(err, pfxconnector.ErrRecipient) {
			t.Errorf("rewrapping: got %v, want ErrRecipient", err)
		}
		if got, err := db.PFX().Deposit(t.Context(), d.Key.ID); err != nil || !cmp.Equal(got, d) {
			t.Errorf("after both: got %v, %v", got, err)
		}
	})

	t.Run("an import and the end of its escrow key do not both happen", func(t *testing.T) {
		db := open(t)
		u := addUser(t, db, "alice@example.com")
		for i := range 8 {
			d := deposit(u, string(rune('a'+i)))
			d.Key.Wraps[1].Key = escrow.KeyID("hpke:r" + d.Key.ID)
			var wg sync.WaitGroup
			var took bool
			var left int
			wg.Go(func() {
				var err error
				if took, err = imported(t, db, d); err != nil && !errors.Is(err, pfxconnector.ErrRecipient) {
					t.Error(err)
				}
			})
			wg.Go(func() {
				var err error
				if left, err = db.PFX().EscrowDestroyed(t.Context(), d.Key.Wraps[1].Key, entry(journal.EscrowDestroyed)); err != nil {
					t.Error(err)
				}
			})
			wg.Wait()
			if took != (left == 1) {
				t.Errorf("imported %v, with %d left", took, left)
			}
		}
	})

	t.Run("many keys are imported at once, or none", func(t *testing.T) {
		db := open(t)
		u := addUser(t, db, "alice@example.com")
		keep(t, db, deposit(u, "a"), true)
		many := func(names ...string) (list []pfxconnector.Arrival) {
			for _, name := range names {
				list = append(list, pfxconnector.Arrival{Deposit: deposit(u, name), Entry: entry(journal.KeyImported)})
			}
			return list
		}
		before := entries(t, db)
		stored, err := db.PFX().KeysImported(t.Context(), many("b", "a", "c", "b"))
		if err != nil || !cmp.Equal(stored, []bool{true, false, true, false}) {
			t.Errorf("got %v, %v", stored, err)
		}
		if n := entries(t, db) - before; n != 2 {
			t.Errorf("got %d entries, want 2", n)
		}
		list := many("d", "e")
		list[1].Key.ID = list[0].Key.ID
		if stored, err := db.PFX().KeysImported(t.Context(), list); err == nil || stored != nil {
			t.Errorf("one id for two: got %v, %v", stored, err)
		}
		if got, err := db.PFX().Imported(t.Context(), u.ID); err != nil || len(got) != 3 {
			t.Errorf("got %d certificates, %v; want 3", len(got), err)
		}
	})

	t.Run("two imports at once store one key", func(t *testing.T) {
		db := open(t)
		u := addUser(t, db, "alice@example.com")
		var wg sync.WaitGroup
		wins := make(chan bool, 8)
		for range cap(wins) {
			wg.Go(func() {
				stored, err := imported(t, db, deposit(u, "a"))
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

func byCert(list []escrow.Deposit) map[cert.Fingerprint]escrow.Deposit {
	m := map[cert.Fingerprint]escrow.Deposit{}
	for _, d := range list {
		m[d.Key.Cert] = d
	}
	return m
}

// imported stores one.
func imported(t *testing.T, db *store.DB, d escrow.Deposit) (bool, error) {
	stored, err := db.PFX().KeysImported(t.Context(), []pfxconnector.Arrival{{Deposit: d, Entry: entry(journal.KeyImported)}})
	return err == nil && stored[0], err
}

func keep(t *testing.T, db *store.DB, d escrow.Deposit, want bool) {
	t.Helper()
	stored, err := imported(t, db, d)
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
