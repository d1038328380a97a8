package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/signet-mdm/signet/internal/delivery"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/notify"
)

// Mail is the facet of mails to people.
type Mail struct {
	db  *DB
	box *seal.Box // for what is in them
}

// Mail gives the facet; box encrypts what mails say.
func (db *DB) Mail(box *seal.Box) Mail {
	if box == nil {
		panic("store: nil box")
	}
	return Mail{db, box}
}

var _ notify.Store = Mail{}

// MailQueued implements [notify.Queue].
func (s Mail) MailQueued(ctx context.Context, m notify.Mail, e journal.Entry) error {
	return s.db.tx(ctx, func(tx *sql.Tx) error {
		if err := s.insert(ctx, tx, m); err != nil {
			return err
		}
		return record(ctx, tx, e)
	})
}

// insert stores a mail, or is ErrLimit. Its user is held, so that nobody counts
// his mails meanwhile.
func (s Mail) insert(ctx context.Context, tx *sql.Tx, m notify.Mail) error {
	content, err := m.Content()
	if err != nil {
		return err
	}
	if _, err := s.db.hold(ctx, tx, "users WHERE id = ?", m.User); err != nil {
		return err
	}
	day, sent := m.CreatedAt.Unix()/(24*60*60), 0
	err = tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM mail WHERE user_id = ? AND topic = ? AND day = ?`, m.User, m.Topic, day).Scan(&sent)
	if err != nil {
		return fmt.Errorf("counting mails: %w", err)
	}
	if sent >= notify.PerDay {
		return notify.ErrLimit
	}
	at := micros(m.CreatedAt)
	_, err = tx.ExecContext(ctx, `INSERT INTO mail (id, user_id, device_id, topic, state, content, day, nth, attempts, code, reason,
		created_at, since, next_at, lease_until, done_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0, 0, '', ?, ?, ?, 0, 0)`,
		m.ID, m.User, m.Device, m.Topic, notify.Waiting, s.box.Close(content, mailAAD(m.ID)), day, sent+1, at, at, at)
	if err != nil {
		return fmt.Errorf("inserting mail: %w", err)
	}
	return nil
}

func mailAAD(id string) string { return "mail/" + id }

// MailsLeased implements [notify.Queue].
func (s Mail) MailsLeased(ctx context.Context, now, until time.Time, limit int) (list []notify.Due, err error) {
	const due = ` FROM mail m JOIN users u ON u.id = m.user_id WHERE m.state = 'waiting' AND m.next_at <= ? AND m.lease_until <= ?`
	idle, err := s.db.none(ctx, `SELECT EXISTS (SELECT 1`+due+`)`, micros(now), micros(now))
	if err != nil || idle {
		return nil, err
	}
	err = s.db.tx(ctx, func(tx *sql.Tx) error {
		list = nil // f may run again
		waiting, err := s.waiting(ctx, tx, due, now, limit)
		if err != nil {
			return fmt.Errorf("looking for mails: %w", err)
		}
		for _, d := range waiting {
			n, err := changed(ctx, tx, `UPDATE mail SET lease_until = ? WHERE id = ? AND state = 'waiting' AND next_at <= ? AND lease_until <= ?`,
				micros(until), d.ID, micros(now), micros(now))
			if err != nil {
				return fmt.Errorf("leasing mail: %w", err)
			}
			if n == 1 {
				d.Until = instant(micros(until))
				list = append(list, d)
			}
		}
		return nil
	})
	return list, err
}

// waiting gives mails that are due. Those that strangers can have us send come
// last: however many they ask for, no invitation and no warning waits for them.
func (s Mail) waiting(ctx context.Context, tx *sql.Tx, due string, now time.Time, limit int) (list []notify.Due, err error) {
	for _, which := range []string{` AND m.topic <> ?`, ` AND m.topic = ?`} {
		more, err := all(ctx, tx, s.scanDue, `SELECT m.id, m.device_id, m.topic, m.content, m.attempts, m.created_at, m.since,
			u.id, `+userColumns+due+which+` ORDER BY m.next_at, m.id LIMIT ?`,
			micros(now), micros(now), notify.OwnPage, limit-len(list))
		if err != nil {
			return nil, err
		}
		list = append(list, more...)
	}
	return list, nil
}

func (s Mail) scanDue(row scanner) (notify.Due, error) {
	var d notify.Due
	var boxed []byte
	var created, since int64
	u := &d.To
	err := row.Scan(append([]any{&d.ID, &d.Device, &d.Topic, &boxed, &d.Attempts, &created, &since, &u.ID}, userFields(u)...)...)
	if err != nil {
		return d, err
	}
	d.User, d.CreatedAt, d.Since = u.ID, instant(created), instant(since)
	content, err := s.box.Open(boxed, mailAAD(d.ID))
	d.Damaged = err != nil || d.SetContent(content) != nil // and the others go on
	return d, nil
}

// MailTried implements [notify.Queue].
func (s Mail) MailTried(ctx context.Context, o notify.Outcome, e journal.Entry) (stored bool, err error) {
	done := o.At
	if o.State == notify.Waiting {
		done = time.Time{}
	}
	err = s.db.tx(ctx, func(tx *sql.Tx) error {
		n, err := changed(ctx, tx, `UPDATE mail SET state = ?, content = CASE WHEN ? THEN ? ELSE content END, attempts = attempts + 1,
			code = ?, reason = ?, next_at = ?, lease_until = 0, done_at = ? WHERE id = ? AND state = 'waiting' AND lease_until = ?`,
			o.State, o.State == notify.Sent, []byte{}, o.Code, o.Reason, micros(o.Next), micros(done), o.ID, micros(o.Until))
		if err != nil {
			return fmt.Errorf("storing how a mail went: %w", err)
		}
		if stored = n == 1; !stored || o.State == notify.Waiting {
			return nil
		}
		return record(ctx, tx, e)
	})
	return stored && err == nil, err
}

const selectMail = `SELECT m.id, m.user_id, u.mail, m.device_id, m.topic, m.state, m.attempts, m.code, m.reason, m.created_at, m.next_at, m.done_at
	FROM mail m JOIN users u ON u.id = m.user_id`

func scanMail(row scanner) (notify.Status, error) {
	var m notify.Status
	var created, next, done int64
	err := row.Scan(&m.ID, &m.User, &m.To, &m.Device, &m.Topic, &m.State, &m.Attempts, &m.Code, &m.Reason, &created, &next, &done)
	m.CreatedAt, m.NextAt, m.DoneAt = instant(created), instant(next), instant(done)
	return m, err
}

// Mails implements [notify.Shelf].
func (s Mail) Mails(ctx context.Context, q notify.MailQuery) ([]notify.Status, error) {
	where, values := ` WHERE 1 = 1`, []any{}
	if q.User != "" {
		where, values = where+` AND m.user_id = ?`, append(values, q.User)
	}
	if q.State != "" {
		where, values = where+` AND m.state = ?`, append(values, q.State)
	}
	if !q.Before.IsZero() {
		before := micros(q.Before)
		where, values = where+` AND (m.created_at < ? OR m.created_at = ? AND m.id < ?)`, append(values, before, before, q.ID)
	}
	list, err := all(ctx, s.db.read, scanMail, selectMail+where+` ORDER BY m.created_at DESC, m.id DESC LIMIT ?`, append(values, q.Limit)...)
	if err != nil {
		return nil, fmt.Errorf("listing mails: %w", err)
	}
	return list, nil
}

// Mail implements [notify.Shelf].
func (s Mail) Mail(ctx context.Context, id string) (notify.Status, error) {
	m, err := scanMail(s.db.read.QueryRowContext(ctx, selectMail+` WHERE m.id = ?`, id))
	if errors.Is(err, sql.ErrNoRows) {
		return m, notify.ErrMailUnknown
	}
	if err != nil {
		return m, fmt.Errorf("reading mail: %w", err)
	}
	return m, nil
}

// MailRetried implements [notify.Shelf]. One that is just being sent keeps its
// lease, so that nobody sends it beside.
func (s Mail) MailRetried(ctx context.Context, id string, e journal.Entry) error {
	return s.db.tx(ctx, func(tx *sql.Tx) error {
		n, err := changed(ctx, tx, `UPDATE mail SET state = 'waiting', attempts = 0, since = ?, next_at = ?, done_at = 0
			WHERE id = ? AND state <> 'sent' AND LENGTH(content) > 0`, micros(e.At), micros(e.At), id)
		if err != nil {
			return fmt.Errorf("trying a mail again: %w", err)
		}
		if n == 1 {
			return record(ctx, tx, e)
		}
		there := 0
		if err := tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM mail WHERE id = ?`, id).Scan(&there); err != nil {
			return fmt.Errorf("looking for the mail: %w", err)
		}
		if there == 0 {
			return notify.ErrMailUnknown
		}
		return notify.ErrMailDone
	})
}

// MailsForgotten implements [notify.Shelf].
func (s Mail) MailsForgotten(ctx context.Context, wipe, drop time.Time) (met int, err error) {
	err = s.db.tx(ctx, func(tx *sql.Tx) error {
		wiped, err := changed(ctx, tx, `UPDATE mail SET content = ? WHERE done_at > 0 AND done_at <= ? AND LENGTH(content) > 0`, []byte{}, micros(wipe))
		if err != nil {
			return fmt.Errorf("wiping mails: %w", err)
		}
		dropped, err := changed(ctx, tx, `DELETE FROM mail WHERE done_at > 0 AND done_at <= ?`, micros(drop))
		if err != nil {
			return fmt.Errorf("dropping mails: %w", err)
		}
		met = int(wiped + dropped)
		return nil
	})
	return met, err
}

// tell queues the mails of a plan and notes what their user knows then.
func (s Delivery) tell(ctx context.Context, tx *sql.Tx, d delivery.Decision, e journal.Entry) error {
	for _, m := range d.Mails {
		if s.mail.box == nil {
			return errors.New("a plan with mails, and nothing to box them with")
		}
		err := s.mail.insert(ctx, tx, m)
		if errors.Is(err, notify.ErrLimit) {
			continue
		}
		if err == nil {
			err = told(ctx, tx, m)
		}
		if err != nil {
			return err
		}
		queued := journal.Entry{At: e.At, Actor: e.Actor, Action: journal.MailQueued, User: m.User, Device: m.Device,
			Detail: map[string]string{"mail": m.ID, "topic": string(m.Topic)}}
		if err := record(ctx, tx, queued); err != nil {
			return err
		}
	}
	if d.Told == nil {
		return nil
	}
	certs, err := json.Marshal(texts(d.Told.Certs))
	if err != nil {
		return fmt.Errorf("encoding certificates: %w", err)
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO told (device_id, certs, signs) VALUES (?, ?, ?)`+
		s.db.upsert("device_id", "certs = VALUES(certs), signs = VALUES(signs)"), d.Device, string(certs), d.Told.Signs)
	if err != nil {
		return fmt.Errorf("noting what the user was told: %w", err)
	}
	return nil
}
