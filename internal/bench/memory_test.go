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
	file := filepath.Join(s.data, "signet.db")
	multiply(b, file, fleet, "users", "device", "enrollment", "certificate", "issuance", "parcel", "command",
		"device_certificate", "device_app", "device_inventory", "delivery_clock", "journal")
	wantDevices(b, file, fleet+1)
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

// multiply copies every row of those tables, which belong to the one user and
// device there are, n times.
func multiply(b *testing.B, file string, n int, tables ...string) {
	b.Helper()
	db := opened(b, file)
	defer db.Close()
	for _, table := range tables {
		if _, err := db.Exec(copying(b, db, table), n, n); err != nil {
			b.Fatalf("%s: %v", table, err)
		}
	}
}

func opened(b *testing.B, file string) *sql.DB {
	b.Helper()
	db, err := sql.Open("sqlite", "file:"+file+"?_pragma=journal_mode(OFF)&_pragma=synchronous(OFF)&_pragma=foreign_keys(0)&_pragma=cache_size(-200000)")
	if err != nil {
		b.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	return db
}

func wantDevices(b *testing.B, file string, want int) {
	b.Helper()
	db := opened(b, file)
	defer db.Close()
	for table, key := range map[string]string{"device": "id", "enrollment": "device_id"} {
		var got int
		if err := db.QueryRow(`SELECT COUNT(DISTINCT ` + key + `) FROM ` + table).Scan(&got); err != nil || got != want {
			b.Fatalf("%s: got %d rows %v, want %d", table, got, err, want)
		}
	}
}

// copying gives the statement that copies a table's rows. Ids and hashes get a
// new beginning, the same for the same number in every table, so that rows
// still belong together, and spread evenly, as hashes are; what else must be
// unique gets the number in front.
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
			THEN printf('%%08x', n * step) || substr(%[1]s, 9) ELSE %[2]s END`, c, other))
	}
	return `WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < ?),
		spread (step) AS (SELECT 4294967295 / ?)
		INSERT INTO ` + table + ` (` + strings.Join(columns, ", ") + `) SELECT ` + strings.Join(values, ", ") + ` FROM numbers, spread, (SELECT * FROM ` + table + `)`
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
