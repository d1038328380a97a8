package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/signet-mdm/signet/internal/delivery"
	"github.com/signet-mdm/signet/internal/journal"
)

// ParcelsLeased implements [delivery.Parcels].
func (s Delivery) ParcelsLeased(ctx context.Context, now, until time.Time, limit int) ([]delivery.Unsealed, error) {
	return s.lease(ctx, now, until, limit, `p.wants_seal = 1`)
}

// KeylessLeased implements [delivery.Parcels].
func (s Delivery) KeylessLeased(ctx context.Context, now, until time.Time, limit int) ([]delivery.Unsealed, error) {
	return s.lease(ctx, now, until, limit, `p.wants_seal = 1 AND p.needs_key = 0`)
}

// lease takes parcels of which that is true.
func (s Delivery) lease(ctx context.Context, now, until time.Time, limit int, which string) (list []delivery.Unsealed, err error) {
	idle, err := s.db.none(ctx, `SELECT EXISTS (SELECT 1 FROM parcel p WHERE `+which+` AND p.lease_until <= ?)`, micros(now))
	if err != nil || idle {
		return nil, err
	}
	err = s.db.tx(ctx, func(tx *sql.Tx) error {
		list = nil // f may run again
		waiting, err := all(ctx, tx, scanUnsealed, `SELECT p.id, p.frame, p.needs_key, d.id, d.user_id, u.id, `+deviceColumns+`, `+userColumns+`
			FROM parcel p JOIN device d ON d.id = p.device_id JOIN users u ON u.id = d.user_id
			WHERE `+which+` AND p.lease_until <= ? ORDER BY p.id LIMIT ?`, micros(now), limit)
		if err != nil {
			return fmt.Errorf("looking for parcels: %w", err)
		}
		for _, u := range waiting {
			n, err := changed(ctx, tx, `UPDATE parcel SET lease_until = ? WHERE id = ? AND wants_seal = 1 AND lease_until <= ?`,
				micros(until), u.ID, micros(now))
			if err != nil {
				return fmt.Errorf("leasing parcel: %w", err)
			}
			if n == 1 {
				u.Until = instant(micros(until))
				list = append(list, u)
			}
		}
		return nil
	})
	return list, err
}

func scanUnsealed(row scanner) (delivery.Unsealed, error) {
	var u delivery.Unsealed
	var frame string
	d := &u.Device
	fields := append([]any{&u.ID, &frame, &u.NeedsKey, &d.ID, &d.User, &u.User.ID}, deviceFields(d)...)
	err := row.Scan(append(fields, userFields(&u.User)...)...)
	u.Frame = []byte(frame)
	return u, err
}

// ParcelSealed implements [delivery.Parcels].
func (s Delivery) ParcelSealed(ctx context.Context, p delivery.SealedParcel, e journal.Entry) (stored bool, err error) {
	err = s.db.tx(ctx, func(tx *sql.Tx) error {
		n, err := changed(ctx, tx, `UPDATE parcel SET sealed = ?, sealed_at = ?, wants_seal = 0, lease_until = 0
			WHERE id = ? AND wants_seal = 1 AND lease_until = ?`, p.Bytes, micros(p.At), p.ID, micros(p.Until))
		if stored = n == 1; err != nil || !stored {
			return err
		}
		if err := wantWake(ctx, tx, p.Device, p.At); err != nil {
			return err
		}
		return record(ctx, tx, e)
	})
	return stored && err == nil, err
}

// ParcelFailed implements [delivery.Parcels].
func (s Delivery) ParcelFailed(ctx context.Context, f delivery.FailedParcel, e journal.Entry) (stored bool, err error) {
	err = s.db.tx(ctx, func(tx *sql.Tx) error {
		n, err := changed(ctx, tx, `UPDATE parcel SET failure = ?, failed_at = ?, wants_seal = 0, lease_until = 0
			WHERE id = ? AND wants_seal = 1 AND lease_until = ?`, f.Reason, micros(f.At), f.ID, micros(f.Until))
		if stored = n == 1; err != nil || !stored {
			return err
		}
		return record(ctx, tx, e)
	})
	return stored && err == nil, err
}
