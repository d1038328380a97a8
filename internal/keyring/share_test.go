package keyring_test

import (
	"crypto/x509"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/signet-mdm/signet/internal/keyring"
	"github.com/signet-mdm/signet/pfxconnector/escrow"
)

// A front end gets what it needs to serve, and of the rest what is public.
func TestShare(t *testing.T) {
	whole, dir, _ := create(t)
	ca, ra := ecKey(t), ecKey(t)
	for name, err := range map[string]error{
		"smime":    whole.Add("smime", ca, []*x509.Certificate{selfSigned(t, ca)}),
		"smime-ra": whole.Add("smime-ra", ra, []*x509.Certificate{selfSigned(t, ra)}),
	} {
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	// Somebody's key beside ours does not go along.
	if err := os.WriteFile(filepath.Join(dir, "stray.pem"), []byte("-----BEGIN PRIVATE KEY-----\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	to, unlock := place(t)
	share := func() error { return whole.Share(to, unlock, func(name string) bool { return name == "smime-ra" }) }
	if err := share(); err != nil {
		t.Fatal(err)
	}
	if err := share(); !errors.Is(err, keyring.ErrExists) {
		t.Errorf("a second time: got %v, want %v", err, keyring.ErrExists)
	}
	front, err := keyring.OpenFront(to, unlock)
	if err != nil {
		t.Fatal(err)
	}
	if got := front.Names(); !slices.Equal(got, []string{"smime-ra"}) {
		t.Errorf("it has the keys %v", got)
	}
	if _, err := front.Signer("smime"); !errors.Is(err, keyring.ErrKeyUnknown) {
		t.Errorf("the CA's key: got %v", err)
	}
	if c, err := front.Certificates("smime"); err != nil || len(c) != 1 {
		t.Errorf("the CA's certificate: got %d, %v", len(c), err)
	}
	if !slices.Equal(front.ColumnRoot().Reveal(), whole.ColumnRoot().Reveal()) {
		t.Error("it has another column root")
	}
	if err := front.SelfTest(); err != nil {
		t.Errorf("self-test: %v", err)
	}
	if _, err := keyring.Recipient(to); err != nil {
		t.Errorf("it cannot seal: %v", err)
	}
	if _, err := front.Unwrap(t.Context(), escrow.Wrap{Key: recipientOf(t, dir)}, nil); !errors.Is(err, keyring.ErrEscrowUnknown) {
		t.Errorf("opening: got %v, want %v", err, keyring.ErrEscrowUnknown)
	}
	if _, err := keyring.Open(to, unlock); !errors.Is(err, keyring.ErrDamaged) {
		t.Errorf("as a keeper: got %v, want %v", err, keyring.ErrDamaged)
	}
	if _, err := os.Stat(filepath.Join(to, "stray.pem")); err == nil {
		t.Error("a stray private key went along")
	}
}

func recipientOf(t *testing.T, dir string) escrow.KeyID {
	t.Helper()
	to, err := keyring.Recipient(dir)
	if err != nil {
		t.Fatal(err)
	}
	return to.ID()
}
