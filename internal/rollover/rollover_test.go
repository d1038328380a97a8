package rollover_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"testing"
	"time"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/rollover"
	"github.com/signet-mdm/signet/internal/store"
	"github.com/signet-mdm/signet/internal/store/sqlitetest"
)

const day = 24 * time.Hour

var (
	start = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	admin = journal.Actor{Kind: journal.Admin, ID: "token"}
	lines = []rollover.Line{
		{Name: "root"}, {Name: "smime", Above: "root", Parts: []string{"ra"}}, {Name: "tls", Above: "root", Notice: 30 * day},
	}
)

// world is a service over a real database; a map stands for the keyring.
type world struct {
	t     *testing.T
	db    *store.DB
	s     *rollover.Service
	ring  map[string][]*x509.Certificate
	store rollover.Store
	now   time.Time

	lack  int // devices without a root
	crash int // the step at which the process dies; 0: it does not
	steps int
}

var errDied = errors.New("the process died")

func newWorld(t *testing.T) *world {
	t.Helper()
	db, err := store.OpenSQLite(t.Context(), sqlitetest.Path(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	w := &world{t: t, db: db, ring: map[string][]*x509.Certificate{}, now: start}
	w.store = dying{w.db.Rollover(), w}
	w.s = rollover.New(rollover.Config{Store: w.store, Lines: lines, Make: w.make, Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return w.now }})
	first := w.s.First()
	for i, g := range first {
		if first[i].Certs, err = w.make(t.Context(), g); err != nil {
			t.Fatal(err)
		}
	}
	w.must(w.db.Rollover().GenerationsAdopted(t.Context(), first))
	w.steps = 0
	return w
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// step dies when it is its turn.
func (w *world) step() error {
	w.steps++
	if w.steps == w.crash {
		return errDied
	}
	return nil
}

// make keeps what is there, as a keyring does. Parts and the TLS certificate
// live for a year.
func (w *world) make(_ context.Context, g rollover.Generation) ([]*x509.Certificate, error) {
	if err := w.step(); err != nil {
		return nil, err
	}
	if chain, there := w.ring[g.Name]; there {
		return chain, nil
	}
	life := 10 * 365 * day
	if g.Line != "root" && g.Line != "smime" {
		life = 365 * day
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	t := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: g.Name}, NotBefore: w.now, NotAfter: w.now.Add(life)}
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	if err != nil {
		return nil, err
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	w.ring[g.Name] = append([]*x509.Certificate{c}, w.ring[g.Above]...)
	return w.ring[g.Name], w.step()
}

// dying is a store whose caller dies before or after what it does.
type dying struct {
	store.Rollover
	w *world
}

func (d dying) around(f func() error) error {
	if err := d.w.step(); err != nil {
		return err
	}
	if err := f(); err != nil {
		return err
	}
	return d.w.step()
}

func (d dying) GenerationsWanted(ctx context.Context, list []rollover.Generation, e journal.Entry) error {
	return d.around(func() error { return d.Rollover.GenerationsWanted(ctx, list, e) })
}

func (d dying) GenerationLeased(ctx context.Context, name string, now, until time.Time) (ours bool, err error) {
	err = d.around(func() error { ours, err = d.Rollover.GenerationLeased(ctx, name, now, until); return err })
	return ours, err
}

func (d dying) GenerationMade(ctx context.Context, g rollover.Generation, e journal.Entry) error {
	return d.around(func() error { return d.Rollover.GenerationMade(ctx, g, e) })
}

func (d dying) GenerationActivated(ctx context.Context, line, name string, e journal.Entry) error {
	return d.around(func() error { return d.Rollover.GenerationActivated(ctx, line, name, e) })
}

func (d dying) DevicesWithout(context.Context, cert.Fingerprint) (int, error) { return d.w.lack, nil }

// run does all background work, until there is none.
func (w *world) run() error {
	for range 20 {
		n, err := w.s.Step(w.t.Context())
		if n == 0 || err != nil {
			return err
		}
	}
	return errors.New("it does not end")
}

func (w *world) states() string {
	w.t.Helper()
	list, err := w.db.Rollover().Generations(w.t.Context())
	w.must(err)
	m := map[string]rollover.State{}
	for _, g := range list {
		m[g.Name] = g.State
		if chain := w.ring[g.Name]; g.Made() && (len(chain) == 0 || !chain[0].Equal(g.Certificate())) {
			w.t.Errorf("the database has another certificate of %s than the keyring", g.Name)
		}
	}
	return fmt.Sprint(m)
}

func (w *world) same(want string) {
	w.t.Helper()
	if got := w.states(); got != want {
		w.t.Errorf("got %s, want %s", got, want)
	}
}

func TestRollover(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	w.must(w.run())
	w.same("map[root:current smime:current smime-ra:current tls:current]")
	if _, err := w.s.Activate(ctx, admin, "smime", false); !errors.Is(err, rollover.ErrNotNext) {
		t.Errorf("before the start: %v", err)
	}
	for _, name := range []string{"tls", "smime-ra", "x"} {
		if _, err := w.s.Start(ctx, admin, name); !errors.Is(err, rollover.ErrLine) {
			t.Errorf("start %s: %v", name, err)
		}
	}
	g, err := w.s.Start(ctx, admin, "smime")
	if w.must(err); g.Name != "smime-2" || g.Above != "root" {
		t.Errorf("got %+v", g)
	}
	if _, err := w.s.Start(ctx, admin, "smime"); !errors.Is(err, rollover.ErrUnderWay) {
		t.Errorf("twice: %v", err)
	}
	if _, err := w.s.Activate(ctx, admin, "smime", true); !errors.Is(err, rollover.ErrNotNext) {
		t.Errorf("before it is made: %v", err)
	}
	w.must(w.run())
	w.same("map[root:current smime:current smime-2:next smime-2-ra:current smime-ra:current tls:current]")
	_, err = w.s.Activate(ctx, admin, "smime", false)
	w.must(err)
	w.must(w.run())
	w.same("map[root:current smime:past smime-2:current smime-2-ra:current smime-ra:current tls:current]")
	// It issued nothing, so it ends with the grace of its RA.
	w.now = w.now.Add(25 * time.Hour)
	w.must(w.run())
	w.same("map[root:current smime:over smime-2:current smime-2-ra:current smime-ra:over tls:current]")
}

func TestCancelled(t *testing.T) {
	w := newWorld(t)
	for n := 2; n <= 3; n++ {
		g, err := w.s.Start(t.Context(), admin, "smime")
		if w.must(err); g.Name != fmt.Sprint("smime-", n) {
			t.Errorf("start number %d gives %s", n, g.Name)
		}
		w.must(w.run())
		_, err = w.s.Cancel(t.Context(), admin, "smime")
		w.must(err)
	}
	if _, err := w.s.Cancel(t.Context(), admin, "smime"); !errors.Is(err, rollover.ErrNotNext) {
		t.Errorf("nothing to cancel: %v", err)
	}
	w.same("map[root:current smime:current smime-2:cancelled smime-2-ra:cancelled smime-3:cancelled smime-3-ra:cancelled smime-ra:current tls:current]")
}

// A new root waits for the devices; what it replaces stays as long as a CA below
// it, and what serves moves below it by itself.
func TestRoot(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	_, err := w.s.Start(ctx, admin, "root")
	w.must(err)
	w.must(w.run())
	w.lack = 3
	if _, err := w.s.Activate(ctx, admin, "root", false); !errors.Is(err, rollover.ErrDevices) {
		t.Errorf("devices lack it: %v", err)
	}
	if all, err := w.s.Status(ctx); err != nil || all[0].Waiting != 3 || !all[0].Ready || all[1].Waiting != 0 {
		t.Errorf("status %+v, %v", all, err)
	}
	_, err = w.s.Activate(ctx, admin, "root", true)
	w.must(err)
	w.must(w.run()) // who lacks it would not know the server any more
	w.same("map[root:past root-2:current smime:current smime-ra:current tls:current]")
	w.lack = 0
	w.must(w.run())
	w.same("map[root:past root-2:current smime:current smime-ra:current tls:past tls-2:current]")
	w.now = w.now.Add(30 * day)
	w.must(w.run())
	w.same("map[root:past root-2:current smime:current smime-ra:current tls:over tls-2:current]")
	g, err := w.s.Start(ctx, admin, "smime")
	if w.must(err); g.Above != "root-2" {
		t.Errorf("the next CA is below %s", g.Above)
	}
	w.must(w.run())
	w.lack = 1
	if _, err := w.s.Activate(ctx, admin, "smime", false); !errors.Is(err, rollover.ErrDevices) {
		t.Errorf("devices lack the root of the next CA: %v", err)
	}
	_, err = w.s.Activate(ctx, admin, "smime", true)
	w.must(err)
	w.now = w.now.Add(30 * day)
	w.must(w.run())
	w.now = w.now.Add(30 * day)
	w.must(w.run())
	w.same("map[root:over root-2:current smime:over smime-2:current smime-2-ra:current smime-ra:over tls:over tls-2:current]")
}

// What serves is renewed before it ends, for ever, and what it was goes.
func TestRenewal(t *testing.T) {
	w := newWorld(t)
	w.now = start.Add(365*day - rollover.PartNotice - time.Hour)
	w.must(w.run())
	w.same("map[root:current smime:current smime-ra:current tls:current]")
	w.now = w.now.Add(2 * time.Hour)
	w.must(w.run())
	w.same("map[root:current smime:current smime-ra:past smime-ra-2:current tls:current]")
	w.now = w.now.Add(71 * day)
	w.must(w.run())
	w.same("map[root:current smime:current smime-ra:over smime-ra-2:current tls:past tls-2:current]")
}

// The process dies at each step of start and activate in turn, and is started
// again: every key is made once, and the end is the same.
func TestDiesAnywhere(t *testing.T) {
	const want = "map[root:current smime:past smime-2:current smime-2-ra:current smime-ra:current tls:current]"
	for at := 1; ; at++ {
		w := newWorld(t)
		w.crash = at
		died := false
		again := func(f func() error) {
			for err := f(); err != nil; err = f() {
				switch {
				case errors.Is(err, errDied) && !died:
					died = true
					w.now = w.now.Add(time.Minute) // what it had taken is free again
				case errors.Is(err, rollover.ErrUnderWay), errors.Is(err, rollover.ErrNotNext):
					return // it had happened
				default:
					t.Fatalf("dying at step %d: %v", at, err)
				}
			}
		}
		again(func() error { _, err := w.s.Start(t.Context(), admin, "smime"); return err })
		again(w.run)
		again(func() error { _, err := w.s.Activate(t.Context(), admin, "smime", false); return err })
		again(w.run)
		w.same(want)
		if len(w.ring) != 6 {
			t.Errorf("dying at step %d: %d keys were made, want 6", at, len(w.ring))
		}
		if !died {
			if at < 10 {
				t.Errorf("only %d steps were tried", at)
			}
			return
		}
	}
}
