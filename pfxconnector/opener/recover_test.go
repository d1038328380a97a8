package opener_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/pfxconnector/escrow"
	"github.com/signet-mdm/signet/pfxconnector/opener"
)

// vaultKey is a recovery key with its identity.
func vaultKey(t *testing.T) (escrow.Recovery, age.Identity) {
	t.Helper()
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	to, err := escrow.ParseRecovery(id.Recipient().String())
	if err != nil {
		t.Fatal(err)
	}
	return to, id
}

// recoverer seals to a recovery key; nil: none was chosen.
func (w *world) recoverer(to *escrow.Recovery, change func(*opener.RecovererConfig)) *opener.Recoverer {
	c := opener.RecovererConfig{Records: w.db.PFX(), Keys: w.ring, Journal: w.db.Journal(), Log: slog.New(slog.DiscardHandler), Now: now,
		Chosen: func() (escrow.Recovery, bool, error) {
			if to == nil {
				return escrow.Recovery{}, false, nil
			}
			return *to, true, nil
		}}
	if change != nil {
		change(&c)
	}
	return opener.NewRecoverer(c)
}

// recovers tells how many of the records that identity opens.
func (w *world) recovers(t *testing.T, id age.Identity) (n int) {
	t.Helper()
	for user, list := range map[subject.UserID][]cert.Fingerprint{w.alice.ID: {w.aliceNew, w.aliceOld}, w.bob.ID: {w.his}} {
		deposits, err := w.db.PFX().Deposits(t.Context(), user, list)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range deposits {
			there, err := opener.ProveRecovery(d, id)
			if err != nil {
				t.Fatal(err)
			}
			if there {
				n++
			}
		}
	}
	return n
}

func allSteps(t *testing.T, r *opener.Recoverer) (total int, err error) {
	t.Helper()
	for range 100 {
		n, err := r.Step(t.Context())
		if total += n; n == 0 {
			return total, err
		}
	}
	t.Fatal("it does not end")
	return
}

// Records get the recovery key that was chosen in the place of the one before,
// and nothing else of them changes.
func TestRecoveryKeyIsChanged(t *testing.T) {
	w := newWorld(t)
	_, before := w.query(t, blobs)
	_, wraps := w.query(t, `SELECT key_id || recipient || hex(enc) || hex(sealed) FROM escrow_wrap WHERE recipient LIKE 'hpke:%' ORDER BY key_id`)
	if n, err := allSteps(t, w.recoverer(nil, nil)); n != 0 || err != nil {
		t.Errorf("none chosen: got %d, %v", n, err)
	}
	first, firstID := vaultKey(t)
	r := w.recoverer(&first, nil)
	if n, err := allSteps(t, r); n != 3 || err != nil || w.recovers(t, firstID) != 3 {
		t.Errorf("got %d, %v, and %d can be recovered, want 3", n, err, w.recovers(t, firstID))
	}
	second, secondID := vaultKey(t)
	first = second // chosen while it runs
	if n, err := allSteps(t, r); n != 3 || err != nil || w.recovers(t, secondID) != 3 || w.recovers(t, firstID) != 0 {
		t.Errorf("got %d, %v, %d with the new and %d with the old", n, err, w.recovers(t, secondID), w.recovers(t, firstID))
	}
	if n, err := allSteps(t, w.recoverer(&second, nil)); n != 0 || err != nil {
		t.Errorf("again: got %d, %v", n, err)
	}
	if _, after := w.query(t, blobs); after != before {
		t.Error("what is stored of the keys has changed")
	}
	if _, after := w.query(t, `SELECT key_id || recipient || hex(enc) || hex(sealed) FROM escrow_wrap WHERE recipient LIKE 'hpke:%' ORDER BY key_id`); after != wraps {
		t.Error("wraps for the escrow key have changed")
	}
	if opened, done := len(w.entries(t, journal.RecoveryOpened)), len(w.entries(t, journal.RecoveryRewrapped)); opened != 2 || done != 2 {
		t.Errorf("%d and %d entries in the journal, want 2 each", opened, done)
	}
	if n, err := w.prove(t, w.ring); n != 3 || err != nil {
		t.Errorf("%d open, %v", n, err)
	}
}

// silent is a journal that cannot be written.
type silent struct{ opener.Diary }

func (silent) Record(context.Context, journal.Entry) error { return errors.New("disk full") }

// Without the journal, and while the keys are away, nothing is opened.
func TestRecoveryWaits(t *testing.T) {
	w := newWorld(t)
	to, id := vaultKey(t)
	for name, c := range map[string]struct {
		change func(*opener.RecovererConfig)
		want   error
	}{
		"no journal": {func(c *opener.RecovererConfig) { c.Journal, c.Keys = silent{}, w.keys }, opener.ErrJournal},
		"keys away":  {func(c *opener.RecovererConfig) { c.Keys = awayKeys{w.ring, false} }, errHolder},
		"they go":    {func(c *opener.RecovererConfig) { c.Keys = awayKeys{w.ring, true} }, errHolder},
	} {
		if n, err := w.recoverer(&to, c.change).Step(t.Context()); n != 0 || !errors.Is(err, c.want) {
			t.Errorf("%s: got %d, %v, want %v", name, n, err, c.want)
		}
	}
	if w.keys.asked != 0 || w.recovers(t, id) != 0 {
		t.Errorf("%d were opened, %d can be recovered", w.keys.asked, w.recovers(t, id))
	}
}

// What does not open keeps the recovery key that it has, and is said. The next
// round comes later, not at once.
func TestRecoveryLeavesWhatDoesNotOpen(t *testing.T) {
	w := newWorld(t)
	old, oldID := vaultKey(t)
	if _, err := allSteps(t, w.recoverer(&old, nil)); err != nil {
		t.Fatal(err)
	}
	rewriter{t, w.raw(t)}.do(`UPDATE escrow_key SET ciphertext = zeroblob(64) WHERE id = (SELECT MIN(id) FROM escrow_key)`)
	to, id := vaultKey(t)
	at := now()
	r := w.recoverer(&to, func(c *opener.RecovererConfig) { c.Now = func() time.Time { return at } })
	if n, err := allSteps(t, r); n != 2 || !errors.Is(err, opener.ErrRecovery) {
		t.Errorf("got %d, %v, want 2 and ErrRecovery", n, err)
	}
	if w.recovers(t, id) != 2 || w.recovers(t, oldID) != 1 {
		t.Errorf("%d and %d can be recovered, want 2 and 1", w.recovers(t, id), w.recovers(t, oldID))
	}
	entries := len(w.entries(t, journal.RecoveryOpened))
	if n, err := r.Step(t.Context()); n != 0 || err != nil || len(w.entries(t, journal.RecoveryOpened)) != entries {
		t.Errorf("at once: got %d, %v", n, err)
	}
	at = at.Add(time.Hour)
	if n, err := r.Step(t.Context()); n != 0 || !errors.Is(err, opener.ErrRecovery) {
		t.Errorf("later: got %d, %v, want ErrRecovery", n, err)
	}
}
