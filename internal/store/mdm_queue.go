package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/mdm"
)

// insertCommand queues a command behind those of its device and wants the
// device woken for it; for a parcel that is not sealed yet the sealing does.
// CreatedAt must be set.
func insertCommand(ctx context.Context, tx *sql.Tx, c mdm.Command) error {
	body, err := c.EncodeFields()
	if err != nil {
		return err
	}
	if c.CreatedAt.IsZero() || c.UUID == "" {
		return fmt.Errorf("command %s for %s is not complete", c.RequestType, c.Device)
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO command (uuid, device_id, seq, request_type, body, parcel_id, state, not_before,
		lease_until, attempts, error_chain, sent_for, created_at, sent_at, done_at)
		SELECT ?, ?, COALESCE(MAX(seq), 0) + 1, ?, ?, ?, 'queued', ?, 0, 0, '[]', '', ?, 0, 0 FROM command WHERE device_id = ?`,
		c.UUID, c.Device, c.RequestType, body, c.Parcel, micros(c.NotBefore), micros(c.CreatedAt), c.Device)
	if err != nil {
		return fmt.Errorf("inserting command: %w", err)
	}
	if c.Parcel != "" {
		return nil
	}
	return wantWake(ctx, tx, c.Device, c.CreatedAt)
}

// wantWake wishes that the device be woken from at on, if not earlier.
func wantWake(ctx context.Context, tx *sql.Tx, id subject.DeviceID, at time.Time) error {
	_, err := tx.ExecContext(ctx, `UPDATE enrollment SET wake_at = ? WHERE device_id = ? AND (wake_at = 0 OR wake_at > ?)`,
		micros(at), id, micros(at))
	if err != nil {
		return fmt.Errorf("wanting a wake-up: %w", err)
	}
	return nil
}

const commandColumns = `c.uuid, c.device_id, c.request_type, c.body, c.parcel_id,
	EXISTS (SELECT 1 FROM parcel x WHERE x.id = c.parcel_id AND x.kind = 'enrollment'), c.state, c.not_before, c.attempts,
	c.error_chain, c.created_at, c.sent_at, c.done_at`

func scanCommand(row scanner) (mdm.Command, error) { return scanCommandWith(row) }

// scanCommandWith scans the command's columns and more behind them.
func scanCommandWith(row scanner, more ...any) (mdm.Command, error) {
	var c mdm.Command
	var body []byte
	var chain string
	var notBefore, created, sent, done int64
	err := row.Scan(append([]any{&c.UUID, &c.Device, &c.RequestType, &body, &c.Parcel, &c.Renews, &c.State, &notBefore, &c.Attempts,
		&chain, &created, &sent, &done}, more...)...)
	if err != nil {
		return c, err
	}
	c.NotBefore, c.CreatedAt, c.SentAt, c.DoneAt = instant(notBefore), instant(created), instant(sent), instant(done)
	if c.Fields, err = mdm.DecodeFields(body); err != nil {
		return c, err
	}
	return c, json.Unmarshal([]byte(chain), &c.Errors)
}

// Command implements [mdm.Queue].
func (s MDM) Command(ctx context.Context, uuid string) (mdm.Command, error) {
	c, err := scanCommand(s.db.read.QueryRowContext(ctx, `SELECT `+commandColumns+` FROM command c WHERE c.uuid = ?`, uuid))
	if errors.Is(err, sql.ErrNoRows) {
		return c, mdm.ErrCommandUnknown
	}
	return c, err
}

// Queued implements [mdm.Queue].
func (s MDM) Queued(ctx context.Context, commands []mdm.Command, e journal.Entry) error {
	return s.db.tx(ctx, func(tx *sql.Tx) error {
		for _, c := range commands {
			if err := insertCommand(ctx, tx, c); err != nil {
				return err
			}
		}
		return record(ctx, tx, e)
	})
}

// Refreshed implements [mdm.Queue].
func (s MDM) Refreshed(ctx context.Context, r mdm.Refreshment, e journal.Entry) error {
	return s.db.tx(ctx, func(tx *sql.Tx) error {
		for _, c := range r.Commands {
			if err := insertCommand(ctx, tx, c); err != nil {
				return err
			}
		}
		if _, err := tx.ExecContext(ctx, `UPDATE parcel SET attempts = 0 WHERE device_id = ? AND ended_at = 0`, r.Device); err != nil {
			return fmt.Errorf("forgetting refusals: %w", err)
		}
		if r.Renew {
			if _, err := tx.ExecContext(ctx, `UPDATE device SET renew_at = ? WHERE id = ?`, micros(e.At), r.Device); err != nil {
				return fmt.Errorf("wishing for renewal: %w", err)
			}
		}
		return record(ctx, tx, e)
	})
}

// Reported implements [mdm.Queue].
func (s MDM) Reported(ctx context.Context, o mdm.Outcome, e journal.Entry) (taken bool, err error) {
	if o.State == mdm.Queued {
		return s.postponed(ctx, o)
	}
	if o.Errors == nil {
		o.Errors = []mdm.ErrorItem{}
	}
	chain, err := json.Marshal(o.Errors)
	if err != nil {
		return false, fmt.Errorf("encoding error chain: %w", err)
	}
	err = s.db.tx(ctx, func(tx *sql.Tx) error {
		n, err := changed(ctx, tx, `UPDATE command SET state = ?, error_chain = ?, done_at = ?, lease_until = 0, not_before = 0
			WHERE uuid = ? AND device_id = ? AND done_at = 0`, o.State, string(chain), micros(o.At), o.Command, o.Device)
		if taken = n == 1; err != nil || !taken {
			return err
		}
		if err := saveInventory(ctx, tx, o); err != nil {
			return err
		}
		return record(ctx, tx, e)
	})
	return taken && err == nil, err
}

func (s MDM) postponed(ctx context.Context, o mdm.Outcome) (taken bool, err error) {
	err = s.db.tx(ctx, func(tx *sql.Tx) error {
		n, err := changed(ctx, tx, `UPDATE command SET state = 'queued', not_before = ?, lease_until = 0
			WHERE uuid = ? AND device_id = ? AND done_at = 0`, micros(o.NotBefore), o.Command, o.Device)
		taken = n == 1
		return err
	})
	return taken, err
}

// errLost is the loss of a race for a lease.
var errLost = errors.New("another poll has the command")

// Next implements [mdm.Queue].
func (s MDM) Next(ctx context.Context, p mdm.Poll) (c mdm.Command, found bool, err error) {
	if quiet, err := s.quiet(ctx, p); err != nil || quiet {
		return c, false, err
	}
	for try := 1; ; try++ {
		err = s.db.tx(ctx, func(tx *sql.Tx) (err error) {
			// First the lock, then the look: a command that is queued meanwhile
			// either is seen or wishes for its wake-up afterwards.
			if _, err := s.db.hold(ctx, tx, `enrollment WHERE device_id = ?`, p.Device); err != nil {
				return err
			}
			if c, found, err = lease(ctx, tx, p); err != nil {
				return err
			}
			return s.seen(ctx, tx, p)
		})
		if !errors.Is(err, errLost) || try == maxTries {
			return c, found && err == nil, err
		}
	}
}

// seenStep is how exact seen_at is: most polls have nothing to write.
const seenStep = time.Minute

// quiet tells whether a poll has nothing to fetch and nothing to note.
func (s MDM) quiet(ctx context.Context, p mdm.Poll) (bool, error) {
	var seenAt, wakeAt, open int64
	err := s.db.read.QueryRowContext(ctx, `SELECT d.seen_at, COALESCE(e.wake_at, 0),
		EXISTS (SELECT 1 FROM command c WHERE c.device_id = d.id AND c.done_at = 0)
		FROM device d LEFT JOIN enrollment e ON e.device_id = d.id WHERE d.id = ?`, p.Device).Scan(&seenAt, &wakeAt, &open)
	if err != nil {
		return false, fmt.Errorf("looking into the queue: %w", err)
	}
	return open == 0 && wakeAt == 0 && seenAt > micros(p.At.Add(-seenStep)), nil
}

// fromQueue passes over what is not sealed yet, and over what is sealed to an
// identity from before a renewal: no device opens it, and it is made again. The
// renewal itself came before the identity that it brought, and is to be answered.
const fromQueue = ` FROM command c LEFT JOIN parcel p ON p.id = c.parcel_id LEFT JOIN enrollment e ON e.device_id = c.device_id
	WHERE c.device_id = ? AND c.done_at = 0 AND (c.parcel_id = '' OR p.sealed IS NOT NULL
		AND (p.needs_key = 0 OR p.kind = 'enrollment' OR p.sealed_at >= COALESCE(e.identity_at, 0)))`

// lease hands a command to this poll.
func lease(ctx context.Context, tx *sql.Tx, p mdm.Poll) (c mdm.Command, found bool, err error) {
	c, found, err = pick(ctx, tx, p)
	if err != nil || !found {
		return c, false, err
	}
	n, err := changed(ctx, tx, `UPDATE command SET state = 'sent', lease_until = ?, sent_at = ?, sent_for = ?, attempts = attempts + 1
		WHERE uuid = ? AND done_at = 0 AND (lease_until <= ? OR sent_for = ?)`,
		micros(p.Until), micros(p.At), p.After, c.UUID, micros(p.At), answered(p))
	if err != nil {
		return c, false, fmt.Errorf("leasing command: %w", err)
	}
	if n == 0 {
		return c, false, errLost
	}
	c.State, c.SentAt, c.Attempts = mdm.Sent, p.At, c.Attempts+1
	return c, true, nil
}

// answered is the report whose answer may be given again: never that of Idle.
func answered(p mdm.Poll) any {
	if p.Repeat {
		return null(p.After)
	}
	return nil
}

func pick(ctx context.Context, tx *sql.Tx, p mdm.Poll) (mdm.Command, bool, error) {
	one := one
	if p.Renewal {
		one = renewal
	}
	if answered(p) != nil {
		c, found, err := one(ctx, tx, ` AND c.state = 'sent' AND c.sent_for = ? ORDER BY c.seq LIMIT 1`, p.Device, p.After)
		if err != nil || found {
			return c, found, err
		}
	}
	at := micros(p.At)
	switch p.Refused {
	case mdm.RefusedToo:
		return one(ctx, tx, ` AND c.lease_until <= ? ORDER BY c.seq, c.uuid LIMIT 1`, p.Device, at)
	case mdm.RefusedLast:
		return one(ctx, tx, ` AND c.lease_until <= ? ORDER BY CASE WHEN c.not_before <= ? THEN 0 ELSE 1 END, c.seq, c.uuid LIMIT 1`, p.Device, at, at)
	}
	return one(ctx, tx, ` AND c.lease_until <= ? AND c.not_before <= ? ORDER BY c.seq, c.uuid LIMIT 1`, p.Device, at, at)
}

// renewal is one that looks at nothing else.
func renewal(ctx context.Context, tx *sql.Tx, rest string, args ...any) (mdm.Command, bool, error) {
	return one(ctx, tx, ` AND p.kind = 'enrollment'`+rest, args...)
}

func one(ctx context.Context, tx *sql.Tx, rest string, args ...any) (mdm.Command, bool, error) {
	var payload []byte
	c, err := scanCommandWith(tx.QueryRowContext(ctx, `SELECT `+commandColumns+`, p.sealed`+fromQueue+rest, args...), &payload)
	if errors.Is(err, sql.ErrNoRows) {
		return c, false, nil
	}
	if err != nil {
		return c, false, fmt.Errorf("reading queue: %w", err)
	}
	c.Payload = payload
	return c, true, nil
}

// seen notes that the device spoke, and when it is to be woken for what is
// left: when a refused command may come again, or an unanswered one's lease
// ends.
func (s MDM) seen(ctx context.Context, tx *sql.Tx, p mdm.Poll) error {
	if _, err := tx.ExecContext(ctx, `UPDATE device SET seen_at = ? WHERE id = ?`, micros(p.At), p.Device); err != nil {
		return fmt.Errorf("noting that the device was seen: %w", err)
	}
	const due = `CASE WHEN c.not_before > c.lease_until THEN c.not_before ELSE c.lease_until END`
	var wake int64
	err := tx.QueryRowContext(ctx, `SELECT COALESCE(MIN(`+due+`), 0)`+fromQueue+` AND `+due+` > 0`, p.Device).Scan(&wake)
	if err != nil {
		return fmt.Errorf("looking for the next wake-up: %w", err)
	}
	if _, err := tx.ExecContext(ctx, `UPDATE enrollment SET wake_at = ? WHERE device_id = ?`, wake, p.Device); err != nil {
		return fmt.Errorf("noting the next wake-up: %w", err)
	}
	return nil
}
