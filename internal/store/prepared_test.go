package store

import (
	"fmt"
	"path/filepath"
	"sync"
	"testing"
)

// Texts beyond the bound still work, many readers share one statement, and
// what cannot be prepared fails as it would without.
func TestPrepared(t *testing.T) {
	db, err := OpenSQLite(t.Context(), filepath.Join(t.TempDir(), "signet.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
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
	if got := len(db.read.kept.by); got != maxPrepared {
		t.Errorf("%d statements are kept, want %d", got, maxPrepared)
	}
	if _, err := db.read.QueryContext(t.Context(), "SELECT nothing FROM nowhere"); err == nil {
		t.Error("nonsense was read")
	}
}
