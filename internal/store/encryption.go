package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/pfxconnector/keymaker"
)

var _ keymaker.Store = PFX{}

// inEscrow holds for certificates whose keys were imported, or made here: over
// SCEP none is issued for encryption.
const inEscrow = `(source = 'imported' OR source = 'issued' AND use_ = 'encryption')`

// lastMade finds the last certificate that was made for a user.
const lastMade = `SELECT x.fingerprint FROM issuance x JOIN certificate c ON c.fingerprint = x.fingerprint AND c.user_id = x.user_id
	WHERE c.user_id = ? AND c.source = 'issued' AND c.use_ = 'encryption' AND x.state = 'issued' AND x.superseded_at = 0`

// LastMade implements [keymaker.Store].
func (s PFX) LastMade(ctx context.Context, id subject.UserID) (cert.Fingerprint, error) {
	return lastMadeOf(ctx, s.db.read, id)
}

func lastMadeOf(ctx context.Context, q queryer, id subject.UserID) (cert.Fingerprint, error) {
	list, err := all(ctx, q, scanFingerprint, lastMade, id)
	switch {
	case err != nil:
		return cert.Fingerprint{}, fmt.Errorf("looking for the last key that was made: %w", err)
	case len(list) == 0:
		return cert.Fingerprint{}, nil
	}
	return list[0], nil
}

// KeyMade implements [keymaker.Store].
func (s PFX) KeyMade(ctx context.Context, m keymaker.Made, e journal.Entry) error {
	return s.db.tx(ctx, func(tx *sql.Tx) error {
		here, err := s.db.hold(ctx, tx, `users WHERE id = ? AND disabled = 0`, m.Key.User)
		if err != nil {
			return err
		}
		if !here {
			return keymaker.ErrUser
		}
		if last, err := lastMadeOf(ctx, tx, m.Key.User); err != nil {
			return err
		} else if last != m.Follows {
			return keymaker.ErrRaced
		}
		if err := completeMade(ctx, tx, m, e.At); err != nil {
			return err
		}
		if err := insertCertificate(ctx, tx, m.Certificate); err != nil {
			return err
		}
		if err := insertEscrow(ctx, tx, m.Key); err != nil {
			return err
		}
		if err := s.usable(ctx, tx, m.Key.Wraps...); err != nil {
			return err
		}
		return record(ctx, tx, e)
	})
}

// completeMade ends the turn of the certificate before and completes the
// reservation of this one.
func completeMade(ctx context.Context, tx *sql.Tx, m keymaker.Made, at time.Time) error {
	if !m.Follows.IsZero() {
		if _, err := tx.ExecContext(ctx, `UPDATE issuance SET superseded_at = ? WHERE fingerprint = ? AND state = 'issued'`,
			micros(at), fingerprint(m.Follows)); err != nil {
			return fmt.Errorf("ending the turn of the certificate before: %w", err)
		}
	}
	n, err := changed(ctx, tx, `UPDATE issuance SET state = 'issued', issued_at = ?, fingerprint = ?, tbs = ?
		WHERE issuer = ? AND serial = ? AND user_id = ? AND state = 'issuing'`,
		micros(at), fingerprint(m.Certificate.Fingerprint), []byte{}, m.Issuer, m.Certificate.Serial, m.Key.User)
	if err == nil && n == 0 {
		err = errors.New("it is not under way any more")
	}
	if err != nil {
		return fmt.Errorf("completing issuance %s: %w", m.Certificate.Serial, err)
	}
	return nil
}

// madeEnding is what MadeEnding asks; micros are divided before they are
// multiplied, as in overdue.
const madeEnding = `SELECT c.fingerprint, c.user_id, c.not_before, c.not_after FROM certificate c
	JOIN issuance x ON x.fingerprint = c.fingerprint JOIN users u ON u.id = c.user_id
	WHERE c.source = 'issued' AND c.use_ = 'encryption' AND c.revoked_at = 0 AND c.not_after > ? AND c.not_after <= ?
		AND c.not_after - (c.not_after - c.not_before) / 100 * ? <= ?
		AND x.state = 'issued' AND x.superseded_at = 0 AND u.disabled = 0 ORDER BY c.not_after, c.fingerprint`

// longest is more than any certificate is valid.
const longest = 900 * 24 * time.Hour

// MadeEnding implements [keymaker.Store].
func (s PFX) MadeEnding(ctx context.Context, now time.Time, percent int) ([]keymaker.Ending, error) {
	list, err := all(ctx, s.db.read, func(row scanner) (e keymaker.Ending, err error) {
		var f string
		var from, to int64
		if err = row.Scan(&f, &e.User, &from, &to); err != nil {
			return e, err
		}
		e.NotBefore, e.NotAfter = instant(from), instant(to)
		e.Cert, err = parseFingerprint(f)
		return e, err
	}, madeEnding, micros(now), micros(now.Add(longest/100*time.Duration(percent))), percent, micros(now))
	if err != nil {
		return nil, fmt.Errorf("looking for certificates that end: %w", err)
	}
	return list, nil
}

// lacking lists the enabled users in a scope who have no certificate that others
// can encrypt to, by the rule of [cert.Choose].
func (s Jobs) lacking(ctx context.Context, scope subject.Scope, now time.Time) ([]string, error) {
	where, values, err := scopeOfUsers(scope)
	if err != nil {
		return nil, err
	}
	type user struct {
		id   subject.UserID
		mail string
	}
	users, err := all(ctx, s.db.read, func(row scanner) (u user, err error) {
		return u, row.Scan(&u.id, &u.mail)
	}, `SELECT id, mail FROM users WHERE disabled = 0`+where+` ORDER BY id`, values...)
	if err != nil {
		return nil, fmt.Errorf("listing users: %w", err)
	}
	var list []string
	for len(users) > 0 {
		n := min(inChunk, len(users))
		ids := make([]any, n)
		for i, u := range users[:n] {
			ids[i] = u.id
		}
		records, err := all(ctx, s.db.read, scanCertificate, selectCertificate+` WHERE user_id IN (`+marks(n)+`) AND `+inEscrow+`
			AND revoked_at = 0 AND not_after >= ?`, append(ids, micros(now))...)
		if err != nil {
			return nil, fmt.Errorf("reading certificates of users: %w", err)
		}
		of := map[subject.UserID][]cert.Record{}
		for _, r := range records {
			of[r.Holder.User] = append(of[r.Holder.User], r)
		}
		for _, u := range users[:n] {
			if cert.Choose(of[u.id], u.mail, now).Current == nil {
				list = append(list, string(u.id))
			}
		}
		users = users[n:]
	}
	return list, nil
}

// scopeOfUsers gives the condition for users in a scope, and its arguments.
func scopeOfUsers(s subject.Scope) (string, []any, error) {
	switch {
	case s.All:
		return "", nil, nil
	case len(s.Users) == 1 && len(s.Groups)+len(s.Devices) == 0:
		return ` AND id = ?`, []any{s.Users[0]}, nil
	case len(s.Groups) == 1 && len(s.Users)+len(s.Devices) == 0:
		return ` AND id IN (SELECT user_id FROM membership WHERE group_id = ?)`, []any{s.Groups[0]}, nil
	}
	return "", nil, errJobScope
}
