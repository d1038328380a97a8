package store_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	mysqldriver "github.com/go-sql-driver/mysql"

	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/store"
	"github.com/signet-mdm/signet/internal/store/mariadbtest"
	"github.com/signet-mdm/signet/internal/subject"
)

func mariaDB(t *testing.T, dsn string) *store.DB {
	t.Helper()
	return opened(t)(store.OpenMySQL(t.Context(), dsn))
}

func TestDSN(t *testing.T) {
	for _, dsn := range []string{"", "signet:hunter22@tcp(127.0.0.1:1/signet", "signet:hunter22@tcp(127.0.0.1:1)/", "x?y", "u:hunter22@tcp(127.0.0.1:1)/signet?timeout=hunter22"} {
		_, err := store.OpenMySQL(t.Context(), dsn)
		if !errors.Is(err, store.ErrDSN) || strings.Contains(err.Error(), "hunter22") {
			t.Errorf("%q: got %v, want ErrDSN without the password", dsn, err)
		}
	}
	_, err := store.OpenMySQL(t.Context(), "signet:hunter22@unix("+t.TempDir()+"/none)/signet")
	if !errors.Is(err, store.ErrUnavailable) || strings.Contains(err.Error(), "hunter22") {
		t.Errorf("nobody listens: got %v, want ErrUnavailable without the password", err)
	}
}

// What the verbs rely on is not for the DSN to decide.
func TestOddDSN(t *testing.T) {
	db := mariaDB(t, mariadbtest.Reused(t)+"?clientFoundRows=false&parseTime=false&interpolateParams=false&multiStatements=true&collation=latin1_swedish_ci&sql_mode=''&tx_isolation='SERIALIZABLE'")
	u := subject.User{ID: subject.NewUserID(), UPN: "ü@example.com", Mail: "ü@example.com", Name: "Ünïcode 🙂", CreatedAt: time.UnixMicro(1)}
	for range 2 { // the second time nothing changes, which must not look like nobody
		if err := db.Directory().UserSaved(t.Context(), u, journal.Entry{Action: journal.UserChanged}); err != nil {
			t.Fatal(err)
		}
	}
	got, err := db.Directory().User(t.Context(), u.Mail)
	if err != nil || got.Name != u.Name {
		t.Errorf("got %q, %v; want %q", got.Name, err, u.Name)
	}
}

func TestNewerSchemaIsRefusedOnMariaDB(t *testing.T) {
	dsn := mariadbtest.Database(t)
	mariaDB(t, dsn)
	if err := mariadbtest.Exec(dsn, `INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, 1)`); err != nil {
		t.Fatal(err)
	}
	if _, err := store.OpenMySQL(t.Context(), dsn); !errors.Is(err, store.ErrSchemaNewer) {
		t.Errorf("got %v, want ErrSchemaNewer", err)
	}
}

// Servers that start on an empty database together prepare it once.
func TestServersMigrateTogether(t *testing.T) {
	dsn := mariadbtest.Database(t)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			db, err := store.OpenMySQL(t.Context(), dsn)
			if err != nil {
				t.Error(err)
				return
			}
			db.Close()
		})
	}
	wg.Wait()
}

// A step that was broken off half-way is gone through again.
func TestMigrationGoesOn(t *testing.T) {
	dsn := mariadbtest.Database(t)
	mariaDB(t, dsn)
	if err := mariadbtest.Exec(dsn, `DROP TABLE delivery_clock`, `DELETE FROM goose_db_version WHERE version_id >= 7`); err != nil {
		t.Fatal(err)
	}
	db := mariaDB(t, dsn)
	if _, err := db.Delivery().Ticked(t.Context(), time.Now(), time.Now(), time.Now()); err != nil {
		t.Error(err)
	}
}

// Names are told apart by case and by blanks at their end, on both databases.
func TestNamesAreExact(t *testing.T) {
	for name, db := range map[string]*store.DB{
		"SQLite":  opened(t)(store.OpenSQLite(t.Context(), t.TempDir()+"/signet.db")),
		"MariaDB": mariaDB(t, mariadbtest.Reused(t)),
	} {
		names := []string{"sales", "Sales", "sales ", "sáles"}
		for _, n := range names {
			if _, err := db.Directory().GroupSaved(context.Background(), n, nil, journal.Entry{Action: journal.GroupChanged}); err != nil {
				t.Fatal(err)
			}
		}
		if groups, err := db.AppConfig().Groups(t.Context()); err != nil || len(groups) != len(names) {
			t.Errorf("%s: %d groups, %v; want %d", name, len(groups), err, len(names))
		}
	}
}

// A server that became a replica takes no writes: that passes, and no
// connection to it is kept.
func TestReadOnlyServer(t *testing.T) {
	root := mariadbtest.New(t).Database(t)
	cfg, err := mysqldriver.ParseDSN(root)
	if err != nil {
		t.Fatal(err)
	}
	exec := func(statements ...string) {
		t.Helper()
		if err := mariadbtest.Exec(root, statements...); err != nil {
			t.Fatal(err)
		}
	}
	exec("CREATE USER signet@localhost IDENTIFIED BY 'x'", "GRANT ALL ON "+cfg.DBName+".* TO signet@localhost")
	cfg.User, cfg.Passwd = "signet", "x"
	db := mariaDB(t, cfg.FormatDSN())
	e := journal.Entry{At: time.UnixMicro(1), Action: journal.UserAdded}
	exec("SET GLOBAL read_only = 1")
	if err := db.Journal().Record(t.Context(), e); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("read-only: got %v, want ErrUnavailable", err)
	}
	exec("SET GLOBAL read_only = 0")
	if err := db.Journal().Record(t.Context(), e); err != nil {
		t.Error(err)
	}
}
