package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/pfxconnector/tenant"
)

// Tenant is the facet of what an Intune tenant has of us.
type Tenant struct{ db *DB }

// Tenant gives the facet.
func (db *DB) Tenant() Tenant { return Tenant{db} }

var _ tenant.Store = Tenant{}

// RecipientRegistered implements [tenant.Store].
func (s Tenant) RecipientRegistered(ctx context.Context, r tenant.Registration, digest seal.Hash, e journal.Entry) error {
	return s.db.tx(ctx, func(tx *sql.Tx) error {
		if err := consent(ctx, tx, r.Consent, digest, e.At); err != nil {
			return err
		}
		if _, err := endRecipient(ctx, tx, e.At); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO tenant_recipient (id, consent_id, request, mark, created_at, ended_at) VALUES (?, ?, ?, ?, ?, 0)`,
			r.ID, r.Consent, r.Request(), r.Mark, micros(r.At))
		if err != nil {
			return fmt.Errorf("inserting recipient: %w", err)
		}
		return record(ctx, tx, e)
	})
}

// RecipientWithdrawn implements [tenant.Store].
func (s Tenant) RecipientWithdrawn(ctx context.Context, e journal.Entry) error {
	return s.db.tx(ctx, func(tx *sql.Tx) error {
		n, err := endRecipient(ctx, tx, e.At)
		if err != nil {
			return err
		}
		if n == 0 {
			return tenant.ErrNoRecipient
		}
		return record(ctx, tx, e)
	})
}

// endRecipient ends the registration there is, and forgets its mark, without which
// no row makes it good again, and what was not sent yet.
func endRecipient(ctx context.Context, tx statements, at time.Time) (int64, error) {
	n, err := changed(ctx, tx, `UPDATE tenant_recipient SET ended_at = ?, mark = ? WHERE ended_at = 0`, micros(at), []byte{})
	if err == nil {
		_, err = tx.ExecContext(ctx, `UPDATE tenant_copy SET state = 'looking', pfx = ?, password = ?, lease_until = 0 WHERE state = 'sealed'`, []byte{}, []byte{})
	}
	if err != nil {
		return 0, fmt.Errorf("ending a recipient: %w", err)
	}
	return n, nil
}

// Registered implements [tenant.Store].
func (s Tenant) Registered(ctx context.Context) (r tenant.Registration, err error) {
	var request string
	var at int64
	err = s.db.read.QueryRowContext(ctx, `SELECT id, consent_id, request, mark, created_at FROM tenant_recipient WHERE ended_at = 0
		ORDER BY created_at DESC, id DESC LIMIT 1`).Scan(&r.ID, &r.Consent, &request, &r.Mark, &at)
	if errors.Is(err, sql.ErrNoRows) {
		return r, tenant.ErrNoRecipient
	}
	if err != nil {
		return r, fmt.Errorf("reading recipient: %w", err)
	}
	r.At = instant(at)
	if r.Recipient, err = tenant.ParseRequest(request); err != nil {
		return r, tenant.ErrForged.With(err)
	}
	return r, nil
}

// toBeThere gives the keys in escrow of those whose keys the tenant is to have,
// as far as devices take such keys.
func toBeThere(w tenant.Want) (from string, values []any) {
	from = ` FROM escrow_key k JOIN users u ON u.id = k.user_id JOIN certificate c ON c.fingerprint = k.certificate AND c.user_id = k.user_id
		WHERE u.disabled = 0 AND c.deliverable = ''`
	if w.All {
		return from, nil
	}
	if len(w.Groups) == 0 {
		return from + ` AND 1 = 0`, nil
	}
	return from + ` AND u.id IN (SELECT m.user_id FROM membership m JOIN groups_ g ON g.id = m.group_id WHERE g.name IN (` +
		marks(len(w.Groups)) + `))`, args(w.Groups)
}

// CopiesPlanned implements [tenant.Store].
func (s Tenant) CopiesPlanned(ctx context.Context, w tenant.Want, key string, now, stale time.Time, limit int) (n int, err error) {
	wanted, of := toBeThere(w)
	is := `EXISTS (SELECT 1` + wanted + ` AND k.user_id = tenant_copy.user_id AND k.certificate = tenant_copy.certificate)`
	const free, empty = ` AND lease_until <= ?`, `, pfx = ?, password = ?`
	none, at := []byte{}, micros(now)
	type step struct {
		query  string
		values []any
	}
	with := func(before []any, after ...any) []any {
		return append(append(before[:len(before):len(before)], of...), after...)
	}
	steps := []step{
		{`INSERT INTO tenant_copy (user_id, certificate, state, recipient, account, thumbprint, pfx, password, code, attempts, next_at, lease_until, changed_at)
			SELECT k.user_id, k.certificate, 'looking', '', '', '', ?, ?, '', 0, ?, 0, ?` + wanted +
			` AND NOT EXISTS (SELECT 1 FROM tenant_copy t WHERE t.user_id = k.user_id AND t.certificate = k.certificate) ORDER BY k.user_id, k.certificate LIMIT ?`,
			with([]any{none, none, at, at}, limit)},
		{`UPDATE tenant_copy SET state = 'looking'` + empty + `, next_at = ?, changed_at = ?
			WHERE (state = 'sealed' AND (recipient <> ? OR changed_at < ?) OR state = 'there' AND recipient <> ? AND ` + is + `)` + free,
			append([]any{none, none, at, at, key, micros(stale), key}, append(of[:len(of):len(of)], at)...)},
		{`UPDATE tenant_copy SET state = 'looking', next_at = ?, changed_at = ? WHERE state = 'removing' AND ` + is + free, with([]any{at, at}, at)},
	}
	if w.Remove {
		steps = append(steps, step{`UPDATE tenant_copy SET state = 'removing'` + empty + `, code = '', attempts = 0, next_at = ?, changed_at = ?
			WHERE state <> 'removing' AND NOT ` + is + free, with([]any{none, none, at, at}, at)})
	} else {
		steps = append(steps, step{`DELETE FROM tenant_copy WHERE state <> 'there' AND NOT ` + is + free, with(nil, at)})
	}
	err = s.db.tx(ctx, func(tx *sql.Tx) error {
		n = 0
		for _, step := range steps {
			met, err := changed(ctx, tx, step.query, step.values...)
			if err != nil {
				return fmt.Errorf("planning for the tenant: %w", err)
			}
			n += int(met)
		}
		return nil
	})
	return n, err
}

const selectCopy = `SELECT t.user_id, t.certificate, t.state, t.recipient, t.account, t.thumbprint, t.pfx, t.password, t.code, t.attempts, t.next_at,
	t.changed_at, ` + userColumns + ` FROM tenant_copy t JOIN users u ON u.id = t.user_id`

func scanCopy(row scanner) (c tenant.Copy, err error) {
	var fp string
	var next, at int64
	err = row.Scan(append([]any{&c.User.ID, &fp, &c.State, &c.Key, &c.Account, &c.Thumbprint, &c.Package.Blob, &c.Package.Password, &c.Code, &c.Attempts,
		&next, &at}, userFields(&c.User)...)...)
	if err != nil {
		return c, err
	}
	c.Next, c.Changed = instant(next), instant(at)
	c.Cert, err = parseFingerprint(fp)
	return c, err
}

// CopiesLeased implements [tenant.Store].
func (s Tenant) CopiesLeased(ctx context.Context, now, until time.Time, limit int, states ...tenant.State) (list []tenant.Copy, err error) {
	due := ` WHERE t.state IN (` + marks(len(states)) + `) AND t.next_at <= ? AND t.lease_until <= ?`
	values := append(args(states), micros(now), micros(now))
	idle, err := s.db.none(ctx, `SELECT EXISTS (SELECT 1 FROM tenant_copy t`+due+`)`, values...)
	if err != nil || idle {
		return nil, err
	}
	err = s.db.tx(ctx, func(tx *sql.Tx) error {
		list = nil // f may run again
		found, err := all(ctx, tx, scanCopy, selectCopy+due+` ORDER BY t.next_at, t.user_id, t.certificate LIMIT ?`, append(values, limit)...)
		if err != nil {
			return fmt.Errorf("looking for copies: %w", err)
		}
		for _, c := range found {
			n, err := changed(ctx, tx, `UPDATE tenant_copy SET lease_until = ? WHERE user_id = ? AND certificate = ? AND state = ? AND lease_until <= ?`,
				micros(until), c.User.ID, fingerprint(c.Cert), c.State, micros(now))
			if err != nil {
				return fmt.Errorf("leasing copy: %w", err)
			}
			if n == 1 {
				c.Until = instant(micros(until))
				list = append(list, c)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return list, s.certify(ctx, list)
}

// certify adds the certificates that are still in escrow.
func (s Tenant) certify(ctx context.Context, list []tenant.Copy) error {
	var users []any
	for _, c := range list {
		users = append(users, c.User.ID)
	}
	if len(users) == 0 {
		return nil
	}
	records, err := all(ctx, s.db.read, scanCertificate, selectCertificate+` WHERE user_id IN (`+marks(len(users))+`) AND `+inEscrow, users...)
	if err != nil {
		return fmt.Errorf("reading certificates of copies: %w", err)
	}
	type key struct {
		user subject.UserID
		cert cert.Fingerprint
	}
	by := map[key]cert.Record{}
	for _, r := range records {
		by[key{r.Holder.User, r.Fingerprint}] = r
	}
	for i, c := range list {
		list[i].Record = by[key{c.User.ID, c.Cert}]
	}
	return nil
}

// CopyTried implements [tenant.Store].
func (s Tenant) CopyTried(ctx context.Context, o tenant.Outcome, e *journal.Entry) error {
	const leased = ` WHERE user_id = ? AND certificate = ? AND lease_until = ?`
	which := []any{o.User.ID, fingerprint(o.Cert), micros(o.Until)}
	return s.db.tx(ctx, func(tx *sql.Tx) error {
		query, values := `DELETE FROM tenant_copy`, []any(nil)
		if !o.Gone {
			query = `UPDATE tenant_copy SET changed_at = CASE WHEN state <> ? THEN ? ELSE changed_at END, state = ?, recipient = ?, account = ?, thumbprint = ?,
				pfx = ?, password = ?, code = ?, attempts = ?, next_at = ?, lease_until = 0`
			values = []any{o.State, micros(o.At), o.State, o.Key, o.Account, o.Thumbprint, bytesOf(o.Package.Blob), bytesOf(o.Package.Password), o.Code,
				o.Attempts, micros(o.Next)}
		}
		n, err := changed(ctx, tx, query+leased, append(values, which...)...)
		if err != nil {
			return fmt.Errorf("storing how a copy went: %w", err)
		}
		if e == nil || n == 0 && !o.Gone && o.State != tenant.There { // what was sent was sent
			return nil
		}
		return record(ctx, tx, *e)
	})
}

// CopiesDue implements [tenant.Store].
func (s Tenant) CopiesDue(ctx context.Context, user subject.UserID, again bool, e journal.Entry) (n int, err error) {
	where, whose := ``, []any(nil)
	if user != "" {
		where, whose = ` AND user_id = ?`, []any{user}
	}
	err = s.db.tx(ctx, func(tx *sql.Tx) error {
		if again {
			_, err := tx.ExecContext(ctx, `UPDATE tenant_copy SET state = 'looking', pfx = ?, password = ?, changed_at = ? WHERE state IN ('there', 'sealed')`+where,
				append([]any{[]byte{}, []byte{}, micros(e.At)}, whose...)...)
			if err != nil {
				return fmt.Errorf("wanting copies again: %w", err)
			}
		}
		met, err := changed(ctx, tx, `UPDATE tenant_copy SET next_at = ?, attempts = 0 WHERE state <> 'there'`+where, append([]any{micros(e.At)}, whose...)...)
		if err != nil {
			return fmt.Errorf("making copies due: %w", err)
		}
		n = int(met)
		return record(ctx, tx, e)
	})
	return n, err
}

// Copies implements [tenant.Store].
func (s Tenant) Copies(ctx context.Context, user subject.UserID, from string, limit int) ([]tenant.Copy, error) {
	where, values := ` WHERE 1 = 1`, []any(nil)
	if user != "" {
		where, values = where+` AND t.user_id = ?`, append(values, user)
	}
	if len(from) > len(cert.Fingerprint{})*2 {
		id, fp := from[:len(from)-len(cert.Fingerprint{})*2], from[len(from)-len(cert.Fingerprint{})*2:]
		where, values = where+` AND (t.user_id > ? OR t.user_id = ? AND t.certificate > ?)`, append(values, id, id, fp)
	}
	list, err := all(ctx, s.db.read, scanCopy, selectCopy+where+` ORDER BY t.user_id, t.certificate LIMIT ?`, append(values, limit)...)
	if err != nil {
		return nil, fmt.Errorf("listing copies: %w", err)
	}
	return list, nil
}

// CopyCounts implements [tenant.Store].
func (s Tenant) CopyCounts(ctx context.Context) (tenant.Counts, error) {
	c := tenant.Counts{States: map[tenant.State]int{}, Failed: map[string]int{}}
	rows, err := all(ctx, s.db.read, func(row scanner) (x struct {
		state tenant.State
		code  string
		n     int
	}, err error) {
		err = row.Scan(&x.state, &x.code, &x.n)
		return x, err
	}, `SELECT state, code, COUNT(*) FROM tenant_copy GROUP BY state, code`)
	if err != nil {
		return c, fmt.Errorf("counting copies: %w", err)
	}
	for _, x := range rows {
		c.States[x.state] += x.n
		if x.code != "" {
			c.Failed[x.code] += x.n
		}
	}
	return c, nil
}
