package store_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-mdm/signet/internal/store"
	"github.com/signet-mdm/signet/internal/store/mariadbtest"
	"github.com/signet-mdm/signet/internal/store/sqlitetest"
	"github.com/signet-mdm/signet/internal/store/storetest"
)

func TestSQLite(t *testing.T) {
	storetest.Run(t, func(t *testing.T) *store.DB {
		return opened(t)(store.OpenSQLite(t.Context(), sqlitetest.Path(t)))
	})
}

func TestTwoServersOnSQLite(t *testing.T) {
	storetest.Contention(t, func(t *testing.T) (a, b *store.DB) {
		path := sqlitetest.Path(t)
		return opened(t)(store.OpenSQLite(t.Context(), path)), opened(t)(store.OpenSQLite(t.Context(), path))
	})
}

func TestTwoServersOnMariaDB(t *testing.T) {
	storetest.Contention(t, func(t *testing.T) (a, b *store.DB) {
		dsn := mariadbtest.Reused(t)
		return opened(t)(store.OpenMySQL(t.Context(), dsn)), opened(t)(store.OpenMySQL(t.Context(), dsn))
	})
}

// opened closes the database after the test.
func opened(t *testing.T) func(*store.DB, error) *store.DB {
	return func(db *store.DB, err error) *store.DB {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { db.Close() })
		return db
	}
}

func TestMariaDB(t *testing.T) {
	storetest.Run(t, func(t *testing.T) *store.DB {
		return opened(t)(store.OpenMySQL(t.Context(), mariadbtest.Reused(t)))
	})
}

// A backup belongs to no kind of database.
func TestMovesBetweenDatabases(t *testing.T) {
	lite, err := store.OpenSQLite(t.Context(), sqlitetest.Path(t))
	if err != nil {
		t.Fatal(err)
	}
	defer lite.Close()
	storetest.Fill(t, lite)
	dump := storetest.TakeDump(t, lite)

	dsn := mariadbtest.Database(t)
	l, err := store.LoadMySQL(t.Context(), dsn, dump.Schema)
	if err != nil {
		t.Fatal(err)
	}
	dump.Load(t, l)
	if _, err := store.LoadMySQL(t.Context(), dsn, dump.Schema); !errors.Is(err, store.ErrNotEmpty) {
		t.Errorf("into a full one: got %v, want ErrNotEmpty", err)
	}
	maria, err := store.OpenMySQL(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer maria.Close()
	if diff := cmp.Diff(dump.Texts(), storetest.TakeDump(t, maria).Texts()); diff != "" {
		t.Error(diff)
	}
}
