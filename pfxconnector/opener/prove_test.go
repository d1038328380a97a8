package opener_test

import (
	"bytes"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/keyring"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/pfxconnector"
	"github.com/signet-mdm/signet/pfxconnector/escrow"
	"github.com/signet-mdm/signet/pfxconnector/opener"
	"github.com/signet-mdm/signet/testdata"
)

func (w *world) deposit(t *testing.T, f cert.Fingerprint) escrow.Deposit {
	t.Helper()
	list, err := w.db.PFX().Deposits(t.Context(), w.alice.ID, []cert.Fingerprint{f})
	if err != nil || len(list) != 1 {
		t.Fatalf("got %d deposits, %v", len(list), err)
	}
	return list[0]
}

func TestProve(t *testing.T) {
	w := newWorld(t)
	other, err := keyring.Create(filepath.Join(t.TempDir(), "keys"), filepath.Join(t.TempDir(), "unlock"))
	if err != nil {
		t.Fatal(err)
	}
	whole := w.deposit(t, w.aliceNew)
	if err := opener.Prove(t.Context(), w.ring, whole); err != nil {
		t.Errorf("a whole one: %v", err)
	}
	if err := opener.Prove(t.Context(), other, whole); !errors.Is(err, opener.ErrKeyAway) {
		t.Errorf("with another ring: got %v, want ErrKeyAway", err)
	}
	for name, change := range map[string]func(*escrow.Deposit){
		"another user's":      func(d *escrow.Deposit) { d.Key.User = w.bob.ID },
		"a flipped bit":       func(d *escrow.Deposit) { d.Key.Ciphertext = flipped(d.Key.Ciphertext) },
		"a flipped wrap":      func(d *escrow.Deposit) { d.Key.Wraps[0].Sealed = flipped(d.Key.Wraps[0].Sealed) },
		"another certificate": func(d *escrow.Deposit) { d.Certificate = w.deposit(t, w.aliceOld).Certificate },
		"another's key":       func(d *escrow.Deposit) { d.Key.Ciphertext = w.deposit(t, w.aliceOld).Key.Ciphertext },
	} {
		d := w.deposit(t, w.aliceNew)
		change(&d)
		if err := opener.Prove(t.Context(), w.ring, d); !errors.Is(err, opener.ErrTampered) {
			t.Errorf("%s: got %v, want ErrTampered", name, err)
		}
	}
}

// What an import takes, opens: also a key that cannot sign.
func TestEachKindOfKeyOpens(t *testing.T) {
	w := newWorld(t)
	n := 0
	for _, f := range testdata.PFXCorpus() {
		if !strings.HasPrefix(f.Name, "openssl-key-") {
			continue
		}
		r := w.take(t, pfxconnector.File{Name: f.Name, Data: f.Data, Password: seal.SecretString(f.Password), User: &w.alice,
			Purpose: cert.Encryption, AllowWeak: true})
		if r.Status != pfxconnector.Imported {
			continue
		}
		n++
		if err := opener.Prove(t.Context(), w.ring, w.deposit(t, must(cert.ParseFingerprint(r.Identities[0].Cert))(t))); err != nil {
			t.Errorf("%s: %v", f.Name, err)
		}
	}
	if n < 9 {
		t.Errorf("%d kinds of keys were tried", n)
	}
}

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func flipped(b []byte) []byte {
	b = bytes.Clone(b)
	b[len(b)-1] ^= 1
	return b
}

func TestProveRecovery(t *testing.T) {
	w := newWorld(t)
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	stranger, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	recovery, err := escrow.ParseRecovery(id.Recipient().String())
	if err != nil {
		t.Fatal(err)
	}
	to, err := keyring.Recipient(filepath.Join(w.dir, "keys"))
	if err != nil {
		t.Fatal(err)
	}
	s := pfxconnector.New(pfxconnector.Config{Store: w.db.PFX(), Users: w.db.Directory(), Sealer: escrow.NewSealer(to, recovery), Now: now})
	var with []escrow.Deposit
	for _, i := range []int{1, 2} {
		f := testdata.History()[i]
		r, err := s.Import(t.Context(), journal.Worker("test"),
			pfxconnector.File{Name: f.Name, Data: f.Data, Password: seal.SecretString(f.Password), User: &w.alice})
		if err != nil {
			t.Fatal(err)
		}
		fp, err := cert.ParseFingerprint(r.Identities[0].Cert)
		if err != nil {
			t.Fatal(err)
		}
		with = append(with, w.deposit(t, fp))
	}
	offline := func(d escrow.Deposit) *escrow.Wrap {
		for i := range d.Key.Wraps {
			if d.Key.Wraps[i].Key.Offline() {
				return &d.Key.Wraps[i]
			}
		}
		t.Fatal("no recovery wrap")
		return nil
	}
	for name, c := range map[string]struct {
		d     escrow.Deposit
		id    age.Identity
		opens bool
	}{
		"its own":         {with[0], id, true},
		"a stranger's":    {with[0], stranger, false},
		"one without any": {w.deposit(t, w.aliceNew), id, false},
	} {
		if opens, err := opener.ProveRecovery(c.d, c.id); err != nil || opens != c.opens {
			t.Errorf("%s: got %v, %v; want %v", name, opens, err, c.opens)
		}
	}
	offline(with[0]).Sealed = offline(with[1]).Sealed
	if _, err := opener.ProveRecovery(with[0], id); !errors.Is(err, opener.ErrTampered) {
		t.Errorf("another's recovery: got %v, want ErrTampered", err)
	}
	offline(with[0]).Sealed = flipped(offline(with[1]).Sealed)
	if _, err := opener.ProveRecovery(with[0], id); !errors.Is(err, opener.ErrTampered) {
		t.Errorf("a flipped bit: got %v, want ErrTampered", err)
	}
}
