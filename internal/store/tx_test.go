package store

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	mysqldriver "github.com/go-sql-driver/mysql"

	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/store/mariadbtest"
)

func openMariaDB(t *testing.T, dsn string) *DB {
	t.Helper()
	db, err := OpenMySQL(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func TestDeadlockRunsAgain(t *testing.T) {
	db := openMariaDB(t, mariadbtest.Reused(t))
	for _, id := range []string{"a", "b"} {
		addLink(t, db, id)
	}
	var runs atomic.Int32
	var met sync.WaitGroup // both hold their first row before they want the second
	met.Add(2)
	rows := func(first, second string) error {
		meet := sync.OnceFunc(func() { met.Done(); met.Wait() })
		return db.tx(t.Context(), func(tx *sql.Tx) error {
			runs.Add(1)
			const raise = `UPDATE link SET used_at = used_at + 1 WHERE hash = ?`
			if _, err := tx.ExecContext(t.Context(), raise, first); err != nil {
				return err
			}
			meet()
			_, err := tx.ExecContext(t.Context(), raise, second)
			return err
		})
	}
	var errs [2]error
	var wg sync.WaitGroup
	wg.Go(func() { errs[0] = rows("a", "b") })
	wg.Go(func() { errs[1] = rows("b", "a") })
	wg.Wait()
	if errs[0] != nil || errs[1] != nil || runs.Load() < 3 {
		t.Errorf("got %v after %d runs; want none, and one run again", errs, runs.Load())
	}
	for _, id := range []string{"a", "b"} {
		if n := used(t, db, id); n != 2 {
			t.Errorf("%s was raised %d times, want 2", id, n)
		}
	}
}

func addLink(t *testing.T, db *DB, hash string) {
	t.Helper()
	err := db.tx(t.Context(), func(tx *sql.Tx) error {
		_, err := tx.ExecContext(t.Context(), `INSERT INTO link (hash, user_id, expires_at, used_at) VALUES (?, '', 0, 0)`, hash)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func used(t *testing.T, db *DB, hash string) (n int) {
	t.Helper()
	if err := db.read.QueryRowContext(t.Context(), `SELECT used_at FROM link WHERE hash = ?`, hash).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// cutter is a network whose connections break at a statement.
type cutter struct {
	at     atomic.Pointer[string] // what the statement holds; nil: none
	after  bool                   // once it is sent, before the answer
	broken atomic.Int32
}

func (c *cutter) dial(ctx context.Context, addr string) (net.Conn, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", addr)
	return &cutConn{conn, c}, err
}

type cutConn struct {
	net.Conn
	c *cutter
}

func (c *cutConn) Write(b []byte) (int, error) {
	if at := c.c.at.Load(); at != nil && bytes.Contains(b, []byte(*at)) {
		c.c.at.Store(nil)
		c.c.broken.Add(1)
		if c.c.after {
			c.Conn.Write(b)
			time.Sleep(100 * time.Millisecond) // the server does it
		}
		c.Close()
		return len(b), nil
	}
	return c.Conn.Write(b)
}

func (c *cutter) open(t *testing.T, name string) *DB {
	t.Helper()
	mysqldriver.RegisterDialContext(name, c.dial)
	t.Cleanup(func() { mysqldriver.DeregisterDialContext(name) })
	cfg, err := mysqldriver.ParseDSN(mariadbtest.Reused(t))
	if err != nil || cfg.Net != "unix" {
		t.Skipf("the test server is not on a socket: %v", err)
	}
	cfg.Net = name
	return openMariaDB(t, cfg.FormatDSN())
}

func TestConnectionLost(t *testing.T) {
	for _, c := range []struct {
		name, at string
		after    bool
		want     error
		stored   int
	}{
		{"before the first statement", "START TRANSACTION", false, nil, 1},
		{"before the insert", "INSERT INTO journal", false, nil, 1},
		{"after the insert", "INSERT INTO journal", true, nil, 1},
		{"before the commit arrives", "\x03COMMIT", false, ErrOutcomeUnknown, 0},
		{"before the answer to the commit", "\x03COMMIT", true, ErrOutcomeUnknown, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			cut := &cutter{after: c.after}
			db := cut.open(t, "cut-"+strings.ReplaceAll(c.name, " ", "-"))
			cut.at.Store(&c.at)
			err := db.Journal().Record(t.Context(), journal.Entry{At: time.UnixMicro(1), Action: journal.UserAdded})
			if !errors.Is(err, c.want) || cut.broken.Load() != 1 {
				t.Errorf("got %v after %d breaks, want %v", err, cut.broken.Load(), c.want)
			}
			if list, err := db.Journal().Latest(t.Context(), 10); err != nil || len(list) != c.stored {
				t.Errorf("%d entries, %v; want %d", len(list), err, c.stored)
			}
		})
	}
	t.Run("while reading", func(t *testing.T) {
		cut := &cutter{after: true}
		db := cut.open(t, "cut-reading")
		at := "FROM journal"
		cut.at.Store(&at)
		if _, err := db.Journal().Latest(t.Context(), 10); err != nil || cut.broken.Load() != 1 {
			t.Errorf("got %v after %d breaks; want it read again", err, cut.broken.Load())
		}
	})
}

// A duplicate that the transaction did not expect runs it again, once.
func TestUniqueRunsAgainOnce(t *testing.T) {
	db := openMariaDB(t, mariadbtest.Reused(t))
	addLink(t, db, "a")
	runs := 0
	err := db.tx(t.Context(), func(tx *sql.Tx) error {
		runs++
		_, err := tx.ExecContext(t.Context(), `INSERT INTO link (hash, user_id, expires_at, used_at) VALUES ('a', '', 0, 0)`)
		return err
	})
	if !db.dia.unique(err) || runs != 2 {
		t.Errorf("got %v after %d runs, want a taken key after 2", err, runs)
	}
}

func TestFailuresOfMariaDB(t *testing.T) {
	for number, want := range map[uint16]struct{ again, away, cut bool }{
		errDeadlock:           {again: true},
		errLockWait:           {again: true},
		errChangedSinceRead:   {again: true},
		errShutdown:           {away: true, cut: true},
		errKilled:             {away: true, cut: true},
		errInterrupted:        {away: true, cut: true},
		errTooManyConnections: {away: true, cut: true},
		errDuplicate:          {},
		1064:                  {}, // syntax
	} {
		err := error(&mysqldriver.MySQLError{Number: number})
		if got := mysql.again(err); got != want.again {
			t.Errorf("%d: again is %v", number, got)
		}
		if got := away(err); got != want.away {
			t.Errorf("%d: away is %v", number, got)
		}
		if got := cut(err); got != want.cut {
			t.Errorf("%d: cut is %v", number, got)
		}
		if got := errors.Is(explain(err), ErrUnavailable); got != (want.again || want.away) {
			t.Errorf("%d: explained as unavailable: %v", number, got)
		}
	}
}

// A short transaction that fails leaves nothing, and the connection to the next.
func TestShortRollsBack(t *testing.T) {
	db, err := OpenSQLite(t.Context(), filepath.Join(t.TempDir(), "signet.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	wrong := errors.New("wrong")
	for _, c := range []struct {
		end  string // what becomes of the transaction on the way
		fail error
		want int
	}{{"", wrong, 0}, {"ROLLBACK", wrong, 0}, {"", nil, 1}} {
		err := db.short(t.Context(), func(ctx context.Context, tx statements) error {
			if _, err := tx.ExecContext(ctx, `INSERT INTO turnstile (name) VALUES (?)`, "x"); err != nil {
				return err
			}
			if c.end != "" {
				if _, err := tx.ExecContext(ctx, c.end); err != nil {
					return err
				}
			}
			return c.fail
		})
		if !errors.Is(err, c.fail) {
			t.Errorf("%q: got %v, want %v", c.end, err, c.fail)
		}
		got, err := column[int](db.read.row(t.Context(), `SELECT COUNT(*) FROM turnstile WHERE name = ?`, "x"))
		if err != nil || got != c.want {
			t.Errorf("%q: got %d rows, %v, want %d", c.end, got, err, c.want)
		}
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if err := db.short(gone, func(context.Context, statements) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("without anybody who waits: got %v", err)
	}
}

func TestOnlyAForerunnerDoesNotWaitForTheDisk(t *testing.T) {
	db, err := OpenSQLite(t.Context(), filepath.Join(t.TempDir(), "signet.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	const normal, full = 1, 2
	type row interface {
		QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
	}
	mode := func(q row) (n int) {
		t.Helper()
		if err := q.QueryRowContext(t.Context(), `PRAGMA synchronous`).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	for name, fails := range map[string]error{"stored": nil, "rolled back": errors.New("no")} {
		during := 0
		err := db.forerunner(t.Context(), func(_ context.Context, tx statements) error {
			during = mode(tx)
			return fails
		})
		if after := mode(db.write); !errors.Is(err, fails) || during != normal || after != full {
			t.Errorf("%s: got %v, %d and then %d; want %v, %d and %d", name, err, during, after, fails, normal, full)
		}
	}
}
