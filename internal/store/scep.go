package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/scep"
)

// SCEP is the facet of challenges, issuance and revocation.
type SCEP struct{ db *DB }

// SCEP gives the facet.
func (db *DB) SCEP() SCEP { return SCEP{db} }

var _ scep.Store = SCEP{}

// forgetAfter is how long an expired challenge is kept for questions.
const forgetAfter = 30 * 24 * time.Hour

// ChallengeMade implements [scep.ChallengeStore].
func (s SCEP) ChallengeMade(ctx context.Context, t scep.Ticket, e journal.Entry) error {
	names, err := json.Marshal(t.Names)
	if err != nil {
		return fmt.Errorf("encoding names: %w", err)
	}
	return s.db.tx(ctx, func(tx *sql.Tx) error {
		if err := s.db.lock(ctx, tx, `device WHERE id = ?`, t.Holder.Device); err != nil { // one at a time
			return err
		}
		_, err := tx.ExecContext(ctx, `UPDATE scep_challenge SET voided_at = ?
			WHERE device_id = ? AND profile = ? AND used_at = 0 AND voided_at = 0`,
			micros(t.Created), t.Holder.Device, t.Profile)
		if err != nil {
			return fmt.Errorf("voiding challenges: %w", err)
		}
		if err := voidRequests(ctx, tx, t); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `DELETE FROM scep_challenge WHERE device_id = ? AND profile = ? AND expires_at < ?`,
			t.Holder.Device, t.Profile, micros(t.Created.Add(-forgetAfter)))
		if err != nil {
			return fmt.Errorf("forgetting challenges: %w", err)
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO scep_challenge
			(hash, profile, user_id, device_id, names, created_at, expires_at, voided_at, used_at, attempts)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			t.Hash.String(), t.Profile, t.Holder.User, t.Holder.Device, string(names),
			micros(t.Created), micros(t.Expires), micros(t.Voided), micros(t.Used), t.Attempts)
		if err != nil {
			return fmt.Errorf("inserting challenge: %w", err)
		}
		return record(ctx, tx, e)
	})
}

// Noted implements [scep.Store].
func (s SCEP) Noted(ctx context.Context, e journal.Entry) error {
	return s.db.tx(ctx, func(tx *sql.Tx) error { return record(ctx, tx, e) })
}

// holderJoin finds the user and device that x is for; gone is 1 when they may
// have no certificate any more. A device that nobody enrolls has no row: an
// administrator made the challenge for a SCEP client that is not managed here.
const (
	holderJoin = ` LEFT JOIN users u ON u.id = x.user_id LEFT JOIN device d ON d.id = x.device_id`
	holderHere = `u.disabled = 0 AND (d.id IS NULL OR (d.user_id = u.id AND d.state <> 'removed'))`
	holderGone = `CASE WHEN ` + holderHere + ` THEN 0 ELSE 1 END`
)

// Ticket implements [scep.ChallengeStore].
func (s SCEP) Ticket(ctx context.Context, hash seal.Hash) (scep.Ticket, error) {
	t := scep.Ticket{Hash: hash}
	var names string
	var created, expires, voided, used int64
	err := s.db.read.row(ctx, `SELECT x.profile, x.user_id, x.device_id, x.names, x.created_at, x.expires_at,
		x.voided_at, x.used_at, x.attempts, `+holderGone+` FROM scep_challenge x`+holderJoin+` WHERE x.hash = ?`, hash.String()).
		Scan(&t.Profile, &t.Holder.User, &t.Holder.Device, &names, &created, &expires, &voided, &used, &t.Attempts, &t.Gone)
	if errors.Is(err, sql.ErrNoRows) {
		return t, scep.ErrChallengeUnknown
	}
	if err != nil {
		return t, fmt.Errorf("reading challenge: %w", err)
	}
	t.Created, t.Expires, t.Voided, t.Used = instant(created), instant(expires), instant(voided), instant(used)
	return t, json.Unmarshal([]byte(names), &t.Names)
}

// ChallengeRefused implements [scep.ChallengeStore].
func (s SCEP) ChallengeRefused(ctx context.Context, hash seal.Hash, why string, e journal.Entry) error {
	return s.db.tx(ctx, func(tx *sql.Tx) error {
		n, err := changed(ctx, tx, `UPDATE scep_challenge SET attempts = attempts + 1, refusal = ? WHERE hash = ? AND attempts < ?`,
			why, hash.String(), scep.MaxAttempts)
		if err != nil {
			return fmt.Errorf("counting a try: %w", err)
		}
		if n == 0 {
			return nil
		}
		_, err = tx.ExecContext(ctx, `UPDATE scep_challenge SET voided_at = ?
			WHERE hash = ? AND attempts >= ? AND used_at = 0 AND voided_at = 0`, micros(e.At), hash.String(), scep.MaxAttempts)
		if err != nil {
			return fmt.Errorf("voiding challenge: %w", err)
		}
		return record(ctx, tx, e)
	})
}

// SerialReserved implements [scep.IssuanceStore].
func (s SCEP) SerialReserved(ctx context.Context, i scep.Issuance) error {
	names, err := json.Marshal(i.Names)
	if err != nil {
		return fmt.Errorf("encoding names: %w", err)
	}
	run := s.db.forerunner
	if i.Issuer == scep.Upstream { // which makes the certificate elsewhere, before the other transaction
		run = s.db.short
	}
	return run(ctx, func(ctx context.Context, tx statements) error {
		open, err := s.mayReserve(ctx, tx, i)
		if err != nil {
			return err
		}
		if !open {
			if err := raiseCRL(ctx, tx, i.Issuer, i.Shard, 0); err != nil {
				return err
			}
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO issuance (issuer, serial, shard, state, profile, user_id, device_id, names, challenge,
			renews, transaction_id, spki, tbs, fingerprint, not_after, created_at, issued_at, abandoned_at, superseded_at)
			VALUES (?, ?, ?, 'issuing', ?, ?, ?, ?, ?, ?, ?, ?, ?, '', ?, ?, 0, 0, 0)`,
			i.Issuer, i.Serial, i.Shard, i.Profile, i.Holder.User, i.Holder.Device, string(names), hashOf(i.Challenge),
			fingerprint(i.Renews), i.Transaction, fingerprint(i.SPKI), i.TBS, micros(i.NotAfter), micros(i.At))
		if err != nil {
			return fmt.Errorf("inserting issuance: %w", err)
		}
		return nil
	})
}

// Reserved implements [scep.IssuanceStore].
func (s SCEP) Reserved(ctx context.Context, i scep.Issuance) (bool, error) {
	n := 0
	err := s.db.read.QueryRowContext(ctx, `SELECT COUNT(*) FROM issuance WHERE transaction_id = ? AND spki = ? AND challenge = ? AND renews = ?
		AND state = 'issuing'`, i.Transaction, fingerprint(i.SPKI), hashOf(i.Challenge), fingerprint(i.Renews)).Scan(&n)
	if err != nil {
		return false, fmt.Errorf("looking for an earlier reservation: %w", err)
	}
	return n > 0, nil
}

// hashOf is how a challenge is stored: empty for none.
func hashOf(h seal.Hash) string {
	if h == (seal.Hash{}) {
		return ""
	}
	return h.String()
}

// reservation asks all that stands against an issuance: keys that somebody
// else has or that were revoked, what was written down within the hour for user
// and device; and whether the list that the certificate will name has its row.
const reservation = `SELECT
	(SELECT COUNT(*) FROM certificate WHERE spki = ? AND (source <> ? OR revoked_at > 0 OR user_id <> ? OR device_id <> ?)),
	(SELECT COUNT(*) FROM issuance WHERE user_id = ? AND created_at > ?),
	(SELECT COUNT(*) FROM issuance WHERE user_id = ? AND created_at > ? AND device_id = ?),
	(SELECT COUNT(*) FROM crl WHERE issuer = ? AND shard = ?)`

// mayReserve tells whether the list that the certificate will name has its
// row, so that it is published before anybody looks for it. It counts what was
// written down for the holder within the hour, also what came to nothing: that
// is what costs. It holds the user before it counts, so that nobody adds
// meanwhile.
func (s SCEP) mayReserve(ctx context.Context, tx statements, i scep.Issuance) (open bool, err error) {
	if err := s.db.lock(ctx, tx, `users WHERE id = ?`, i.Holder.User); err != nil {
		return false, err
	}
	hour := micros(i.At.Add(-time.Hour))
	var known, ofUser, ofDevice, lists int
	err = tx.QueryRowContext(ctx, reservation, fingerprint(i.SPKI), cert.Issued, i.Holder.User, i.Holder.Device,
		i.Holder.User, hour, i.Holder.User, hour, i.Holder.Device, i.Issuer, i.Shard).Scan(&known, &ofUser, &ofDevice, &lists)
	switch {
	case err != nil:
		return false, fmt.Errorf("looking for what stands against a certificate: %w", err)
	case i.Rate != (scep.Rate{}) && (ofDevice >= i.Rate.PerDevice || ofUser >= i.Rate.PerUser):
		return false, scep.ErrCertificatesMany
	case known > 0:
		return false, scep.ErrKeyKnown
	}
	return lists > 0, nil
}

// CertificateIssued implements [scep.IssuanceStore].
func (s SCEP) CertificateIssued(ctx context.Context, i scep.Issuance, r cert.Record, e journal.Entry) error {
	return s.db.short(ctx, func(ctx context.Context, tx statements) error {
		if err := spend(ctx, tx, i, e.At); err != nil {
			return err
		}
		if err := completeRequest(ctx, tx, i, r.Fingerprint, e.At); err != nil {
			return err
		}
		if err := s.refuseGone(ctx, tx, i); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `UPDATE issuance SET superseded_at = ?
			WHERE device_id = ? AND profile = ? AND state = 'issued' AND superseded_at = 0`, micros(e.At), i.Holder.Device, i.Profile)
		if err != nil {
			return fmt.Errorf("ending the turn of older certificates: %w", err)
		}
		if err := complete(ctx, tx, i, r, e.At); err != nil {
			return err
		}
		if err := insertCertificate(ctx, tx, r); err != nil {
			return err
		}
		return record(ctx, tx, e)
	})
}

// complete ends the reservation. Another CA chooses serial number and end
// itself; of our own, the index over serial numbers need not be written again.
func complete(ctx context.Context, tx statements, i scep.Issuance, r cert.Record, at time.Time) error {
	set, values := `state = 'issued', issued_at = ?, fingerprint = ?, tbs = ?`, []any{micros(at), fingerprint(r.Fingerprint), []byte{}}
	if r.Serial != i.Serial {
		set, values = set+`, serial = ?, not_after = ?`, append(values, r.Serial, micros(r.NotAfter))
	}
	n, err := changed(ctx, tx, `UPDATE issuance SET `+set+` WHERE issuer = ? AND serial = ? AND state = 'issuing'`,
		append(values, i.Issuer, i.Serial)...)
	if err != nil {
		return fmt.Errorf("completing issuance: %w", err)
	}
	if n == 0 {
		return fmt.Errorf("issuance %s is not under way any more", i.Serial)
	}
	return nil
}

// spend consumes what allows the issuance.
func spend(ctx context.Context, tx statements, i scep.Issuance, at time.Time) error {
	query, key, lost := `UPDATE scep_challenge SET used_at = ? WHERE hash = ? AND used_at = 0 AND voided_at = 0`,
		hashOf(i.Challenge), scep.ErrChallengeUsed
	if !i.Renews.IsZero() {
		query, key, lost = `UPDATE issuance SET superseded_at = ? WHERE fingerprint = ? AND state = 'issued' AND superseded_at = 0
			AND NOT EXISTS (SELECT 1 FROM certificate c WHERE c.fingerprint = issuance.fingerprint AND c.source = 'issued' AND c.revoked_at > 0)`,
			fingerprint(i.Renews), scep.ErrRenewalOver
	}
	n, err := changed(ctx, tx, query, micros(at), key)
	if err != nil {
		return fmt.Errorf("spending the permission: %w", err)
	}
	if n == 0 {
		return lost
	}
	return nil
}

// refuseGone holds user and device: who ends one of them now waits, and finds
// the certificate.
func (s SCEP) refuseGone(ctx context.Context, tx statements, i scep.Issuance) error {
	here, err := s.db.hold(ctx, tx, `users u LEFT JOIN device d ON d.id = ? WHERE u.id = ? AND `+holderHere, i.Holder.Device, i.Holder.User)
	if err == nil && !here {
		err = scep.ErrHolder
	}
	return err
}

// repeated finds what was issued for a request by its key.
const repeated = selectCertificate + ` WHERE spki = ? AND source = ? AND fingerprint IN (SELECT i.fingerprint FROM issuance i
	WHERE i.fingerprint = certificate.fingerprint AND i.transaction_id = ? AND i.spki = ? AND i.challenge = ? AND i.renews = ?
	AND i.state = 'issued' AND i.issued_at >= ?)`

// Repeated implements [scep.RecordStore].
func (s SCEP) Repeated(ctx context.Context, i scep.Issuance, since time.Time) (cert.Record, bool, error) {
	r, err := scanCertificate(s.db.read.row(ctx, repeated, fingerprint(i.SPKI), cert.Issued, i.Transaction, fingerprint(i.SPKI),
		hashOf(i.Challenge), fingerprint(i.Renews), micros(since)))
	if errors.Is(err, sql.ErrNoRows) {
		return r, false, nil
	}
	if err != nil {
		return r, false, fmt.Errorf("looking for the same request: %w", err)
	}
	return r, true, nil
}

// Addresses implements [scep.HolderStore].
func (s SCEP) Addresses(ctx context.Context, id subject.UserID) (list []string, err error) {
	var rows [][4]string
	err = s.db.read.short(ctx, func(ctx context.Context, q statements) error {
		rows, err = all(ctx, q, func(row scanner) (a [4]string, err error) {
			return a, row.Scan(&a[0], &a[1], &a[2], &a[3])
		}, `SELECT u.mail, u.upn, u.on_premises_upn, COALESCE(a.address, '') FROM users u LEFT JOIN user_alias a ON a.user_id = u.id
			WHERE u.id = ?`, id)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading the addresses of %s: %w", id, err)
	}
	for n, r := range rows {
		if n == 0 {
			list = append(list, r[:3]...)
		}
		if r[3] != "" {
			list = append(list, r[3])
		}
	}
	return list, nil
}

// Issued implements [scep.RecordStore].
func (s SCEP) Issued(ctx context.Context, f cert.Fingerprint) (scep.Issued, error) {
	var i scep.Issued
	var names string
	var superseded int64
	err := s.db.read.QueryRowContext(ctx, `SELECT x.issuer, x.profile, x.user_id, x.device_id, x.names, x.superseded_at, `+holderGone+`
		FROM issuance x`+holderJoin+` WHERE x.fingerprint = ? AND x.state = 'issued'`, fingerprint(f)).
		Scan(&i.Issuer, &i.Profile, &i.Holder.User, &i.Holder.Device, &names, &superseded, &i.Gone)
	if errors.Is(err, sql.ErrNoRows) {
		return i, scep.ErrCertificateUnknown
	}
	if err != nil {
		return i, fmt.Errorf("reading issuance: %w", err)
	}
	i.Current = superseded == 0
	if err := json.Unmarshal([]byte(names), &i.Names); err != nil {
		return i, fmt.Errorf("reading names of %s: %w", f, err)
	}
	i.Record, err = scanCertificate(s.db.read.QueryRowContext(ctx,
		selectCertificate+` WHERE fingerprint = ? AND source = ?`, fingerprint(f), cert.Issued))
	if err != nil {
		return i, fmt.Errorf("reading certificate %s: %w", f, err)
	}
	return i, nil
}
