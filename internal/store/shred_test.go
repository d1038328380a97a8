package store_test

import (
	"bytes"
	"crypto/rand"
	"database/sql"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/store"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/pfxconnector"
	"github.com/signet-mdm/signet/pfxconnector/escrow"
)

// Who removes a key destroys what opens it before anything else: the wraps are
// overwritten, then deleted, then the key is. Nothing of a wrap is left in the
// file.
func TestRemovalShreds(t *testing.T) {
	path := filepath.Join(t.TempDir(), "signet.db")
	db, err := store.OpenSQLite(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	u := subject.User{ID: subject.NewUserID(), UPN: "alice@example.com", Mail: "alice@example.com"}
	e := journal.Entry{At: time.Now(), Actor: journal.Worker("test"), Action: journal.KeyImported}
	if err := db.Directory().UserSaved(t.Context(), u, e); err != nil {
		t.Fatal(err)
	}
	sealed, recovery := random(48), random(3000)
	f := cert.FingerprintOf([]byte("a"))
	d := escrow.Deposit{
		Certificate: cert.Record{Fingerprint: f, SPKI: f, Holder: cert.Holder{User: u.ID}, Source: cert.Imported, Use: cert.Both, DER: []byte("a")},
		Key: escrow.Record{ID: "k", Binding: escrow.Binding{User: u.ID, Cert: f, SPKI: f}, Suite: escrow.AES256GCM, Nonce: []byte{1}, Ciphertext: []byte{2},
			Wraps: []escrow.Wrap{{Key: "hpke:1", Enc: random(1120), Sealed: sealed}, {Key: "age:1", Sealed: recovery}}},
	}
	if _, err := db.PFX().KeysImported(t.Context(), []pfxconnector.Arrival{{Deposit: d, Entry: e}}); err != nil {
		t.Fatal(err)
	}
	watch, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer watch.Close()
	for _, trigger := range []string{
		`CREATE TRIGGER whole BEFORE DELETE ON escrow_wrap WHEN OLD.sealed <> zeroblob(length(OLD.sealed))
			BEGIN SELECT RAISE(ABORT, 'a wrap is deleted that was not overwritten'); END`,
		`CREATE TRIGGER early BEFORE DELETE ON escrow_key WHEN EXISTS (SELECT 1 FROM escrow_wrap WHERE key_id = OLD.id)
			BEGIN SELECT RAISE(ABORT, 'the key is deleted before its wraps'); END`,
	} {
		if _, err := watch.Exec(trigger); err != nil {
			t.Fatal(err)
		}
	}
	if !inFile(t, watch, path, sealed) {
		t.Fatal("the wrap is not found in the file that has it")
	}
	if err := db.PFX().KeyRemoved(t.Context(), u.ID, f, e); err != nil {
		t.Fatal(err)
	}
	for name, secret := range map[string][]byte{"data key": sealed, "recovery": recovery[:64]} {
		if inFile(t, watch, path, secret) {
			t.Errorf("the wrap of the %s is still in the file", name)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

func random(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}

// inFile looks for bytes in the database file, after the log went into it.
func inFile(t *testing.T, db *sql.DB, path string, what []byte) bool {
	t.Helper()
	if _, err := db.Exec(`PRAGMA wal_checkpoint(TRUNCATE)`); err != nil {
		t.Fatal(err)
	}
	all, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Contains(all, what)
}
