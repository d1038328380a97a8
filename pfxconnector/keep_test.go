package pfxconnector_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/pfxconnector"
	"github.com/signet-mdm/signet/pfxconnector/escrow"
	"github.com/signet-mdm/signet/pfxconnector/pfx"
	"github.com/signet-mdm/signet/testdata"
)

func sortStrings(s []string) { slices.Sort(s) }

// Whoever has the database has no key and no password, also when an import was
// refused half-way.
func TestDatabaseRevealsNothing(t *testing.T) {
	h := newHouse(t)
	h.user(t, testdata.Owner)
	var leaks [][]byte
	for _, i := range []int{0, 4, 5, 6} { // those that open fast
		f := testdata.History()[i]
		h.take(t, historyFile(i))
		leaks = append(leaks, []byte(f.Password), f.Data[len(f.Data)/2:len(f.Data)/2+64])
		r, err := pfx.Read(t.Context(), f.Data, seal.SecretString(f.Password), pfx.Default)
		if err != nil {
			t.Fatal(err)
		}
		for _, id := range r.Identities {
			leaks = append(leaks, secrets(t, id.Key)...)
		}
	}
	refused := made(t, x509.Certificate{KeyUsage: ds}, sharedRSA)
	h.take(t, refused)
	leaks = append(append(leaks, []byte(password)), secrets(t, sharedRSA)...)

	files, err := filepath.Glob(h.path + "*") // with -wal and -shm
	if err != nil || len(files) < 2 {
		t.Fatalf("files: %v, %v", files, err)
	}
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, leak := range leaks {
			for _, form := range [][]byte{leak, []byte(hex.EncodeToString(leak)), []byte(base64.StdEncoding.EncodeToString(leak))} {
				if bytes.Contains(data, form) {
					t.Errorf("%s shows a secret of %d bytes", filepath.Base(name), len(leak))
				}
			}
		}
	}
}

// secrets gives the numbers that must not show.
func secrets(t *testing.T, key any) [][]byte {
	t.Helper()
	switch k := key.(type) {
	case *rsa.PrivateKey:
		return [][]byte{k.D.Bytes(), k.Primes[0].Bytes(), k.Primes[1].Bytes()}
	case *ecdsa.PrivateKey:
		d, err := k.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		return [][]byte{d}
	}
	t.Fatalf("a key of type %T", key)
	return nil
}

func TestRemove(t *testing.T) {
	h := newHouse(t)
	alice, bob := h.user(t, testdata.Owner), h.user(t, "bob@example.com")
	r := h.take(t, historyFile(6))
	f, err := cert.ParseFingerprint(r.Identities[0].Cert)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Remove(t.Context(), by, bob, f); !errors.Is(err, pfxconnector.ErrKeyUnknown) {
		t.Errorf("another user's: got %v, want ErrKeyUnknown", err)
	}
	if err := h.Remove(t.Context(), by, alice, f); err != nil {
		t.Fatal(err)
	}
	if err := h.Remove(t.Context(), by, alice, f); !errors.Is(err, pfxconnector.ErrKeyUnknown) {
		t.Errorf("twice: got %v, want ErrKeyUnknown", err)
	}
	if list := h.list(t, alice); list == nil || len(list) != 0 {
		t.Errorf("the list: got %v, want empty", list)
	}
	if r := h.take(t, historyFile(6)); r.Status != pfxconnector.Imported {
		t.Errorf("import after removal: got %+v", r)
	}
}

// What was removed is gone from the disk as well, not only from the tables.
func TestRemovedIsShredded(t *testing.T) {
	h := newHouse(t)
	alice := h.user(t, testdata.Owner)
	var all []escrow.Deposit
	for _, i := range []int{0, 4, 6} {
		f, err := cert.ParseFingerprint(h.take(t, historyFile(i)).Identities[0].Cert)
		if err != nil {
			t.Fatal(err)
		}
		d, err := h.db.PFX().Deposits(t.Context(), alice.ID, []cert.Fingerprint{f})
		if err != nil || len(d) != 1 {
			t.Fatalf("%d deposits, %v", len(d), err)
		}
		all = append(all, d[0])
	}
	gone, stays := all[1].Key, all[2].Key
	if err := h.Remove(t.Context(), by, alice, gone.Cert); err != nil {
		t.Fatal(err)
	}
	if err := h.db.Close(); err != nil { // writes the log back
		t.Fatal(err)
	}
	file, err := os.ReadFile(h.path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(file, stays.Wraps[0].Sealed) {
		t.Fatal("the search finds nothing at all")
	}
	for i, w := range gone.Wraps {
		if bytes.Contains(file, w.Sealed) || bytes.Contains(file, w.Enc[len(w.Enc)-64:]) {
			t.Errorf("wrap %d is still on the disk", i)
		}
	}
}

func TestListPlaces(t *testing.T) {
	h := newHouse(t)
	alice := h.user(t, testdata.Owner, "a.old@example.com")
	for _, f := range []pfxconnector.File{
		made(t, x509.Certificate{KeyUsage: ke}, sharedRSA),
		made(t, x509.Certificate{KeyUsage: ke, NotBefore: at.AddDate(0, -1, 0), NotAfter: at.AddDate(1, 0, 0), EmailAddresses: []string{"a.old@example.com"}}, sharedRSA),
		with(made(t, x509.Certificate{KeyUsage: ds, NotBefore: at.AddDate(-4, 0, 0), NotAfter: at.AddDate(-3, 0, 0)}, sharedRSA),
			func(f *pfxconnector.File) { f.AllowSigning = true }),
	} {
		h.take(t, f)
	}
	list := h.list(t, alice)
	want := []cert.Place{cert.Past, cert.Current, cert.Kept} // newest first
	for i, item := range list {
		if len(list) != len(want) || item.Place != want[i] || item.Reason == "" || len(item.Thumbprint) != 40 || item.Addresses == nil {
			t.Errorf("%d: got %+v, want %s", i, item, want[i])
		}
	}
}
