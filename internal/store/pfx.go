package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/pfxconnector"
	"github.com/signet-mdm/signet/pfxconnector/escrow"
)

// PFX is the facet of imported certificates and their sealed keys.
type PFX struct{ db *DB }

// PFX gives the facet.
func (db *DB) PFX() PFX { return PFX{db} }

var _ pfxconnector.Store = PFX{}

// KeysImported implements [pfxconnector.Store].
func (s PFX) KeysImported(ctx context.Context, list []pfxconnector.Arrival) ([]bool, error) {
	stored := make([]bool, len(list))
	var err error
	for range 2 { // who met another's row sees it the second time
		err = s.db.tx(ctx, func(tx *sql.Tx) (err error) {
			for i, a := range list {
				if stored[i], err = s.keyImported(ctx, tx, a); err != nil {
					return err
				}
			}
			return nil
		})
		if !s.db.dia.unique(err) {
			break
		}
	}
	if err != nil {
		return nil, err
	}
	return stored, nil
}

func (s PFX) keyImported(ctx context.Context, tx *sql.Tx, a pfxconnector.Arrival) (bool, error) {
	if there, err := s.there(ctx, tx, a); err != nil || there {
		return false, err
	}
	if err := insertCertificate(ctx, tx, a.Certificate); err != nil {
		return false, err
	}
	if err := insertEscrow(ctx, tx, a.Key); err != nil {
		return false, err
	}
	if err := insertQuarantine(ctx, tx, a.Quarantine); err != nil {
		return false, err
	}
	if err := s.usable(ctx, tx, a.Key.Wraps...); err != nil {
		return false, err
	}
	return true, record(ctx, tx, a.Entry)
}

// escrowID gives the id of the user's key for a certificate, "" for none.
func escrowID(ctx context.Context, tx *sql.Tx, user subject.UserID, f cert.Fingerprint) (id string, err error) {
	err = tx.QueryRowContext(ctx, `SELECT id FROM escrow_key WHERE user_id = ? AND certificate = ?`, user, fingerprint(f)).Scan(&id)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return "", fmt.Errorf("looking for an escrowed key: %w", err)
	}
	return id, nil
}

func insertEscrow(ctx context.Context, tx *sql.Tx, r escrow.Record) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO escrow_key
		(id, user_id, certificate, spki, suite, nonce, ciphertext, source, created_by, created_at)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		r.ID, r.User, fingerprint(r.Cert), fingerprint(r.SPKI), r.Suite, r.Nonce, r.Ciphertext,
		fingerprint(r.Source), r.CreatedBy, micros(r.CreatedAt))
	if err != nil {
		return fmt.Errorf("inserting escrowed key: %w", err)
	}
	for _, w := range r.Wraps {
		if err := insertWrap(ctx, tx, escrow.Held{Record: r.ID, Wrap: w}); err != nil {
			return err
		}
	}
	return nil
}

// bytesOf is how possibly no bytes are stored: empty, never NULL.
func bytesOf(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// Holders implements [pfxconnector.Store].
func (s PFX) Holders(ctx context.Context, f cert.Fingerprint) ([]subject.UserID, error) {
	return all(ctx, s.db.read, column[subject.UserID], `SELECT user_id FROM escrow_key WHERE certificate = ? ORDER BY user_id`, fingerprint(f))
}

// Imported implements [pfxconnector.Store], newest NotBefore first.
func (s PFX) Imported(ctx context.Context, id subject.UserID) ([]cert.Record, error) {
	return all(ctx, s.db.read, scanCertificate,
		selectCertificate+` WHERE user_id = ? AND `+inEscrow+` ORDER BY not_before DESC, fingerprint`, id)
}

// ImportedOf implements [pfxconnector.Store].
func (s PFX) ImportedOf(ctx context.Context, ids []subject.UserID) (map[subject.UserID][]cert.Record, error) {
	of := map[subject.UserID][]cert.Record{}
	for chunk := range slices.Chunk(ids, inChunk) {
		records, err := all(ctx, s.db.read, scanCertificate, selectCertificate+` WHERE user_id IN (`+marks(len(chunk))+`)
			AND `+inEscrow+` ORDER BY not_before DESC, fingerprint`, args(chunk)...)
		if err != nil {
			return nil, err
		}
		for _, r := range records {
			of[r.Holder.User] = append(of[r.Holder.User], r)
		}
	}
	return of, nil
}

// KeyRemoved implements [pfxconnector.Store].
func (s PFX) KeyRemoved(ctx context.Context, user subject.UserID, f cert.Fingerprint, e journal.Entry) error {
	return s.db.tx(ctx, func(tx *sql.Tx) error {
		id, err := escrowID(ctx, tx, user, f)
		if err != nil {
			return err
		}
		if there, err := s.db.hold(ctx, tx, `escrow_key WHERE id = ?`, id); err != nil {
			return err
		} else if !there {
			return pfxconnector.ErrKeyUnknown
		}
		if err := shredWraps(ctx, tx, `key_id = ?`, id); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `DELETE FROM escrow_unchecked WHERE key_id = ?`, id); err != nil {
			return fmt.Errorf("forgetting an unchecked key: %w", err)
		}
		if _, err := tx.ExecContext(ctx, `DELETE FROM escrow_key WHERE id = ?`, id); err != nil {
			return fmt.Errorf("deleting escrowed key: %w", err)
		}
		_, err = tx.ExecContext(ctx, `DELETE FROM certificate WHERE fingerprint = ? AND user_id = ? AND source = ?`,
			fingerprint(f), user, cert.Imported)
		if err != nil {
			return fmt.Errorf("deleting certificate: %w", err)
		}
		_, err = tx.ExecContext(ctx, `UPDATE certificate SET deliverable = ? WHERE fingerprint = ? AND user_id = ? AND source = ?`,
			pfxconnector.KeyDestroyed, fingerprint(f), user, cert.Issued)
		if err != nil {
			return fmt.Errorf("marking certificate: %w", err)
		}
		return record(ctx, tx, e)
	})
}

// shredWraps overwrites what opens a key and then deletes it. SQLite writes a
// value of the same length over the old one, but leaves what it only deletes
// on the disk.
func shredWraps(ctx context.Context, tx *sql.Tx, which, id string) error {
	wraps, err := all(ctx, tx, scanWrap, selectWrap+` WHERE `+which, id)
	if err != nil {
		return fmt.Errorf("reading wraps: %w", err)
	}
	for _, w := range wraps {
		_, err := tx.ExecContext(ctx, `UPDATE escrow_wrap SET enc = ?, sealed = ? WHERE key_id = ? AND recipient = ?`,
			make([]byte, len(w.Enc)), make([]byte, len(w.Sealed)), id, w.Key)
		if err != nil {
			return fmt.Errorf("overwriting a wrap: %w", err)
		}
	}
	if _, err := tx.ExecContext(ctx, `DELETE FROM escrow_wrap WHERE `+which, id); err != nil {
		return fmt.Errorf("deleting wraps: %w", err)
	}
	return nil
}

// Deposits gives those of the user's imported certificates with their sealed
// keys that are asked for. What the user does not have is left out.
func (s PFX) Deposits(ctx context.Context, user subject.UserID, wanted []cert.Fingerprint) ([]escrow.Deposit, error) {
	list := []escrow.Deposit{}
	for chunk := range slices.Chunk(wanted, inChunk) {
		where := ` WHERE user_id = ? AND certificate IN (` + marks(len(chunk)) + `)`
		values := []any{user}
		for _, f := range chunk {
			values = append(values, fingerprint(f))
		}
		deposits, err := s.deposits(ctx, where, values)
		if err != nil {
			return nil, fmt.Errorf("reading escrowed keys of %s: %w", user, err)
		}
		list = append(list, deposits...)
	}
	return list, nil
}

// Deposit implements [pfxconnector.Store].
func (s PFX) Deposit(ctx context.Context, id string) (escrow.Deposit, error) {
	list, err := s.deposits(ctx, ` WHERE id = ?`, []any{id})
	if err != nil {
		return escrow.Deposit{}, fmt.Errorf("reading an escrowed key: %w", err)
	}
	if len(list) == 0 {
		return escrow.Deposit{}, pfxconnector.ErrKeyUnknown
	}
	return list[0], nil
}

// deposits joins keys, wraps and certificates, in three statements.
func (s PFX) deposits(ctx context.Context, where string, values []any) ([]escrow.Deposit, error) {
	keys, err := all(ctx, s.db.read, scanEscrow, selectEscrow+where+` ORDER BY certificate`, values...)
	if err != nil {
		return nil, err
	}
	wraps, err := all(ctx, s.db.read, scanWrap, selectWrap+`
		WHERE key_id IN (SELECT id FROM escrow_key`+where+`) ORDER BY recipient`, values...)
	if err != nil {
		return nil, err
	}
	certs, err := all(ctx, s.db.read, scanCertificate, selectCertificate+
		` WHERE (fingerprint, user_id) IN (SELECT certificate, user_id FROM escrow_key`+where+`) ORDER BY fingerprint`, values...)
	if err != nil {
		return nil, err
	}
	wrapsOf := map[string][]escrow.Wrap{}
	for _, w := range wraps {
		wrapsOf[w.of] = append(wrapsOf[w.of], w.Wrap)
	}
	list := make([]escrow.Deposit, 0, len(keys))
	for _, k := range keys {
		k.Wraps = wrapsOf[k.ID]
		for _, c := range certs {
			if c.Fingerprint == k.Cert && c.Holder.User == k.User {
				list = append(list, escrow.Deposit{Certificate: c, Key: k})
			}
		}
	}
	return list, nil
}

const selectEscrow = `SELECT id, user_id, certificate, spki, suite, nonce, ciphertext, source, created_by, created_at FROM escrow_key`

func scanEscrow(row scanner) (escrow.Record, error) {
	var r escrow.Record
	var fp, spki, source string
	var created int64
	err := row.Scan(&r.ID, &r.User, &fp, &spki, &r.Suite, &r.Nonce, &r.Ciphertext, &source, &r.CreatedBy, &created)
	if err != nil {
		return r, err
	}
	r.CreatedAt = instant(created)
	for _, f := range []struct {
		text string
		to   *cert.Fingerprint
	}{{fp, &r.Cert}, {spki, &r.SPKI}, {source, &r.Source}} {
		if *f.to, err = parseFingerprint(f.text); err != nil {
			return r, err
		}
	}
	return r, nil
}

const selectWrap = `SELECT key_id, recipient, enc, sealed FROM escrow_wrap`

type wrapOf struct {
	of string
	escrow.Wrap
}

func scanWrap(row scanner) (w wrapOf, err error) {
	err = row.Scan(&w.of, &w.Key, &w.Enc, &w.Sealed)
	if len(w.Enc) == 0 {
		w.Enc = nil // the drivers differ in how no bytes come back
	}
	return w, err
}
