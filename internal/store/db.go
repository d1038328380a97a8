// Package store has every SQL statement. Each domain finds its verbs on a
// facet of its own ([DB.Directory], [DB.MDM] …, one file each). A verb is one
// business step in one transaction: it takes one finished value and one
// journal entry, and writes its rows, the journal row and the due marks
// together. No transaction and no closure crosses the boundary.
//
// Instants are stored as microseconds UTC, 0 for "never"; ids and hashes as
// text. storetest is the definition of correct.
package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
)

// DB is an open database.
type DB struct {
	write *sql.DB // one connection on SQLite, so that writers queue instead of colliding
	read  reader
	dia   dialect
}

// dialect is what truly differs between the databases.
type dialect struct {
	name   string
	schema string               // folder below schema/
	size   string               // query that gives the bytes it takes
	check  string               // query that gives "ok" or what is damaged; empty: the server knows
	again  func(err error) bool // the transaction lost and may run again
	unique func(err error) bool // a unique key is taken
	upsert func(key, set string) string

	tables    string   // query that lists our tables
	snapshot  []string // begin a transaction that reads one moment
	unchecked string   // lets rows come before those that they refer to
	broken    string   // query that lists rows which refer to none; empty: not to be had

	locking string // ends a SELECT whose rows nobody else may change until the transaction ends
}

// OpenSQLite opens or creates the database file and brings its schema up to
// date. A schema newer than this program is refused.
func OpenSQLite(ctx context.Context, path string) (*DB, error) {
	if err := private(path); err != nil {
		return nil, err
	}
	write, err := openPrepared(sqliteDSN(path)+"&_txlock=immediate", true)
	if err != nil {
		return nil, fmt.Errorf("opening database %s: %w", path, err)
	}
	write.SetMaxOpenConns(1)
	read, err := openPrepared(sqliteDSN(path)+"&_pragma=query_only(1)", false)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("opening database %s: %w", path, err), write.Close())
	}
	read.SetMaxOpenConns(8)
	db := &DB{write: write, read: reader{read, true}, dia: sqlite}
	if err := db.migrate(ctx, write); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// private makes the file before SQLite does, readable for its owner only; the
// files that SQLite puts beside it get the same rights.
func private(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("opening database: %w", err)
	}
	return f.Close()
}

func sqliteDSN(path string) string {
	u := url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath()}
	return u.String() + "?_pragma=journal_mode(WAL)&_pragma=busy_timeout(5000)&_pragma=foreign_keys(1)&_pragma=synchronous(FULL)&_pragma=secure_delete(1)&_pragma=wal_autocheckpoint(4000)"
}

// Close closes it.
func (db *DB) Close() error { return errors.Join(db.read.Close(), db.write.Close()) }

// Ping tells whether the database answers.
func (db *DB) Ping(ctx context.Context) error { return explain(db.read.PingContext(ctx)) }

// queryer is what both a transaction and the read pool offer.
type queryer interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// scanner is what both one row and many offer.
type scanner interface{ Scan(dest ...any) error }

// column reads a row of one column. Like every scan it assigns before it
// returns: in "return v, row.Scan(&v)" Go may take v first.
func column[T any](row scanner) (v T, err error) {
	err = row.Scan(&v)
	return v, err
}

// all reads every row of a query through scan. The result is never nil.
func all[T any](ctx context.Context, q queryer, scan func(scanner) (T, error), query string, args ...any) ([]T, error) {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, explain(err)
	}
	defer rows.Close()
	list := []T{}
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	return list, explain(rows.Err())
}
