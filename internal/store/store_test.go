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
		db, err := store.OpenSQLite(t.Context(), filepath.Join(t.TempDir(), "signet.db"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { db.Close() })
		return db
	})
}

func TestMariaDB(t *testing.T) {
	storetest.Run(t, func(t *testing.T) *store.DB {
		db, err := store.OpenMySQL(t.Context(), mariadbtest.Reused(t))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { db.Close() })
		return db
	})
}
