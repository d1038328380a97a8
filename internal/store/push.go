package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/mdm"
	"github.com/signet-mdm/signet/notify"
)

// Push is the facet of waking devices: their wishes, which are
// enrollment.wake_at, and how pushing goes.
type Push struct {
	db  *DB
	box *seal.Box
}

// Push gives the facet; box is the one of the facet MDM.
func (db *DB) Push(box *seal.Box) Push {
	if box == nil {
		panic("store: nil box")
	}
	return Push{db, box}
}

var _ notify.Wishes = Push{}

const dueWish = ` FROM enrollment e WHERE e.wake_at > 0 AND e.wake_at <= ? AND LENGTH(e.push_token) > 0 AND e.topic IN `

// WishesLeased implements [notify.Wishes].
func (s Push) WishesLeased(ctx context.Context, l notify.Lease) ([]notify.Wish, error) {
	due := append([]any{micros(l.Made)}, args(l.Topics)...)
	from := dueWish + `(` + marks(len(l.Topics)) + `)`
	var some bool
	if err := s.db.read.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1`+from+`)`, due...).Scan(&some); err != nil {
		return nil, fmt.Errorf("looking for wishes: %w", err)
	}
	for some {
		wishes, seen, err := s.leased(ctx, l, from, due)
		if err != nil || len(wishes) > 0 {
			return wishes, err
		}
		some = seen == l.Limit // all of them were moved out of the way: there may be more behind
	}
	return nil, nil
}

// leased tries the first wishes that are due. It gives those that it leased and
// how many it saw.
func (s Push) leased(ctx context.Context, l notify.Lease, from string, due []any) (wishes []notify.Wish, seen int, err error) {
	err = s.db.tx(ctx, func(tx *sql.Tx) error {
		wishes = nil // f may run again
		list, err := all(ctx, tx, s.scanWish, `SELECT e.device_id, d.user_id, e.topic, e.push_token, e.push_magic, e.token_at, e.wake_at,
			d.seen_at, COALESCE(p.tried_at, 0), COALESCE(p.sent_at, 0), COALESCE(p.pushes, 0), COALESCE(p.failures, 0), COALESCE(p.refused_at, 0)
			FROM (SELECT e.device_id AS due`+from+` ORDER BY e.wake_at LIMIT ?) w
			JOIN enrollment e ON e.device_id = w.due JOIN device d ON d.id = w.due LEFT JOIN device_push p ON p.device_id = w.due
			ORDER BY e.wake_at`, append(due[:len(due):len(due)], l.Limit)...)
		if err != nil {
			return fmt.Errorf("reading wishes: %w", err)
		}
		seen = len(list)
		for _, w := range list {
			leased, err := s.lease(ctx, tx, w, l)
			if err != nil {
				return err
			}
			if leased {
				w.Until = l.Until
				wishes = append(wishes, w.Wish)
			}
		}
		return nil
	})
	return wishes, seen, err
}

// wishRow is a wish whose token may be dead.
type wishRow struct {
	notify.Wish
	refused bool
}

func (s Push) scanWish(row scanner) (wishRow, error) {
	var w wishRow
	var token, magic []byte
	var tokenAt, wanted, seen, tried, sent, refused int64
	err := row.Scan(&w.Device, &w.User, &w.Topic, &token, &magic, &tokenAt, &wanted, &seen, &tried, &sent, &w.Pushes, &w.Failures, &refused)
	if err != nil {
		return w, err
	}
	w.TokenAt, w.WantedAt, w.SeenAt, w.TriedAt, w.SentAt = instant(tokenAt), instant(wanted), instant(seen), instant(tried), instant(sent)
	w.refused = refused > 0
	if w.Token, err = s.open(token, w.Device, "push_token"); err == nil {
		w.Magic, err = s.open(magic, w.Device, "push_magic")
	}
	if err != nil { // it is this device's bad luck only
		w.Token, w.Magic = seal.Secret{}, seal.Secret{}
	}
	return w, nil
}

func (s Push) open(box []byte, id subject.DeviceID, column string) (seal.Secret, error) {
	return s.box.Open(box, enrollmentColumn(id, column))
}

// lease takes a wish, or moves it out of the way when it is not to be acted on
// now.
func (s Push) lease(ctx context.Context, tx *sql.Tx, w wishRow, l notify.Lease) (bool, error) {
	free := w.TriedAt.Add(l.Gap)
	next, take := micros(l.Until), true
	switch {
	case w.refused:
		next, take = 0, false
	case free.After(l.At):
		next, take = micros(free), false
	}
	n, err := changed(ctx, tx, `UPDATE enrollment SET wake_at = ? WHERE device_id = ? AND wake_at = ?`, next, w.Device, micros(w.WantedAt))
	if err != nil {
		return false, fmt.Errorf("leasing wish: %w", err)
	}
	if n == 0 || !take {
		return false, nil
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO device_push (device_id, tried_at, sent_at, reason, pushes, failures, refused_at)
		VALUES (?, ?, 0, '', 0, 0, 0)`+s.db.upsert("device_id", "tried_at = VALUES(tried_at)"), w.Device, micros(l.At))
	if err != nil {
		return false, fmt.Errorf("noting the try: %w", err)
	}
	return true, nil
}

// Pushed implements [notify.Wishes].
func (s Push) Pushed(ctx context.Context, r notify.Result, e journal.Entry) error {
	return s.db.tx(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE enrollment SET wake_at = ? WHERE device_id = ? AND wake_at = ?`, micros(r.Next), r.Device, micros(r.Until))
		if err != nil {
			return fmt.Errorf("moving wish: %w", err)
		}
		const same = ` WHERE device_id = ? AND EXISTS (SELECT 1 FROM enrollment e WHERE e.device_id = device_push.device_id AND e.token_at = ?)`
		_, err = tx.ExecContext(ctx, `UPDATE device_push SET sent_at = CASE WHEN ? THEN ? ELSE sent_at END, reason = ?, pushes = ?, failures = ?`+same,
			r.Sent, micros(r.At), r.Reason, r.Pushes, r.Failures, r.Device, micros(r.TokenAt))
		if err != nil || !r.Refused {
			return err
		}
		n, err := changed(ctx, tx, `UPDATE device_push SET refused_at = ?`+same+` AND refused_at = 0`, micros(r.At), r.Device, micros(r.TokenAt))
		if err != nil {
			return fmt.Errorf("marking token: %w", err)
		}
		if n == 0 {
			return nil
		}
		return record(ctx, tx, e)
	})
}

// Released implements [notify.Wishes].
func (s Push) Released(ctx context.Context, w notify.Wish) error {
	return s.db.tx(ctx, func(tx *sql.Tx) error {
		n, err := changed(ctx, tx, `UPDATE enrollment SET wake_at = ? WHERE device_id = ? AND wake_at = ?`,
			micros(w.WantedAt), w.Device, micros(w.Until))
		if err != nil {
			return fmt.Errorf("releasing wish: %w", err)
		}
		if n == 0 {
			return nil
		}
		_, err = tx.ExecContext(ctx, `UPDATE device_push SET tried_at = ? WHERE device_id = ?`, micros(w.TriedAt), w.Device)
		return err
	})
}

// tokenRenewed makes a device reachable again, and has it woken when there is
// something for it.
//
// Spec: Apple MDM, TokenUpdate
func tokenRenewed(ctx context.Context, tx *sql.Tx, t mdm.Tokens) error {
	_, err := tx.ExecContext(ctx, `UPDATE device_push SET reason = '', pushes = 0, failures = 0, refused_at = 0 WHERE device_id = ?`, t.Device)
	if err != nil {
		return fmt.Errorf("forgetting what the old token did: %w", err)
	}
	var open bool
	err = tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1`+fromQueue+`)`, t.Device).Scan(&open)
	if err != nil {
		return fmt.Errorf("looking into the queue: %w", err)
	}
	if !open {
		return nil
	}
	return wantWake(ctx, tx, t.Device, t.At)
}

// PushState implements [notify.CertificateStore].
func (s Push) PushState(ctx context.Context, device subject.DeviceID) (st notify.PushState, err error) {
	var token, tried, sent, refused int64
	err = s.db.read.QueryRowContext(ctx, `SELECT e.topic, EXISTS (SELECT 1 FROM push_certificate c WHERE c.topic = e.topic), CASE WHEN LENGTH(e.push_token) > 0 THEN e.token_at ELSE 0 END, COALESCE(p.tried_at, 0),
		COALESCE(p.sent_at, 0), COALESCE(p.reason, ''), COALESCE(p.refused_at, 0), COALESCE(p.pushes, 0), COALESCE(p.failures, 0)
		FROM enrollment e LEFT JOIN device_push p ON p.device_id = e.device_id WHERE e.device_id = ?`, device).
		Scan(&st.Topic, &st.Certified, &token, &tried, &sent, &st.Reason, &refused, &st.Pushes, &st.Failures)
	if errors.Is(err, sql.ErrNoRows) {
		return notify.PushState{}, nil
	}
	if err != nil {
		return st, fmt.Errorf("reading push state: %w", err)
	}
	st.TokenAt, st.TriedAt, st.SentAt, st.RefusedAt = instant(token), instant(tried), instant(sent), instant(refused)
	return st, nil
}
