package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/pfxconnector"
	"github.com/signet-mdm/signet/pfxconnector/escrow"
)

// there tells whether what arrives is stored already.
func (s PFX) there(ctx context.Context, tx *sql.Tx, a pfxconnector.Arrival) (bool, error) {
	if a.Quarantine != nil {
		return s.db.hold(ctx, tx, `quarantine WHERE certificate = ?`, fingerprint(a.Key.Cert))
	}
	id, err := escrowID(ctx, tx, a.Key.User, a.Key.Cert)
	return id != "", err
}

func insertQuarantine(ctx context.Context, tx *sql.Tx, q *pfxconnector.Quarantine) error {
	if q == nil {
		return nil
	}
	named, err := json.Marshal(append([]subject.UserID{}, q.Named...))
	if err != nil {
		return fmt.Errorf("encoding users: %w", err)
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO quarantine (id, certificate, why, named, file, assign_to, fresh, actor_kind, actor_id, remote, lease_until, failure)
		VALUES (?, ?, ?, ?, ?, '', 0, '', '', '', 0, '')`, q.ID, fingerprint(q.Certificate.Fingerprint), q.Why, string(named), q.File)
	if err != nil {
		return fmt.Errorf("inserting into the quarantine: %w", err)
	}
	return nil
}

const selectQuarantine = `SELECT q.id, q.why, q.named, q.file, q.assign_to, q.failure, k.created_by, ` + quarantinedCertificate + `
	FROM quarantine q JOIN escrow_key k ON k.user_id = q.id JOIN certificate c ON c.fingerprint = q.certificate AND c.user_id = q.id`

// quarantinedCertificate is certificateColumns of c.
const quarantinedCertificate = `c.fingerprint, c.user_id, c.device_id, c.spki, c.source, c.use_, c.profile, c.serial, c.subject, c.issuer,
	c.addresses, c.not_before, c.not_after, c.der, c.chain, c.deliverable, c.pinned, c.created_at, c.revoked_at, c.reason`

// ahead reads some columns before those that another reader knows.
type ahead struct {
	scanner
	first []any
}

// Scan implements scanner.
func (a ahead) Scan(dest ...any) error { return a.scanner.Scan(append(a.first, dest...)...) }

func scanQuarantine(row scanner) (q pfxconnector.Quarantine, err error) {
	var named string
	q.Certificate, err = scanCertificate(ahead{row, []any{&q.ID, &q.Why, &named, &q.File, &q.To, &q.Failure, &q.By}})
	if err != nil {
		return q, err
	}
	return q, json.Unmarshal([]byte(named), &q.Named)
}

// InQuarantine implements [pfxconnector.Store].
func (s PFX) InQuarantine(ctx context.Context, after string, limit int) ([]pfxconnector.Quarantine, error) {
	return all(ctx, s.db.read, scanQuarantine, selectQuarantine+` WHERE q.id > ? ORDER BY q.id LIMIT ?`, after, limit)
}

// Quarantine implements [pfxconnector.Store].
func (s PFX) Quarantine(ctx context.Context, id subject.UserID) (pfxconnector.Quarantine, error) {
	q, err := scanQuarantine(s.db.read.QueryRowContext(ctx, selectQuarantine+` WHERE q.id = ?`, id))
	if errors.Is(err, sql.ErrNoRows) {
		return q, pfxconnector.ErrQuarantineUnknown
	}
	return q, err
}

// AssignmentAsked implements [pfxconnector.Store].
func (s PFX) AssignmentAsked(ctx context.Context, a escrow.Assignment, e journal.Entry) error {
	id, to := a.From, a.To
	return s.db.tx(ctx, func(tx *sql.Tx) error {
		if there, err := s.db.hold(ctx, tx, `quarantine WHERE id = ?`, id); err != nil {
			return err
		} else if !there {
			return pfxconnector.ErrQuarantineUnknown
		}
		if a.Fresh {
			if err := s.fresh(ctx, tx, id, to); err != nil {
				return err
			}
		}
		_, err := tx.ExecContext(ctx, `UPDATE quarantine SET assign_to = ?, fresh = ?, actor_kind = ?, actor_id = ?, remote = ?, assigned_at = ?, mark = ?,
			lease_until = 0, failure = '' WHERE id = ?`, to, a.Fresh, a.By.Kind, a.By.ID, a.By.Remote, micros(a.At), a.Mark, id)
		if err != nil {
			return fmt.Errorf("noting an assignment: %w", err)
		}
		return record(ctx, tx, e)
	})
}

// fresh refuses a user who has a device, or another primary address than the
// certificate names.
func (s PFX) fresh(ctx context.Context, tx *sql.Tx, id, to subject.UserID) error {
	if err := s.db.lock(ctx, tx, `users WHERE id = ?`, to); err != nil {
		return err
	}
	u, err := userNow(ctx, tx, to)
	if err != nil {
		return err
	}
	q, err := scanQuarantine(tx.QueryRowContext(ctx, selectQuarantine+` WHERE q.id = ?`, id))
	if err != nil {
		return fmt.Errorf("reading the quarantine: %w", err)
	}
	var devices int
	if err := tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM device WHERE user_id = ? AND state <> 'removed'`, to).Scan(&devices); err != nil {
		return fmt.Errorf("counting devices: %w", err)
	}
	for _, address := range q.Certificate.Addresses {
		if address == u.Mail && devices == 0 {
			return nil
		}
	}
	return pfxconnector.ErrAssign
}

// KeyDiscarded implements [pfxconnector.Store].
func (s PFX) KeyDiscarded(ctx context.Context, id subject.UserID, e journal.Entry) error {
	return s.db.tx(ctx, func(tx *sql.Tx) error {
		there, err := s.db.hold(ctx, tx, `quarantine WHERE id = ?`, id)
		switch {
		case err != nil:
			return err
		case !there:
			return pfxconnector.ErrQuarantineUnknown
		}
		if err := s.shredQuarantine(ctx, tx, id); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `DELETE FROM certificate WHERE user_id = ?`, id); err != nil {
			return fmt.Errorf("deleting a certificate in quarantine: %w", err)
		}
		return record(ctx, tx, e)
	})
}

// shredQuarantine deletes a key with its place, and leaves the certificate.
func (s PFX) shredQuarantine(ctx context.Context, tx *sql.Tx, id subject.UserID) error {
	keys, err := all(ctx, tx, column[string], `SELECT id FROM escrow_key WHERE user_id = ?`, id)
	if err != nil {
		return fmt.Errorf("looking for a key in quarantine: %w", err)
	}
	for _, key := range keys {
		if err := shredWraps(ctx, tx, `key_id = ?`, key); err != nil {
			return err
		}
	}
	for _, statement := range []string{`DELETE FROM escrow_unchecked WHERE key_id IN (SELECT id FROM escrow_key WHERE user_id = ?)`, `DELETE FROM escrow_key WHERE user_id = ?`, `DELETE FROM quarantine WHERE id = ?`} {
		if _, err := tx.ExecContext(ctx, statement, id); err != nil {
			return fmt.Errorf("deleting a key in quarantine: %w", err)
		}
	}
	return nil
}

// QuarantinedDeposit gives the sealed key of a place with its certificate, and
// whether there is one.
func (s PFX) QuarantinedDeposit(ctx context.Context, id subject.UserID) (escrow.Deposit, bool, error) {
	list, err := s.deposits(ctx, ` WHERE user_id = ?`, []any{id})
	if err != nil || len(list) != 1 {
		return escrow.Deposit{}, false, err
	}
	return list[0], true, nil
}
