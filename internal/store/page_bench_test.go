package store_test

import (
	"database/sql"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/internal/store"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/mdm"
)

// BenchmarkDevicePages reads parts of 500 of 100 000 devices: the last one
// costs what the first does.
func BenchmarkDevicePages(b *testing.B) {
	const devices = 100_000
	path := filepath.Join(b.TempDir(), "signet.db")
	db, err := store.OpenSQLite(b.Context(), path)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { db.Close() })
	raw, err := sql.Open("sqlite", path)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { raw.Close() })
	for _, s := range []string{
		`INSERT INTO users (id, upn, mail, name, given_name, surname, disabled, created_at) VALUES ('u', 'u', 'u', 'u', '', '', 0, 0)`,
		fmt.Sprintf(`INSERT INTO device (id, user_id, state, serial, model, name, os_version, created_at, enrolled_at, seen_at, due_rev, done_rev, lease_until)
			WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d)
			SELECT printf('d-%%06d', i), 'u', 'enrolled', '', '', '', '', i, 1, 1, 0, 0, 0 FROM n`, devices),
	} {
		if _, err := raw.Exec(s); err != nil {
			b.Fatal(err)
		}
	}
	box, err := seal.NewBox(seal.RandomRoot(), "bench")
	if err != nil {
		b.Fatal(err)
	}
	for _, at := range []int{devices, devices / 2, 501} { // the place counts down
		b.Run(fmt.Sprintf("after %d", devices-at), func(b *testing.B) {
			q := mdm.Query{Before: time.UnixMicro(int64(at) + 1), ID: subject.DeviceID("d"), Limit: 500}
			for b.Loop() {
				if list, err := db.MDM(box).DevicePage(b.Context(), q); err != nil || len(list) != 500 {
					b.Fatal(len(list), err)
				}
			}
		})
	}
}
