package keyring_test

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"filippo.io/age"

	"github.com/signet-mdm/signet/internal/keyring"
)

// A copy of the files and the unlock key is the ring; the files alone are not,
// wherever the unlock key lies.
func TestFilesAreTheRing(t *testing.T) {
	for _, unlockName := range []string{"unlock.key", "zz.age", "zz.pem"} {
		dir := filepath.Join(t.TempDir(), "keys")
		unlock := filepath.Join(dir, unlockName)
		r, err := keyring.Create(dir, unlock)
		if err != nil {
			t.Fatal(err)
		}
		key := ecKey(t)
		if err := r.Add("ca", key, nil); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, ".new-1"), []byte("left behind"), 0o600); err != nil {
			t.Fatal(err)
		}
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		text := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
		if err := os.WriteFile(filepath.Join(dir, "tls-of-ours.pem"), text, 0o600); err != nil {
			t.Fatal(err)
		}
		files, err := r.Files()
		if err != nil {
			t.Fatal(err)
		}
		there := filepath.Join(t.TempDir(), "keys")
		if err := os.Mkdir(there, 0o700); err != nil {
			t.Fatal(err)
		}
		for name, data := range files {
			if bytes.Contains(data, []byte("AGE-SECRET-KEY")) || bytes.Contains(data, []byte("PRIVATE KEY")) || name == ".new-1" {
				t.Errorf("%s: %s is among the files", unlockName, name)
			}
			if err := os.WriteFile(filepath.Join(there, name), data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		again, err := keyring.Open(there, unlock)
		if err != nil {
			t.Fatalf("%s: %v", unlockName, err)
		}
		if s, err := again.Signer("ca"); err != nil || !key.PublicKey.Equal(s.Public()) || !slices.Equal(again.Names(), r.Names()) {
			t.Errorf("%s: the copy has other keys: %v, %v", unlockName, again.Names(), err)
		}
	}
}

func TestUnlocker(t *testing.T) {
	r, _, unlock := create(t)
	var out bytes.Buffer
	w, err := age.Encrypt(&out, r.Unlocker())
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	id, err := keyring.UnlockKey(unlock)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := age.Decrypt(&out, id); err != nil {
		t.Errorf("the unlock key does not open what is for it: %v", err)
	}
}
