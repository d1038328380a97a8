package store_test

import (
	"path/filepath"
	"testing"

	"github.com/signet-mdm/signet/internal/store"
	"github.com/signet-mdm/signet/internal/store/mariadbtest"
	"github.com/signet-mdm/signet/internal/store/storetest"
)

func TestSQLite(t *testing.T) {
	storetest.Run(t, func(t *testing.T) *store.DB {
		return opened(t)(store.OpenSQLite(t.Context(), filepath.Join(t.TempDir(), "signet.db")))
	})
}

func TestTwoServersOnSQLite(t *testing.T) {
	storetest.Contention(t, func(t *testing.T) (a, b *store.DB) {
		path := filepath.Join(t.TempDir(), "signet.db")
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
