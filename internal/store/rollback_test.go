package store_test

import (
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/signet-mdm/signet/internal/store"
	"github.com/signet-mdm/signet/internal/store/mariadbtest"
	"github.com/signet-mdm/signet/internal/store/sqlitetest"
	"github.com/signet-mdm/signet/internal/store/storetest"
)

func TestRollbackOnSQLite(t *testing.T) {
	path := sqlitetest.Path(t)
	tables := `SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND name NOT LIKE 'goose_%' AND name != 'sabotage'`
	db := sabotaged(t, opened(t)(store.OpenSQLite(t.Context(), path)), "sqlite", "file:"+path+"?_pragma=busy_timeout(5000)", tables,
		`CREATE TRIGGER sabotage_%[2]s_%[1]s BEFORE %[2]s ON %[1]s WHEN EXISTS (SELECT 1 FROM sabotage WHERE name = '%[1]s' AND verb = '%[2]s')
			BEGIN SELECT RAISE(ABORT, 'sabotage'); END`)
	storetest.Rollback(t, func(t *testing.T) storetest.Sabotaged {
		empty(t, path, tables)
		return db
	})
}

// empty deletes the rows of an SQLite database.
func empty(t *testing.T, path, tables string) {
	t.Helper()
	raw, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(5000)")
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	for _, table := range column(t, raw, tables) {
		if _, err := raw.Exec("DELETE FROM " + table); err != nil {
			t.Fatalf("emptying %s: %v", table, err)
		}
	}
}

func TestRollbackOnMariaDB(t *testing.T) {
	dsn := mariadbtest.Database(t)
	db := sabotaged(t, mariaDB(t, dsn), "mysql", dsn,
		`SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name NOT LIKE 'goose%'`,
		`CREATE TRIGGER sabotage_%[2]s_%[1]s BEFORE %[2]s ON %[1]s FOR EACH ROW
			IF EXISTS (SELECT 1 FROM sabotage WHERE name = '%[1]s' AND verb = '%[2]s') THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'sabotage'; END IF`)
	storetest.Rollback(t, func(t *testing.T) storetest.Sabotaged {
		if err := mariadbtest.Empty(dsn); err != nil {
			t.Fatal(err)
		}
		return db
	})
}

func sabotaged(t *testing.T, db *store.DB, driver, dsn, tables, trigger string) storetest.Sabotaged {
	t.Helper()
	raw, err := sql.Open(driver, dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { raw.Close() })
	run := func(query string, args ...any) {
		t.Helper()
		if _, err := raw.Exec(query, args...); err != nil {
			t.Fatalf("%s: %v", query, err)
		}
	}
	s, names := storetest.Sabotaged{DB: db}, column(t, raw, tables)
	run(`CREATE TABLE sabotage (name VARCHAR(64), verb VARCHAR(8))`)
	for _, table := range names {
		for _, verb := range storetest.Writes {
			run(fmt.Sprintf(trigger, table, verb))
		}
	}
	s.Break = func(verb, table string) {
		run(`DELETE FROM sabotage`)
		run(`INSERT INTO sabotage (name, verb) VALUES (?, ?)`, table, verb)
	}
	s.Values = func() map[string]string {
		all := map[string]string{}
		for _, table := range names {
			all[table] = values(t, raw, table)
		}
		return all
	}
	return s
}

func column(t *testing.T, db *sql.DB, query string) (list []string) {
	t.Helper()
	rows, err := db.Query(query)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			t.Fatal(err)
		}
		list = append(list, s)
	}
	return list
}

// values gives all that is in a table.
func values(t *testing.T, db *sql.DB, table string) string {
	t.Helper()
	var lines []string
	rows, err := db.Query("SELECT * FROM " + table)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	names, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	for rows.Next() {
		row := make([]any, len(names))
		for i := range row {
			row[i] = new(sql.RawBytes)
		}
		if err := rows.Scan(row...); err != nil {
			t.Fatal(err)
		}
		line := ""
		for _, v := range row {
			line += fmt.Sprintf("%q ", *v.(*sql.RawBytes))
		}
		lines = append(lines, line)
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}
