package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/signet-mdm/signet/internal/access"
	"github.com/signet-mdm/signet/internal/journal"
)

// Recovery is the facet of exported keys, which are sealed to their recipients.
type Recovery struct{ db *DB }

// Recovery gives the facet.
func (db *DB) Recovery() Recovery { return Recovery{db} }

// ExportSealed stores the file of a consent until then, and forgets those whose
// time is over.
func (s Recovery) ExportSealed(ctx context.Context, id string, file []byte, until time.Time, e journal.Entry) error {
	return s.db.tx(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `DELETE FROM key_export WHERE expires_at <= ?`, micros(e.At)); err != nil {
			return fmt.Errorf("forgetting exports: %w", err)
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO key_export (consent_id, file, expires_at) VALUES (?, ?, ?)`, id, file, micros(until))
		if err != nil {
			return fmt.Errorf("inserting export: %w", err)
		}
		return record(ctx, tx, e)
	})
}

// ExportTaken gives the file of a consent: access.ErrConsentOver when there is
// none at the time of e.
func (s Recovery) ExportTaken(ctx context.Context, id string, e journal.Entry) (file []byte, err error) {
	err = s.db.tx(ctx, func(tx *sql.Tx) error {
		err := tx.QueryRowContext(ctx, `SELECT file FROM key_export WHERE consent_id = ? AND expires_at > ?`, id, micros(e.At)).Scan(&file)
		if errors.Is(err, sql.ErrNoRows) {
			return access.ErrConsentOver
		}
		if err != nil {
			return fmt.Errorf("reading export: %w", err)
		}
		return record(ctx, tx, e)
	})
	return file, err
}
