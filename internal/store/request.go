package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/signet-mdm/signet/internal/access"
	"github.com/signet-mdm/signet/internal/seal"
)

// RequestClaimed implements [access.RequestStore].
func (s Access) RequestClaimed(ctx context.Context, hash seal.Hash, now, until time.Time) error {
	err := s.db.tx(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `DELETE FROM request_key WHERE expires_at <= ?`, micros(now)); err != nil {
			return fmt.Errorf("forgetting old requests: %w", err)
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO request_key (hash, expires_at) VALUES (?, ?)`, hash.String(), micros(until))
		return err
	})
	if s.db.dia.unique(err) {
		return access.ErrRequestRepeated
	}
	if err != nil {
		return fmt.Errorf("claiming a request: %w", err)
	}
	return nil
}

// RequestReleased implements [access.RequestStore].
func (s Access) RequestReleased(ctx context.Context, hash seal.Hash) error {
	return s.db.tx(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM request_key WHERE hash = ?`, hash.String())
		return err
	})
}
