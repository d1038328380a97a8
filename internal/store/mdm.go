package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/mdm"
)

// MDM is the facet of devices, their enrollment and their commands.
type MDM struct {
	db  *DB
	box *seal.Box // for push and unlock tokens
}

// MDM gives the facet; box encrypts push and unlock tokens.
func (db *DB) MDM(box *seal.Box) MDM {
	if box == nil {
		panic("store: nil box")
	}
	return MDM{db, box}
}

var _ mdm.Store = MDM{}

// Authenticated implements [mdm.Enrollments].
func (s MDM) Authenticated(ctx context.Context, b mdm.Binding, entries ...journal.Entry) error {
	err := s.db.tx(ctx, func(tx *sql.Tx) error {
		if b.Supersedes != "" {
			if err := supersede(ctx, tx, b); err != nil {
				return err
			}
		}
		n, err := changed(ctx, tx, `UPDATE device SET udid = ?, seen_at = ?,
			state = CASE WHEN state = 'invited' THEN 'enrolling' ELSE state END
			WHERE id = ? AND state <> 'removed' AND (udid IS NULL OR udid = ?)`, b.UDID, micros(b.At), b.Device, b.UDID)
		if err != nil {
			return fmt.Errorf("binding UDID: %w", err)
		}
		if n == 0 {
			return mdm.ErrIdentity
		}
		if err := saveInformation(ctx, tx, b.Device, b.Told); err != nil {
			return err
		}
		if err := saveIdentity(ctx, tx, b); err != nil {
			return err
		}
		for _, e := range entries {
			if err := record(ctx, tx, e); err != nil {
				return err
			}
		}
		return nil
	})
	if s.db.dia.unique(err) {
		return mdm.ErrDeviceTaken.With(err)
	}
	return err
}

func supersede(ctx context.Context, tx *sql.Tx, b mdm.Binding) error {
	if _, err := tx.ExecContext(ctx, `UPDATE device SET state = 'removed', udid = NULL WHERE id = ? AND udid = ?`, b.Supersedes, b.UDID); err != nil {
		return fmt.Errorf("superseding device: %w", err)
	}
	return abandon(ctx, tx, b.Supersedes, b.At)
}

// abandon cancels the queue of a device and forgets how to reach it.
func abandon(ctx context.Context, tx *sql.Tx, id subject.DeviceID, at time.Time) error {
	if _, err := tx.ExecContext(ctx, `UPDATE command SET state = 'cancelled', done_at = ?, lease_until = 0
		WHERE device_id = ? AND done_at = 0`, micros(at), id); err != nil {
		return fmt.Errorf("cancelling commands: %w", err)
	}
	if _, err := tx.ExecContext(ctx, `UPDATE enrollment SET push_token = ?, push_magic = ?, unlock_token = ?, wake_at = 0
		WHERE device_id = ?`, []byte{}, []byte{}, []byte{}, id); err != nil {
		return fmt.Errorf("forgetting push token: %w", err)
	}
	return nil
}

// saveInformation keeps what is stored where nothing was told.
func saveInformation(ctx context.Context, tx *sql.Tx, id subject.DeviceID, i mdm.Information) error {
	_, err := tx.ExecContext(ctx, `UPDATE device SET
		name = CASE WHEN ? = '' THEN name ELSE ? END, model = CASE WHEN ? = '' THEN model ELSE ? END,
		os_version = CASE WHEN ? = '' THEN os_version ELSE ? END, serial = CASE WHEN ? = '' THEN serial ELSE ? END,
		imei = CASE WHEN ? = '' THEN imei ELSE ? END, meid = CASE WHEN ? = '' THEN meid ELSE ? END,
		wifi_mac = CASE WHEN ? = '' THEN wifi_mac ELSE ? END WHERE id = ?`,
		i.Name, i.Name, i.Model, i.Model, i.OSVersion, i.OSVersion, i.Serial, i.Serial,
		i.IMEI, i.IMEI, i.MEID, i.MEID, i.WiFiMAC, i.WiFiMAC, id)
	if err != nil {
		return fmt.Errorf("storing device information: %w", err)
	}
	return nil
}

// saveIdentity sets identity last: MySQL computes assignments in order.
func saveIdentity(ctx context.Context, tx *sql.Tx, b mdm.Binding) error {
	fp := fingerprint(b.Identity)
	n, err := changed(ctx, tx, `UPDATE enrollment SET topic = ?,
		previous = CASE WHEN identity = ? THEN previous ELSE identity END,
		identity_at = CASE WHEN identity = ? THEN identity_at ELSE ? END, identity = ? WHERE device_id = ?`,
		b.Topic, fp, fp, micros(b.At), fp, b.Device)
	if err != nil {
		return fmt.Errorf("renewing identity: %w", err)
	}
	if n > 0 {
		return nil
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO enrollment (device_id, topic, identity, identity_at, previous, push_token, push_magic,
		unlock_token, token_at, wake_at) VALUES (?, ?, ?, ?, '', ?, ?, ?, 0, 0)`, b.Device, b.Topic, fp, micros(b.At), []byte{}, []byte{}, []byte{})
	if err != nil {
		return fmt.Errorf("inserting enrollment: %w", err)
	}
	return nil
}

// TokensUpdated implements [mdm.Enrollments].
func (s MDM) TokensUpdated(ctx context.Context, t mdm.Tokens, e journal.Entry) error {
	return s.db.tx(ctx, func(tx *sql.Tx) error {
		n, err := changed(ctx, tx, `UPDATE device SET state = 'enrolled', seen_at = ?,
			enrolled_at = CASE WHEN enrolled_at = 0 THEN ? ELSE enrolled_at END
			WHERE id = ? AND state IN ('enrolling', 'enrolled')`, micros(t.At), micros(t.At), t.Device)
		if err != nil {
			return fmt.Errorf("enrolling device: %w", err)
		}
		if n == 0 {
			return mdm.ErrNotEnrolled
		}
		unlock := s.seal(t.UnlockToken, t.Device, "unlock_token")
		_, err = tx.ExecContext(ctx, `UPDATE enrollment SET topic = ?, push_token = ?, push_magic = ?, token_at = ?,
			unlock_token = CASE WHEN ? THEN ? ELSE unlock_token END WHERE device_id = ?`,
			t.Topic, s.seal(t.Token, t.Device, "push_token"), s.seal(t.PushMagic, t.Device, "push_magic"), micros(t.At),
			!t.UnlockToken.Empty(), unlock, t.Device)
		if err != nil {
			return fmt.Errorf("storing push token: %w", err)
		}
		if err := tokenRenewed(ctx, tx, t); err != nil {
			return err
		}
		return record(ctx, tx, e)
	})
}

// seal gives the boxed form of a column.
func (s MDM) seal(v seal.Secret, id subject.DeviceID, column string) []byte {
	return s.box.Close(v, enrollmentColumn(id, column))
}

// enrollmentColumn names a boxed column of a row.
func enrollmentColumn(id subject.DeviceID, column string) string {
	return "enrollment " + string(id) + " " + column
}

// DeviceRemoved implements [mdm.Enrollments].
func (s MDM) DeviceRemoved(ctx context.Context, id subject.DeviceID, farewell *mdm.Command, e journal.Entry) error {
	return s.removed(ctx, id, farewell, 0, e)
}

// DeviceLost implements [mdm.Enrollments].
func (s MDM) DeviceLost(ctx context.Context, id subject.DeviceID, farewell *mdm.Command, e journal.Entry) error {
	return s.removed(ctx, id, farewell, micros(e.At), e)
}

func (s MDM) removed(ctx context.Context, id subject.DeviceID, farewell *mdm.Command, lostAt int64, e journal.Entry) error {
	return s.db.tx(ctx, func(tx *sql.Tx) error { return removeDevice(ctx, tx, id, farewell, lostAt, e) })
}

// DeviceDismissed implements [mdm.Enrollments].
func (s MDM) DeviceDismissed(ctx context.Context, d mdm.Dismissal, e journal.Entry) error {
	return s.db.tx(ctx, func(tx *sql.Tx) error {
		if err := s.allowed(ctx, tx, d); err != nil {
			return err
		}
		return removeDevice(ctx, tx, d.Device, &d.Farewell, 0, e)
	})
}

func removeDevice(ctx context.Context, tx *sql.Tx, id subject.DeviceID, farewell *mdm.Command, lostAt int64, e journal.Entry) error {
	n, err := changed(ctx, tx, `UPDATE device SET state = 'removed', lost_at = ? WHERE id = ? AND state <> 'removed'`, lostAt, id)
	if err != nil {
		return fmt.Errorf("removing device: %w", err)
	}
	if farewell == nil {
		err = abandon(ctx, tx, id, e.At)
	} else if n > 0 {
		err = replaceQueue(ctx, tx, *farewell)
	}
	if err != nil || n == 0 {
		return err
	}
	return record(ctx, tx, e)
}

// allowed counts what people removed, one at a time.
func (s MDM) allowed(ctx context.Context, tx *sql.Tx, d mdm.Dismissal) error {
	if d.Most == 0 {
		return nil
	}
	if _, err := tx.ExecContext(ctx, `INSERT INTO turnstile (name) VALUES (?)`+s.db.upsert("name", "name = VALUES(name)"), journal.DeviceRemoved); err != nil {
		return fmt.Errorf("waiting for one's turn: %w", err)
	}
	var gone, left int
	err := tx.QueryRowContext(ctx, `SELECT (SELECT COUNT(*) FROM journal j JOIN device d ON d.id = j.device_id
			WHERE j.at >= ? AND j.action = ? AND j.actor_kind IN (?, ?) AND d.enrolled_at > 0),
		(SELECT COUNT(*) FROM device WHERE state = 'enrolled')`,
		micros(d.Since), journal.DeviceRemoved, journal.Admin, journal.Local).Scan(&gone, &left)
	if err != nil {
		return fmt.Errorf("counting removals: %w", err)
	}
	if gone++; gone > d.Most || gone+left > d.Fleet && gone*100 > (gone+left-1)*d.Percent {
		return mdm.ErrManyRemoved
	}
	return nil
}

// replaceQueue leaves c as the only command; the device stays reachable for it.
func replaceQueue(ctx context.Context, tx *sql.Tx, c mdm.Command) error {
	if _, err := tx.ExecContext(ctx, `UPDATE command SET state = 'cancelled', done_at = ?, lease_until = 0
		WHERE device_id = ? AND done_at = 0`, micros(c.CreatedAt), c.Device); err != nil {
		return fmt.Errorf("cancelling commands: %w", err)
	}
	return insertCommand(ctx, tx, c)
}

// Record implements [mdm.Enrollments].
func (s MDM) Record(ctx context.Context, e journal.Entry) error { return s.db.Journal().Record(ctx, e) }
