package store

import (
	"context"
	"database/sql"
	"database/sql/driver"

	modernc "modernc.org/sqlite"
)

// maxPrepared bounds how many texts a connection keeps prepared. Those whose
// number of placeholders varies would fill it; what comes later is prepared
// each time.
const maxPrepared = 200

// openPrepared is sql.Open for SQLite whose connections keep statements
// prepared: preparing one takes longer than most of them run. Those of a writer
// are short and not interrupted: being ready to would take a goroutine each
// time.
func openPrepared(dsn string, writer bool) (*sql.DB, error) {
	c, err := modernc.NewConnector(dsn)
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(preparing{c, writer}), nil
}

type preparing struct {
	driver.Connector
	writer bool
}

// Connect implements [driver.Connector].
func (p preparing) Connect(ctx context.Context) (driver.Conn, error) {
	c, err := p.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return &prepared{conn: c.(conn), writer: p.writer, by: map[string]*statement{}}, nil
}

// conn is what SQLite's connections can do.
type conn interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.ExecerContext
	driver.QueryerContext
	driver.Pinger
	driver.SessionResetter
	driver.Validator
}

// prepared is a connection with its statements. Like every connection it is
// used by one goroutine at a time.
type prepared struct {
	conn
	writer bool
	by     map[string]*statement
}

// patient is ctx without its end, for a writer.
func (p *prepared) patient(ctx context.Context) context.Context {
	if p.writer {
		return context.WithoutCancel(ctx)
	}
	return ctx
}

// BeginTx implements [driver.ConnBeginTx].
func (p *prepared) BeginTx(ctx context.Context, o driver.TxOptions) (driver.Tx, error) {
	return p.conn.BeginTx(p.patient(ctx), o)
}

// What begins and ends each transaction of a writer.
const (
	begin  = `BEGIN IMMEDIATE`
	commit = `COMMIT`
)

type statement struct {
	driver.Stmt
	read bool // its rows are still being read
}

// ExecContext implements [driver.ExecerContext].
func (p *prepared) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	s, err := p.statement(ctx, query, args)
	switch {
	case err != nil:
		return nil, err
	case s == nil:
		return p.conn.ExecContext(ctx, query, args)
	}
	return s.Stmt.(driver.StmtExecContext).ExecContext(p.patient(ctx), args)
}

// QueryContext implements [driver.QueryerContext].
func (p *prepared) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	s, err := p.statement(ctx, query, args)
	switch {
	case err != nil:
		return nil, err
	case s == nil:
		return p.conn.QueryContext(ctx, query, args)
	}
	rows, err := s.Stmt.(driver.StmtQueryContext).QueryContext(p.patient(ctx), args)
	if err != nil {
		return nil, err
	}
	s.read = true
	return &reading{rows, s}, nil
}

// statement gives the prepared one; nil when there is none to use. Texts
// without placeholders are schemas, pragmas and what runs once, but for those
// that begin and end transactions.
func (p *prepared) statement(ctx context.Context, query string, args []driver.NamedValue) (*statement, error) {
	s := p.by[query]
	if s != nil && !s.read {
		return s, nil
	}
	if s != nil || len(args) == 0 && query != begin && query != commit || len(p.by) >= maxPrepared {
		return nil, nil
	}
	made, err := p.conn.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	s = &statement{Stmt: made}
	p.by[query] = s
	return s, nil
}

// Close implements [driver.Conn].
func (p *prepared) Close() error {
	for _, s := range p.by {
		s.Stmt.Close()
	}
	clear(p.by)
	return p.conn.Close()
}

// reading is rows of a prepared statement.
type reading struct {
	driver.Rows
	of *statement
}

// Close implements [driver.Rows].
func (r *reading) Close() error {
	r.of.read = false
	return r.Rows.Close()
}
