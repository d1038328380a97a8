package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/scep"
)

// CertificateRevoked implements [scep.RevocationStore].
func (s SCEP) CertificateRevoked(ctx context.Context, f cert.Fingerprint, reason scep.Reason, e journal.Entry) error {
	return s.db.tx(ctx, func(tx *sql.Tx) error {
		revoked, err := s.db.revokeCertificate(ctx, tx, f, reason, e.At)
		if err == nil && !revoked && reason == scep.KeyCompromise {
			revoked, err = worsen(ctx, tx, f)
		}
		if err != nil || !revoked {
			return err
		}
		return record(ctx, tx, e)
	})
}

// revokeCertificate revokes an issued certificate, unless it was before, and
// lets what is published of its issuer know.
func (db *DB) revokeCertificate(ctx context.Context, tx *sql.Tx, f cert.Fingerprint, reason scep.Reason, at time.Time) (bool, error) {
	n, err := changed(ctx, tx, `UPDATE certificate SET revoked_at = ?, reason = ?
		WHERE fingerprint = ? AND source = ? AND revoked_at = 0`, micros(at), reason, fingerprint(f), cert.Issued)
	if err != nil {
		return false, fmt.Errorf("revoking certificate: %w", err)
	}
	if n == 0 {
		return false, nil
	}
	r := revocation{reason: reason, at: micros(at)}
	err = tx.QueryRowContext(ctx, `SELECT issuer, shard, serial, not_after FROM issuance WHERE fingerprint = ? AND state = 'issued'`+db.dia.locking,
		fingerprint(f)).Scan(&r.issuer, &r.shard, &r.serial, &r.notAfter)
	if err != nil {
		return false, fmt.Errorf("looking for the issuer: %w", err)
	}
	return true, r.enter(ctx, tx)
}

// worsen makes the key the reason of a revocation that had another one, and lets
// what is published know. It tells whether there was such a one.
func worsen(ctx context.Context, tx *sql.Tx, f cert.Fingerprint) (bool, error) {
	n, err := changed(ctx, tx, `UPDATE certificate SET reason = ? WHERE fingerprint = ? AND source = ? AND revoked_at > 0 AND reason <> ?`,
		scep.KeyCompromise, fingerprint(f), cert.Issued, scep.KeyCompromise)
	if err != nil || n == 0 {
		return false, err
	}
	var r revocation
	err = tx.QueryRowContext(ctx, `SELECT issuer, shard, serial FROM issuance WHERE fingerprint = ? AND state = 'issued'`, fingerprint(f)).
		Scan(&r.issuer, &r.shard, &r.serial)
	if err != nil {
		return false, fmt.Errorf("looking for the issuer: %w", err)
	}
	if _, err := tx.ExecContext(ctx, `UPDATE revocation SET reason = ? WHERE issuer = ? AND serial = ?`,
		scep.KeyCompromise, r.issuer, r.serial); err != nil {
		return false, fmt.Errorf("changing the reason of %s: %w", r.serial, err)
	}
	return true, r.outdate(ctx, tx)
}

// revocation is an entry of a list, with where it stands.
type revocation struct {
	issuer, shard string
	serial        cert.Serial
	reason        scep.Reason
	at, notAfter  int64
}

// enter writes the entry down.
// The issuance is locked: nobody asks for a first answer about it meanwhile.
func (r revocation) enter(ctx context.Context, tx *sql.Tx) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO revocation (issuer, shard, serial, revoked_at, reason, not_after) VALUES (?, ?, ?, ?, ?, ?)`,
		r.issuer, r.shard, r.serial, r.at, r.reason, r.notAfter)
	if err != nil {
		return fmt.Errorf("entering revocation of %s: %w", r.serial, err)
	}
	return r.outdate(ctx, tx)
}

// outdate lets its lists and OCSP answers be made anew.
func (r revocation) outdate(ctx context.Context, tx *sql.Tx) error {
	_, err := tx.ExecContext(ctx, `UPDATE ocsp SET wanted = 1, revision = revision + 1 WHERE issuer = ? AND serial = ?`, r.issuer, r.serial)
	if err != nil {
		return fmt.Errorf("outdating answers about %s: %w", r.serial, err)
	}
	if r.shard != "" {
		if err := raiseCRL(ctx, tx, r.issuer, r.shard, 1); err != nil {
			return err
		}
	}
	return raiseCRL(ctx, tx, r.issuer, "", 1)
}

// raiseCRL raises the revision of a list, whose row it makes when there is
// none.
func raiseCRL(ctx context.Context, tx statements, issuer, shard string, by int) error {
	n, err := changed(ctx, tx, `UPDATE crl SET revision = revision + ? WHERE issuer = ? AND shard = ?`, by, issuer, shard)
	if err == nil && n == 0 {
		_, err = tx.ExecContext(ctx, `INSERT INTO crl (issuer, shard, revision, published, number, this_update, der)
			VALUES (?, ?, ?, 0, 0, 0, ?)`, issuer, shard, by, []byte{})
	}
	if err != nil {
		return fmt.Errorf("raising the CRL of %s: %w", issuer, err)
	}
	return nil
}

const selectCRL = `SELECT issuer, shard, revision, published, number, this_update, der FROM crl WHERE issuer = ? AND shard = ?`

func scanCRL(row scanner) (scep.CRL, error) {
	var c scep.CRL
	var update int64
	err := row.Scan(&c.Issuer, &c.Shard, &c.Revision, &c.Published, &c.Number, &update, &c.DER)
	c.ThisUpdate = instant(update)
	return c, err
}

// CRL implements [scep.CRLStore].
func (s SCEP) CRL(ctx context.Context, issuer, shard string) (scep.CRL, error) {
	c, err := scanCRL(s.db.read.QueryRowContext(ctx, selectCRL, issuer, shard))
	if errors.Is(err, sql.ErrNoRows) {
		return scep.CRL{Issuer: issuer, Shard: shard}, scep.ErrCRLUnknown
	}
	if err != nil {
		return c, fmt.Errorf("reading the CRL of %s: %w", issuer, err)
	}
	return c, nil
}

const dueCRLs = `SELECT shard FROM crl WHERE issuer = ? AND (revision <> published OR number = 0 OR this_update <= ? OR this_update > ?)
	ORDER BY shard DESC`

// CRLsDue implements [scep.CRLStore].
func (s SCEP) CRLsDue(ctx context.Context, issuer string, before, after time.Time) ([]string, error) {
	list, err := all(ctx, s.db.read, column[string], dueCRLs, issuer, micros(before), micros(after))
	if err != nil {
		return nil, fmt.Errorf("looking for CRLs of %s that are due: %w", issuer, err)
	}
	if _, err := s.CRL(ctx, issuer, ""); errors.Is(err, scep.ErrCRLUnknown) {
		list = append(list, "")
	}
	return list, nil
}

const (
	countRevocations  = `SELECT COUNT(*) FROM (SELECT 1 FROM revocation WHERE issuer = ? LIMIT ?) AS few`
	selectRevocations = `SELECT serial, revoked_at, reason FROM revocation WHERE issuer = ? AND not_after >= ?`
	selectShard       = selectRevocations + ` AND shard = ?`
)

// Revocations implements [scep.CRLStore]. What is committed between the
// two looks is in the list and not in its revision, which costs another list.
func (s SCEP) Revocations(ctx context.Context, issuer, shard string, most int) (c scep.CRL, list []scep.Revocation, err error) {
	c, err = s.CRL(ctx, issuer, shard)
	if err != nil && !errors.Is(err, scep.ErrCRLUnknown) {
		return c, nil, err
	}
	c.Partial = shard != ""
	if !c.Partial {
		var n int
		if err := s.db.read.QueryRowContext(ctx, countRevocations, issuer, most+1).Scan(&n); err != nil {
			return c, nil, fmt.Errorf("counting revocations of %s: %w", issuer, err)
		}
		c.Partial = n > most
	}
	query, values := selectRevocations, []any{issuer, micros(c.ThisUpdate)}
	if c.Partial {
		query, values = selectShard, append(values, shard)
	}
	if list, err = all(ctx, s.db.read, scanRevocation, query, values...); err != nil {
		return c, nil, fmt.Errorf("reading revocations of %s: %w", issuer, err)
	}
	return c, list, nil
}

func scanRevocation(row scanner) (scep.Revocation, error) {
	var r scep.Revocation
	var at int64
	err := row.Scan(&r.Serial, &at, &r.Reason)
	r.At = instant(at)
	return r, err
}

// forgetRevoked is how long after its end a certificate stays known as revoked:
// long enough for every list to have held it once more.
const forgetRevoked = 30 * 24 * time.Hour

// CRLPublished implements [scep.CRLStore].
func (s SCEP) CRLPublished(ctx context.Context, c scep.CRL, previous int64) error {
	return s.db.tx(ctx, func(tx *sql.Tx) error {
		if err := raiseCRL(ctx, tx, c.Issuer, c.Shard, 0); err != nil { // a first list has no row yet
			return err
		}
		n, err := changed(ctx, tx, `UPDATE crl SET published = ?, number = ?, this_update = ?, der = ?
			WHERE issuer = ? AND shard = ? AND number = ?`,
			c.Published, c.Number, micros(c.ThisUpdate), c.DER, c.Issuer, c.Shard, previous)
		if err != nil {
			return fmt.Errorf("storing the CRL: %w", err)
		}
		if n == 0 {
			return scep.ErrCRLRaced
		}
		_, err = tx.ExecContext(ctx, `DELETE FROM revocation WHERE issuer = ? AND shard = ? AND not_after < ?`,
			c.Issuer, c.Shard, micros(c.ThisUpdate.Add(-forgetRevoked)))
		if err != nil {
			return fmt.Errorf("forgetting revocations: %w", err)
		}
		return nil
	})
}

// leftReservations says "state <> 'issued'" as well, for the sake of the index.
const leftReservations = `SELECT issuer, shard, serial, not_after, created_at FROM issuance
	WHERE issuer = ? AND state <> 'issued' AND state = 'issuing' AND created_at < ?`

// ReservationsAbandoned implements [scep.RevocationStore].
func (s SCEP) ReservationsAbandoned(ctx context.Context, issuer string, before time.Time) error {
	scan := func(row scanner) (r revocation, err error) {
		r.reason = scep.Abandoned
		err = row.Scan(&r.issuer, &r.shard, &r.serial, &r.notAfter, &r.at)
		return r, err
	}
	left, err := all(ctx, s.db.read, scan, leftReservations, issuer, micros(before))
	if err != nil {
		return fmt.Errorf("looking for reservations of %s: %w", issuer, err)
	}
	for _, r := range left {
		err := s.db.tx(ctx, func(tx *sql.Tx) error {
			n, err := changed(ctx, tx, `UPDATE issuance SET state = 'abandoned', abandoned_at = created_at
				WHERE issuer = ? AND serial = ? AND state = 'issuing'`, r.issuer, r.serial)
			if err != nil || n == 0 {
				return err
			}
			return r.enter(ctx, tx)
		})
		if err != nil {
			return fmt.Errorf("abandoning reservation %s: %w", r.serial, err)
		}
	}
	return nil
}

// forsaken begins with the disabled users, which CROSS keeps SQLite from
// changing: they are few.
const forsaken = `SELECT c.fingerprint FROM users u CROSS JOIN certificate c LEFT JOIN device d ON d.id = c.device_id
	WHERE u.disabled = 1 AND c.user_id = u.id AND c.source = ? AND c.revoked_at = 0 AND c.not_after > ? AND d.id IS NULL`

// Forsaken implements [scep.HolderStore].
func (s SCEP) Forsaken(ctx context.Context, now time.Time) ([]cert.Fingerprint, error) {
	list, err := all(ctx, s.db.read, scanFingerprint, forsaken, cert.Issued, micros(now))
	if err != nil {
		return nil, fmt.Errorf("looking for certificates of disabled users: %w", err)
	}
	return list, nil
}

func scanFingerprint(row scanner) (cert.Fingerprint, error) {
	hex, err := column[string](row)
	if err != nil {
		return cert.Fingerprint{}, err
	}
	return parseFingerprint(hex)
}
