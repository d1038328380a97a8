package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/signet-mdm/signet/internal/audit"
)

// Audit is the facet of the chain over the journal.
type Audit struct{ db *DB }

var (
	_ audit.Store = Audit{}
	_ audit.Book  = Audit{}
)

// Audit gives the facet.
func (db *DB) Audit() Audit { return Audit{db} }

// Audit gives the facet for looking.
func (i Inspection) Audit() Audit { return Audit{i.db} }

const selectBlock = `SELECT seq, at, entries, previous, hash, mark FROM audit_block`

func scanBlock(row scanner) (b audit.Block, err error) {
	err = row.Scan(&b.Seq, &b.At, &b.Entries, &b.Previous, &b.Hash, &b.Mark)
	return b, err
}

// Last implements [audit.Store].
func (a Audit) Last(ctx context.Context) (audit.Block, error) {
	b, err := scanBlock(a.db.read.QueryRowContext(ctx, selectBlock+` ORDER BY seq DESC LIMIT 1`))
	if errors.Is(err, sql.ErrNoRows) {
		return audit.Block{}, nil
	}
	if err != nil {
		return b, fmt.Errorf("reading the newest block of the audit chain: %w", err)
	}
	return b, nil
}

// Of the journal: what a line says, and that it is in no block.
const (
	lineOf  = `j.id, j.at, j.actor_kind, j.actor_id, j.remote, j.action, j.user_id, j.device_id, j.certificate, j.detail`
	inNone  = `NOT EXISTS (SELECT 1 FROM audit_link l WHERE l.entry = j.id)`
	waiting = `SELECT ` + lineOf + ` FROM journal j WHERE j.at >= ? AND ` + inNone + ` ORDER BY j.at, j.id LIMIT ?`
)

func scanRow(row scanner) (r audit.Row, err error) {
	err = row.Scan(&r.ID, &r.At, &r.ActorKind, &r.Actor, &r.Remote, &r.Action, &r.User, &r.Device, &r.Cert, &r.Detail)
	return r, err
}

// Unchained implements [audit.Store].
func (a Audit) Unchained(ctx context.Context, from time.Time, limit int) ([]audit.Row, error) {
	list, err := all(ctx, a.db.read, scanRow, waiting, micros(from), limit)
	if err != nil {
		return nil, fmt.Errorf("looking for entries without a block: %w", err)
	}
	return list, nil
}

// Chained implements [audit.Store].
func (a Audit) Chained(ctx context.Context, b audit.Block, links []audit.Link) error {
	return a.db.tx(ctx, func(tx *sql.Tx) error {
		var last int64
		if err := tx.QueryRowContext(ctx, `SELECT COALESCE(MAX(seq), 0) FROM audit_block`).Scan(&last); err != nil {
			return fmt.Errorf("reading the newest block of the audit chain: %w", err)
		}
		if last != b.Seq-1 {
			return audit.ErrOvertaken
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO audit_block (seq, at, entries, previous, hash, mark) VALUES (?, ?, ?, ?, ?, ?)`,
			b.Seq, b.At, b.Entries, b.Previous, b.Hash, b.Mark)
		if err != nil {
			return fmt.Errorf("inserting audit block: %w", err)
		}
		return link(ctx, tx, links)
	})
}

// link inserts many rows with few statements.
func link(ctx context.Context, tx statements, links []audit.Link) error {
	for part := range slices.Chunk(links, inChunk) {
		values := make([]any, 0, 4*len(part))
		for _, l := range part {
			values = append(values, l.Block, l.N, l.Entry, l.Digest)
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO audit_link (block, n, entry, digest) VALUES (?, ?, ?, ?)`+
			strings.Repeat(`, (?, ?, ?, ?)`, len(part)-1), values...)
		if err != nil {
			return fmt.Errorf("inserting audit links: %w", err)
		}
	}
	return nil
}

// Blocks implements [audit.Book].
func (a Audit) Blocks(ctx context.Context, from int64, limit int) ([]audit.Block, error) {
	list, err := all(ctx, a.db.read, scanBlock, selectBlock+` WHERE seq >= ? ORDER BY seq LIMIT ?`, from, limit)
	if err != nil {
		return nil, fmt.Errorf("reading audit blocks: %w", err)
	}
	return list, nil
}

const selectLinks = `SELECT l.block, l.n, l.entry, l.digest, ` + lineOf + ` FROM audit_link l LEFT JOIN journal j ON j.id = l.entry
	WHERE l.block >= ? AND l.block <= ? ORDER BY l.block, l.n`

// Links implements [audit.Book].
func (a Audit) Links(ctx context.Context, from, to int64, each func(audit.Link) error) error {
	rows, err := a.db.read.QueryContext(ctx, selectLinks, from, to)
	if err != nil {
		return fmt.Errorf("reading audit links: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		l, err := scanLink(rows)
		if err != nil {
			return fmt.Errorf("reading audit links: %w", err)
		}
		if err := each(l); err != nil {
			return err
		}
	}
	return explain(rows.Err())
}

func scanLink(row scanner) (l audit.Link, err error) {
	var text [9]sql.NullString
	var at sql.NullString // SQLite lets anything be in a column
	err = row.Scan(&l.Block, &l.N, &l.Entry, &l.Digest, &text[0], &at, &text[1], &text[2], &text[3], &text[4], &text[5], &text[6], &text[7], &text[8])
	if err == nil && text[0].Valid {
		when, failed := strconv.ParseInt(at.String, 10, 64)
		if failed != nil {
			when = -1
		}
		l.Row = &audit.Row{ID: text[0].String, At: when, ActorKind: text[1].String, Actor: text[2].String, Remote: text[3].String,
			Action: text[4].String, User: text[5].String, Device: text[6].String, Cert: text[7].String, Detail: text[8].String}
	}
	return l, err
}

// Waiting implements [audit.Book].
func (a Audit) Waiting(ctx context.Context) (n int, oldest time.Time, err error) {
	var at int64
	err = a.db.read.QueryRowContext(ctx, `SELECT COUNT(*), COALESCE(MIN(j.at), 0) FROM journal j WHERE `+inNone).Scan(&n, &at)
	if err != nil {
		return 0, time.Time{}, fmt.Errorf("counting entries without a block: %w", err)
	}
	return n, instant(at), nil
}

// Strays implements [audit.Book].
func (a Audit) Strays(ctx context.Context) (n int, entry string, err error) {
	err = a.db.read.QueryRowContext(ctx, `SELECT COUNT(*), COALESCE(MIN(l.entry), '') FROM audit_link l
		WHERE NOT EXISTS (SELECT 1 FROM audit_block b WHERE b.seq = l.block)`).Scan(&n, &entry)
	if err != nil {
		return 0, "", fmt.Errorf("counting links without a block: %w", err)
	}
	return n, entry, nil
}
