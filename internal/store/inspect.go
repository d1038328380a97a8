package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/journal"
)

// Inspection is a database that is only looked at: nothing is migrated, and
// nothing written.
type Inspection struct{ Operations }

// InspectSQLite opens a file that is there. A server may be using it.
func InspectSQLite(ctx context.Context, path string) (Inspection, error) {
	pool, err := sql.Open("sqlite", sqliteDSN(path)+"&mode=rw&_pragma=query_only(1)")
	if err != nil {
		return Inspection{}, fmt.Errorf("opening database %s: %w", path, err)
	}
	return inspect(ctx, pool, sqlite)
}

// InspectMySQL opens a database as [OpenMySQL] does.
func InspectMySQL(ctx context.Context, dsn string) (Inspection, error) {
	cfg, err := mysqlConfig(dsn)
	if err != nil {
		return Inspection{}, err
	}
	pool, err := mysqlPool(cfg, 2, map[string]string{"tx_read_only": "1"})
	if err != nil {
		return Inspection{}, err
	}
	return inspect(ctx, pool, mysql)
}

func inspect(ctx context.Context, pool *sql.DB, d dialect) (Inspection, error) {
	i := Inspection{Operations{&DB{read: reader{DB: pool}, dia: d}}}
	if _, _, err := i.Schema(ctx); err != nil {
		return i, errors.Join(explain(err), pool.Close())
	}
	return i, nil
}

// Owner gives the root CA of the installation whose database it is, zero for
// none.
func (i Inspection) Owner(ctx context.Context) (cert.Fingerprint, error) { return i.db.Owner(ctx) }

// Close closes it.
func (i Inspection) Close() error { return i.db.read.Close() }

// Newest gives the instant of the newest journal entry; zero for none.
func (o Operations) Newest(ctx context.Context) (time.Time, error) {
	var at int64
	err := o.db.read.QueryRowContext(ctx, `SELECT COALESCE(MAX(at), 0) FROM journal`).Scan(&at)
	if err != nil {
		return time.Time{}, fmt.Errorf("reading the newest journal entry: %w", err)
	}
	return instant(at), nil
}

// LastBackup gives the instant of the last backup; zero for none.
func (o Operations) LastBackup(ctx context.Context) (time.Time, error) {
	var at int64
	err := o.db.read.QueryRowContext(ctx, `SELECT COALESCE(MAX(at), 0) FROM journal WHERE action = ?`, journal.BackupMade).Scan(&at)
	if err != nil {
		return time.Time{}, fmt.Errorf("looking for the last backup: %w", err)
	}
	return instant(at), nil
}

// Damage says what is damaged in the database file, empty when nothing is. Of
// a database server its own tools know.
func (o Operations) Damage(ctx context.Context) (string, error) {
	if o.db.dia.check == "" {
		return "", nil
	}
	var found string
	if err := o.db.read.QueryRowContext(ctx, o.db.dia.check).Scan(&found); err != nil {
		return "", fmt.Errorf("looking for damage: %w", err)
	}
	if found == "ok" {
		return "", nil
	}
	return found, nil
}
