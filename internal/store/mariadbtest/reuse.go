package mariadbtest

import (
	"database/sql"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
)

// idle are the databases that await their next test.
var idle struct {
	sync.Mutex
	list []string
}

// Reused gives the DSN of a database without rows, which may have the tables of
// an earlier test: making them takes longer than most tests. It is for tests
// that change no table. An outside server is left as it was found.
func Reused(t testing.TB) string {
	t.Helper()
	at := server(t)
	if os.Getenv(outside) != "" {
		return database(t, at)
	}
	idle.Lock()
	defer idle.Unlock()
	var dsn string
	if n := len(idle.list); n > 0 {
		dsn, idle.list = idle.list[n-1], idle.list[:n-1]
	} else {
		var err error
		if dsn, err = create(at); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		if err := Empty(dsn); err != nil {
			t.Errorf("emptying the test database: %v", err)
			return
		}
		idle.Lock()
		defer idle.Unlock()
		idle.list = append(idle.list, dsn)
	})
	return dsn
}

// Empty deletes the rows of all tables but goose's.
func Empty(dsn string) error {
	db, err := sql.Open("mysql", dsn)
	if err != nil {
		return err
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	names, err := tables(db)
	if err != nil {
		return err
	}
	statements := []string{"SET foreign_key_checks = 0"}
	for _, name := range names {
		if !strings.HasPrefix(name, "goose") {
			statements = append(statements, "DELETE FROM "+name)
		}
	}
	for _, s := range statements {
		if _, err := db.Exec(s); err != nil {
			return fmt.Errorf("%s: %w", s, err)
		}
	}
	return nil
}
