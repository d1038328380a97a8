// Package sqlitetest gives tests an SQLite database that is migrated already:
// bringing a new one up to date takes longer than most of them run.
package sqlitetest

import (
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/signet-mdm/signet/internal/store"
)

var migrated struct {
	sync.Once
	file []byte
	err  error
}

// Path makes a folder with an empty database that store.OpenSQLite opens at
// once.
func Path(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "signet.db")
	Put(t, path)
	return path
}

// Put makes such a database in a file.
func Put(t testing.TB, path string) {
	t.Helper()
	migrated.Do(func() { migrated.file, migrated.err = migrate(t) })
	if migrated.err != nil {
		t.Fatalf("migrating a database: %v", migrated.err)
	}
	if err := os.WriteFile(path, migrated.file, 0o600); err != nil {
		t.Fatal(err)
	}
}

// migrate gives the file of a new database. Closed, it has no log beside it.
func migrate(t testing.TB) ([]byte, error) {
	path := filepath.Join(t.TempDir(), "new.db")
	db, err := store.OpenSQLite(t.Context(), path)
	if err != nil {
		return nil, err
	}
	if err := db.Close(); err != nil {
		return nil, err
	}
	return os.ReadFile(path)
}
