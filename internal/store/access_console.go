package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/signet-mdm/signet/internal/access"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/seal"
)

// ConsoleOpened implements [access.ConsoleStore].
func (s Access) ConsoleOpened(ctx context.Context, session access.ConsoleSession, hash seal.Hash, e journal.Entry) error {
	return s.db.tx(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `DELETE FROM console_session WHERE expires_at <= ?`, micros(session.Opened)); err != nil {
			return fmt.Errorf("forgetting old sessions: %w", err)
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO console_session (hash, token_id, opened_at, used_at, expires_at) VALUES (?, ?, ?, ?, ?)`,
			hash.String(), session.Token, micros(session.Opened), micros(session.Used), micros(session.Expires))
		if err != nil {
			return fmt.Errorf("inserting session: %w", err)
		}
		return record(ctx, tx, e)
	})
}

// Console implements [access.ConsoleStore].
func (s Access) Console(ctx context.Context, hash seal.Hash) (access.ConsoleSession, access.Token, error) {
	var session access.ConsoleSession
	var opened, used, expires int64
	row := s.db.read.QueryRowContext(ctx, `SELECT token_id, opened_at, used_at, expires_at FROM console_session WHERE hash = ?`, hash.String())
	err := row.Scan(&session.Token, &opened, &used, &expires)
	if errors.Is(err, sql.ErrNoRows) {
		return session, access.Token{}, access.ErrConsole
	}
	if err != nil {
		return session, access.Token{}, fmt.Errorf("reading session: %w", err)
	}
	session.Opened, session.Used, session.Expires = instant(opened), instant(used), instant(expires)
	token, err := scanToken(s.db.read.QueryRowContext(ctx, selectToken+` WHERE id = ?`+ofEnabled, session.Token))
	if errors.Is(err, sql.ErrNoRows) {
		return session, token, access.ErrConsole
	}
	if err != nil {
		return session, token, fmt.Errorf("reading token: %w", err)
	}
	return session, token, nil
}

// ConsoleUsed implements [access.ConsoleStore].
func (s Access) ConsoleUsed(ctx context.Context, hash seal.Hash, at time.Time) error {
	return s.db.tx(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE token SET used_at = ? WHERE used_at < ?
			AND id = (SELECT token_id FROM console_session WHERE hash = ?)`, micros(at), micros(at), hash.String())
		if err != nil {
			return fmt.Errorf("noting the use of the token: %w", err)
		}
		_, err = tx.ExecContext(ctx, `UPDATE console_session SET used_at = ? WHERE hash = ? AND used_at < ?`, micros(at), hash.String(), micros(at))
		return err
	})
}

// ConsoleClosed implements [access.ConsoleStore].
func (s Access) ConsoleClosed(ctx context.Context, hash seal.Hash, e journal.Entry) error {
	return s.db.tx(ctx, func(tx *sql.Tx) error {
		n, err := changed(ctx, tx, `DELETE FROM console_session WHERE hash = ?`, hash.String())
		if err != nil {
			return fmt.Errorf("ending session: %w", err)
		}
		if n == 0 {
			return access.ErrConsole
		}
		return record(ctx, tx, e)
	})
}
