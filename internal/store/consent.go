package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/signet-mdm/signet/internal/access"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/seal"
)

// ConsentAsked implements [access.ConsentStore].
func (s Access) ConsentAsked(ctx context.Context, c access.Consent, e journal.Entry) error {
	return s.db.tx(ctx, func(tx *sql.Tx) error {
		n := 0
		err := tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM consent WHERE state = ? AND expires_at > ?`, access.ConsentOpen, micros(c.Created)).Scan(&n)
		if err != nil {
			return fmt.Errorf("counting what waits for consent: %w", err)
		}
		if n >= access.MaxConsents {
			return access.ErrConsentMany
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO consent (id, kind, request, digest, sentence, person, token_id, need, state, created_at, expires_at,
			ended_at, ended_by, reason) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, '', '')`, c.ID, c.Kind, c.Request, c.Digest().String(), c.Sentence,
			c.Person, c.Token, c.Need, c.State, micros(c.Created), micros(c.Expires))
		if err != nil {
			return fmt.Errorf("inserting consent: %w", err)
		}
		return record(ctx, tx, e)
	})
}

const selectConsent = `SELECT id, kind, request, sentence, person, token_id, need, state, created_at, expires_at, ended_at, ended_by, reason FROM consent`

func scanConsent(row scanner) (c access.Consent, err error) {
	var created, expires, ended int64
	err = row.Scan(&c.ID, &c.Kind, &c.Request, &c.Sentence, &c.Person, &c.Token, &c.Need, &c.State, &created, &expires, &ended, &c.EndedBy, &c.Reason)
	c.Created, c.Expires, c.Ended = instant(created), instant(expires), instant(ended)
	c.Approved = []access.Approval{}
	return c, err
}

// standing is whether who gave approval a may approve still, by token t, at a
// time.
const standing = `t.id IS NOT NULL AND t.user_id = a.person AND t.role = 'approver' AND t.revoked_at = 0 AND t.expires_at > ?
	AND EXISTS (SELECT 1 FROM approver p WHERE p.user_id = a.person AND p.removed_at = 0)
	AND EXISTS (SELECT 1 FROM users u WHERE u.id = a.person AND u.disabled = 0)`

// Consent implements [access.ConsentStore].
func (s Access) Consent(ctx context.Context, id string, now time.Time) (access.Consent, error) {
	c, err := scanConsent(s.db.read.QueryRowContext(ctx, selectConsent+` WHERE id = ?`, id))
	if errors.Is(err, sql.ErrNoRows) {
		return c, access.ErrConsentUnknown
	}
	if err != nil {
		return c, fmt.Errorf("reading consent: %w", err)
	}
	list := []access.Consent{c}
	return list[0], s.approvals(ctx, list, now)
}

// Consents implements [access.ConsentStore].
func (s Access) Consents(ctx context.Context, q access.ConsentQuery) ([]access.Consent, error) {
	where, values := after("created_at", "id", q.Before, q.ID)
	switch q.State {
	case "":
	case access.ConsentOpen:
		where, values = where+` AND state = ? AND expires_at > ?`, append(values, q.State, micros(q.Now))
	case access.ConsentExpired:
		where, values = where+` AND state = ? AND expires_at <= ?`, append(values, access.ConsentOpen, micros(q.Now))
	default:
		where, values = where+` AND state = ?`, append(values, q.State)
	}
	list, err := all(ctx, s.db.read, scanConsent, selectConsent+` WHERE 1 = 1`+where+` ORDER BY created_at DESC, id DESC LIMIT ?`, append(values, q.Limit)...)
	if err != nil {
		return nil, fmt.Errorf("listing consents: %w", err)
	}
	return list, s.approvals(ctx, list, q.Now)
}

// approvals fills them in.
func (s Access) approvals(ctx context.Context, list []access.Consent, now time.Time) error {
	type approval struct {
		of string
		access.Approval
	}
	scan := func(row scanner) (a approval, err error) {
		var at int64
		err = row.Scan(&a.of, &a.Token, &a.Person, &at, &a.Mark, &a.Counts)
		a.At = instant(at)
		return a, err
	}
	for part := range slices.Chunk(list, inChunk) {
		values := []any{micros(now)}
		for _, c := range part {
			values = append(values, c.ID)
		}
		found, err := all(ctx, s.db.read, scan, `SELECT a.consent_id, a.token_id, a.person, a.at, a.mark, CASE WHEN `+standing+` THEN 1 ELSE 0 END
			FROM consent_approval a LEFT JOIN token t ON t.id = a.token_id WHERE a.consent_id IN (`+marks(len(part))+`) ORDER BY a.at, a.token_id`, values...)
		if err != nil {
			return fmt.Errorf("reading approvals: %w", err)
		}
		for _, a := range found {
			i := slices.IndexFunc(part, func(c access.Consent) bool { return c.ID == a.of })
			part[i].Approved = append(part[i].Approved, a.Approval)
		}
	}
	return nil
}

// ConsentApproved implements [access.ConsentStore].
func (s Access) ConsentApproved(ctx context.Context, id string, digest seal.Hash, a access.Approval, e journal.Entry) error {
	return s.db.tx(ctx, func(tx *sql.Tx) error {
		open, err := s.db.hold(ctx, tx, `consent WHERE id = ? AND digest = ? AND state = ? AND expires_at > ?`, id, digest.String(), access.ConsentOpen, micros(a.At))
		if err != nil {
			return err
		}
		if !open {
			return access.ErrConsentOver
		}
		if err := own(ctx, tx, id, a.Person); err != nil {
			return err
		}
		n, err := counting(ctx, tx, id, a.At, ` AND a.person = ?`, a.Person)
		if err != nil {
			return err
		}
		if n > 0 {
			return access.ErrConsentGiven
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO consent_approval (consent_id, token_id, person, at, mark) VALUES (?, ?, ?, ?, ?)`,
			id, a.Token, a.Person, micros(a.At), a.Mark)
		if err != nil {
			return fmt.Errorf("inserting approval: %w", err)
		}
		return record(ctx, tx, e)
	})
}

// counting counts the people whose approvals count.
func counting(ctx context.Context, tx statements, id string, at time.Time, and string, values ...any) (n int, err error) {
	err = tx.QueryRowContext(ctx, `SELECT COUNT(DISTINCT a.person) FROM consent_approval a JOIN token t ON t.id = a.token_id
		WHERE a.consent_id = ? AND `+standing+and, append([]any{id, micros(at)}, values...)...).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("counting approvals of %s: %w", id, err)
	}
	return n, nil
}

// maxMakers bounds how far the making of a token is followed.
const maxMakers = 100

// own refuses who asked himself: in his name, or by a token that he made, or
// that one made which he made.
func own(ctx context.Context, tx statements, id, person string) error {
	var asked, token string
	if err := tx.QueryRowContext(ctx, `SELECT person, token_id FROM consent WHERE id = ?`, id).Scan(&asked, &token); err != nil {
		return fmt.Errorf("reading who asked for %s: %w", id, err)
	}
	for range maxMakers {
		if asked == person {
			return access.ErrConsentOwn
		}
		if token == "" {
			return nil
		}
		err := tx.QueryRowContext(ctx, `SELECT user_id, made_by FROM token WHERE id = ?`, token).Scan(&asked, &token)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading who made token %s: %w", token, err)
		}
	}
	return access.ErrConsentOwn
}

// ConsentEnded implements [access.ConsentStore].
func (s Access) ConsentEnded(ctx context.Context, end access.ConsentEnd, e journal.Entry) error {
	return s.db.tx(ctx, func(tx *sql.Tx) error {
		n, err := changed(ctx, tx, `UPDATE consent SET state = ?, ended_at = ?, ended_by = ?, reason = ? WHERE id = ? AND state = ? AND expires_at > ?`,
			end.State, micros(end.At), end.Person, end.Reason, end.ID, access.ConsentOpen, micros(end.At))
		if err != nil {
			return fmt.Errorf("ending consent %s: %w", end.ID, err)
		}
		if n == 0 {
			return access.ErrConsentOver
		}
		return record(ctx, tx, e)
	})
}

// ConsentUsed implements [access.ConsentStore].
func (s Access) ConsentUsed(ctx context.Context, id string, digest seal.Hash, e journal.Entry, more ...journal.Entry) error {
	return s.db.tx(ctx, func(tx *sql.Tx) error {
		if err := consent(ctx, tx, id, digest, e.At); err != nil {
			return err
		}
		for _, e := range more {
			if err := record(ctx, tx, e); err != nil {
				return err
			}
		}
		return record(ctx, tx, e)
	})
}

// consent uses a consent up, in the transaction of what was agreed to:
// ErrConsentOver unless it is open, of that digest, and agreed to at that time.
// Who loses a race is told the same.
func consent(ctx context.Context, tx statements, id string, digest seal.Hash, at time.Time) error {
	n, err := changed(ctx, tx, `UPDATE consent SET state = ?, ended_at = ? WHERE id = ? AND digest = ? AND state = ? AND expires_at > ?`,
		access.ConsentUsed, micros(at), id, digest.String(), access.ConsentOpen, micros(at))
	if err != nil {
		return fmt.Errorf("using consent %s: %w", id, err)
	}
	if n == 0 {
		return access.ErrConsentOver
	}
	var need int
	var asked string
	if err := tx.QueryRowContext(ctx, `SELECT need, person FROM consent WHERE id = ?`, id).Scan(&need, &asked); err != nil {
		return fmt.Errorf("reading consent %s: %w", id, err)
	}
	if n, err := counting(ctx, tx, id, at, ` AND a.person <> ?`, asked); err != nil {
		return err
	} else if n < need {
		return access.ErrConsentOver
	}
	return nil
}
