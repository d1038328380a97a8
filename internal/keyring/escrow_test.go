package keyring_test

import (
	"bytes"
	"crypto/hpke"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/signet-mdm/signet/internal/keyring"
	"github.com/signet-mdm/signet/pfxconnector/escrow"
)

// wrapFor seals something to whoever an importer would seal to.
func wrapFor(t *testing.T, dir string, info []byte) escrow.Wrap {
	t.Helper()
	to, err := keyring.Recipient(dir)
	if err != nil {
		t.Fatal(err)
	}
	enc, sender, err := hpke.NewSender(to.PublicKey(), escrow.KDF(), escrow.AEAD(), info)
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := sender.Seal(nil, []byte("data key"))
	if err != nil {
		t.Fatal(err)
	}
	return escrow.Wrap{Key: to.ID(), Enc: enc, Sealed: sealed}
}

func TestUnwrap(t *testing.T) {
	r, dir, _ := create(t)
	w := wrapFor(t, dir, []byte("info"))
	if got, err := r.Unwrap(t.Context(), w, []byte("info")); err != nil || got.RevealString() != "data key" {
		t.Errorf("got %q, %v", got.RevealString(), err)
	}
	other, _, _ := create(t)
	cut, flipped := w, w
	cut.Enc = w.Enc[:10]
	flipped.Sealed = bytes.Clone(w.Sealed)
	flipped.Sealed[0] ^= 1
	for name, got := range map[string]struct{ err, want error }{
		"another info":      {second(r.Unwrap(t.Context(), w, []byte("inf"))), keyring.ErrUnwrap},
		"half the key":      {second(r.Unwrap(t.Context(), cut, []byte("info"))), keyring.ErrUnwrap},
		"a flipped bit":     {second(r.Unwrap(t.Context(), flipped, []byte("info"))), keyring.ErrUnwrap},
		"another ring":      {second(other.Unwrap(t.Context(), w, []byte("info"))), keyring.ErrEscrowUnknown},
		"an empty key name": {second(r.Unwrap(t.Context(), escrow.Wrap{}, nil)), keyring.ErrEscrowUnknown},
	} {
		if !errors.Is(got.err, got.want) {
			t.Errorf("%s: got %v, want %v", name, got.err, got.want)
		}
	}
}

func TestNewEscrowKeyLeavesTheOldOneOpening(t *testing.T) {
	r, dir, unlock := create(t)
	old := wrapFor(t, dir, nil)
	id, err := r.AddEscrow()
	if err != nil {
		t.Fatal(err)
	}
	now := wrapFor(t, dir, nil)
	if now.Key != id || now.Key == old.Key {
		t.Errorf("importers seal to %s, want %s", now.Key, id)
	}
	again, err := keyring.Open(dir, unlock)
	if err != nil {
		t.Fatal(err)
	}
	for _, ring := range []*keyring.Ring{r, again} {
		for _, w := range []escrow.Wrap{old, now} {
			if _, err := ring.Unwrap(t.Context(), w, nil); err != nil {
				t.Errorf("%s: %v", w.Key, err)
			}
		}
		keys := ring.Escrow()
		if len(keys) != 2 || keys[0].State != keyring.Retiring || keys[1].State != keyring.Active || keys[1].ID != id {
			t.Errorf("keys: got %v", keys)
		}
		if err := ring.SelfTest(); err != nil {
			t.Error(err)
		}
	}
}

// edit changes the public list.
func edit(t *testing.T, dir string, change func([]keyring.EscrowKey)) {
	t.Helper()
	file := filepath.Join(dir, "escrow.json")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var keys []keyring.EscrowKey
	if err := json.Unmarshal(text, &keys); err != nil {
		t.Fatal(err)
	}
	change(keys)
	if text, err = json.Marshal(keys); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// What is wrong with an escrow key is noticed before anything is sealed or
// opened.
func TestWrongEscrowKeyIsNoticed(t *testing.T) {
	other, otherDir, _ := create(t)
	for name, c := range map[string]struct {
		swap func(dir, unlock string)
		want error
	}{
		"another recipient under the same id": {func(dir, _ string) {
			edit(t, dir, func(k []keyring.EscrowKey) { k[0].Recipient = other.Escrow()[0].Recipient })
		}, keyring.ErrDamaged},
		"another ring's canary": {func(dir, _ string) {
			edit(t, dir, func(k []keyring.EscrowKey) { k[0].Canary = other.Escrow()[0].Canary })
		}, keyring.ErrCanary},
		"no canary": {func(dir, _ string) { edit(t, dir, func(k []keyring.EscrowKey) { k[0].Canary = nil }) }, keyring.ErrCanary},
		"another ring's list": {func(dir, _ string) {
			edit(t, dir, func(k []keyring.EscrowKey) { k[0] = other.Escrow()[0] })
		}, keyring.ErrDamaged},
		"another private key under its name": {func(dir, unlock string) {
			r, err := keyring.Open(dir, unlock)
			if err != nil {
				t.Fatal(err)
			}
			id, err := r.AddEscrow()
			if err != nil {
				t.Fatal(err)
			}
			first := r.Escrow()[0].ID
			if err := os.Rename(filepath.Join(dir, "escrow-"+id.Hex()+".age"), filepath.Join(dir, "escrow-"+first.Hex()+".age")); err != nil {
				t.Fatal(err)
			}
			text, _ := json.Marshal(r.Escrow()[:1])
			if err := os.WriteFile(filepath.Join(dir, "escrow.json"), text, 0o600); err != nil {
				t.Fatal(err)
			}
		}, keyring.ErrCanary},
		"another ring's private key": {func(dir, _ string) {
			from := filepath.Join(otherDir, "escrow-"+other.Escrow()[0].ID.Hex()+".age")
			data, err := os.ReadFile(from)
			if err != nil {
				t.Fatal(err)
			}
			to, err := keyring.Recipient(dir)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, "escrow-"+to.ID().Hex()+".age"), data, 0o600); err != nil {
				t.Fatal(err)
			}
		}, keyring.ErrUnlockWrong},
	} {
		t.Run(name, func(t *testing.T) {
			_, dir, unlock := create(t)
			c.swap(dir, unlock)
			r, err := keyring.Open(dir, unlock)
			if err == nil {
				err = r.SelfTest()
			}
			if !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
}

func TestNoActiveKey(t *testing.T) {
	_, dir, _ := create(t)
	edit(t, dir, func(k []keyring.EscrowKey) { k[0].State = keyring.Retiring })
	if _, err := keyring.Recipient(dir); !errors.Is(err, keyring.ErrDamaged) {
		t.Errorf("got %v, want ErrDamaged", err)
	}
}

// The file of an escrow key is lost, another's or spoilt while the ring is open:
// what is sealed to it opens, and it is said.
func TestFileGoesAway(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(path string) error
		want  error
	}{
		"deleted":   {os.Remove, keyring.ErrDamaged},
		"spoilt":    {func(p string) error { return os.WriteFile(p, []byte("age-encryption.org/v1\n"), 0o600) }, keyring.ErrDamaged},
		"a folder":  {func(p string) error { return errors.Join(os.Remove(p), os.Mkdir(p, 0o700)) }, keyring.ErrDamaged},
		"forbidden": {func(p string) error { return os.Chmod(p, 0) }, keyring.ErrUnreadable},
	} {
		t.Run(name, func(t *testing.T) {
			if name == "forbidden" && os.Geteuid() == 0 {
				t.Skip("root may read it")
			}
			r, dir, _ := create(t)
			w := wrapFor(t, dir, nil)
			if err := r.Present(); err != nil {
				t.Fatal(err)
			}
			if err := c.spoil(filepath.Join(dir, "escrow-"+w.Key.Hex()+".age")); err != nil {
				t.Fatal(err)
			}
			if err := r.Present(); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
			if _, err := r.Unwrap(t.Context(), w, nil); err != nil {
				t.Errorf("what is sealed: %v", err)
			}
			if err := r.SelfTest(); err != nil {
				t.Error(err)
			}
		})
	}
}

// A wrapped file that is lost keeps what is sealed closed, and is not said to be
// damage of that.
func TestHeldFileGoesAway(t *testing.T) {
	b := newBank(t, 0)
	w := wrapFor(t, b.dir, nil)
	if err := os.Remove(filepath.Join(b.dir, "escrow-"+w.Key.Hex()+".transit.age")); err != nil {
		t.Fatal(err)
	}
	for what, err := range map[string]error{"present": b.ring.Present(), "ready": b.ring.Ready(t.Context()), "unwrap": opens(t, b.ring, w)} {
		if !errors.Is(err, keyring.ErrDamaged) {
			t.Errorf("%s: got %v, want ErrDamaged", what, err)
		}
	}
}

// A move that cannot be written changes nothing.
func TestMoveCannotBeWritten(t *testing.T) {
	b := newBank(t, 0)
	id := b.at().ID
	w := wrapFor(t, b.dir, nil)
	blocked := filepath.Join(b.dir, "escrow-"+id.Hex()+".age")
	if err := os.MkdirAll(filepath.Join(blocked, "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := b.ring.MoveEscrow(t.Context(), id, keyring.File); err == nil {
		t.Error("it was moved")
	}
	if err := os.RemoveAll(blocked); err != nil {
		t.Fatal(err)
	}
	again, err := b.open(0)
	if err != nil {
		t.Fatal(err)
	}
	if at := b.at(); at.Holder != "transit" || at.Extra != nil || opens(t, again, w) != nil {
		t.Errorf("got %+v, %v", at, opens(t, again, w))
	}
}
