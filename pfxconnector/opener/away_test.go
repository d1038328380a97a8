package opener_test

import (
	"context"
	"errors"
	"testing"

	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/pfxconnector/escrow"
	"github.com/signet-mdm/signet/pfxconnector/opener"
)

var errHolder = fault.New(fault.Unavailable, "test_holder", "The holder is away.", "")

// awayKeys are held by somebody who is away: from the beginning, or once one is
// to be opened.
type awayKeys struct {
	opener.EscrowKeys
	late bool
}

func (k awayKeys) Ready(context.Context) error {
	if k.late {
		return nil
	}
	return errHolder
}

func (awayKeys) Unwrap(context.Context, escrow.Wrap, []byte) (seal.Secret, error) {
	return seal.Secret{}, errHolder
}

// Keys whose holder is away are not opened, and not said or counted to be. It is
// nobody's tampering.
func TestHolderAway(t *testing.T) {
	w := newWorld(t)
	for entries, late := range []bool{false, true} {
		w.config.Keys = awayKeys{w.ring, late}
		_, err := opener.New(w.config).Seal(t.Context(), w.alicePhone, frame(w.aliceNew), 18)
		if !errors.Is(err, errHolder) {
			t.Errorf("late %v: got %v, want its cause", late, err)
		}
		if n := len(w.entries(t, journal.KeyOpened)); n != entries {
			t.Errorf("late %v: %d openings in the journal, want %d", late, n, entries)
		}
		if n := len(w.entries(t, journal.KeyRefused)); n != 0 {
			t.Errorf("late %v: %d refusals in the journal", late, n)
		}
	}
	w.config.Keys = w.ring
	if _, err := opener.New(w.config).Seal(t.Context(), w.alicePhone, frame(w.aliceNew), 18); err != nil {
		t.Error(err)
	}
}

// A rotation waits for a holder that is away, and changes nothing.
func TestRotationWaits(t *testing.T) {
	w := newWorld(t)
	to := w.rotate(t)
	r := w.rotator(w.db.PFX(), awayKeys{w.ring, true})
	for range 2 {
		if n, err := r.Step(t.Context()); n != 0 || !errors.Is(err, errHolder) {
			t.Errorf("got %d, %v", n, err)
		}
	}
	if got, _ := w.query(t, `SELECT COUNT(*) FROM escrow_wrap WHERE recipient = '`+string(to)+`'`); got[0] != "0" {
		t.Errorf("%s wraps were made", got[0])
	}
}
