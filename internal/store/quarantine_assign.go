package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/pfxconnector"
	"github.com/signet-mdm/signet/pfxconnector/escrow"
)

// AssignmentLeased hands out one assignment that nobody else has, and whether
// there is one. Nobody else gets it until then. Whether somebody decided on it is
// to be seen by its mark.
func (s PFX) AssignmentLeased(ctx context.Context, now, until time.Time) (a escrow.Assignment, found bool, err error) {
	const free = ` FROM quarantine WHERE assign_to <> '' AND lease_until <= ?`
	if idle, err := s.db.none(ctx, `SELECT EXISTS (SELECT 1`+free+`)`, micros(now)); err != nil || idle {
		return a, false, err
	}
	err = s.db.tx(ctx, func(tx *sql.Tx) error {
		found = false // f may run again
		var at int64
		err := tx.QueryRowContext(ctx, `SELECT id, assign_to, actor_kind, actor_id, remote, fresh, assigned_at, mark`+free+` ORDER BY id LIMIT 1`, micros(now)).
			Scan(&a.From, &a.To, &a.By.Kind, &a.By.ID, &a.By.Remote, &a.Fresh, &at, &a.Mark)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("looking for an assignment: %w", err)
		}
		n, err := changed(ctx, tx, `UPDATE quarantine SET lease_until = ? WHERE id = ? AND assign_to = ? AND lease_until <= ?`, micros(until), a.From, a.To, micros(now))
		a.At = instant(at)
		found = n > 0
		return err
	})
	return a, found && err == nil, err
}

// KeyAssigned puts a key that was sealed to the user in the place of the one in
// quarantine, which is destroyed. [pfxconnector.ErrQuarantineUnknown] when it is
// not there, or to be somebody else's now; [pfxconnector.ErrHeld],
// [pfxconnector.ErrAssign], [directory.ErrUserUnknown].
func (s PFX) KeyAssigned(ctx context.Context, a escrow.Assignment, key escrow.Record, e journal.Entry) error {
	from, to := a.From, a.To
	err := s.db.tx(ctx, func(tx *sql.Tx) error {
		if err := s.assignable(ctx, tx, a, key); err != nil {
			return err
		}
		if err := s.shredQuarantine(ctx, tx, from); err != nil {
			return err
		}
		n, err := changed(ctx, tx, `UPDATE certificate SET user_id = ? WHERE user_id = ? AND fingerprint = ?`, to, from, fingerprint(key.Cert))
		if err == nil && n != 1 {
			err = pfxconnector.ErrQuarantineUnknown
		}
		if err != nil {
			return fmt.Errorf("giving a certificate its user: %w", err)
		}
		if err := insertEscrow(ctx, tx, key); err != nil {
			return err
		}
		if err := s.usable(ctx, tx, key.Wraps...); err != nil {
			return err
		}
		return record(ctx, tx, e)
	})
	if s.db.dia.unique(err) {
		return pfxconnector.ErrHeld.With(err)
	}
	return err
}

// assignable looks whether what was asked for still holds. The terms are those
// that the mark was made for, not those that the table has by now.
func (s PFX) assignable(ctx context.Context, tx *sql.Tx, a escrow.Assignment, key escrow.Record) error {
	from, to := a.From, a.To
	there, err := s.db.hold(ctx, tx, `quarantine WHERE id = ? AND assign_to = ? AND certificate = ?`, from, to, fingerprint(key.Cert))
	if err == nil && !there {
		err = pfxconnector.ErrQuarantineUnknown
	}
	if err != nil {
		return err
	}
	if a.Fresh {
		if err := s.fresh(ctx, tx, from, to); err != nil {
			return err
		}
	}
	if _, err := userNow(ctx, tx, to); err != nil {
		return err
	}
	held, err := escrowID(ctx, tx, to, key.Cert)
	if err == nil && held != "" {
		err = pfxconnector.ErrHeld
	}
	return err
}

// AssignmentFailed leaves a key in quarantine, and notes why.
func (s PFX) AssignmentFailed(ctx context.Context, from, to subject.UserID, why string, e journal.Entry) error {
	return s.db.tx(ctx, func(tx *sql.Tx) error {
		n, err := changed(ctx, tx, `UPDATE quarantine SET assign_to = '', lease_until = 0, failure = ? WHERE id = ? AND assign_to = ?`, why, from, to)
		if err != nil || n == 0 { // somebody said otherwise meanwhile
			return err
		}
		return record(ctx, tx, e)
	})
}
