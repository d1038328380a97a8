// Package mariadbtest gives tests a MariaDB: a server of their own on a socket
// in a private folder, which ends with the test process however that ends, or
// the one that SIGNET_TEST_MYSQL names by its DSN. Start at [Database].
package mariadbtest

import (
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/signet-mdm/signet/internal/judge"
)

// outside is the variable that may name a server to use instead.
const outside = "SIGNET_TEST_MYSQL"

// Database gives the DSN of a new database, which is dropped after the test.
// The test is skipped where there is no MariaDB, see [judge.Need].
func Database(t testing.TB) string {
	t.Helper()
	return database(t, server(t))
}

// server gives the DSN of the server that tests share.
func server(t testing.TB) string {
	t.Helper()
	if dsn := os.Getenv(outside); dsn != "" {
		return dsn
	}
	need(t)
	s, err := shared()
	if err != nil {
		t.Fatalf("starting MariaDB: %v", err)
	}
	return s.DSN()
}

// shared is the server of this test process. It forgets what a crash would
// cost it, which nobody asks for.
var shared = sync.OnceValues(func() (*Server, error) {
	s, err := install("--innodb-flush-log-at-trx-commit=0", "--innodb-doublewrite=OFF",
		"--innodb-flush-method=nosync", "--sync-frm=OFF")
	if err != nil {
		return nil, err
	}
	s.litter = s.dir
	return s, s.Start()
})

// New gives a server for one test, as safe as in production, to be killed.
func New(t testing.TB) *Server {
	t.Helper()
	need(t)
	s, err := install("--innodb-flush-log-at-trx-commit=1")
	if err == nil {
		err = s.Start()
	}
	if err != nil {
		t.Fatalf("starting MariaDB: %v", err)
	}
	t.Cleanup(func() {
		s.Kill()
		os.RemoveAll(s.dir)
	})
	return s
}

func need(t testing.TB) {
	t.Helper()
	if path := os.Getenv("PATH"); !strings.Contains(path, "/usr/sbin") { // where Debian has it
		os.Setenv("PATH", path+string(os.PathListSeparator)+"/usr/sbin")
	}
	judge.Need(t, "mariadbd", "mariadb-install-db")
}

// Database gives the DSN of a new database on this server.
func (s *Server) Database(t testing.TB) string {
	t.Helper()
	return database(t, s.DSN())
}

// database makes one beside that of dsn.
func database(t testing.TB, dsn string) string {
	t.Helper()
	own, err := create(dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := drop(own); err != nil {
			t.Logf("dropping the test database: %v", err)
		}
	})
	return own
}

func create(dsn string) (string, error) {
	cfg, err := mysql.ParseDSN(dsn)
	if err != nil {
		return "", fmt.Errorf("the DSN of the test server: %w", err)
	}
	cfg.DBName = "signet_test_" + strings.ToLower(rand.Text()[:12])
	return cfg.FormatDSN(), beside(cfg, "CREATE DATABASE "+cfg.DBName)
}

func drop(dsn string) error {
	cfg, err := mysql.ParseDSN(dsn)
	if err != nil {
		return err
	}
	return beside(cfg, "DROP DATABASE "+cfg.DBName)
}

// beside runs a statement outside the database of cfg.
func beside(cfg *mysql.Config, statement string) error {
	cfg = cfg.Clone()
	cfg.DBName = ""
	return Exec(cfg.FormatDSN(), statement)
}

// Exec runs statements, one after the other.
func Exec(dsn string, statements ...string) error {
	db, err := sql.Open("mysql", dsn)
	if err != nil {
		return err
	}
	defer db.Close()
	for _, s := range statements {
		if _, err := db.Exec(s); err != nil {
			return fmt.Errorf("%s: %w", s, err)
		}
	}
	return nil
}

// ready waits until the server takes statements.
func (s *Server) ready() error {
	until := time.Now().Add(30 * time.Second)
	for {
		err := Exec(s.DSN(), "DO 1")
		if err == nil {
			return nil
		}
		if time.Now().After(until) {
			said, _ := os.ReadFile(filepath.Join(s.dir, "log"))
			return errors.Join(err, fmt.Errorf("%s", said))
		}
		time.Sleep(20 * time.Millisecond)
	}
}
