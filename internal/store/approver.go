package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/signet-mdm/signet/internal/access"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/seal"
)

// ApproverAppointed implements [access.ApproverStore].
func (s Access) ApproverAppointed(ctx context.Context, a access.Appointee, first int, b access.Backing, e journal.Entry) error {
	return s.db.tx(ctx, func(tx *sql.Tx) error {
		if err := s.backed(ctx, tx, first, b, e); err != nil {
			return err
		}
		n, err := changed(ctx, tx, `DELETE FROM approver WHERE user_id = ? AND removed_at = 0`, a.User)
		if err != nil {
			return fmt.Errorf("looking for the approver: %w", err)
		}
		if n > 0 {
			return access.ErrApproverAlready // and nothing is deleted
		}
		if _, err := tx.ExecContext(ctx, `DELETE FROM approver WHERE user_id = ?`, a.User); err != nil {
			return fmt.Errorf("forgetting an earlier appointment: %w", err)
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO approver (user_id, address, appointed_at, removed_at, mark) VALUES (?, ?, ?, 0, ?)`,
			a.User, a.Address, micros(a.Appointed), a.Mark)
		if err != nil {
			return fmt.Errorf("inserting approver: %w", err)
		}
		return record(ctx, tx, e)
	})
}

// backed uses up the consent, or finds that there are too few to ask.
func (s Access) backed(ctx context.Context, tx *sql.Tx, first int, b access.Backing, e journal.Entry) error {
	if b.ID != "" {
		return consent(ctx, tx, b.ID, b.Digest, e.At)
	}
	n := 0
	if err := tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM approver WHERE removed_at = 0`).Scan(&n); err != nil {
		return fmt.Errorf("counting approvers: %w", err)
	}
	if n >= first {
		return access.ErrApproverConsent
	}
	return nil
}

// ApproverRemoved implements [access.ApproverStore].
func (s Access) ApproverRemoved(ctx context.Context, user string, b access.Backing, e journal.Entry) error {
	return s.db.tx(ctx, func(tx *sql.Tx) error {
		if err := consent(ctx, tx, b.ID, b.Digest, e.At); err != nil {
			return err
		}
		n, err := changed(ctx, tx, `UPDATE approver SET removed_at = ? WHERE user_id = ? AND removed_at = 0`, micros(e.At), user)
		if err != nil {
			return fmt.Errorf("removing approver: %w", err)
		}
		if n == 0 {
			return access.ErrApproverUnknown
		}
		if err := endCredentials(ctx, tx, user, e); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `DELETE FROM approver_link WHERE user_id = ?`, user); err != nil {
			return fmt.Errorf("forgetting links: %w", err)
		}
		return record(ctx, tx, e)
	})
}

// endCredentials revokes what an approver signs in with.
func endCredentials(ctx context.Context, tx *sql.Tx, user string, e journal.Entry) error {
	_, err := tx.ExecContext(ctx, `UPDATE token SET revoked_at = ? WHERE user_id = ? AND role = ? AND revoked_at = 0`, micros(e.At), user, access.Approver)
	if err != nil {
		return fmt.Errorf("revoking tokens of approver %s: %w", user, err)
	}
	return nil
}

// Approvers implements [access.ApproverStore].
func (s Access) Approvers(ctx context.Context) ([]access.Appointee, error) {
	scan := func(row scanner) (a access.Appointee, err error) {
		var at int64
		err = row.Scan(&a.User, &a.Address, &at, &a.Mark)
		a.Appointed = instant(at)
		return a, err
	}
	list, err := all(ctx, s.db.read, scan, `SELECT user_id, address, appointed_at, mark FROM approver WHERE removed_at = 0 ORDER BY appointed_at, user_id`)
	if err != nil {
		return nil, fmt.Errorf("listing approvers: %w", err)
	}
	return list, nil
}

// ApproverLinkMade implements [access.ApproverStore].
func (s Access) ApproverLinkMade(ctx context.Context, l access.ApproverLink, hash seal.Hash, e journal.Entry) error {
	return s.db.tx(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `DELETE FROM approver_link WHERE user_id = ?`, l.User); err != nil {
			return fmt.Errorf("forgetting links: %w", err)
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO approver_link (hash, user_id, expires_at, used_at, mark) VALUES (?, ?, ?, 0, ?)`,
			hash.String(), l.User, micros(l.Expires), l.Mark)
		if err != nil {
			return fmt.Errorf("inserting link: %w", err)
		}
		return record(ctx, tx, e)
	})
}

// ApproverLink implements [access.ApproverStore].
func (s Access) ApproverLink(ctx context.Context, hash seal.Hash) (l access.ApproverLink, err error) {
	var expires, used int64
	err = s.db.read.QueryRowContext(ctx, `SELECT user_id, expires_at, used_at, mark FROM approver_link WHERE hash = ?`, hash.String()).
		Scan(&l.User, &expires, &used, &l.Mark)
	if errors.Is(err, sql.ErrNoRows) {
		return l, access.ErrApproverLink
	}
	if err != nil {
		return l, fmt.Errorf("reading an approver's link: %w", err)
	}
	l.Expires, l.Used = instant(expires), instant(used)
	return l, nil
}

// CredentialMade implements [access.ApproverStore].
func (s Access) CredentialMade(ctx context.Context, link seal.Hash, c access.Credential, e journal.Entry) error {
	return s.db.tx(ctx, func(tx *sql.Tx) error {
		n, err := changed(ctx, tx, `UPDATE approver_link SET used_at = ? WHERE hash = ? AND user_id = ? AND used_at = 0 AND expires_at > ?`,
			micros(e.At), link.String(), c.User, micros(e.At))
		if err != nil {
			return fmt.Errorf("using an approver's link: %w", err)
		}
		if n == 0 {
			return access.ErrApproverLink
		}
		if err := endCredentials(ctx, tx, c.User, e); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO token (id, hash, name, role, user_id, created_at, expires_at, used_at, revoked_at, made_by, mark)
			VALUES (?, ?, ?, ?, ?, ?, ?, 0, 0, '', ?)`,
			c.ID, c.Hash.String(), c.Name, c.Role, c.User, micros(c.Created), micros(c.Expires), c.Mark)
		if err != nil {
			return fmt.Errorf("inserting token: %w", err)
		}
		return record(ctx, tx, e)
	})
}

// Credential implements [access.ApproverStore].
func (s Access) Credential(ctx context.Context, token string) (c access.Credential, err error) {
	if c.Token, err = s.TokenByID(ctx, token); err != nil {
		return c, err
	}
	var hash string
	err = s.db.read.QueryRowContext(ctx, `SELECT hash, mark FROM token WHERE id = ?`, token).Scan(&hash, &c.Mark)
	if err != nil {
		return c, fmt.Errorf("reading the mark of token %s: %w", token, err)
	}
	c.Hash, err = parseHash(hash)
	return c, err
}
