package store

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"

	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/pfxconnector/escrow"
)

// offline is true of wraps for recovery keys.
const offline = `recipient LIKE 'age:%'`

const selectUnrecoverable = `SELECT id FROM escrow_key k WHERE id > ?
	AND (NOT EXISTS (SELECT 1 FROM escrow_wrap w WHERE w.key_id = k.id AND w.recipient = ?)
	OR EXISTS (SELECT 1 FROM escrow_wrap w WHERE w.key_id = k.id AND w.recipient <> ? AND w.` + offline + `))
	ORDER BY id LIMIT ?`

// Unrecoverable implements [opener.Recoveries].
func (s PFX) Unrecoverable(ctx context.Context, to escrow.KeyID, after string, limit int) ([]escrow.Deposit, error) {
	ids, err := all(ctx, s.db.read, column[string], selectUnrecoverable, after, to, to, limit)
	if err != nil {
		return nil, fmt.Errorf("looking for records without %s: %w", to, err)
	}
	if len(ids) == 0 {
		return nil, nil
	}
	list, err := s.deposits(ctx, ` WHERE id IN (`+marks(len(ids))+`)`, args(ids))
	if err != nil {
		return nil, fmt.Errorf("reading records without %s: %w", to, err)
	}
	slices.SortFunc(list, func(a, b escrow.Deposit) int { return cmp.Compare(a.Key.ID, b.Key.ID) })
	return list, nil
}

// RecoveryReplaced implements [opener.Recoveries].
func (s PFX) RecoveryReplaced(ctx context.Context, list []escrow.Held, e journal.Entry) (n int, err error) {
	err = s.db.tx(ctx, func(tx *sql.Tx) error {
		n = 0
		for _, w := range list {
			there, err := s.db.hold(ctx, tx, `escrow_key WHERE id = ?`, w.Record)
			if err != nil {
				return err
			}
			if !there {
				continue
			}
			if err := shredWraps(ctx, tx, `key_id = ? AND `+offline, w.Record); err != nil {
				return err
			}
			if err := insertWrap(ctx, tx, w); err != nil {
				return err
			}
			n++
		}
		if n == 0 {
			return nil
		}
		return record(ctx, tx, e)
	})
	return n, err
}

func insertWrap(ctx context.Context, tx *sql.Tx, w escrow.Held) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO escrow_wrap (key_id, recipient, enc, sealed) VALUES (?, ?, ?, ?)`,
		w.Record, w.Key, bytesOf(w.Enc), w.Sealed)
	if err != nil {
		return fmt.Errorf("inserting wrap: %w", err)
	}
	return nil
}
