package store

import (
	"context"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/scep"
)

// Reports is the facet of what validators are to be told of.
type Reports struct {
	db  *DB
	box *seal.Box
}

// Reports gives the facet; box is for certificate requests, which hold the
// challenges of others.
func (db *DB) Reports(box *seal.Box) Reports {
	if box == nil {
		panic("store: nil box")
	}
	return Reports{db, box}
}

var _ scep.ReportStore = Reports{}

// ofReport is the key of a report.
const ofReport = ` WHERE challenge = ? AND transaction_id = ? AND spki = ?`

func keyOfReport(r scep.Report, values ...any) []any {
	return append(values, r.Challenge.String(), r.Transaction, fingerprint(r.SPKI))
}

// ReportOwed implements [scep.ReportStore].
func (s Reports) ReportOwed(ctx context.Context, r scep.Report, at, due time.Time) error {
	return s.db.tx(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO scep_report (challenge, transaction_id, spki, csr, created_at, due_at, told_at, tries)
			VALUES (?, ?, ?, ?, ?, ?, 0, 0)`+s.db.upsert("challenge, transaction_id, spki", "csr = CASE WHEN told_at > 0 THEN csr ELSE VALUES(csr) END, created_at = VALUES(created_at), due_at = VALUES(due_at)"),
			append(keyOfReport(r), s.box.Close(seal.NewSecret(r.CSR), r.Challenge.String()), micros(at), micros(due))...)
		if err != nil {
			return fmt.Errorf("inserting a report: %w", err)
		}
		return nil
	})
}

const selectReport = `SELECT r.challenge, r.transaction_id, r.spki, r.csr, r.told_at, r.tries, COALESCE(i.fingerprint, '') FROM scep_report r`

// certificateOfReport finds the certificate, if there is one.
const certificateOfReport = ` JOIN issuance i ON i.transaction_id = r.transaction_id AND i.spki = r.spki AND i.challenge = r.challenge AND i.state = 'issued'`

func (s Reports) scan(row scanner) (r scep.Report, err error) {
	var challenge, spki, certificate string
	var csr []byte
	var told int64
	if err := row.Scan(&challenge, &r.Transaction, &spki, &csr, &told, &r.Tries, &certificate); err != nil {
		return r, err
	}
	hash, err := hex.DecodeString(challenge)
	if err != nil || len(hash) != len(r.Challenge) {
		return r, errors.New("the challenge of a report is no hash")
	}
	copy(r.Challenge[:], hash)
	if r.SPKI, err = parseFingerprint(spki); err != nil {
		return r, err
	}
	if r.Certificate, err = parseFingerprint(certificate); err != nil {
		return r, err
	}
	if r.Told = instant(told); told == 0 {
		request, err := s.box.Open(csr, challenge)
		if err != nil {
			return r, fmt.Errorf("opening the request of a report: %w", err)
		}
		r.CSR = request.Reveal()
	}
	return r, nil
}

// Report implements [scep.ReportStore].
func (s Reports) Report(ctx context.Context, challenge seal.Hash, transaction string, spki cert.Fingerprint) (scep.Report, error) {
	key := keyOfReport(scep.Report{Challenge: challenge, Transaction: transaction, SPKI: spki})
	r, err := s.scan(s.db.read.QueryRowContext(ctx, selectReport+` LEFT`+certificateOfReport+
		` WHERE r.challenge = ? AND r.transaction_id = ? AND r.spki = ?`, key...))
	if errors.Is(err, sql.ErrNoRows) {
		return scep.Report{}, nil
	}
	if err != nil {
		return r, fmt.Errorf("reading a report: %w", err)
	}
	return r, nil
}

// ReportsLeased implements [scep.ReportStore].
func (s Reports) ReportsLeased(ctx context.Context, now, until time.Time, limit int) (leased []scep.Report, err error) {
	due := selectReport + certificateOfReport + ` WHERE r.told_at = 0 AND r.due_at <= ? ORDER BY r.due_at LIMIT ?`
	list, err := all(ctx, s.db.read, s.scan, due, micros(now), limit)
	if err != nil {
		return nil, fmt.Errorf("looking for reports: %w", err)
	}
	for _, r := range list {
		mine := false
		err := s.db.tx(ctx, func(tx *sql.Tx) error {
			n, err := changed(ctx, tx, `UPDATE scep_report SET due_at = ?, tries = tries + 1`+ofReport+` AND told_at = 0 AND due_at <= ?`,
				append(keyOfReport(r, micros(until)), micros(now))...)
			mine = n > 0
			return err
		})
		if err != nil {
			return leased, fmt.Errorf("leasing a report: %w", err)
		}
		if mine {
			r.Tries++
			leased = append(leased, r)
		}
	}
	return leased, nil
}

// ReportPostponed implements [scep.ReportStore].
func (s Reports) ReportPostponed(ctx context.Context, r scep.Report, due time.Time) error {
	return s.update(ctx, `UPDATE scep_report SET due_at = ?`+ofReport+` AND told_at = 0`, keyOfReport(r, micros(due)))
}

// ReportTold implements [scep.ReportStore].
func (s Reports) ReportTold(ctx context.Context, r scep.Report, at time.Time) error {
	return s.update(ctx, `UPDATE scep_report SET told_at = ?, csr = ?`+ofReport+` AND told_at = 0`, keyOfReport(r, micros(at), []byte{}))
}

// ReportsForgotten implements [scep.ReportStore].
func (s Reports) ReportsForgotten(ctx context.Context, before time.Time) error {
	const those = ` FROM scep_report WHERE told_at = 0 AND created_at < ? AND NOT EXISTS (SELECT 1 FROM issuance i
		WHERE i.transaction_id = scep_report.transaction_id AND i.spki = scep_report.spki AND i.challenge = scep_report.challenge
		AND i.state = 'issued')`
	if none, err := s.db.none(ctx, `SELECT EXISTS (SELECT 1`+those+`)`, micros(before)); err != nil || none {
		return err
	}
	return s.update(ctx, `DELETE`+those, []any{micros(before)})
}

// IsReported tells whether a certificate was made for a validator.
func (s Reports) IsReported(ctx context.Context, f cert.Fingerprint) (is bool, err error) {
	err = s.db.read.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM issuance i JOIN scep_report r
		ON r.challenge = i.challenge AND r.transaction_id = i.transaction_id AND r.spki = i.spki WHERE i.fingerprint = ?)`, fingerprint(f)).Scan(&is)
	if err != nil {
		return false, fmt.Errorf("looking for the report of %s: %w", f, err)
	}
	return is, nil
}

func (s Reports) update(ctx context.Context, query string, values []any) error {
	return s.db.tx(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, query, values...); err != nil {
			return fmt.Errorf("changing reports: %w", err)
		}
		return nil
	})
}
