//go:build pkcs11

package hsm_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	kinds "github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/judge"
	"github.com/signet-mdm/signet/internal/keyring"
	"github.com/signet-mdm/signet/internal/keyring/hsm"
	"github.com/signet-mdm/signet/internal/seal"
)

var bound = []byte("signet/test")

func wrapped(t *testing.T, k hsm.Kek) string {
	t.Helper()
	text, err := k.Wrap(t.Context(), seal.SecretString("a private key"), bound)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func unwraps(t *testing.T, k hsm.Kek, text string, bound []byte) error {
	t.Helper()
	plain, err := k.Unwrap(t.Context(), text, bound)
	if err == nil && plain.RevealString() != "a private key" {
		return errors.New("something else came back")
	}
	return err
}

// What is encrypted on the token opens there, bound to the same, and nothing
// else does: that is told apart from a token that is away.
func TestKek(t *testing.T) {
	d := newDrawer(t)
	k := hsm.Kek{Token: d.open()}
	text := wrapped(t, k)
	if again := wrapped(t, k); again == text || again[:40] != text[:40] {
		t.Error("not the same key with another nonce")
	}
	if err := unwraps(t, k, text, bound); err != nil {
		t.Error(err)
	}
	last := text[len(text)-4:]
	for name, try := range map[string]func() error{
		"bound to something else": func() error { return unwraps(t, k, text, []byte("another")) },
		"damaged":                 func() error { return unwraps(t, k, strings.Replace(text, last, "AAAA", 1), bound) },
		"of no token":             func() error { return unwraps(t, k, "vault:v1:abc", bound) },
		"cut":                     func() error { return unwraps(t, k, text[:50], bound) },
	} {
		if err := try(); !errors.Is(err, hsm.ErrRefused) {
			t.Errorf("%s: got %v, want ErrRefused", name, err)
		}
	}
	d.pull()
	for what, err := range map[string]error{"unwrap": unwraps(t, k, text, bound), "ready": k.Check(t.Context())} {
		if err == nil || kinds.Of(err) == nil || kinds.Of(err).Kind != kinds.Unavailable {
			t.Errorf("pulled, %s: got %v", what, err)
		}
	}
	d.putBack()
	if err := unwraps(t, k, text, bound); err != nil {
		t.Errorf("put back: %v", err)
	}
	k.Drop()
	d.pin = "wrong"
	other := hsm.Kek{Token: d.open()}
	if err := unwraps(t, other, text, bound); !errors.Is(err, hsm.ErrPIN) || kinds.Of(err).Kind != kinds.Unavailable {
		t.Errorf("a wrong PIN: got %v", err)
	}
}

// The key stays on the token, and does nothing but encrypt.
func TestKekStays(t *testing.T) {
	judge.Need(t, "pkcs11-tool")
	d := newDrawer(t)
	wrapped(t, hsm.Kek{Token: d.open()})
	list := judge.Run(t, nil, "pkcs11-tool", "--module", d.Module, "--token-label", "signet", "--login", "--pin", pin, "--list-objects", "--type", "secrkey")
	for _, want := range []string{"signet escrow", "AES length 32", "sensitive", "never extractable", "Usage:      encrypt, decrypt\n"} {
		if !bytes.Contains(list, []byte(want)) {
			t.Errorf("%q is not in\n%s", want, list)
		}
	}
}

// A ring whose escrow key the token holds: not without it, and there and back.
func TestKekOfARing(t *testing.T) {
	d := newDrawer(t)
	dir := t.TempDir()
	keys, unlock := filepath.Join(dir, "keys"), filepath.Join(dir, "unlock")
	with := []keyring.Option{keyring.HeldBy(hsm.Kek{Token: d.open()}, 0), keyring.EscrowIn("pkcs11")}
	r, err := keyring.Create(keys, unlock, with...)
	if err != nil {
		t.Fatal(err)
	}
	id := r.Escrow()[0].ID
	if err := r.CheckHolders(t.Context()); err != nil {
		t.Error(err)
	}
	d.pull()
	if err := r.Ready(t.Context()); err == nil || kinds.Of(err).Kind != kinds.Unavailable {
		t.Errorf("pulled: got %v", err)
	}
	d.putBack()
	if err := r.MoveEscrow(t.Context(), id, keyring.File); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(keys, "escrow-"+id.Hex()+".pkcs11.age")); !os.IsNotExist(err) {
		t.Errorf("the copy of before: %v", err)
	}
	if err := r.MoveEscrow(t.Context(), id, "pkcs11"); err != nil {
		t.Fatal(err)
	}
	list, err := r.Where()
	if err != nil || list[0].Holder != "pkcs11" || list[0].Extra != nil {
		t.Errorf("got %+v, %v", list, err)
	}
}
