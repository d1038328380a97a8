package opener_test

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/keyring"
	"github.com/signet-mdm/signet/pfxconnector/escrow"
	"github.com/signet-mdm/signet/pfxconnector/opener"
)

// fresh are deposits that nobody has opened yet.
type fresh struct {
	list    []escrow.Deposit
	checked []string
	failed  map[string]journal.Entry
	asked   []journal.Entry
}

func (f *fresh) UncheckedLeased(_ context.Context, now, until time.Time, limit int, e journal.Entry) ([]escrow.Deposit, error) {
	if limit < 1 || !until.After(now) {
		return nil, errors.New("not a lease")
	}
	if len(f.list) > 0 {
		f.asked = append(f.asked, e)
	}
	list := f.list
	f.list = nil
	return list, nil
}

func (f *fresh) KeysChecked(_ context.Context, ids []string) error {
	f.checked = append(f.checked, ids...)
	return nil
}

func (f *fresh) KeyFailed(_ context.Context, d escrow.Deposit, why string, e journal.Entry) error {
	if why == "" {
		return errors.New("no reason")
	}
	f.failed[d.Key.ID] = e
	return nil
}

func TestChecker(t *testing.T) {
	w := newWorld(t)
	good, flippedOne, swapped := w.deposit(t, w.aliceNew), w.deposit(t, w.aliceOld), w.deposit(t, w.aliceNew)
	flippedOne.Key.Ciphertext = flipped(flippedOne.Key.Ciphertext)
	swapped.Key.ID = "swapped" // the wrap is bound to the id
	f := &fresh{list: []escrow.Deposit{flippedOne, good, swapped}, failed: map[string]journal.Entry{}}
	c := opener.NewChecker(opener.CheckerConfig{Records: f, Keys: w.ring, Log: slog.New(slog.DiscardHandler), Now: now})
	if n, err := c.Step(t.Context()); n != 3 || err != nil {
		t.Fatalf("got %d, %v", n, err)
	}
	if len(f.checked) != 1 || f.checked[0] != good.Key.ID || len(f.failed) != 2 {
		t.Errorf("got %v opened and %v not", f.checked, f.failed)
	}
	e := f.failed[flippedOne.Key.ID]
	if e.Action != journal.KeyAlarm || e.Cert != flippedOne.Key.Cert || e.User != w.alice.ID || e.Detail["code"] != opener.ErrTampered.Code || len(e.Due.Users) != 1 {
		t.Errorf("the journal has %+v", e)
	}
	if len(f.asked) != 1 || f.asked[0].Action != journal.KeysChecked {
		t.Errorf("before it opened, the journal got %v", f.asked)
	}
	if n, err := c.Step(t.Context()); n != 0 || err != nil || len(f.asked) != 1 {
		t.Errorf("nothing to do: got %d, %v", n, err)
	}
}

// Without the escrow key nothing is said of a record.
func TestCheckerWithoutKey(t *testing.T) {
	w := newWorld(t)
	other, err := keyring.Create(filepath.Join(t.TempDir(), "keys"), filepath.Join(t.TempDir(), "unlock"))
	if err != nil {
		t.Fatal(err)
	}
	f := &fresh{list: []escrow.Deposit{w.deposit(t, w.aliceNew)}, failed: map[string]journal.Entry{}}
	c := opener.NewChecker(opener.CheckerConfig{Records: f, Keys: other, Log: slog.New(slog.DiscardHandler), Now: now})
	if _, err := c.Step(t.Context()); !errors.Is(err, opener.ErrKeyAway) || len(f.checked)+len(f.failed) != 0 {
		t.Errorf("got %v; %v opened, %v not", err, f.checked, f.failed)
	}
}
