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
	"github.com/signet-mdm/signet/internal/subject"
)

// Access is the facet of API tokens, sessions and links.
type Access struct{ db *DB }

// Access gives the facet.
func (db *DB) Access() Access { return Access{db} }

var _ access.Store = Access{}

// TokenCreated implements [access.TokenStore].
func (s Access) TokenCreated(ctx context.Context, t access.Token, hash seal.Hash, e journal.Entry) error {
	return s.db.tx(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO token (id, hash, name, role, user_id, created_at, expires_at, used_at, revoked_at, made_by)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			t.ID, hash.String(), t.Name, t.Role, t.User, micros(t.Created), micros(t.Expires), micros(t.Used), micros(t.Revoked), maker(e.Actor))
		if err != nil {
			return fmt.Errorf("inserting token: %w", err)
		}
		return record(ctx, tx, e)
	})
}

// maker is the token by which something was made; empty when it was none.
func maker(by journal.Actor) string {
	if by.Kind != journal.Admin {
		return ""
	}
	return by.ID
}

const selectToken = `SELECT id, name, role, user_id, created_at, expires_at, used_at, revoked_at FROM token`

// ofEnabled leaves out the tokens of users who are disabled.
const ofEnabled = ` AND NOT EXISTS (SELECT 1 FROM users WHERE users.id = token.user_id AND users.disabled <> 0)`

func scanToken(row scanner) (access.Token, error) {
	var t access.Token
	var created, expires, used, revoked int64
	err := row.Scan(&t.ID, &t.Name, &t.Role, &t.User, &created, &expires, &used, &revoked)
	t.Created, t.Expires, t.Used, t.Revoked = instant(created), instant(expires), instant(used), instant(revoked)
	return t, err
}

// Token implements [access.TokenStore].
func (s Access) Token(ctx context.Context, hash seal.Hash) (access.Token, error) {
	return s.token(ctx, ` WHERE hash = ?`, hash.String())
}

// TokenByID implements [access.TokenStore].
func (s Access) TokenByID(ctx context.Context, id string) (access.Token, error) {
	return s.token(ctx, ` WHERE id = ?`, id)
}

func (s Access) token(ctx context.Context, where, key string) (access.Token, error) {
	t, err := scanToken(s.db.read.QueryRowContext(ctx, selectToken+where+ofEnabled, key))
	if errors.Is(err, sql.ErrNoRows) {
		return t, access.ErrTokenUnknown
	}
	if err != nil {
		return t, fmt.Errorf("reading token: %w", err)
	}
	return t, nil
}

// Tokens implements [access.TokenStore].
func (s Access) Tokens(ctx context.Context, before time.Time, id string, limit int) ([]access.Token, error) {
	query, values := tokenPage(before, id, limit)
	list, err := all(ctx, s.db.read, scanToken, query, values...)
	if err != nil {
		return nil, fmt.Errorf("listing tokens: %w", err)
	}
	return list, nil
}

func tokenPage(before time.Time, id string, limit int) (query string, values []any) {
	follows, at := after("created_at", "id", before, id)
	return selectToken + ` WHERE 1 = 1` + follows + ` ORDER BY created_at DESC, id DESC LIMIT ?`, append(at, limit)
}

// TokenUsed implements [access.TokenStore].
func (s Access) TokenUsed(ctx context.Context, id string, at time.Time) error {
	return s.db.tx(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE token SET used_at = ? WHERE id = ? AND used_at < ?`, micros(at), id, micros(at))
		return err
	})
}

// TokenRevoked implements [access.TokenStore].
func (s Access) TokenRevoked(ctx context.Context, id string, e journal.Entry) error {
	return s.db.tx(ctx, func(tx *sql.Tx) error {
		n, err := changed(ctx, tx, `UPDATE token SET revoked_at = ? WHERE id = ? AND revoked_at = 0`, micros(e.At), id)
		if err != nil {
			return fmt.Errorf("revoking token: %w", err)
		}
		if n == 0 {
			return access.ErrTokenUnknown
		}
		return record(ctx, tx, e)
	})
}

// SessionOpened implements [access.PageStore].
func (s Access) SessionOpened(ctx context.Context, session access.Session, hash seal.Hash) error {
	return s.db.tx(ctx, func(tx *sql.Tx) error { return openSession(ctx, tx, session, hash) })
}

func openSession(ctx context.Context, tx *sql.Tx, s access.Session, hash seal.Hash) error {
	if _, err := tx.ExecContext(ctx, `DELETE FROM session WHERE expires_at <= ?`, micros(s.Opened)); err != nil {
		return fmt.Errorf("forgetting old sessions: %w", err)
	}
	_, err := tx.ExecContext(ctx, `INSERT INTO session (hash, role, user_id, device_id, opened_at, expires_at)
		VALUES (?, ?, ?, ?, ?, ?)`, hash.String(), s.Role, s.User, s.Device, micros(s.Opened), micros(s.Expires))
	if err != nil {
		return fmt.Errorf("inserting session: %w", err)
	}
	return nil
}

// Session implements [access.PageStore].
func (s Access) Session(ctx context.Context, hash seal.Hash) (access.Session, error) {
	var session access.Session
	var opened, expires int64
	err := s.db.read.QueryRowContext(ctx, `SELECT role, user_id, device_id, opened_at, expires_at FROM session
		WHERE hash = ? AND NOT EXISTS (SELECT 1 FROM users WHERE users.id = session.user_id AND users.disabled <> 0)
		AND NOT EXISTS (SELECT 1 FROM device WHERE device.id = session.device_id AND device.state = 'removed')`,
		hash.String()).Scan(&session.Role, &session.User, &session.Device, &opened, &expires)
	if errors.Is(err, sql.ErrNoRows) {
		return session, access.ErrSession
	}
	if err != nil {
		return session, fmt.Errorf("reading session: %w", err)
	}
	session.Opened, session.Expires = instant(opened), instant(expires)
	return session, nil
}

// LinkMade implements [access.PageStore].
func (s Access) LinkMade(ctx context.Context, l access.Link, hash seal.Hash) error {
	return s.db.tx(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `DELETE FROM link WHERE expires_at <= ?`, micros(l.Made)); err != nil {
			return fmt.Errorf("forgetting old links: %w", err)
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO link (hash, user_id, expires_at, used_at) VALUES (?, ?, ?, 0)`,
			hash.String(), l.User, micros(l.Expires))
		return err
	})
}

// PagesEnded implements [access.PageStore].
func (s Access) PagesEnded(ctx context.Context, user string, keep seal.Hash, e journal.Entry) error {
	return s.db.tx(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `DELETE FROM session WHERE user_id = ? AND hash <> ?`, user, keep.String()); err != nil {
			return fmt.Errorf("ending sessions: %w", err)
		}
		if _, err := tx.ExecContext(ctx, `DELETE FROM link WHERE user_id = ?`, user); err != nil {
			return fmt.Errorf("forgetting links: %w", err)
		}
		e.User = subject.UserID(user)
		return record(ctx, tx, e)
	})
}

// PagesTidied implements [access.PageStore].
func (s Access) PagesTidied(ctx context.Context, now time.Time) (n int, err error) {
	err = s.db.tx(ctx, func(tx *sql.Tx) error {
		n = 0 // f may run again
		for _, table := range []string{"session", "console_session", "link", "key_export", "approver_link"} {
			gone, err := changed(ctx, tx, `DELETE FROM `+table+` WHERE expires_at <= ?`, micros(now))
			if err != nil {
				return fmt.Errorf("forgetting what has expired: %w", err)
			}
			n += int(gone)
		}
		return nil
	})
	return n, err
}

// LinkOpened implements [access.PageStore].
func (s Access) LinkOpened(ctx context.Context, link seal.Hash, session access.Session, hash seal.Hash, e journal.Entry) error {
	return s.db.tx(ctx, func(tx *sql.Tx) error {
		n, err := changed(ctx, tx, `UPDATE link SET used_at = ? WHERE hash = ? AND used_at = 0 AND expires_at > ?`,
			micros(e.At), link.String(), micros(e.At))
		if err != nil {
			return fmt.Errorf("using link: %w", err)
		}
		if n == 0 {
			return access.ErrSession
		}
		if err := tx.QueryRowContext(ctx, `SELECT user_id FROM link WHERE hash = ?`, link.String()).Scan(&session.User); err != nil {
			return fmt.Errorf("reading link: %w", err)
		}
		if err := openSession(ctx, tx, session, hash); err != nil {
			return err
		}
		e.User, e.Actor.ID = subject.UserID(session.User), session.User
		return record(ctx, tx, e)
	})
}
