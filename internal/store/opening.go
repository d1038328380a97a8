package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/notify"
)

var _ notify.Openings = Mail{}

// untold puts an opening on the list of what its user is to be told, in the
// transaction of its journal row.
func (db *DB) untold(ctx context.Context, tx statements, e journal.Entry) error {
	at, to := micros(e.At), e.Device
	if e.Detail["why"] == "tenant" {
		to = tenantOf(e.User)
	}
	_, err := tx.ExecContext(ctx, `INSERT INTO opening (device_id, user_id, keys_, first_at, last_at) VALUES (?, ?, 1, ?, ?)`+
		db.upsert("device_id", "keys_ = keys_ + VALUES(keys_), last_at = VALUES(last_at)"), to, e.User, at, at)
	if err != nil {
		return fmt.Errorf("noting whom to tell of an opening: %w", err)
	}
	return nil
}

// tenantOf stands for the Intune tenant where openings for a user's devices are
// listed.
func tenantOf(u subject.UserID) subject.DeviceID { return subject.DeviceID("tenant/" + u) }

// inTenant is what users are told instead of the name of a device.
const inTenant = "Microsoft Intune, for the devices that it manages"

// OpeningsUntold implements [notify.Openings]. A device of another MDM is none of
// ours; its user hears of it by a mail of its own.
func (s Mail) OpeningsUntold(ctx context.Context, first, mailed time.Time, limit int) ([]notify.Untold, error) {
	const ours = ` FROM opening o JOIN device d ON d.id = o.device_id JOIN users u ON u.id = o.user_id`
	const anywhere = ` FROM opening o JOIN users u ON u.id = o.user_id LEFT JOIN device d ON d.id = o.device_id`
	users, err := all(ctx, s.db.read, column[subject.UserID], `SELECT o.user_id`+anywhere+`
		WHERE (d.id IS NOT NULL OR o.device_id LIKE 'tenant/%') AND o.first_at <= ? AND NOT EXISTS (SELECT 1 FROM mail m WHERE m.user_id = o.user_id AND m.topic = ? AND m.created_at > ?)
		GROUP BY o.user_id ORDER BY o.user_id LIMIT ?`, micros(first), notify.KeysOpened, micros(mailed), limit)
	if err != nil {
		return nil, fmt.Errorf("looking whom to tell of openings: %w", err)
	}
	var list []notify.Untold
	for _, u := range users {
		openings, err := all(ctx, s.db.read, scanOpening, `SELECT d.id, d.user_id, `+deviceColumns+`, o.keys_, o.first_at, o.last_at`+ours+`
			WHERE o.user_id = ? ORDER BY o.device_id`, u)
		if err != nil {
			return nil, fmt.Errorf("reading openings of %s: %w", u, err)
		}
		tenant, err := all(ctx, s.db.read, scanHandover, `SELECT device_id, user_id, keys_, first_at, last_at FROM opening WHERE device_id = ?`, tenantOf(u))
		if err != nil {
			return nil, fmt.Errorf("reading openings of %s: %w", u, err)
		}
		list = append(list, notify.Untold{User: u, Openings: append(openings, tenant...)})
	}
	return list, nil
}

func scanOpening(row scanner) (o notify.Opening, err error) {
	var first, last int64
	fields := append([]any{&o.Device.ID, &o.Device.User}, deviceFields(&o.Device)...)
	err = row.Scan(append(fields, &o.Keys, &first, &last)...)
	o.First, o.Last = instant(first), instant(last)
	return o, err
}

func scanHandover(row scanner) (o notify.Opening, err error) {
	var first, last int64
	err = row.Scan(&o.Device.ID, &o.Device.User, &o.Keys, &first, &last)
	o.Device.Name, o.First, o.Last = inTenant, instant(first), instant(last)
	return o, err
}

// errUntold ends a transaction that has met another list than was read.
var errUntold = errors.New("the list of openings is another")

// OpeningsTold implements [notify.Openings].
func (s Mail) OpeningsTold(ctx context.Context, u notify.Untold, m notify.Mail, e journal.Entry) (bool, error) {
	err := s.db.tx(ctx, func(tx *sql.Tx) error {
		for _, o := range u.Openings {
			n, err := changed(ctx, tx, `DELETE FROM opening WHERE device_id = ? AND keys_ = ? AND last_at = ?`, o.Device.ID, o.Keys, micros(o.Last))
			if err != nil {
				return fmt.Errorf("taking an opening off the list: %w", err)
			}
			if n == 0 {
				return errUntold
			}
		}
		if err := s.insert(ctx, tx, m); err != nil {
			return err
		}
		return record(ctx, tx, e)
	})
	if errors.Is(err, errUntold) || errors.Is(err, notify.ErrLimit) {
		return false, nil
	}
	return err == nil, err
}

// OpeningsForgotten implements [notify.Openings].
func (s Mail) OpeningsForgotten(ctx context.Context, before time.Time) (n int, err error) {
	idle, err := s.db.none(ctx, `SELECT EXISTS (SELECT 1 FROM opening WHERE first_at < ?)`, micros(before))
	if err != nil || idle {
		return 0, err
	}
	err = s.db.tx(ctx, func(tx *sql.Tx) error {
		gone, err := changed(ctx, tx, `DELETE FROM opening WHERE first_at < ? AND last_at < ?`, micros(before), micros(before))
		n = int(gone)
		if err != nil {
			return fmt.Errorf("forgetting openings: %w", err)
		}
		return nil
	})
	return n, err
}

// told takes off the list what a mail about a device's certificates tells.
func told(ctx context.Context, tx *sql.Tx, m notify.Mail) error {
	if m.Topic != notify.Ready {
		return nil
	}
	_, err := tx.ExecContext(ctx, `DELETE FROM opening WHERE device_id = ? AND last_at <= ?`, m.Device, micros(m.CreatedAt))
	if err != nil {
		return fmt.Errorf("taking openings off the list: %w", err)
	}
	return nil
}
