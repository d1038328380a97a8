package store

import (
	"context"
	"crypto"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/signet-mdm/signet/scep"
)

// hashNames is how the hashes of questions are stored.
var hashNames = map[crypto.Hash]string{crypto.SHA1: "sha1", crypto.SHA256: "sha256"}

func hashNamed(name string) crypto.Hash {
	for h, n := range hashNames {
		if n == name {
			return h
		}
	}
	return 0
}

const selectAnswer = `SELECT wanted, this_update, der FROM ocsp WHERE issuer = ? AND serial = ? AND hash = ?`

// Answer implements [scep.AnswerStore].
func (s SCEP) Answer(ctx context.Context, issuer string, q scep.Question) (scep.Answer, error) {
	var a scep.Answer
	var update int64
	err := s.db.read.QueryRowContext(ctx, selectAnswer, issuer, q.Serial, hashNames[q.Hash]).Scan(&a.Outdated, &update, &a.DER)
	if errors.Is(err, sql.ErrNoRows) {
		return a, nil
	}
	if err != nil {
		return a, fmt.Errorf("reading the answer about %s: %w", q.Serial, err)
	}
	a.ThisUpdate = instant(update)
	return a, nil
}

const answerable = `issuance WHERE issuer = ? AND serial = ? AND state <> 'issuing' AND not_after >= ?`

// AnswerWanted implements [scep.AnswerStore]. Questions about what was never
// issued cost no writer: strangers can ask as many as they like.
func (s SCEP) AnswerWanted(ctx context.Context, issuer string, q scep.Question, now time.Time) error {
	unknown, err := s.db.none(ctx, `SELECT EXISTS (SELECT 1 FROM `+answerable+`)`, issuer, q.Serial, micros(now))
	switch {
	case err != nil:
		return err
	case unknown:
		return scep.ErrCertificateUnknown
	}
	return s.db.tx(ctx, func(tx *sql.Tx) error {
		known, err := s.db.hold(ctx, tx, answerable, issuer, q.Serial, micros(now))
		if err != nil {
			return err
		}
		if !known {
			return scep.ErrCertificateUnknown
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO ocsp (issuer, serial, hash, wanted, revision, this_update, der) VALUES (?, ?, ?, 1, 1, 0, ?)`+
			s.db.upsert("issuer, serial, hash", "revision = CASE WHEN wanted = 1 THEN revision ELSE revision + 1 END, wanted = 1"), issuer, q.Serial, hashNames[q.Hash], []byte{})
		if err != nil {
			return fmt.Errorf("asking for an answer about %s: %w", q.Serial, err)
		}
		return nil
	})
}

const wantedAnswers = `SELECT o.serial, o.hash, o.revision, COALESCE(r.revoked_at, 0), COALESCE(r.reason, '')
	FROM ocsp o JOIN issuance i ON i.issuer = o.issuer AND i.serial = o.serial
	LEFT JOIN revocation r ON r.issuer = i.issuer AND r.shard = i.shard AND r.serial = i.serial
	WHERE o.issuer = ? AND o.wanted = 1 LIMIT ?`

// AnswersWanted implements [scep.OCSPStore].
func (s SCEP) AnswersWanted(ctx context.Context, issuer string, limit int) ([]scep.Wanted, error) {
	scan := func(row scanner) (w scep.Wanted, err error) {
		var hash string
		var at int64
		err = row.Scan(&w.Serial, &hash, &w.Revision, &at, &w.Revocation.Reason)
		w.Hash, w.Revocation.At, w.Revocation.Serial = hashNamed(hash), instant(at), w.Serial
		return w, err
	}
	list, err := all(ctx, s.db.read, scan, wantedAnswers, issuer, limit)
	if err != nil {
		return nil, fmt.Errorf("looking for answers of %s that are wanted: %w", issuer, err)
	}
	return list, nil
}

// AnswersSigned implements [scep.OCSPStore].
func (s SCEP) AnswersSigned(ctx context.Context, issuer string, list []scep.Signed, now time.Time) error {
	return s.db.tx(ctx, func(tx *sql.Tx) error {
		for _, a := range list {
			_, err := tx.ExecContext(ctx, `UPDATE ocsp SET wanted = 0, this_update = ?, der = ?
				WHERE issuer = ? AND serial = ? AND hash = ? AND revision = ?`,
				micros(now), a.DER, issuer, a.Serial, hashNames[a.Hash], a.Revision)
			if err != nil {
				return fmt.Errorf("storing the answer about %s: %w", a.Serial, err)
			}
		}
		return nil
	})
}

// AnswersForgotten implements [scep.OCSPStore].
func (s SCEP) AnswersForgotten(ctx context.Context, before time.Time) error {
	const old = `FROM ocsp WHERE this_update > 0 AND this_update < ?`
	if idle, err := s.db.none(ctx, `SELECT EXISTS (SELECT 1 `+old+`)`, micros(before)); err != nil || idle {
		return err
	}
	return s.db.tx(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `DELETE `+old, micros(before)); err != nil {
			return fmt.Errorf("forgetting old answers: %w", err)
		}
		return nil
	})
}
