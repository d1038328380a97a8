package opener_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/pfxconnector/escrow"
	"github.com/signet-mdm/signet/pfxconnector/opener"
)

// Whoever writes into the database moves no key to another person, certificate
// or record, and every changed byte is noticed.
func TestTamperedRecordDoesNotOpen(t *testing.T) {
	w := newWorld(t)
	w.config.Limits = opener.Limits{PerDevice: 1e6, Total: 1e6}
	w.config.Journal = quick{}
	target := w.load(t, 4, w.alice) // an EC key, whose record is short
	bobs, err := w.db.PFX().Deposits(t.Context(), w.bob.ID, []cert.Fingerprint{w.his})
	if err != nil {
		t.Fatal(err)
	}
	olds, err := w.db.PFX().Deposits(t.Context(), w.alice.ID, []cert.Fingerprint{w.aliceOld})
	if err != nil {
		t.Fatal(err)
	}
	mine, err := w.db.PFX().Deposits(t.Context(), w.alice.ID, []cert.Fingerprint{target})
	if err != nil {
		t.Fatal(err)
	}
	other, old := bobs[0], olds[0]
	cases := map[string]func(*escrow.Deposit){
		"ciphertext of her other key": func(d *escrow.Deposit) {
			d.Key.Ciphertext, d.Key.Nonce, d.Key.Wraps, d.Key.ID = old.Key.Ciphertext, old.Key.Nonce, old.Key.Wraps, old.Key.ID
		},
		"Bob's record under her name": func(d *escrow.Deposit) {
			user := d.Key.User
			*d = other
			d.Key.User, d.Certificate.Holder.User, d.Key.Cert = user, user, target
		},
		"Bob's key and wraps": func(d *escrow.Deposit) {
			d.Key.Ciphertext, d.Key.Nonce, d.Key.Wraps, d.Key.ID = other.Key.Ciphertext, other.Key.Nonce, other.Key.Wraps, other.Key.ID
		},
		"Bob's wraps":         func(d *escrow.Deposit) { d.Key.Wraps = other.Key.Wraps },
		"Bob's wraps and id":  func(d *escrow.Deposit) { d.Key.Wraps, d.Key.ID = other.Key.Wraps, other.Key.ID },
		"another certificate": func(d *escrow.Deposit) { d.Certificate.DER = other.Certificate.DER },
		"another public key":  func(d *escrow.Deposit) { d.Key.SPKI[0] ^= 1 },
		"an unknown suite":    func(d *escrow.Deposit) { d.Key.Suite++ },
		"a suite of zero":     func(d *escrow.Deposit) { d.Key.Suite = 0 },
		"a short nonce":       func(d *escrow.Deposit) { d.Key.Nonce = d.Key.Nonce[:11] },
		"no nonce":            func(d *escrow.Deposit) { d.Key.Nonce = nil },
		"no ciphertext":       func(d *escrow.Deposit) { d.Key.Ciphertext = nil },
		"a short ciphertext":  func(d *escrow.Deposit) { d.Key.Ciphertext = d.Key.Ciphertext[:15] },
		"another record's id": func(d *escrow.Deposit) { d.Key.ID = old.Key.ID },
	}
	for _, field := range []struct {
		name string
		of   func(*escrow.Deposit) *[]byte
	}{
		{"nonce", func(d *escrow.Deposit) *[]byte { return &d.Key.Nonce }},
		{"ciphertext", func(d *escrow.Deposit) *[]byte { return &d.Key.Ciphertext }},
		{"encapsulation", func(d *escrow.Deposit) *[]byte { return &d.Key.Wraps[0].Enc }},
		{"wrapped data key", func(d *escrow.Deposit) *[]byte { return &d.Key.Wraps[0].Sealed }},
		{"certificate", func(d *escrow.Deposit) *[]byte { return &d.Certificate.DER }},
	} {
		for i := range *field.of(&mine[0]) {
			cases[fmt.Sprintf("byte %d of the %s", i, field.name)] = func(d *escrow.Deposit) {
				b := field.of(d)
				*b = bytes.Clone(*b)
				(*b)[i] ^= 0x10
			}
		}
	}
	for name, change := range cases {
		w.config.Deposits = changed{w.db.PFX(), func(list []escrow.Deposit) []escrow.Deposit {
			for i := range list {
				change(&list[i])
			}
			return list
		}}
		out, err := opener.New(w.config).Seal(t.Context(), w.alicePhone, frame(target), 18)
		if !errors.Is(err, opener.ErrTampered) || out != nil {
			t.Errorf("%s: got %d bytes, %v; want ErrTampered", name, len(out), err)
		}
	}
}

// quick is a journal for thousands of attempts.
type quick struct{}

func (quick) Record(context.Context, journal.Entry) error { return nil }

func (quick) Opened(context.Context, subject.DeviceID, time.Time) (int, int, error) {
	return 0, 0, nil
}

// A wrap for a key that is not here is no tampering, but opens nothing.
func TestOfflineWrapsOpenNothing(t *testing.T) {
	w := newWorld(t)
	for name, change := range map[string]func(*escrow.Deposit){
		"no wrap":         func(d *escrow.Deposit) { d.Key.Wraps = nil },
		"a recovery wrap": func(d *escrow.Deposit) { d.Key.Wraps = []escrow.Wrap{{Key: "age:00", Sealed: []byte{1}}} },
		"an unknown key":  func(d *escrow.Deposit) { d.Key.Wraps[0].Key = "hpke:00" },
	} {
		w.config.Deposits = changed{w.db.PFX(), func(list []escrow.Deposit) []escrow.Deposit { change(&list[0]); return list }}
		if _, err := opener.New(w.config).Seal(t.Context(), w.alicePhone, frame(w.aliceNew), 18); !errors.Is(err, opener.ErrKeyAway) {
			t.Errorf("%s: got %v, want ErrKeyAway", name, err)
		}
	}
}

// A store that answers with another user's keys makes nothing open.
func TestStoreGivesTooMuch(t *testing.T) {
	w := newWorld(t)
	bobs, err := w.db.PFX().Deposits(t.Context(), w.bob.ID, []cert.Fingerprint{w.his})
	if err != nil {
		t.Fatal(err)
	}
	w.config.Deposits = changed{w.db.PFX(), func([]escrow.Deposit) []escrow.Deposit { return bobs }}
	if _, err := opener.New(w.config).Seal(t.Context(), w.alicePhone, frame(w.his), 18); !errors.Is(err, opener.ErrNotOwner) || w.keys.asked != 0 {
		t.Errorf("got %v, %d keys opened; want ErrNotOwner", err, w.keys.asked)
	}
}

// What other processes opened counts, and what this one did before it was
// started; and when the database forgets, it knows what it opened itself.
func TestHourlyLimitOfAllProcesses(t *testing.T) {
	w := newWorld(t)
	w.config.Limits = opener.Limits{PerDevice: 2, Total: 3}
	one, other, restarted := opener.New(w.config), opener.New(w.config), opener.New(w.config)
	w.config.Journal = forgetful{w.config.Journal}
	amnesiac := opener.New(w.config)
	for _, step := range []struct {
		name   string
		by     *opener.Opener
		device subject.DeviceID
		key    cert.Fingerprint
		refuse bool
	}{
		{"hers, by one", one, w.alicePhone, w.aliceNew, false},
		{"hers, by another", other, w.alicePhone, w.aliceOld, false},
		{"hers, by one again", one, w.alicePhone, w.aliceNew, true},
		{"hers, after a restart", restarted, w.alicePhone, w.aliceNew, true},
		{"the third of all", one, w.bobPhone, w.his, false},
		{"the fourth of all", restarted, w.bobPhone, w.his, true},
		{"the entries are gone", amnesiac, w.bobPhone, w.his, false},
		{"they are still gone", amnesiac, w.bobPhone, w.his, false},
		{"but it has opened two", amnesiac, w.bobPhone, w.his, true},
	} {
		opened := w.keys.asked
		_, err := step.by.Seal(t.Context(), step.device, frame(step.key), 18)
		if step.refuse != errors.Is(err, opener.ErrLimit) || (!step.refuse && err != nil) || step.refuse && w.keys.asked != opened {
			t.Errorf("%s: got %v, %d keys opened, refuse %v", step.name, err, w.keys.asked-opened, step.refuse)
		}
	}
	w.config.Journal = broken{w.diary}
	if _, err := opener.New(w.config).Seal(t.Context(), w.bobPhone, frame(w.his), 18); !errors.Is(err, opener.ErrJournal) {
		t.Errorf("a journal that cannot be read: got %v, want ErrJournal", err)
	}
}

// forgetful is a journal whose entries were deleted.
type forgetful struct{ opener.Journal }

func (forgetful) Opened(context.Context, subject.DeviceID, time.Time) (int, int, error) {
	return 0, 0, nil
}

// broken is one that cannot be read.
type broken struct{ opener.Journal }

func (broken) Opened(context.Context, subject.DeviceID, time.Time) (int, int, error) {
	return 0, 0, errors.New("no database")
}

func TestHourlyLimit(t *testing.T) {
	w := newWorld(t)
	w.config.Limits = opener.Limits{PerDevice: 3, Total: 4}
	clock := at
	w.config.Now = func() time.Time { return clock }
	o := opener.New(w.config)
	two := frame(w.aliceNew, w.aliceOld)
	for _, step := range []struct {
		name   string
		wait   time.Duration
		ask    func(context.Context) ([]byte, error)
		refuse bool
	}{
		{"two of three", 0, func(ctx context.Context) ([]byte, error) { return o.Seal(ctx, w.alicePhone, two, 18) }, false},
		{"two more", time.Minute, func(ctx context.Context) ([]byte, error) { return o.Seal(ctx, w.alicePhone, two, 18) }, true},
		{"one more", 0, func(ctx context.Context) ([]byte, error) { return o.Seal(ctx, w.alicePhone, frame(w.aliceNew), 18) }, false},
		{"the fourth of all", 0, func(ctx context.Context) ([]byte, error) { return o.Seal(ctx, w.bobPhone, frame(w.his), 18) }, false},
		{"the fifth of all", 0, func(ctx context.Context) ([]byte, error) { return o.Seal(ctx, w.bobPhone, frame(w.his), 18) }, true},
		{"not yet an hour later", 58 * time.Minute, func(ctx context.Context) ([]byte, error) { return o.Seal(ctx, w.bobPhone, frame(w.his), 18) }, true},
		{"an hour after the first", time.Minute, func(ctx context.Context) ([]byte, error) { return o.Seal(ctx, w.bobPhone, frame(w.his), 18) }, false},
		{"hers, but for the last", 0, func(ctx context.Context) ([]byte, error) { return o.Seal(ctx, w.alicePhone, two, 18) }, true},
		{"hers again", time.Hour, func(ctx context.Context) ([]byte, error) { return o.Seal(ctx, w.alicePhone, two, 18) }, false},
	} {
		clock = clock.Add(step.wait)
		opened := w.keys.asked
		_, err := step.ask(t.Context())
		if step.refuse != errors.Is(err, opener.ErrLimit) || (!step.refuse && err != nil) {
			t.Errorf("%s: got %v, refuse %v", step.name, err, step.refuse)
		}
		if step.refuse && w.keys.asked != opened {
			t.Errorf("%s: a key was opened", step.name)
		}
	}
}
