package pfxconnector_test

import (
	"database/sql"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/pfxconnector"
	"github.com/signet-mdm/signet/testdata"
)

// Whichever statement of an import or a removal fails: all of it is undone, and
// it works once the fault is gone.
func TestEachStatementMayFail(t *testing.T) {
	h := newHouse(t)
	alice := h.user(t, testdata.Owner)
	raw, err := sql.Open("sqlite", h.path)
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	// failing runs f while that statement on that table fails.
	failing := func(statement, table string, f func() error) {
		t.Helper()
		exec := func(query string) {
			if _, err := raw.Exec(query); err != nil {
				t.Fatal(err)
			}
		}
		exec(fmt.Sprintf(`CREATE TRIGGER fault BEFORE %s ON %s BEGIN SELECT RAISE(ABORT, 'no'); END`, statement, table))
		before := counts(t, raw)
		if f() == nil {
			t.Errorf("%s on %s fails, and nobody says so", statement, table)
		}
		if diff := cmp.Diff(before, counts(t, raw)); diff != "" {
			t.Errorf("%s on %s: half of it stays:\n%s", statement, table, diff)
		}
		exec(`DROP TRIGGER fault`)
	}
	for _, table := range tables {
		failing("INSERT", table, func() error {
			_, err := h.Import(t.Context(), by, historyFile(6))
			return err
		})
	}
	r := h.take(t, historyFile(6))
	if r.Status != pfxconnector.Imported {
		t.Fatalf("afterwards: got %+v", r)
	}
	f, err := cert.ParseFingerprint(r.Identities[0].Cert)
	if err != nil {
		t.Fatal(err)
	}
	remove := func() error { return h.Remove(t.Context(), by, alice, f) }
	for _, table := range tables[:3] {
		failing("DELETE", table, remove)
	}
	failing("INSERT", "journal", remove)
	if d, err := h.db.PFX().Deposits(t.Context(), alice.ID, []cert.Fingerprint{f}); err != nil || len(d) != 1 {
		t.Fatalf("after removals that failed: %d deposits, %v", len(d), err)
	} else {
		h.public(t, d[0]) // it still opens
	}
	if err := remove(); err != nil {
		t.Error(err)
	}
}

var tables = []string{"escrow_wrap", "escrow_key", "certificate", "journal"}

func counts(t *testing.T, db *sql.DB) map[string]int {
	t.Helper()
	list := map[string]int{}
	for _, table := range tables {
		n := 0
		if err := db.QueryRow(`SELECT COUNT(*) FROM ` + table).Scan(&n); err != nil {
			t.Fatal(err)
		}
		list[table] = n
	}
	return list
}
