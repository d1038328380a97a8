package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/pfxconnector"
	"github.com/signet-mdm/signet/pfxconnector/escrow"
)

// Wrapped implements [opener.Wraps].
func (s PFX) Wrapped(ctx context.Context, key escrow.KeyID, after string, limit int) ([]escrow.Held, error) {
	list, err := all(ctx, s.db.read, func(row scanner) (escrow.Held, error) {
		w, err := scanWrap(row)
		return escrow.Held{Record: w.of, Wrap: w.Wrap}, err
	}, selectWrapped, key, after, limit)
	if err != nil {
		return nil, fmt.Errorf("reading wraps for %s: %w", key, err)
	}
	return list, nil
}

const selectWrapped = selectWrap + ` WHERE recipient = ? AND key_id > ? ORDER BY key_id LIMIT ?`

// Rewrapped implements [opener.Wraps].
func (s PFX) Rewrapped(ctx context.Context, old escrow.KeyID, list []escrow.Held, e journal.Entry) (n int, err error) {
	err = s.db.tx(ctx, func(tx *sql.Tx) error {
		n = 0
		for _, w := range list {
			met, err := changed(ctx, tx, `UPDATE escrow_wrap SET recipient = ?, enc = ?, sealed = ? WHERE key_id = ? AND recipient = ?`,
				w.Key, bytesOf(w.Enc), w.Sealed, w.Record, old)
			if err != nil {
				return fmt.Errorf("replacing a wrap: %w", err)
			}
			n += int(met)
		}
		if n == 0 { // another keeper did it, or the keys are gone
			return nil
		}
		for _, w := range list {
			if err := s.usable(ctx, tx, w.Wrap); err != nil {
				return err
			}
		}
		return record(ctx, tx, e)
	})
	return n, err
}

// usable refuses wraps for keys that were destroyed. It comes after they were
// stored: so does [PFX.EscrowDestroyed] look for them after it said that the key
// is, and one of the two sees the other.
func (s PFX) usable(ctx context.Context, tx *sql.Tx, wraps ...escrow.Wrap) error {
	for _, w := range wraps {
		gone, err := s.db.hold(ctx, tx, `escrow_destroyed WHERE recipient = ?`, w.Key)
		if err != nil {
			return err
		}
		if gone {
			return pfxconnector.ErrRecipient
		}
	}
	return nil
}

// EscrowDestroyed notes that an escrow key is to be destroyed: from then on
// nothing is sealed to it. It tells how many wraps for it are left, and does
// nothing when there are any. Again is no error.
func (s PFX) EscrowDestroyed(ctx context.Context, key escrow.KeyID, e journal.Entry) (left int, err error) {
	err = s.db.tx(ctx, func(tx *sql.Tx) error {
		left = 0
		known, err := s.db.hold(ctx, tx, `escrow_destroyed WHERE recipient = ?`, key)
		if err != nil || known {
			return err
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO escrow_destroyed (recipient, at) VALUES (?, ?)`, key, micros(e.At)); err != nil {
			return fmt.Errorf("noting a destroyed escrow key: %w", err)
		}
		if err := s.db.lock(ctx, tx, `escrow_wrap WHERE recipient = ?`, key); err != nil {
			return err
		}
		if err := tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM escrow_wrap WHERE recipient = ?`, key).Scan(&left); err != nil {
			return fmt.Errorf("counting wraps for %s: %w", key, err)
		}
		if left > 0 {
			return errLeft
		}
		return record(ctx, tx, e)
	})
	if errors.Is(err, errLeft) {
		err = nil
	}
	return left, err
}

// errLeft rolls back.
var errLeft = errors.New("wraps are left")

// Wraps counts the wraps for each key.
func (o Operations) Wraps(ctx context.Context) (map[escrow.KeyID]int, error) {
	byName := map[string]int{}
	if err := o.count(ctx, byName, `SELECT recipient, COUNT(*) FROM escrow_wrap GROUP BY recipient`); err != nil {
		return nil, fmt.Errorf("counting wraps: %w", err)
	}
	m := make(map[escrow.KeyID]int, len(byName))
	for name, n := range byName {
		m[escrow.KeyID(name)] = n
	}
	return m, nil
}
