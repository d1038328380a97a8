package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/signet-mdm/signet/internal/fault"
)

// Failures of loading a backup.
var (
	ErrNotEmpty = fault.New(fault.Conflict, "database_not_empty",
		"There is something in the database already.", "Restore into an empty one; nothing was changed.")
	ErrRows = fault.New(fault.Invalid, "backup_rows_invalid",
		"The rows of the backup do not fit its schema.", "Take another backup; nothing was restored.")
)

// Loader fills a new database with the rows of a backup.
type Loader struct {
	pool   *sql.DB
	conn   *sql.Conn
	dia    dialect
	tables map[string]*columns // nil until the first rows come
}

// LoadSQLite makes the database file, with the schema of that version.
// ErrNotEmpty when it is there, [ErrSchemaNewer].
func LoadSQLite(ctx context.Context, path string, schema int64) (*Loader, error) {
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNotEmpty.With(err)
	}
	if err := sqlite.knows(schema); err != nil {
		return nil, err
	}
	if err := private(path); err != nil {
		return nil, err
	}
	pool, err := sql.Open("sqlite", sqliteDSN(path)+"&_txlock=immediate")
	if err != nil {
		return nil, fmt.Errorf("opening database %s: %w", path, err)
	}
	pool.SetMaxOpenConns(1)
	return load(ctx, pool, sqlite, schema)
}

// LoadMySQL takes a database that is there and empty, and makes the schema of
// that version in it. [ErrNotEmpty], [ErrSchemaNewer].
func LoadMySQL(ctx context.Context, dsn string, schema int64) (*Loader, error) {
	if err := mysql.knows(schema); err != nil {
		return nil, err
	}
	cfg, err := mysqlConfig(dsn)
	if err != nil {
		return nil, err
	}
	cfg.ReadTimeout = 0
	pool, err := mysqlPool(cfg, 2, map[string]string{"max_statement_time": "0"})
	if err != nil {
		return nil, err
	}
	return load(ctx, pool, mysql, schema)
}

// knows refuses a schema that a later version made.
func (d dialect) knows(schema int64) error {
	newest, err := d.newest()
	if err == nil && schema > newest {
		err = ErrSchemaNewer
	}
	return err
}

func load(ctx context.Context, pool *sql.DB, dia dialect, schema int64) (*Loader, error) {
	l := &Loader{pool: pool, dia: dia, tables: map[string]*columns{}}
	if err := l.begin(ctx, schema); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// begin makes the schema.
func (l *Loader) begin(ctx context.Context, schema int64) error {
	there, err := l.names(ctx, l.pool)
	if err != nil {
		return err
	}
	if len(there) > 0 {
		return ErrNotEmpty
	}
	p, err := l.dia.migrations(l.pool)
	if err != nil {
		return err
	}
	if _, err := p.UpTo(ctx, schema); err != nil {
		return fmt.Errorf("making the schema %d: %w", schema, err)
	}
	if l.conn, err = l.pool.Conn(ctx); err != nil {
		return fmt.Errorf("opening a connection to load into: %w", err)
	}
	names, err := l.names(ctx, l.conn)
	if err != nil {
		return err
	}
	for _, name := range names {
		l.tables[name] = nil
	}
	_, err = l.conn.ExecContext(ctx, l.dia.unchecked)
	return err
}

func (l *Loader) names(ctx context.Context, q queryer) ([]string, error) {
	names, err := all(ctx, q, column[string], l.dia.tables)
	if err != nil {
		return nil, fmt.Errorf("listing tables: %w", err)
	}
	return names, nil
}

// Rows adds rows of a table. The first ones take the place of those that its
// making brought.
func (l *Loader) Rows(ctx context.Context, table string, names []string, rows [][]any) error {
	into, known := l.tables[table]
	if !known {
		return ErrRows.With(fmt.Errorf("there is no table %q", table))
	}
	if into == nil {
		c, err := columnsOf(ctx, l.conn, table)
		if err != nil {
			return fmt.Errorf("reading the columns of %s: %w", table, err)
		}
		if _, err := l.conn.ExecContext(ctx, `DELETE FROM `+table); err != nil {
			return fmt.Errorf("emptying %s: %w", table, err)
		}
		into = &c
		l.tables[table] = into
	}
	if !slices.Equal(into.names, names) {
		return ErrRows.With(fmt.Errorf("the columns of %s are others", table))
	}
	tx, err := l.conn.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("beginning transaction: %w", err)
	}
	defer tx.Rollback() // no effect after Commit
	for chunk := range slices.Chunk(rows, inChunk) {
		if err := insertRows(ctx, tx, table, *into, chunk); err != nil {
			return fmt.Errorf("inserting into %s: %w", table, err)
		}
	}
	return tx.Commit()
}

func insertRows(ctx context.Context, tx *sql.Tx, table string, c columns, rows [][]any) error {
	var values []any
	for _, row := range rows {
		if err := c.coerce(row); err != nil {
			return ErrRows.With(err)
		}
		values = append(values, row...)
	}
	row := `(` + marks(len(c.names)) + `)`
	_, err := tx.ExecContext(ctx, `INSERT INTO `+table+` (`+strings.Join(c.names, `, `)+`) VALUES `+
		row+strings.Repeat(`, `+row, len(rows)-1), values...)
	return err
}

// Finish looks whether what was loaded fits together. Open the database
// afterwards, which brings the schema up to date.
func (l *Loader) Finish(ctx context.Context) error {
	if l.dia.broken == "" {
		return nil
	}
	scan := func(row scanner) (table string, err error) {
		var id, parent, key any
		err = row.Scan(&table, &id, &parent, &key)
		return table, err
	}
	broken, err := all(ctx, l.conn, scan, l.dia.broken)
	if err != nil {
		return fmt.Errorf("checking references: %w", err)
	}
	if len(broken) > 0 {
		return ErrRows.With(fmt.Errorf("%d rows refer to none, the first in %s", len(broken), broken[0]))
	}
	return nil
}

// Discard takes out of a MariaDB database all that loading put into it; the
// file of an SQLite database is the caller's to remove.
func (l *Loader) Discard(ctx context.Context) error {
	if l.dia.name != mysql.name || l.conn == nil {
		return nil
	}
	names, err := all(ctx, l.conn, column[string], `SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE()`)
	for _, name := range names {
		_, failed := l.conn.ExecContext(ctx, `DROP TABLE `+name)
		err = errors.Join(err, failed)
	}
	if err != nil {
		return fmt.Errorf("taking out what was loaded: %w", err)
	}
	return nil
}

// Close ends the loading.
func (l *Loader) Close() error {
	if l.conn == nil {
		return l.pool.Close()
	}
	return errors.Join(l.conn.Close(), l.pool.Close())
}
