package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// A backup leaves out what would be good once more after it is restored, and
// what nobody is to find in it: sealed profiles, which are made anew, sessions
// and links, the text of mails.
var (
	leftOut = map[string]string{ // by table, the rows that stay
		"session":         `1 = 0`,
		"console_session": `1 = 0`,
		"link":            `1 = 0`,
		"mail":            `done_at > 0`,
		"ocsp":            `1 = 0`,
		"key_export":      `1 = 0`,
		"approver_link":   `1 = 0`,
	}
	rewritten = map[string]map[string]string{ // by table and column
		"device":         {"lease_until": `0`},
		"command":        {"lease_until": `0`},
		"scep_challenge": {"voided_at": `CASE WHEN used_at = 0 AND voided_at = 0 THEN created_at ELSE voided_at END`},
		"scep_request":   {"state": `CASE WHEN state IN ('open', 'approved', 'upstream') THEN 'void' ELSE state END`},
		"consent":        {"state": `CASE WHEN state = 'open' THEN 'cancelled' ELSE state END`},
		"invitation":     {"expires_at": `CASE WHEN redeemed_at = 0 THEN created_at ELSE expires_at END`},
		"parcel": {
			"sealed":      `NULL`,
			"wants_seal":  `CASE WHEN sealed IS NOT NULL AND ended_at = 0 THEN 1 ELSE wants_seal END`,
			"lease_until": `0`,
		},
		"tenant_copy": {
			"state":       `CASE WHEN state = 'sealed' THEN 'looking' ELSE state END`,
			"pfx":         `X''`,
			"password":    `X''`,
			"lease_until": `0`,
		},
		"connector_delivery": {"content": `NULL`},
		"mail":               {"content": `X''`, "lease_until": `0`},
		"job":                {"lease_until": `0`},
		"crl":                {"der": `X''`, "published": `-1`}, // so that it is published anew at once
	}
)

// RowWriter takes the rows of tables.
type RowWriter interface {
	// Table begins a table.
	Table(name string, columns []string) error
	// Row takes a nil, int64, string or []byte for each column. The values are
	// not the caller's any more.
	Row(values []any) error
}

// Snapshot is the database at one moment, for a backup. Writers go on
// meanwhile.
type Snapshot struct {
	Schema int64 // its version
	conn   *sql.Conn
	dia    dialect
}

// Snapshot begins one; Close ends it.
func (db *DB) Snapshot(ctx context.Context) (*Snapshot, error) {
	conn, err := db.read.Conn(ctx)
	if err != nil {
		return nil, fmt.Errorf("opening a connection for a backup: %w", err)
	}
	s := &Snapshot{conn: conn, dia: db.dia}
	for _, statement := range db.dia.snapshot {
		if _, err := conn.ExecContext(ctx, statement); err != nil {
			return nil, errors.Join(fmt.Errorf("beginning a snapshot: %w", err), s.Close())
		}
	}
	err = conn.QueryRowContext(ctx, `SELECT COALESCE(MAX(version_id), 0) FROM goose_db_version WHERE is_applied = 1`).Scan(&s.Schema)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("reading schema version: %w", err), s.Close())
	}
	return s, nil
}

// Close ends the snapshot, with its connection, whose settings are not those
// of the pool.
func (s *Snapshot) Close() error {
	s.conn.Raw(func(any) error { return driver.ErrBadConn })
	if err := s.conn.Close(); !errors.Is(err, sql.ErrConnDone) {
		return err
	}
	return nil
}

// Write gives every table to w.
func (s *Snapshot) Write(ctx context.Context, w RowWriter) error {
	tables, err := all(ctx, s.conn, column[string], s.dia.tables)
	if err != nil {
		return fmt.Errorf("listing tables: %w", err)
	}
	for _, special := range slices.Concat(slices.Collect(maps.Keys(leftOut)), slices.Collect(maps.Keys(rewritten))) {
		if !slices.Contains(tables, special) { // else it would go in as it is, under its new name
			return fmt.Errorf("backing up: there is no table %s", special)
		}
	}
	for _, t := range tables {
		if err := s.table(ctx, t, w); err != nil {
			return fmt.Errorf("backing up %s: %w", t, err)
		}
	}
	return nil
}

func (s *Snapshot) table(ctx context.Context, name string, w RowWriter) error {
	columns, err := columnsOf(ctx, s.conn, name)
	if err != nil {
		return err
	}
	for special := range rewritten[name] {
		if !slices.Contains(columns.names, special) {
			return fmt.Errorf("there is no column %s", special)
		}
	}
	if err := w.Table(name, columns.names); err != nil {
		return err
	}
	query := `SELECT ` + strings.Join(columns.expressions(rewritten[name]), `, `) + ` FROM ` + name
	if where := leftOut[name]; where != "" {
		query += ` WHERE ` + where
	}
	rows, err := s.conn.QueryContext(ctx, query)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		values, into := make([]any, len(columns.names)), make([]any, len(columns.names))
		for i := range into {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			return err
		}
		if err := columns.coerce(values); err != nil {
			return err
		}
		if err := w.Row(values); err != nil {
			return err
		}
	}
	return rows.Err()
}

// columns are those of a table.
type columns struct {
	names []string
	kinds []kind
}

// kind is what a column holds, whatever the database calls its type.
type kind int

const (
	number kind = iota
	characters
	bytes_
)

func columnsOf(ctx context.Context, q queryer, table string) (c columns, err error) {
	rows, err := q.QueryContext(ctx, `SELECT * FROM `+table+` LIMIT 0`)
	if err != nil {
		return c, err
	}
	defer rows.Close()
	types, err := rows.ColumnTypes()
	if err != nil {
		return c, err
	}
	for _, t := range types {
		k := number
		switch name := t.DatabaseTypeName(); {
		case strings.Contains(name, "BLOB"), strings.Contains(name, "BINARY"):
			k = bytes_
		case strings.Contains(name, "TEXT"), strings.Contains(name, "CHAR"):
			k = characters
		case !strings.Contains(name, "INT"):
			return c, fmt.Errorf("column %s is of the unknown type %s", t.Name(), name)
		}
		c.names, c.kinds = append(c.names, t.Name()), append(c.kinds, k)
	}
	return c, rows.Err()
}

// expressions are what to select for the columns.
func (c columns) expressions(instead map[string]string) []string {
	list := make([]string, len(c.names))
	for i, name := range c.names {
		if list[i] = name; instead[name] != "" {
			list[i] = instead[name]
		}
	}
	return list
}

// coerce makes the values be of the kinds of the columns: drivers and databases
// give text as bytes and bytes as text.
func (c columns) coerce(values []any) error {
	for i, v := range values {
		switch v := v.(type) {
		case []byte:
			switch {
			case c.kinds[i] != bytes_:
				values[i] = string(v)
			case v == nil: // SQLite's driver gives no bytes so; NULL is no slice
				values[i] = []byte{}
			}
		case string:
			if c.kinds[i] == bytes_ {
				values[i] = []byte(v)
			}
		case bool:
			values[i] = int64(0)
			if v {
				values[i] = int64(1)
			}
		}
		text, isText := values[i].(string)
		if c.kinds[i] != number || !isText {
			continue
		}
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return fmt.Errorf("column %s holds no number", c.names[i])
		}
		values[i] = n
	}
	return nil
}
