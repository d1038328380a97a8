package opener_test

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/pfxconnector/escrow"
	"github.com/signet-mdm/signet/pfxconnector/opener"
)

// query gives the rows of a statement as text, and their hash.
func (w *world) query(t testing.TB, statement string) (rows []string, sum [32]byte) {
	t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(w.dir, "signet.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	found, err := db.Query(statement)
	if err != nil {
		t.Fatal(err)
	}
	defer found.Close()
	for found.Next() {
		var row string
		if err := found.Scan(&row); err != nil {
			t.Fatal(err)
		}
		rows = append(rows, row)
	}
	return rows, sha256.Sum256(fmt.Append(nil, rows))
}

// blobs is all that a rotation must leave alone.
const blobs = `SELECT id || user_id || certificate || spki || suite || hex(nonce) || hex(ciphertext) || source || created_by || created_at
	FROM escrow_key ORDER BY id`

func (w *world) rotator(wraps opener.Wraps, keys opener.EscrowKeys) *opener.Rotator {
	return opener.NewRotator(opener.RotatorConfig{Wraps: wraps, Keys: keys, Log: slog.New(slog.DiscardHandler), Now: now})
}

// rotate makes a new escrow key.
func (w *world) rotate(t testing.TB) escrow.KeyID {
	t.Helper()
	id, err := w.ring.AddEscrow()
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// finish steps until nothing is left to do, and tells how many wraps changed.
func finish(t testing.TB, r *opener.Rotator) (total int, err error) {
	t.Helper()
	for range 10_000 {
		n, err := r.Step(t.Context())
		if total += n; n == 0 {
			return total, err
		}
	}
	t.Fatal("it does not end")
	return
}

// prove opens every key of Alice and Bob.
func (w *world) prove(t testing.TB, keys opener.Keys) (opened int, err error) {
	t.Helper()
	for _, u := range []subject.User{w.alice, w.bob} {
		list, err := w.db.PFX().Imported(t.Context(), u.ID)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range list {
			d, err := w.db.PFX().Deposits(t.Context(), u.ID, []cert.Fingerprint{c.Fingerprint})
			if err != nil || len(d) != 1 {
				t.Fatalf("got %d deposits, %v", len(d), err)
			}
			if err := opener.Prove(t.Context(), keys, d[0]); err != nil {
				return opened, err
			}
			opened++
		}
	}
	return opened, nil
}

func TestRotationTouchesWrapsOnly(t *testing.T) {
	w := newWorld(t)
	old := w.ring.Escrow()[0].ID
	_, before := w.query(t, blobs)
	r := w.rotator(w.db.PFX(), w.ring)
	if n, err := r.Step(t.Context()); n != 0 || err != nil {
		t.Fatalf("without a retiring key: got %d, %v", n, err)
	}
	to := w.rotate(t)
	if n, err := finish(t, r); n != 3 || err != nil {
		t.Fatalf("got %d wraps, %v, want 3", n, err)
	}
	if _, after := w.query(t, blobs); after != before {
		t.Error("what is stored of the keys themselves has changed")
	}
	if got, _ := w.query(t, `SELECT DISTINCT recipient FROM escrow_wrap`); len(got) != 1 || got[0] != string(to) {
		t.Errorf("sealed to %v, want %s", got, to)
	}
	if got := w.entries(t, journal.EscrowRewrapped); len(got) != 1 || got[0].Detail["keys"] != "3" || got[0].Detail["to"] != string(to) {
		t.Errorf("journal: got %v", got)
	}
	// The key before is of no use any more.
	if err := w.ring.DestroyEscrow(old); err != nil {
		t.Fatal(err)
	}
	if n, err := w.prove(t, w.ring); n != 3 || err != nil {
		t.Errorf("%d keys open, %v, want 3", n, err)
	}
	// What an importer seals to a retiring key meanwhile is found too.
	w.rotate(t)
	finish(t, r)
	if n, err := finish(t, r); n != 0 || err != nil {
		t.Errorf("again: got %d, %v", n, err)
	}
}

// A data key that does not open stays as it is, and the others go on.
func TestRotationLeavesWhatDoesNotOpen(t *testing.T) {
	w := newWorld(t)
	first, _ := w.query(t, `SELECT MIN(key_id) FROM escrow_wrap`)
	db, err := sql.Open("sqlite", filepath.Join(w.dir, "signet.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(`UPDATE escrow_wrap SET sealed = zeroblob(48) WHERE key_id = ?`, first[0]); err != nil {
		t.Fatal(err)
	}
	spoilt := `SELECT recipient || hex(enc) || hex(sealed) FROM escrow_wrap WHERE key_id = '` + first[0] + `'`
	_, before := w.query(t, spoilt)
	w.rotate(t)
	r := w.rotator(w.db.PFX(), w.ring)
	for _, want := range []int{2, 0} {
		if n, err := finish(t, r); n != want || !errors.Is(err, opener.ErrRotation) {
			t.Errorf("got %d, %v, want %d and ErrRotation", n, err, want)
		}
	}
	if _, after := w.query(t, spoilt); after != before {
		t.Error("the wrap that does not open was changed")
	}
}

// claiming says that it has the escrow keys, but opens with another ring.
type claiming struct {
	opener.EscrowKeys
	real opener.Keys
}

func (c claiming) Unwrap(ctx context.Context, w escrow.Wrap, info []byte) (seal.Secret, error) {
	return c.real.Unwrap(ctx, w, info)
}

// With a wrong or missing escrow key nothing is sealed anew and nothing deleted.
func TestRotationWithoutTheKeyChangesNothing(t *testing.T) {
	w := newWorld(t)
	other := newWorld(t)
	w.rotate(t)
	const wraps = `SELECT key_id || recipient || hex(enc) || hex(sealed) FROM escrow_wrap ORDER BY key_id`
	_, before := w.query(t, wraps)
	other.rotate(t)
	if n, err := finish(t, other.rotator(w.db.PFX(), other.ring)); n != 0 || err != nil {
		t.Errorf("another installation's keeper: got %d, %v", n, err)
	}
	if n, err := finish(t, other.rotator(w.db.PFX(), claiming{w.ring, other.ring})); n != 0 || err == nil {
		t.Errorf("keys that are said to be there: got %d, %v", n, err)
	}
	if _, after := w.query(t, wraps); after != before {
		t.Error("wraps have changed")
	}
	if n, err := w.prove(t, w.ring); n != 3 || err != nil {
		t.Errorf("%d keys open, %v, want 3", n, err)
	}
}

// Several keepers do the same work without harm.
func TestKeepersRotateTogether(t *testing.T) {
	w := newWorld(t)
	to := w.rotate(t)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if _, err := finish(t, w.rotator(w.db.PFX(), w.ring)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got, _ := w.query(t, `SELECT recipient || COUNT(*) FROM escrow_wrap GROUP BY recipient`); len(got) != 1 || got[0] != string(to)+"3" {
		t.Errorf("got %v, want 3 for %s", got, to)
	}
	if n, err := w.prove(t, w.ring); n != 3 || err != nil {
		t.Errorf("%d keys open, %v, want 3", n, err)
	}
}
