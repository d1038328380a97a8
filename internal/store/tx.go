package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/signet-mdm/signet/internal/fault"
)

// maxTries bounds how often a transaction that lost is run again.
const maxTries = 8

// What is told of a database that does not do its part.
var (
	ErrUnavailable = fault.New(fault.Unavailable, "database_unavailable",
		"The database does not answer right now.", "Try again in a few seconds.")
	ErrFull = fault.New(fault.Unavailable, "database_full",
		"The database has no room to write.", "Make room on its disk; nothing that was acknowledged is lost, and nothing has to be repaired.")
	ErrOutcomeUnknown = fault.New(fault.Unavailable, "database_outcome_unknown",
		"The database went away while it stored this; it may be stored or not.", "Look whether it is, and do it again if not: nothing happens twice.")
)

// tx runs f in a transaction, again from the start when another writer won,
// also one that took a unique key which f had found free, and when the
// connection was lost before the commit. Lost during the commit, the outcome
// is unknown, and f is not run again: [ErrOutcomeUnknown].
//
// f must have no effect outside the transaction.
func (db *DB) tx(ctx context.Context, f func(*sql.Tx) error) error {
	return db.repeat(ctx, func() error { return db.once(ctx, f) })
}

// statements is what a transaction runs, whichever way it was begun.
type statements interface {
	queryer
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// short is tx for what is done often and takes no time. On SQLite it is not
// interrupted once it has begun: being ready to takes goroutines, for the
// transaction and for each question in it. f uses the context that it is given.
func (db *DB) short(ctx context.Context, f func(context.Context, statements) error) error {
	if !db.read.quick {
		return db.tx(ctx, func(tx *sql.Tx) error { return f(ctx, tx) })
	}
	return db.repeat(ctx, func() error { return db.through(ctx, f) })
}

// forerunner is short for what another transaction follows before anybody
// hears of it: on SQLite it outlives the process, but does not wait for the
// disk, which the other one does for both.
func (db *DB) forerunner(ctx context.Context, f func(context.Context, statements) error) error {
	if !db.read.quick {
		return db.short(ctx, f)
	}
	return db.repeat(ctx, func() error {
		return db.alone(ctx, func(ctx context.Context, c *sql.Conn) (err error) {
			if _, err := c.ExecContext(ctx, `PRAGMA synchronous = NORMAL`); err != nil {
				return err
			}
			defer func() {
				if _, failed := c.ExecContext(ctx, `PRAGMA synchronous = FULL`); failed != nil {
					c.Raw(func(any) error { return driver.ErrBadConn })
				}
			}()
			return transact(ctx, c, f)
		})
	})
}

// through runs a transaction of SQLite that nothing interrupts.
func (db *DB) through(ctx context.Context, f func(context.Context, statements) error) error {
	return db.alone(ctx, func(ctx context.Context, c *sql.Conn) error { return transact(ctx, c, f) })
}

// alone has the connection that writes to SQLite; nothing interrupts what is
// done with it.
func (db *DB) alone(ctx context.Context, f func(context.Context, *sql.Conn) error) error {
	c, err := db.write.Conn(ctx)
	if err != nil {
		return fmt.Errorf("beginning transaction: %w", err)
	}
	defer c.Close()
	return f(context.WithoutCancel(ctx), c)
}

func transact(ctx context.Context, c *sql.Conn, f func(context.Context, statements) error) error {
	if _, err := c.ExecContext(ctx, begin); err != nil {
		return fmt.Errorf("beginning transaction: %w", err)
	}
	over := false
	defer func() {
		if over {
			return
		}
		if _, err := c.ExecContext(ctx, `ROLLBACK`); err != nil { // SQLite did, or it cannot: nobody goes on with this one
			c.Raw(func(any) error { return driver.ErrBadConn })
		}
	}()
	if err := f(ctx, c); err != nil {
		return err
	}
	_, err := c.ExecContext(ctx, commit)
	over = err == nil
	return err
}

// repeat runs a transaction until it did not lose.
func (db *DB) repeat(ctx context.Context, once func() error) error {
	taken := false
	for try := 1; ; try++ {
		err := once()
		again := err != nil && (db.dia.again(err) || away(err) && !errors.Is(err, ErrOutcomeUnknown))
		if !taken && !again && db.dia.unique(err) {
			taken, again = true, true
		}
		if !again || try == maxTries || ctx.Err() != nil {
			return explain(err)
		}
		pause(ctx, try)
	}
}

// pause waits before the next try, longer and longer, or until ctx ends.
func pause(ctx context.Context, try int) {
	select {
	case <-ctx.Done():
	case <-time.After(time.Duration(rand.IntN(1<<(2*try))) * 100 * time.Microsecond):
	}
}

func (db *DB) once(ctx context.Context, f func(*sql.Tx) error) error {
	tx, err := db.write.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("beginning transaction: %w", err)
	}
	defer tx.Rollback() // no effect after Commit
	if err := f(tx); err != nil {
		return err
	}
	err = tx.Commit()
	if cut(err) {
		return ErrOutcomeUnknown.With(err)
	}
	return err
}

// away tells whether err means that the database is out of reach; what it
// interrupted may be tried again unless it was a commit.
func away(err error) bool { return err != nil && mysqlAway(err) }

// cut tells whether err leaves open what became of a commit. The driver's bad
// connection does not: nothing was sent, or it was refused.
func cut(err error) bool { return away(err) && !errors.Is(err, driver.ErrBadConn) }

// explain makes a failure of the database itself one that the caller can tell
// apart. Everything else stays what it is.
func explain(err error) error {
	if fault.Of(err) == nil && (sqliteFull(err) || mysqlFull(err)) {
		return ErrFull.With(err)
	}
	if f := fault.Of(err); f == nil && (away(err) || sqliteStuck(err) || sqlite.again(err) || mysql.again(err)) {
		return ErrUnavailable.With(err)
	}
	return err
}

// changed runs a statement and tells how many rows it met.
func changed(ctx context.Context, tx statements, query string, args ...any) (int64, error) {
	res, err := tx.ExecContext(ctx, query, args...)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

// hold locks the rows that are selected until the transaction ends, and tells
// whether there are any: what is read of them afterwards stays true. It takes a
// statement from FROM on: "device WHERE id = ?". On SQLite, which has one
// writer, nobody would change them anyway.
func (db *DB) hold(ctx context.Context, tx statements, from string, args ...any) (bool, error) {
	rows, err := tx.QueryContext(ctx, `SELECT 1 FROM `+from+db.dia.locking, args...)
	if err != nil {
		return false, fmt.Errorf("locking %s: %w", from, err)
	}
	defer rows.Close()
	there := rows.Next()
	if err := errors.Join(rows.Close(), rows.Err()); err != nil {
		return false, fmt.Errorf("locking %s: %w", from, err)
	}
	return there, nil
}

// lock is hold for who need not know whether there are any.
func (db *DB) lock(ctx context.Context, tx statements, from string, args ...any) error {
	if db.dia.locking == "" {
		return nil
	}
	_, err := db.hold(ctx, tx, from, args...)
	return err
}

// none tells whether a query that answers yes or no says no. Steps ask often
// and mostly in vain, which must cost no writer.
func (db *DB) none(ctx context.Context, query string, args ...any) (bool, error) {
	var yes bool
	if err := db.read.QueryRowContext(ctx, query, args...).Scan(&yes); err != nil {
		return false, fmt.Errorf("looking for work: %w", err)
	}
	return !yes, nil
}

// upsert ends an INSERT that changes the row which has the key already. In set,
// VALUES(c) is what would have been inserted and c what is stored:
// "n = n + VALUES(n)". The count of rows means nothing then.
func (db *DB) upsert(key, set string) string { return db.dia.upsert(key, set) }

// reader is a pool for reading. What was interrupted is read again.
type reader struct {
	*sql.DB
	quick bool // a row that is found by its key is there at once, as in a file
}

// readTries bounds how often that is.
const readTries = 3

// QueryContext reads many rows.
func (r reader) QueryContext(ctx context.Context, query string, args ...any) (rows *sql.Rows, err error) {
	err = r.again(ctx, func() (err error) {
		rows, err = r.DB.QueryContext(ctx, query, args...)
		return err
	})
	return rows, err
}

// QueryRowContext reads one row when it is scanned.
func (r reader) QueryRowContext(ctx context.Context, query string, args ...any) scanner {
	return scanFunc(func(dest ...any) error {
		return r.again(ctx, func() error { return r.DB.QueryRowContext(ctx, query, args...).Scan(dest...) })
	})
}

// row is QueryRowContext for a row that is found by its key.
func (r reader) row(ctx context.Context, query string, args ...any) scanner {
	return scanFunc(func(dest ...any) error {
		return r.short(ctx, func(ctx context.Context, q statements) error {
			return q.QueryRowContext(ctx, query, args...).Scan(dest...)
		})
	})
}

// short reads what takes no time. On SQLite it is not interrupted once there is
// a connection: being ready to would take two goroutines each time.
func (r reader) short(ctx context.Context, f func(context.Context, statements) error) error {
	if !r.quick {
		return r.again(ctx, func() error { return f(ctx, r.DB) })
	}
	c, err := r.Conn(ctx)
	if err != nil {
		return explain(err)
	}
	defer c.Close()
	return explain(f(context.WithoutCancel(ctx), c))
}

func (r reader) again(ctx context.Context, read func() error) error {
	for try := 1; ; try++ {
		err := read()
		if !away(err) || try == readTries || ctx.Err() != nil {
			return explain(err)
		}
		pause(ctx, try)
	}
}

// scanFunc is a row that is read when it is scanned.
type scanFunc func(dest ...any) error

// Scan reads the row.
func (f scanFunc) Scan(dest ...any) error { return f(dest...) }
