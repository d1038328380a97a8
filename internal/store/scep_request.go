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
	"github.com/signet-mdm/signet/scep"
)

// RequestMade implements [scep.PendingStore].
func (s SCEP) RequestMade(ctx context.Context, r scep.Request, e journal.Entry) error {
	names, err := json.Marshal(r.Names)
	if err != nil {
		return fmt.Errorf("encoding names: %w", err)
	}
	return s.db.tx(ctx, func(tx *sql.Tx) error {
		if err := s.reserve(ctx, tx, r); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `DELETE FROM scep_request WHERE expires_at < ?`, micros(r.Created.Add(-forgetAfter)))
		if err != nil {
			return fmt.Errorf("forgetting requests: %w", err)
		}
		n := 0
		err = tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM scep_request WHERE state = ? AND expires_at > ?`,
			r.State, micros(r.Created)).Scan(&n)
		if err != nil {
			return fmt.Errorf("counting requests that wait: %w", err)
		}
		if n >= scep.MaxRequests {
			return scep.ErrRequestsMany
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO scep_request (id, profile, user_id, device_id, names, challenge, renews,
			transaction_id, signer, spki, csr, remote, state, created_at, expires_at, decided_at, actor_kind, actor_id, decider, reason,
			fingerprint) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, '', '', '', '', '')`,
			r.ID, r.Profile, r.Holder.User, r.Holder.Device, string(names), hashOf(r.Challenge), fingerprint(r.Renews),
			r.Transaction, fingerprint(r.Signer), fingerprint(r.SPKI), r.CSR, r.Remote, r.State, micros(r.Created), micros(r.Expires))
		if err != nil {
			return fmt.Errorf("inserting request: %w", err)
		}
		return record(ctx, tx, e)
	})
}

// reserve holds what allows a request: nobody spends it meanwhile, and no other
// request has it.
func (s SCEP) reserve(ctx context.Context, tx *sql.Tx, r scep.Request) error {
	from, key, lost := `scep_challenge WHERE hash = ? AND used_at = 0 AND voided_at = 0`, hashOf(r.Challenge), error(scep.ErrChallengeUsed)
	if !r.Renews.IsZero() {
		from, key, lost = `issuance WHERE fingerprint = ? AND state = 'issued' AND superseded_at = 0`, fingerprint(r.Renews), scep.ErrRenewalOver
	}
	good, err := s.db.hold(ctx, tx, from, key)
	if err != nil {
		return err
	}
	n := 0
	err = tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM scep_request WHERE challenge = ? AND renews = ? AND expires_at > ?`,
		hashOf(r.Challenge), fingerprint(r.Renews), micros(r.Created)).Scan(&n)
	if err != nil {
		return fmt.Errorf("looking for another request: %w", err)
	}
	if !good || n > 0 {
		return lost
	}
	return nil
}

const selectRequest = `SELECT x.id, x.profile, x.user_id, x.device_id, x.names, x.challenge, x.renews, x.transaction_id, x.signer, x.spki,
	x.csr, x.remote, x.state, x.created_at, x.expires_at, x.decided_at, x.actor_kind, x.actor_id, x.decider, x.reason, x.fingerprint,
	` + holderGone + ` FROM scep_request x` + holderJoin

func scanRequest(row scanner) (r scep.Request, err error) {
	var names, challenge string
	var prints [4]string
	var created, expires, decided int64
	err = row.Scan(&r.ID, &r.Profile, &r.Holder.User, &r.Holder.Device, &names, &challenge, &prints[0], &r.Transaction, &prints[1],
		&prints[2], &r.CSR, &r.Remote, &r.State, &created, &expires, &decided, &r.By.Kind, &r.By.ID, &r.Decider, &r.Reason, &prints[3], &r.Gone)
	if err != nil {
		return r, err
	}
	r.Created, r.Expires, r.Decided = instant(created), instant(expires), instant(decided)
	hash, err := parseFingerprint(challenge)
	r.Challenge = seal.Hash(hash)
	for i, to := range []*cert.Fingerprint{&r.Renews, &r.Signer, &r.SPKI, &r.Cert} {
		var wrong error
		*to, wrong = parseFingerprint(prints[i])
		err = errors.Join(err, wrong)
	}
	return r, errors.Join(err, json.Unmarshal([]byte(names), &r.Names))
}

// RequestOf implements [scep.PendingStore].
func (s SCEP) RequestOf(ctx context.Context, profile, transaction string, signer cert.Fingerprint) (scep.Request, error) {
	r, err := scanRequest(s.db.read.QueryRowContext(ctx, selectRequest+` WHERE x.transaction_id = ? AND x.signer = ? AND x.profile = ?
		ORDER BY x.created_at DESC, x.id DESC LIMIT 1`, transaction, fingerprint(signer), profile))
	return found(r, err, scep.ErrTransaction)
}

// Request implements [scep.ApprovalStore].
func (s SCEP) Request(ctx context.Context, id string) (scep.Request, error) {
	r, err := scanRequest(s.db.read.QueryRowContext(ctx, selectRequest+` WHERE x.id = ?`, id))
	return found(r, err, scep.ErrRequestUnknown)
}

func found(r scep.Request, err, none error) (scep.Request, error) {
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return r, none
	case err != nil:
		return r, fmt.Errorf("reading certificate request: %w", err)
	}
	return r, nil
}

// Requests implements [scep.ApprovalStore].
func (s SCEP) Requests(ctx context.Context, q scep.RequestQuery) ([]scep.Request, error) {
	where, values := after("x.created_at", "x.id", q.Before, q.ID)
	if q.User != "" {
		where, values = where+` AND x.user_id = ?`, append(values, q.User)
	}
	switch q.State {
	case "":
	case scep.RequestOpen, scep.RequestApproved, scep.RequestUpstream:
		where, values = where+` AND x.state = ? AND x.expires_at > ?`, append(values, q.State, micros(q.Now))
	case scep.RequestExpired:
		where, values = where+` AND x.state IN (?, ?, ?) AND x.expires_at <= ?`,
			append(values, scep.RequestOpen, scep.RequestApproved, scep.RequestUpstream, micros(q.Now))
	default:
		where, values = where+` AND x.state = ?`, append(values, q.State)
	}
	list, err := all(ctx, s.db.read, scanRequest, selectRequest+` WHERE 1 = 1`+where+` ORDER BY x.created_at DESC, x.id DESC LIMIT ?`,
		append(values, q.Limit)...)
	if err != nil {
		return nil, fmt.Errorf("listing certificate requests: %w", err)
	}
	return list, nil
}

// RequestDecided implements [scep.ApprovalStore].
func (s SCEP) RequestDecided(ctx context.Context, d scep.Decision, e journal.Entry) error {
	states := []any{scep.RequestOpen}
	if d.State == scep.RequestDenied {
		states = append(states, scep.RequestApproved, scep.RequestUpstream)
	}
	return s.db.tx(ctx, func(tx *sql.Tx) error {
		n, err := changed(ctx, tx, `UPDATE scep_request SET state = ?, decided_at = ?, actor_kind = ?, actor_id = ?, decider = ?, reason = ?
			WHERE id = ? AND expires_at > ? AND state IN (`+marks(len(states))+`)`, append([]any{d.State, micros(d.At), d.By.Kind, d.By.ID,
			d.Person, d.Reason, d.ID, micros(d.At)}, states...)...)
		if err != nil {
			return fmt.Errorf("deciding on request %s: %w", d.ID, err)
		}
		if n == 0 {
			return scep.ErrRequestDecided
		}
		if d.State == scep.RequestDenied {
			_, err = tx.ExecContext(ctx, `UPDATE scep_challenge SET voided_at = ? WHERE used_at = 0 AND voided_at = 0
				AND hash IN (SELECT challenge FROM scep_request WHERE id = ?)`, micros(d.At), d.ID)
			if err != nil {
				return fmt.Errorf("voiding the challenge of request %s: %w", d.ID, err)
			}
		}
		return record(ctx, tx, e)
	})
}

// RequestHandedOn implements [scep.PendingStore].
func (s SCEP) RequestHandedOn(ctx context.Context, id string, e journal.Entry) error {
	return s.db.tx(ctx, func(tx *sql.Tx) error {
		n, err := changed(ctx, tx, `UPDATE scep_request SET state = ? WHERE id = ? AND state = ? AND expires_at > ?`,
			scep.RequestUpstream, id, scep.RequestApproved, micros(e.At))
		if err != nil {
			return fmt.Errorf("handing on request %s: %w", id, err)
		}
		if n == 0 {
			return scep.ErrRequestDecided
		}
		return record(ctx, tx, e)
	})
}

// voidRequests ends those that wait by the challenges which a newer one
// replaces.
func voidRequests(ctx context.Context, tx *sql.Tx, t scep.Ticket) error {
	_, err := tx.ExecContext(ctx, `UPDATE scep_request SET state = ?, decided_at = ?
		WHERE device_id = ? AND profile = ? AND challenge <> '' AND state IN (?, ?, ?)`,
		scep.RequestVoid, micros(t.Created), t.Holder.Device, t.Profile, scep.RequestOpen, scep.RequestApproved, scep.RequestUpstream)
	if err != nil {
		return fmt.Errorf("ending requests of older challenges: %w", err)
	}
	return nil
}

// completeRequest takes the approval of an issuance, if it needs one.
func completeRequest(ctx context.Context, tx statements, i scep.Issuance, f cert.Fingerprint, at time.Time) error {
	if i.Request == "" {
		return nil
	}
	n, err := changed(ctx, tx, `UPDATE scep_request SET state = ?, fingerprint = ? WHERE id = ? AND state IN (?, ?) AND expires_at > ?`,
		scep.RequestIssued, fingerprint(f), i.Request, scep.RequestApproved, scep.RequestUpstream, micros(at))
	if err != nil {
		return fmt.Errorf("completing request %s: %w", i.Request, err)
	}
	if n == 0 {
		return scep.ErrRequestDecided
	}
	return nil
}
