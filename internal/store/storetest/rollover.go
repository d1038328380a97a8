package storetest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"testing"
	"time"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/rollover"
	"github.com/signet-mdm/signet/internal/store"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/scep"
)

// chainOf makes certificates that only have to be read back.
func chainOf(t *testing.T, names ...string) (list []*x509.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for n, name := range names {
		c := &x509.Certificate{SerialNumber: big.NewInt(int64(n + 1)), Subject: pkix.Name{CommonName: name}, NotBefore: at, NotAfter: at.AddDate(10, 0, 0)}
		der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
		if err == nil {
			c, err = x509.ParseCertificate(der)
		}
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, c)
	}
	return list
}

// states gives the states of all generations, by name.
func states(t *testing.T, db *store.DB) map[string]rollover.State {
	t.Helper()
	list, err := db.Rollover().Generations(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	m := map[string]rollover.State{}
	for _, g := range list {
		m[g.Name] = g.State
	}
	return m
}

func testRollover(t *testing.T, open Open) {
	first := func(t *testing.T, db *store.DB) rollover.Generation {
		t.Helper()
		g := rollover.Generation{Line: "smime", Number: 1, Name: "smime", Above: "root", State: rollover.Current, Certs: chainOf(t, "smime", "root"), Since: at}
		part := rollover.Generation{Line: "smime-ra", Number: 1, Name: "smime-ra", Above: "smime", State: rollover.Current, Certs: chainOf(t, "ra"), Since: at}
		for range 2 { // it may be told again
			if err := db.Rollover().GenerationsAdopted(t.Context(), []rollover.Generation{g, part}); err != nil {
				t.Fatal(err)
			}
		}
		return g
	}
	second := func(t *testing.T, db *store.DB) rollover.Generation {
		t.Helper()
		first(t, db)
		g := rollover.Generation{Line: "smime", Number: 2, Name: "smime-2", Above: "root", State: rollover.Wanted, Since: at}
		part := rollover.Generation{Line: "smime-2-ra", Number: 1, Name: "smime-2-ra", Above: "smime-2", State: rollover.Wanted, Since: at}
		if err := db.Rollover().GenerationsWanted(t.Context(), []rollover.Generation{g, part}, entry(journal.RolloverStarted)); err != nil {
			t.Fatal(err)
		}
		return g
	}
	made := func(t *testing.T, db *store.DB, g rollover.Generation, state rollover.State) rollover.Generation {
		t.Helper()
		g.State, g.Certs = state, chainOf(t, g.Name, "root")
		if err := db.Rollover().GenerationMade(t.Context(), g, entry(journal.RolloverMade)); err != nil {
			t.Fatal(err)
		}
		return g
	}
	same := func(t *testing.T, db *store.DB, want string) {
		t.Helper()
		if got := fmt.Sprint(states(t, db)); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}

	t.Run("what is adopted is read back, and adopted once", func(t *testing.T) {
		db := open(t)
		want := first(t, db)
		list, err := db.Rollover().Generations(t.Context())
		if err != nil || len(list) != 2 {
			t.Fatalf("%d generations, %v", len(list), err)
		}
		got := list[0]
		if got.Name != want.Name || got.Above != want.Above || got.State != want.State || !got.Since.Equal(at) || len(got.Certs) != 2 || !got.Root().Equal(want.Root()) {
			t.Errorf("got %+v", got)
		}
		first(t, db) // with other certificates: those that are there stay
		if list, _ = db.Rollover().Generations(t.Context()); !list[0].Certificate().Equal(got.Certificate()) {
			t.Error("the certificates were replaced")
		}
	})
	t.Run("certificates can be renewed", func(t *testing.T) {
		db := open(t)
		g := first(t, db)
		g.Certs = chainOf(t, "smime again", "root")
		if err := db.Rollover().GenerationCertified(t.Context(), g); err != nil {
			t.Fatal(err)
		}
		if list, err := db.Rollover().Generations(t.Context()); err != nil || !list[0].Certificate().Equal(g.Certificate()) {
			t.Errorf("got %v, %v", list, err)
		}
	})
	t.Run("a line has one next generation", func(t *testing.T) {
		db := open(t)
		g := second(t, db)
		third := rollover.Generation{Line: "smime", Number: 3, Name: "smime-3", Above: "root", Since: at}
		if err := db.Rollover().GenerationsWanted(t.Context(), []rollover.Generation{third}, entry(journal.RolloverStarted)); !errors.Is(err, rollover.ErrUnderWay) {
			t.Errorf("beside a wanted one: got %v", err)
		}
		made(t, db, g, rollover.Next)
		if err := db.Rollover().GenerationsWanted(t.Context(), []rollover.Generation{third}, entry(journal.RolloverStarted)); !errors.Is(err, rollover.ErrUnderWay) {
			t.Errorf("beside a next one: got %v", err)
		}
		same(t, db, "map[smime:current smime-2:next smime-2-ra:wanted smime-ra:current]")
	})
	t.Run("one at a time makes it", func(t *testing.T) {
		db := open(t)
		g := second(t, db)
		for _, c := range []struct {
			now  time.Time
			want bool
		}{{at, true}, {at.Add(time.Second), false}, {at.Add(time.Minute), true}} {
			if got, err := db.Rollover().GenerationLeased(t.Context(), g.Name, c.now, c.now.Add(time.Minute)); err != nil || got != c.want {
				t.Errorf("at %v: got %v, %v; want %v", c.now, got, err, c.want)
			}
		}
		made(t, db, g, rollover.Next)
		if got, _ := db.Rollover().GenerationLeased(t.Context(), g.Name, at.Add(time.Hour), at.Add(2*time.Hour)); got {
			t.Error("what is made was leased")
		}
		if err := db.Rollover().GenerationMade(t.Context(), g, entry(journal.RolloverMade)); !errors.Is(err, rollover.ErrNotNext) {
			t.Errorf("made twice: got %v", err)
		}
	})
	t.Run("activation is one step", func(t *testing.T) {
		db := open(t)
		g := second(t, db)
		id := facet(t, db).enrolled("alice@example.com", "UDID-1")
		settle(t, db)
		if err := db.Rollover().GenerationActivated(t.Context(), g.Line, g.Name, entry(journal.RolloverActivated)); !errors.Is(err, rollover.ErrNotNext) {
			t.Errorf("before it is made: got %v", err)
		}
		same(t, db, "map[smime:current smime-2:wanted smime-2-ra:wanted smime-ra:current]")
		made(t, db, g, rollover.Next)
		e := entry(journal.RolloverActivated)
		e.Due = subject.Scope{All: true}
		if err := db.Rollover().GenerationActivated(t.Context(), g.Line, g.Name, e); err != nil {
			t.Fatal(err)
		}
		same(t, db, "map[smime:past smime-2:current smime-2-ra:wanted smime-ra:current]")
		isDue(t, db, map[subject.DeviceID]bool{id: true})
	})
	t.Run("a part is in use as soon as it is made", func(t *testing.T) {
		db := open(t)
		second(t, db)
		ra := rollover.Generation{Line: "smime-ra", Number: 2, Name: "smime-ra-2", Above: "smime", Since: at}
		if err := db.Rollover().GenerationsWanted(t.Context(), []rollover.Generation{ra}, entry(journal.RolloverStarted)); err != nil {
			t.Fatal(err)
		}
		made(t, db, ra, rollover.Current)
		same(t, db, "map[smime:current smime-2:wanted smime-2-ra:wanted smime-ra:past smime-ra-2:current]")
	})
	t.Run("cancelled for ever", func(t *testing.T) {
		db := open(t)
		g := second(t, db)
		if err := db.Rollover().GenerationCancelled(t.Context(), g.Name, entry(journal.RolloverCancelled)); err != nil {
			t.Fatal(err)
		}
		same(t, db, "map[smime:current smime-2:cancelled smime-2-ra:cancelled smime-ra:current]")
		for name, err := range map[string]error{
			"again":   db.Rollover().GenerationCancelled(t.Context(), g.Name, entry(journal.RolloverCancelled)),
			"made":    db.Rollover().GenerationMade(t.Context(), g, entry(journal.RolloverMade)),
			"current": db.Rollover().GenerationCancelled(t.Context(), "smime", entry(journal.RolloverCancelled)),
		} {
			if !errors.Is(err, rollover.ErrNotNext) {
				t.Errorf("%s: got %v, want ErrNotNext", name, err)
			}
		}
		if err := db.Rollover().GenerationsWanted(t.Context(), []rollover.Generation{g}, entry(journal.RolloverStarted)); !errors.Is(err, rollover.ErrUnderWay) {
			t.Errorf("the number was used again: %v", err)
		}
	})
	t.Run("over, with its parts", func(t *testing.T) {
		db := open(t)
		g := made(t, db, second(t, db), rollover.Next)
		if err := db.Rollover().GenerationActivated(t.Context(), g.Line, g.Name, entry(journal.RolloverActivated)); err != nil {
			t.Fatal(err)
		}
		if err := db.Rollover().GenerationsOver(t.Context(), []string{"smime", "smime-2"}, entry(journal.RolloverEnded)); err != nil {
			t.Fatal(err)
		}
		same(t, db, "map[smime:over smime-2:current smime-2-ra:wanted smime-ra:over]")
		if names, err := db.Operations().Retired(t.Context()); err != nil || fmt.Sprint(names) != "[smime smime-ra]" {
			t.Errorf("retired are %v, %v", names, err)
		}
	})
	t.Run("the last end of what an issuer made", func(t *testing.T) {
		db := open(t)
		if end, err := db.Rollover().LastEnd(t.Context(), "smime"); err != nil || !end.IsZero() {
			t.Errorf("of nothing: %v, %v", end, err)
		}
		s := scepFacetOf(t, db)
		i := s.by(s.challenge(s.holder("alice@example.com"), scep.MailSigning))
		s.must(s.SerialReserved(t.Context(), i))
		if end, err := db.Rollover().LastEnd(t.Context(), i.Issuer); err != nil || !end.Equal(i.NotAfter) {
			t.Errorf("got %v, %v; want %v", end, err, i.NotAfter)
		}
	})
	t.Run("devices without a root", func(t *testing.T) {
		f := facet(t, open(t))
		root := cert.FingerprintOf([]byte("root"))
		count := func(want int) {
			t.Helper()
			if n, err := f.db.Rollover().DevicesWithout(t.Context(), root); err != nil || n != want {
				t.Errorf("%d devices, %v; want %d", n, err, want)
			}
		}
		f.invite("bob@example.com") // who is not enrolled
		count(0)
		id := f.enrolled("alice@example.com", "UDID-1")
		count(1)
		ending{t: t, f: f}.holds(id, cert.Record{Fingerprint: root})
		count(0)
	})
}
