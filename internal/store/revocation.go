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
		revoked, err := revokeCertificate(ctx, tx, f, reason, e.At)
		if err != nil || !revoked {
			return err
		}
		return record(ctx, tx, e)
	})
}

// revokeCertificate revokes an issued certificate, unless it was before, and
// lets its issuer's CRL know.
func revokeCertificate(ctx context.Context, tx *sql.Tx, f cert.Fingerprint, reason scep.Reason, at time.Time) (bool, error) {
	n, err := changed(ctx, tx, `UPDATE certificate SET revoked_at = ?, reason = ?
		WHERE fingerprint = ? AND source = ? AND revoked_at = 0`, micros(at), reason, fingerprint(f), cert.Issued)
	if err != nil {
		return false, fmt.Errorf("revoking certificate: %w", err)
	}
	if n == 0 {
		return false, nil
	}
	var issuer string
	err = tx.QueryRowContext(ctx, `SELECT issuer FROM issuance WHERE fingerprint = ?`, fingerprint(f)).Scan(&issuer)
	if err != nil {
		return false, fmt.Errorf("looking for the issuer: %w", err)
	}
	return true, raiseCRL(ctx, tx, issuer, 1)
}

// raiseCRL raises the revision of an issuer's list, whose row it makes when
// there is none; by 0 it does only that.
func raiseCRL(ctx context.Context, tx *sql.Tx, issuer string, by int) error {
	n, err := changed(ctx, tx, `UPDATE crl SET revision = revision + ? WHERE issuer = ?`, by, issuer)
	if err == nil && n == 0 {
		_, err = tx.ExecContext(ctx, `INSERT INTO crl (issuer, revision, published, number, this_update, der)
			VALUES (?, ?, 0, 0, 0, ?)`, issuer, by, []byte{})
	}
	if err != nil {
		return fmt.Errorf("raising the CRL of %s: %w", issuer, err)
	}
	return nil
}

const selectCRL = `SELECT issuer, revision, published, number, this_update, der FROM crl WHERE issuer = ?`

func scanCRL(row scanner) (scep.CRL, error) {
	var c scep.CRL
	var update int64
	err := row.Scan(&c.Issuer, &c.Revision, &c.Published, &c.Number, &update, &c.DER)
	c.ThisUpdate = instant(update)
	return c, err
}

// CRL implements [scep.RevocationStore].
func (s SCEP) CRL(ctx context.Context, issuer string) (scep.CRL, error) {
	c, err := scanCRL(s.db.read.QueryRowContext(ctx, selectCRL, issuer))
	if errors.Is(err, sql.ErrNoRows) {
		return scep.CRL{Issuer: issuer}, nil
	}
	if err != nil {
		return c, fmt.Errorf("reading the CRL of %s: %w", issuer, err)
	}
	return c, nil
}

// Revocations implements [scep.RevocationStore].
func (s SCEP) Revocations(ctx context.Context, issuer string, abandoned time.Time) (c scep.CRL, list []scep.Revocation, err error) {
	err = s.db.tx(ctx, func(tx *sql.Tx) (err error) {
		if err := raiseCRL(ctx, tx, issuer, 0); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `UPDATE issuance SET state = 'abandoned', abandoned_at = created_at
			WHERE issuer = ? AND state = 'issuing' AND created_at < ?`, issuer, micros(abandoned))
		if err != nil {
			return fmt.Errorf("abandoning reservations: %w", err)
		}
		if c, err = scanCRL(tx.QueryRowContext(ctx, selectCRL, issuer)); err != nil {
			return err
		}
		list, err = all(ctx, tx, scanRevocation, `SELECT i.serial, c.revoked_at AS since, c.reason FROM certificate c
				JOIN issuance i ON i.fingerprint = c.fingerprint
				WHERE c.revoked_at > 0 AND i.issuer = ? AND c.source = ? AND c.not_after >= ?
			UNION ALL SELECT serial, abandoned_at, 'cessationOfOperation' FROM issuance
				WHERE issuer = ? AND state = 'abandoned' AND not_after >= ?
			ORDER BY since, serial`, issuer, cert.Issued, micros(c.ThisUpdate), issuer, micros(c.ThisUpdate))
		return err
	})
	return c, list, err
}

func scanRevocation(row scanner) (scep.Revocation, error) {
	var r scep.Revocation
	var at int64
	err := row.Scan(&r.Serial, &at, &r.Reason)
	r.At = instant(at)
	return r, err
}

// CRLPublished implements [scep.RevocationStore].
func (s SCEP) CRLPublished(ctx context.Context, c scep.CRL, previous int64) error {
	return s.db.tx(ctx, func(tx *sql.Tx) error {
		n, err := changed(ctx, tx, `UPDATE crl SET published = ?, number = ?, this_update = ?, der = ? WHERE issuer = ? AND number = ?`,
			c.Published, c.Number, micros(c.ThisUpdate), c.DER, c.Issuer, previous)
		if err != nil {
			return fmt.Errorf("storing the CRL: %w", err)
		}
		if n == 0 {
			return scep.ErrCRLRaced
		}
		return nil
	})
}
