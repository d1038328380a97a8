package store_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/signet-mdm/signet/internal/store"
	"github.com/signet-mdm/signet/internal/store/mariadbtest"
)

// Looking makes nothing, finds damage, and works beside a server.
func TestInspectSQLite(t *testing.T) {
	file := filepath.Join(t.TempDir(), "signet.db")
	if _, err := store.InspectSQLite(t.Context(), file); err == nil {
		t.Error("a file that is not there was opened")
	}
	if _, err := os.Stat(file); err == nil {
		t.Error("looking made a file")
	}
	db, err := store.OpenSQLite(t.Context(), file)
	if err != nil {
		t.Fatal(err)
	}
	looked, err := store.InspectSQLite(t.Context(), file)
	if err != nil {
		t.Fatal(err)
	}
	if have, want, err := looked.Schema(t.Context()); err != nil || have != want {
		t.Errorf("schema %d of %d, %v", have, want, err)
	}
	if err := looked.Close(); err != nil {
		t.Error(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	damage(t, file)
	looked, err = store.InspectSQLite(t.Context(), file)
	if err != nil {
		return // so damaged that it does not even open
	}
	defer looked.Close()
	if found, err := looked.Damage(t.Context()); err == nil && found == "" {
		t.Error("the damage was not found")
	}
}

// damage overwrites the later half of a file.
func damage(t *testing.T, file string) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	copy(data[len(data)/2:], bytes.Repeat([]byte{0xa5}, len(data)))
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestInspectMySQL(t *testing.T) {
	if _, err := store.InspectMySQL(t.Context(), "nonsense"); err == nil {
		t.Error("nonsense was taken for a DSN")
	}
	dsn := mariadbtest.Reused(t)
	db, err := store.OpenMySQL(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	looked, err := store.InspectMySQL(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer looked.Close()
	if f, err := looked.Figures(t.Context()); err != nil || f.DatabaseBytes == 0 {
		t.Errorf("got %+v, %v", f, err)
	}
}
