package store

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"
	"time"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/pfxconnector"
	"github.com/signet-mdm/signet/pfxconnector/escrow"
)

// TicketMade implements [pfxconnector.Store].
func (s PFX) TicketMade(ctx context.Context, t pfxconnector.Ticket) error {
	return s.db.short(ctx, func(ctx context.Context, tx statements) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO escrow_ticket (id, actor, expires_at) VALUES (?, ?, ?)`, t.ID, holderOf(t), micros(t.Expires))
		return err
	})
}

// holderOf is whose a ticket is, wherever he calls from.
func holderOf(t pfxconnector.Ticket) string { return string(t.By.Kind) + ":" + t.By.ID }

// TicketsForgotten implements [pfxconnector.Store].
func (s PFX) TicketsForgotten(ctx context.Context, now time.Time) (n int, err error) {
	idle, err := s.db.none(ctx, `SELECT EXISTS (SELECT 1 FROM escrow_ticket WHERE expires_at <= ?)`, micros(now))
	if err != nil || idle {
		return 0, err
	}
	err = s.db.tx(ctx, func(tx *sql.Tx) error {
		met, err := changed(ctx, tx, `DELETE FROM escrow_ticket WHERE expires_at <= ?`, micros(now))
		n = int(met)
		return err
	})
	return n, err
}

// KeysDeposited implements [pfxconnector.Store].
func (s PFX) KeysDeposited(ctx context.Context, t pfxconnector.Ticket, list []pfxconnector.Arrival) ([]bool, error) {
	stored := make([]bool, len(list))
	err := s.db.tx(ctx, func(tx *sql.Tx) error {
		n, err := changed(ctx, tx, `DELETE FROM escrow_ticket WHERE id = ? AND actor = ? AND expires_at > ?`, t.ID, holderOf(t), micros(t.Expires))
		if err != nil {
			return fmt.Errorf("taking a ticket: %w", err)
		}
		if n == 0 {
			return pfxconnector.ErrTicket
		}
		for i, a := range list {
			if stored[i], err = s.keyImported(ctx, tx, a); err != nil {
				return err
			}
			if !stored[i] {
				continue
			}
			if _, err := tx.ExecContext(ctx, `INSERT INTO escrow_unchecked (key_id, lease_until) VALUES (?, 0)`, a.Key.ID); err != nil {
				return fmt.Errorf("noting an unchecked key: %w", err)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return stored, nil
}

// Unchecked implements [pfxconnector.Store].
func (s PFX) Unchecked(ctx context.Context, id subject.UserID) ([]cert.Fingerprint, error) {
	return all(ctx, s.db.read, func(row scanner) (f cert.Fingerprint, err error) {
		text, err := column[string](row)
		if err != nil {
			return f, err
		}
		return parseFingerprint(text)
	}, `SELECT k.certificate FROM escrow_key k JOIN escrow_unchecked c ON c.key_id = k.id WHERE k.user_id = ?`, id)
}

// UncheckedLeased implements [opener.Unchecked].
func (s PFX) UncheckedLeased(ctx context.Context, now, until time.Time, limit int, e journal.Entry) ([]escrow.Deposit, error) {
	idle, err := s.db.none(ctx, `SELECT EXISTS (SELECT 1 FROM escrow_unchecked WHERE lease_until <= ?)`, micros(now))
	if err != nil || idle {
		return nil, err
	}
	var leased []string
	err = s.db.tx(ctx, func(tx *sql.Tx) error {
		leased = nil // f may run again
		ids, err := all(ctx, tx, column[string], `SELECT key_id FROM escrow_unchecked WHERE lease_until <= ? ORDER BY lease_until, key_id LIMIT ?`, micros(now), limit)
		if err != nil {
			return fmt.Errorf("looking for unchecked keys: %w", err)
		}
		for _, id := range ids {
			n, err := changed(ctx, tx, `UPDATE escrow_unchecked SET lease_until = ? WHERE key_id = ? AND lease_until <= ?`, micros(until), id, micros(now))
			if err != nil {
				return fmt.Errorf("leasing an unchecked key: %w", err)
			}
			if n == 1 {
				leased = append(leased, id)
			}
		}
		if len(leased) == 0 {
			return nil
		}
		e.Detail = withDetail(e.Detail, "keys", strconv.Itoa(len(leased)))
		return record(ctx, tx, e)
	})
	if err != nil || len(leased) == 0 {
		return nil, err
	}
	return s.deposits(ctx, ` WHERE id IN (`+marks(len(leased))+`)`, args(leased))
}

// KeysChecked implements [opener.Unchecked].
func (s PFX) KeysChecked(ctx context.Context, ids []string) error {
	return s.db.tx(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM escrow_unchecked WHERE key_id IN (`+marks(len(ids))+`)`, args(ids)...)
		return err
	})
}

// KeyFailed implements [opener.Unchecked].
func (s PFX) KeyFailed(ctx context.Context, d escrow.Deposit, why string, e journal.Entry) error {
	return s.db.tx(ctx, func(tx *sql.Tx) error {
		n, err := changed(ctx, tx, `DELETE FROM escrow_unchecked WHERE key_id = ?`, d.Key.ID)
		if err != nil || n == 0 {
			return err
		}
		_, err = tx.ExecContext(ctx, `UPDATE certificate SET deliverable = ? WHERE fingerprint = ? AND user_id = ? AND source = ?`,
			why, fingerprint(d.Key.Cert), d.Key.User, cert.Imported)
		if err != nil {
			return fmt.Errorf("marking a certificate: %w", err)
		}
		return record(ctx, tx, e)
	})
}
