package keyring_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/signet-mdm/signet/internal/keyring"
	"github.com/signet-mdm/signet/pfxconnector/escrow"
)

// Another process makes and destroys keys; a ring that is open takes notice.
func TestFollow(t *testing.T) {
	r, dir, unlock := create(t)
	other, err := keyring.Open(dir, unlock)
	if err != nil {
		t.Fatal(err)
	}
	old := wrapFor(t, dir, nil)
	id, err := other.AddEscrow()
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Follow(); err != nil {
		t.Fatal(err)
	}
	if to, err := r.Recipient(); err != nil || to.ID() != id {
		t.Errorf("recipient: got %s, %v, want %s", to.ID(), err, id)
	}
	if got := r.Retiring(); !slices.Equal(got, []escrow.KeyID{old.Key}) {
		t.Errorf("retiring: got %v, want %s", got, old.Key)
	}
	for _, w := range []escrow.Wrap{old, wrapFor(t, dir, nil)} {
		if _, err := r.Unwrap(t.Context(), w, nil); err != nil {
			t.Errorf("%s: %v", w.Key, err)
		}
	}
	for range 2 { // again is no error
		if err := other.DestroyEscrow(old.Key); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.Follow(); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Unwrap(t.Context(), old, nil); !errors.Is(err, keyring.ErrEscrowUnknown) {
		t.Errorf("a destroyed key: got %v, want ErrEscrowUnknown", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "escrow-"+old.Key.Hex()+".age")); !os.IsNotExist(err) {
		t.Errorf("its file: %v", err)
	}
	again, err := keyring.Open(dir, unlock)
	if err != nil {
		t.Fatal(err)
	}
	if keys := again.Escrow(); len(keys) != 2 || keys[0].State != keyring.Destroyed || len(again.Retiring()) != 0 {
		t.Errorf("opened again: got %v", keys)
	}
	if err := again.SelfTest(); err != nil {
		t.Error(err)
	}
	if err := r.DestroyEscrow(id); !errors.Is(err, keyring.ErrEscrowActive) {
		t.Errorf("the active key: got %v, want ErrEscrowActive", err)
	}
	if err := r.DestroyEscrow("hpke:00"); !errors.Is(err, keyring.ErrEscrowUnknown) {
		t.Errorf("no key: got %v, want ErrEscrowUnknown", err)
	}
}

// A ring that is open stays as it is when what another process left is wrong.
func TestFollowRefusesAWrongKey(t *testing.T) {
	r, dir, unlock := create(t)
	other, err := keyring.Open(dir, unlock)
	if err != nil {
		t.Fatal(err)
	}
	before := r.Escrow()
	if _, err := other.AddEscrow(); err != nil {
		t.Fatal(err)
	}
	edit(t, dir, func(k []keyring.EscrowKey) { k[1].Canary = k[0].Canary })
	if err := r.Follow(); !errors.Is(err, keyring.ErrCanary) {
		t.Errorf("got %v, want ErrCanary", err)
	}
	if to, err := r.Recipient(); err != nil || to.ID() != before[0].ID || len(r.Retiring()) != 0 {
		t.Errorf("recipient: got %s, %v, want %s", to.ID(), err, before[0].ID)
	}
}

// No key is lost when two processes make one at once.
func TestRotationsAtOnce(t *testing.T) {
	_, dir, unlock := create(t)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			r, err := keyring.Open(dir, unlock)
			if err == nil {
				_, err = r.AddEscrow()
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	r, err := keyring.Open(dir, unlock)
	if err != nil {
		t.Fatal(err)
	}
	if keys := r.Escrow(); len(keys) != 5 || len(r.Retiring()) != 4 || keys[4].State != keyring.Active {
		t.Errorf("got %v, want five, the last active", keys)
	}
}

// A recovery key is chosen once it can be one, and a spoilt choice is none.
func TestChooseRecovery(t *testing.T) {
	r, dir, _ := create(t)
	if _, chosen, err := r.ChosenRecovery(); chosen || err != nil {
		t.Errorf("none: got %v, %v", chosen, err)
	}
	if err := r.ChooseRecovery("age1nobody"); !errors.Is(err, escrow.ErrRecipient) {
		t.Errorf("no recipient: got %v", err)
	}
	const key = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"
	if err := r.ChooseRecovery(key); err != nil {
		t.Fatal(err)
	}
	want, err := escrow.ParseRecovery(key)
	if err != nil {
		t.Fatal(err)
	}
	if got, chosen, err := r.ChosenRecovery(); err != nil || !chosen || got.ID() != want.ID() {
		t.Errorf("got %s, %v, %v", got.ID(), chosen, err)
	}
	if err := os.WriteFile(filepath.Join(dir, "recovery-chosen.pub"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, chosen, err := r.ChosenRecovery(); chosen || !errors.Is(err, keyring.ErrDamaged) {
		t.Errorf("spoilt: got %v, %v", chosen, err)
	}
}
