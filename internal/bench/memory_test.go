package bench

import (
	"database/sql"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	_ "modernc.org/sqlite"
)

// fleet is how many devices DESIGN speaks of.
const fleet = 100_000

// idle is how long the server runs before its memory is looked at: every piece
// of background work has had several turns.
const idle = 20 * time.Second

// BenchmarkMemory is the memory of a server with 100 000 enrolled devices of as
// many users, with nothing to do, and how long it takes to start. The devices
// are copies, in the database, of one that was enrolled and served.
func BenchmarkMemory(b *testing.B) {
	s := install(b, "SIGNET_ENROLL_AUTH=lab")
	s.start()
	s.enroll(1)
	s.stop()
	multiply(b, filepath.Join(s.data, "signet.db"), fleet)
	var used, ready float64
	for b.Loop() {
		ready = float64(s.start().Milliseconds())
		time.Sleep(idle)
		used = rss(b, s.run.Process.Pid)
	}
	b.ReportMetric(used, "MB(bar:150)")
	b.ReportMetric(ready, "ms-ready")
	b.ReportMetric(0, "ns/op")
}

// multiply copies every row that belongs to the one user and device there are.
func multiply(b *testing.B, file string, n int) {
	b.Helper()
	db, err := sql.Open("sqlite", "file:"+file+"?_pragma=journal_mode(WAL)&_pragma=synchronous(OFF)&_pragma=foreign_keys(0)")
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	for _, table := range []string{"users", "device", "enrollment", "certificate", "issuance", "parcel", "command",
		"device_certificate", "device_app", "device_inventory", "delivery_clock", "journal"} {
		if _, err := db.Exec(copying(b, db, table), n); err != nil {
			b.Fatalf("%s: %v", table, err)
		}
	}
	for table, key := range map[string]string{"device": "id", "enrollment": "device_id"} {
		var got int
		if err := db.QueryRow(`SELECT COUNT(DISTINCT ` + key + `) FROM ` + table).Scan(&got); err != nil || got != n+1 {
			b.Fatalf("%s: got %d rows %v, want %d", table, got, err, n+1)
		}
	}
}

// copying gives the statement that copies a table's rows. Ids and hashes get a
// new beginning, the same for the same number in every table, so that rows
// still belong together; what else must be unique gets the number in front.
func copying(b *testing.B, db *sql.DB, table string) string {
	b.Helper()
	unique := column(b, db, `SELECT DISTINCT k.name FROM pragma_index_list('`+table+`') l, pragma_index_info(l.name) k WHERE l."unique" = 1`)
	columns := column(b, db, `SELECT name FROM pragma_table_info('`+table+`')`)
	var values []string
	for _, c := range columns {
		other := c
		if slices.Contains(unique, c) {
			other = "CASE typeof(" + c + ") WHEN 'text' THEN n || '-' || " + c + " ELSE " + c + " END"
		}
		values = append(values, fmt.Sprintf(`CASE WHEN typeof(%[1]s) = 'text' AND length(%[1]s) BETWEEN 32 AND 64 AND %[1]s NOT GLOB '*[^0-9a-f-]*'
			THEN printf('%%08x', n) || substr(%[1]s, 9) ELSE %[2]s END`, c, other))
	}
	return `WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < ?)
		INSERT INTO ` + table + ` (` + strings.Join(columns, ", ") + `) SELECT ` + strings.Join(values, ", ") + ` FROM numbers, (SELECT * FROM ` + table + `)`
}

// column reads the texts of a query's only column.
func column(b *testing.B, db *sql.DB, query string) []string {
	b.Helper()
	rows, err := db.Query(query)
	if err != nil {
		b.Fatal(err)
	}
	defer rows.Close()
	var list []string
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			b.Fatal(err)
		}
		list = append(list, s)
	}
	if err := rows.Err(); err != nil {
		b.Fatal(err)
	}
	return list
}
