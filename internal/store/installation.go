package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/fault"
)

// ErrOtherInstallation is returned for a database whose records belong to the
// keys of another data directory.
var ErrOtherInstallation = fault.New(fault.Conflict, "database_of_another",
	"The database holds another Signet than this data directory.", "Name its own database, or an empty one for a new Signet; no record was changed.")

// Owner gives the root CA of the installation whose database this is, zero
// for none.
func (db *DB) Owner(ctx context.Context) (cert.Fingerprint, error) {
	var owner string
	err := db.read.QueryRowContext(ctx, `SELECT root FROM installation WHERE id = 1`).Scan(&owner)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return cert.Fingerprint{}, fmt.Errorf("looking whose database it is: %w", err)
	}
	return parseFingerprint(owner)
}

// Claimed makes an unclaimed database the one of the installation with that
// root CA. It may be called again, and fails with [ErrOtherInstallation] once
// it belongs to another.
func (db *DB) Claimed(ctx context.Context, root cert.Fingerprint, at time.Time) error {
	return db.tx(ctx, func(tx *sql.Tx) error {
		var owner string
		err := tx.QueryRowContext(ctx, `SELECT root FROM installation WHERE id = 1`).Scan(&owner)
		if errors.Is(err, sql.ErrNoRows) {
			_, err = tx.ExecContext(ctx, `INSERT INTO installation (id, root, created_at) VALUES (1, ?, ?)`, fingerprint(root), micros(at))
			owner = fingerprint(root)
		}
		if err != nil {
			return fmt.Errorf("looking whose database it is: %w", err)
		}
		if owner != fingerprint(root) {
			return ErrOtherInstallation
		}
		return nil
	})
}
