package store

import (
	"fmt"
	"path/filepath"
	"sync"
	"testing"
)

func openedHere(t *testing.T) *DB {
	t.Helper()
	db, err := OpenSQLite(t.Context(), filepath.Join(t.TempDir(), "signet.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// Texts beyond the bound still work, for many readers at once, and what cannot
// be prepared fails as it would without.
func TestPrepared(t *testing.T) {
	db := openedHere(t)
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for i := range maxPrepared + 20 {
				var got int
				if err := db.read.QueryRowContext(t.Context(), fmt.Sprintf("SELECT %d + ?", i), 1).Scan(&got); err != nil || got != i+1 {
					t.Errorf("query %d: got %d, %v", i, got, err)
				}
			}
		})
	}
	group.Wait()
	if _, err := db.read.QueryContext(t.Context(), "SELECT nothing FROM nowhere WHERE 1 = ?", 1); err == nil {
		t.Error("nonsense was read")
	}
}

// A text whose rows are still being read can be asked again, and a statement
// outlives a change of the tables it reads.
func TestPreparedTwiceAtOnce(t *testing.T) {
	db := openedHere(t)
	if _, err := db.write.ExecContext(t.Context(), `CREATE TABLE thing (n INTEGER)`); err != nil {
		t.Fatal(err)
	}
	for n := range 3 {
		if _, err := db.write.ExecContext(t.Context(), `INSERT INTO thing (n) VALUES (?)`, n); err != nil {
			t.Fatal(err)
		}
	}
	tx, err := db.write.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	const query = `SELECT * FROM thing WHERE n >= ? ORDER BY n`
	sum := 0
	outer, err := tx.QueryContext(t.Context(), query, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer outer.Close()
	for outer.Next() {
		var a, b int
		if err := outer.Scan(&a); err != nil {
			t.Fatal(err)
		}
		if err := tx.QueryRowContext(t.Context(), query, a).Scan(&b); err != nil || a != b {
			t.Errorf("got %d, %v, want %d", b, err, a)
		}
		sum += a
	}
	if outer.Err() != nil || sum != 3 {
		t.Errorf("got %d, %v", sum, outer.Err())
	}
	outer.Close()
	if _, err := tx.ExecContext(t.Context(), `ALTER TABLE thing ADD COLUMN more INTEGER NOT NULL DEFAULT 7`); err != nil {
		t.Fatal(err)
	}
	var n, more int
	if err := tx.QueryRowContext(t.Context(), query, 2).Scan(&n, &more); err != nil || n != 2 || more != 7 {
		t.Errorf("after a new column: got %d, %d, %v", n, more, err)
	}
}
