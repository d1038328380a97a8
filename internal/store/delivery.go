package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/delivery"
	"github.com/signet-mdm/signet/internal/delivery/plan"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/scep"
)

// Delivery is the facet of who is due, of plans and of parcels.
type Delivery struct {
	db   *DB
	mail Mail // of what users are told
}

// Delivery gives the facet.
func (db *DB) Delivery() Delivery { return Delivery{db: db} }

// Telling gives the facet with that of the mails in which users are told of
// news. Without it no plan may hold any.
func (s Delivery) Telling(m Mail) Delivery {
	s.mail = m
	return s
}

var (
	_ delivery.Store   = Delivery{}
	_ delivery.Parcels = Delivery{}
)

// DevicesLeased implements [delivery.Store].
func (s Delivery) DevicesLeased(ctx context.Context, now, until time.Time, limit int) (leases []delivery.Lease, err error) {
	idle, err := s.db.none(ctx, `SELECT EXISTS (SELECT 1 FROM device WHERE due_rev > done_rev AND lease_until <= ?)`, micros(now))
	if err != nil || idle {
		return nil, err
	}
	err = s.db.tx(ctx, func(tx *sql.Tx) error {
		leases = nil // f may run again
		scan := func(row scanner) (l delivery.Lease, err error) {
			err = row.Scan(&l.Device, &l.Rev)
			return l, err
		}
		due, err := all(ctx, tx, scan, `SELECT id, due_rev FROM device WHERE due_rev > done_rev AND lease_until <= ?
			ORDER BY lease_until, id LIMIT ?`, micros(now), limit)
		if err != nil {
			return fmt.Errorf("looking for due devices: %w", err)
		}
		for _, l := range due {
			n, err := changed(ctx, tx, `UPDATE device SET lease_until = ? WHERE id = ? AND due_rev = ? AND due_rev > done_rev AND lease_until <= ?`,
				micros(until), l.Device, l.Rev, micros(now))
			if err != nil {
				return fmt.Errorf("leasing device: %w", err)
			}
			if n == 1 {
				l.Until = instant(micros(until))
				leases = append(leases, l)
			}
		}
		return nil
	})
	return leases, err
}

// DevicesOf implements [delivery.Store].
func (s Delivery) DevicesOf(ctx context.Context, users ...subject.UserID) ([]subject.DeviceID, error) {
	if len(users) == 0 {
		return []subject.DeviceID{}, nil
	}
	return all(ctx, s.db.read, column[subject.DeviceID], `SELECT id FROM device WHERE user_id IN (`+marks(len(users))+`)
		AND state = 'enrolled' ORDER BY created_at DESC, id DESC`, args(users)...)
}

// Planned implements [delivery.Store].
func (s Delivery) Planned(ctx context.Context, d delivery.Decision, e journal.Entry) error {
	err := s.planned(ctx, d, e)
	if errors.Is(err, delivery.ErrStale) { // so that it is planned again at once
		return errors.Join(err, s.db.tx(ctx, func(tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, `UPDATE device SET lease_until = 0 WHERE id = ? AND lease_until = ?`, d.Device, micros(d.Until))
			return err
		}))
	}
	return err
}

func (s Delivery) planned(ctx context.Context, d delivery.Decision, e journal.Entry) error {
	return s.db.tx(ctx, func(tx *sql.Tx) error {
		n, err := changed(ctx, tx, `UPDATE device SET lease_until = 0, done_rev = CASE WHEN ? THEN due_rev ELSE done_rev END
			WHERE id = ? AND due_rev = ? AND lease_until = ?`, d.Empty(), d.Device, d.Rev, micros(d.Until))
		if err != nil {
			return fmt.Errorf("giving the lease back: %w", err)
		}
		if n == 0 {
			return delivery.ErrStale
		}
		if d.Empty() {
			return s.setClock(ctx, tx, d.Device, d.Next)
		}
		return s.carryOut(ctx, tx, d, e)
	})
}

func (s Delivery) setClock(ctx context.Context, tx *sql.Tx, id subject.DeviceID, next time.Time) error {
	if next.IsZero() {
		if _, err := tx.ExecContext(ctx, `DELETE FROM delivery_clock WHERE device_id = ?`, id); err != nil {
			return fmt.Errorf("clearing the clock: %w", err)
		}
		return nil
	}
	_, err := tx.ExecContext(ctx, `INSERT INTO delivery_clock (device_id, at) VALUES (?, ?)`+
		s.db.upsert("device_id", "at = VALUES(at)"), id, micros(next))
	if err != nil {
		return fmt.Errorf("setting the clock: %w", err)
	}
	return nil
}

func (s Delivery) carryOut(ctx context.Context, tx *sql.Tx, d delivery.Decision, e journal.Entry) error {
	for _, m := range d.Moves {
		if err := s.move(ctx, tx, m, e.At); err != nil {
			return fmt.Errorf("%s parcel %s: %w", m.Do, m.Parcel, err)
		}
	}
	for _, r := range d.Revoke {
		done, err := s.db.revokeCertificate(ctx, tx, r.Cert, scep.Reason(r.Reason), e.At)
		if err != nil {
			return err
		}
		if !done {
			continue
		}
		revoked := e
		revoked.Action, revoked.Cert, revoked.Detail = journal.CertificateRevoked, r.Cert, map[string]string{"reason": r.Reason}
		if err := record(ctx, tx, revoked); err != nil {
			return err
		}
	}
	if err := s.tell(ctx, tx, d, e); err != nil {
		return err
	}
	return record(ctx, tx, e)
}

// move carries out one move; its command comes last.
func (s Delivery) move(ctx context.Context, tx *sql.Tx, m delivery.Move, at time.Time) (err error) {
	switch m.Do {
	case delivery.Ask:
	case plan.Replace:
		m.New.OnDevice, err = endParcel(ctx, tx, m.Parcel, "superseded", at)
		if err == nil {
			err = insertParcel(ctx, tx, *m.New)
		}
	case plan.Send:
		err = insertParcel(ctx, tx, *m.New)
	case plan.Again:
		err = again(ctx, tx, m)
	case plan.Reseal:
		err = update(ctx, tx, m.Parcel, `sealed = NULL, wants_seal = 1, lease_until = 0`)
	case plan.Drop:
		err = dropBytes(ctx, tx, m.Parcel)
	case plan.Withdraw:
		err = withdraw(ctx, tx, m, at)
	case plan.End:
		err = s.lose(ctx, tx, m.Parcel, at)
	default:
		err = fmt.Errorf("no such move")
	}
	if err == nil && m.Command != nil {
		err = insertCommand(ctx, tx, *m.Command)
	}
	return err
}

// update sets columns of a parcel that is not over; its being so is a stale
// plan.
func update(ctx context.Context, tx *sql.Tx, id, set string, args ...any) error {
	n, err := changed(ctx, tx, `UPDATE parcel SET `+set+` WHERE id = ? AND ended_at = 0`, append(args, id)...)
	if err != nil {
		return fmt.Errorf("updating parcel: %w", err)
	}
	if n == 0 {
		return delivery.ErrStale
	}
	return nil
}

// again makes a parcel anew after a failure.
func again(ctx context.Context, tx *sql.Tx, m delivery.Move) error {
	touched, err := touched(ctx, tx, m.Parcel)
	if err != nil {
		return err
	}
	err = update(ctx, tx, m.Parcel, `attempts = attempts + 1, failure = '', failed_at = 0, lease_until = 0, sealed = NULL,
		wants_seal = CASE WHEN frame = '' THEN 0 ELSE 1 END, on_device = ?`, touched)
	if err == nil && m.Command != nil {
		err = update(ctx, tx, m.Parcel, `command_uuid = ?`, m.Command.UUID)
	}
	return err
}

// dropBytes forgets them. How old they were matters only while the device has
// not taken them.
func dropBytes(ctx context.Context, tx *sql.Tx, id string) error {
	return update(ctx, tx, id, `sealed = NULL, wants_seal = 0, sealed_at = CASE WHEN EXISTS
		(SELECT 1 FROM command c WHERE c.uuid = parcel.command_uuid AND c.done_at > 0) THEN 0 ELSE sealed_at END`)
}

// withdraw counts the tries of a removal from its first on.
func withdraw(ctx context.Context, tx *sql.Tx, m delivery.Move, at time.Time) error {
	if err := cancelCommands(ctx, tx, m.Parcel, at); err != nil {
		return err
	}
	return update(ctx, tx, m.Parcel, `attempts = CASE WHEN removal_uuid = '' THEN 0 ELSE attempts + 1 END, removal_uuid = ?,
		sealed = NULL, wants_seal = 0, failure = '', failed_at = 0`, m.Command.UUID)
}

// lose ends a parcel that the device does not have. One that it fetched in this
// moment makes the plan stale.
func (s Delivery) lose(ctx context.Context, tx *sql.Tx, id string, at time.Time) error {
	const bringing = `command WHERE uuid = (SELECT command_uuid FROM parcel WHERE id = ?)`
	if _, err := s.db.hold(ctx, tx, bringing, id); err != nil { // so that it is not fetched after the look
		return err
	}
	var open int
	err := tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM parcel p JOIN command c ON c.uuid = p.command_uuid
		WHERE p.id = ? AND c.done_at = 0 AND c.sent_at > 0 AND p.removal_uuid = ''`, id).Scan(&open)
	if err != nil {
		return fmt.Errorf("looking whether it was fetched: %w", err)
	}
	if open > 0 {
		return delivery.ErrStale
	}
	_, err = endParcel(ctx, tx, id, "removed", at)
	return err
}

// endParcel is over with a parcel: it is not brought and not removed any more.
// It tells whether the device may have something of it.
func endParcel(ctx context.Context, tx *sql.Tx, id, why string, at time.Time) (onDevice bool, err error) {
	if err := cancelCommands(ctx, tx, id, at); err != nil { // first: then no device fetches it any more
		return false, err
	}
	if onDevice, err = touched(ctx, tx, id); err != nil {
		return false, err
	}
	return onDevice, update(ctx, tx, id, `ended_at = ?, ending = ?, sealed = NULL, wants_seal = 0, lease_until = 0`, micros(at), why)
}

// touched tells whether the device may have something of a parcel's identifier.
func touched(ctx context.Context, tx *sql.Tx, id string) (yes bool, err error) {
	err = tx.QueryRowContext(ctx, `SELECT p.on_device = 1 OR COALESCE(c.sent_at, 0) > 0 FROM parcel p
		LEFT JOIN command c ON c.uuid = p.command_uuid WHERE p.id = ?`, id).Scan(&yes)
	if err != nil {
		return false, fmt.Errorf("looking whether the device has it: %w", err)
	}
	return yes, nil
}

// cancelCommands calls off what brings a parcel, and what removes it.
func cancelCommands(ctx context.Context, tx *sql.Tx, id string, at time.Time) error {
	for _, column := range []string{"command_uuid", "removal_uuid"} {
		_, err := tx.ExecContext(ctx, `UPDATE command SET state = 'cancelled', done_at = ?, lease_until = 0 WHERE done_at = 0
			AND uuid = (SELECT `+column+` FROM parcel WHERE id = ?)`, micros(at), id)
		if err != nil {
			return fmt.Errorf("cancelling commands: %w", err)
		}
	}
	return nil
}

func insertParcel(ctx context.Context, tx *sql.Tx, p delivery.Parcel) error {
	certs, err := json.Marshal(texts(p.Certs))
	if err != nil {
		return fmt.Errorf("encoding certificates: %w", err)
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO parcel (id, device_id, user_id, kind, identifier, digest, label, certs, signs, frame,
		needs_key, wants_seal, sealed, sealed_at, lease_until, on_device, attempts, failure, failed_at, command_uuid, removal_uuid,
		created_at, ended_at, ending) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, 0, 0, ?, 0, '', 0, ?, '', ?, 0, '')`,
		p.ID, p.Device, p.User, p.Kind, p.Identifier, p.Digest, p.Label, string(certs), p.Signs, string(p.Frame),
		p.NeedsKey, p.WantsSeal, p.OnDevice, p.Command.UUID, micros(p.CreatedAt))
	if err != nil {
		return fmt.Errorf("inserting parcel: %w", err)
	}
	return nil
}

func texts(list []cert.Fingerprint) []string {
	out := make([]string, len(list))
	for i, f := range list {
		out[i] = f.String()
	}
	return out
}

// parked are the parcels whose bytes were dropped for their age.
const parked = `FROM parcel p JOIN command c ON c.uuid = p.command_uuid JOIN device d ON d.id = p.device_id
	WHERE p.sealed_at > 0 AND p.sealed IS NULL AND p.wants_seal = 0 AND p.ended_at = 0 AND p.failed_at = 0 AND p.removal_uuid = ''
	AND p.sealed_at <= ? AND c.done_at = 0 AND d.state = 'enrolled' AND d.due_rev = d.done_rev AND d.seen_at > p.sealed_at + ?`

// dueByClock are the devices whose plan time has changed.
const dueByClock = `SELECT device_id FROM delivery_clock WHERE at <= ?`

// Ticked implements [delivery.Store].
func (s Delivery) Ticked(ctx context.Context, now, stale, forget time.Time) (n int, err error) {
	spoke := []any{micros(stale), micros(now) - micros(stale)}
	idle, err := s.db.none(ctx, `SELECT EXISTS (SELECT 1 FROM delivery_clock WHERE at <= ?) OR EXISTS (SELECT 1 `+parked+`)
		OR EXISTS (SELECT 1 FROM parcel WHERE ended_at > 0 AND ended_at <= ?)`, micros(now), spoke[0], spoke[1], micros(forget))
	if err != nil || idle {
		return 0, err
	}
	err = s.db.tx(ctx, func(tx *sql.Tx) error {
		due, err := all(ctx, tx, column[subject.DeviceID], dueByClock+` UNION SELECT p.device_id `+parked,
			append([]any{micros(now)}, spoke...)...)
		if err != nil {
			return fmt.Errorf("looking whom time has changed: %w", err)
		}
		if err := markDue(ctx, tx, subject.Scope{Devices: due}); err != nil {
			return fmt.Errorf("making devices due: %w", err)
		}
		for ids := range slices.Chunk(args(due), inChunk) { // one that was set meanwhile stays
			if _, err := tx.ExecContext(ctx, `DELETE FROM delivery_clock WHERE at <= ? AND device_id IN (`+marks(len(ids))+`)`,
				append([]any{micros(now)}, ids...)...); err != nil {
				return fmt.Errorf("clearing clocks: %w", err)
			}
		}
		if _, err := tx.ExecContext(ctx, `DELETE FROM parcel WHERE ended_at > 0 AND ended_at <= ?`, micros(forget)); err != nil {
			return fmt.Errorf("forgetting parcels: %w", err)
		}
		n = len(due)
		return nil
	})
	return n, err
}
