package store

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/pfxconnector"
)

// PurposeChanged implements [pfxconnector.Store].
func (s PFX) PurposeChanged(ctx context.Context, id subject.UserID, f cert.Fingerprint, use cert.Use, e journal.Entry) error {
	return s.db.tx(ctx, func(tx *sql.Tx) error {
		n, err := changed(ctx, tx, `UPDATE certificate SET use_ = ? WHERE fingerprint = ? AND user_id = ? AND source = ?`,
			use.String(), fingerprint(f), id, cert.Imported)
		switch {
		case err != nil:
			return fmt.Errorf("changing the purpose of a certificate: %w", err)
		case n == 0:
			return pfxconnector.ErrKeyUnknown
		}
		return record(ctx, tx, e)
	})
}

// KeyPinned implements [pfxconnector.Store].
func (s PFX) KeyPinned(ctx context.Context, id subject.UserID, f cert.Fingerprint, e journal.Entry) error {
	return s.db.tx(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `UPDATE certificate SET pinned = 0 WHERE user_id = ? AND pinned = 1`, id); err != nil {
			return fmt.Errorf("unpinning certificates: %w", err)
		}
		if f.IsZero() {
			return record(ctx, tx, e)
		}
		n, err := changed(ctx, tx, `UPDATE certificate SET pinned = 1 WHERE fingerprint = ? AND user_id = ? AND `+inEscrow, fingerprint(f), id)
		switch {
		case err != nil:
			return fmt.Errorf("pinning a certificate: %w", err)
		case n == 0:
			return pfxconnector.ErrKeyUnknown
		}
		return record(ctx, tx, e)
	})
}
