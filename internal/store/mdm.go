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

// Invited implements [mdm.Invitations].
func (s MDM) Invited(ctx context.Context, inv mdm.Invitation, e journal.Entry) error {
	return s.db.tx(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO device (id, user_id, state, udid, serial, model, name, os_version,
			created_at, enrolled_at, seen_at, due_rev, done_rev, lease_until) VALUES (?, ?, ?, NULL, '', '', '', '', ?, 0, 0, 0, 0, 0)`,
			inv.Device.ID, inv.User.ID, mdm.Invited, micros(inv.CreatedAt))
		if err != nil {
			return fmt.Errorf("inserting device: %w", err)
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO invitation (token, code, lab, device_id, tries, created_at, expires_at,
			redeemed_at) VALUES (?, ?, ?, ?, 0, ?, ?, 0)`,
			inv.Token.String(), inv.Code.String(), inv.Lab, inv.Device.ID, micros(inv.CreatedAt), micros(inv.ExpiresAt))
		if err != nil {
			return fmt.Errorf("inserting invitation: %w", err)
		}
		return record(ctx, tx, e)
	})
}

// Invitation implements [mdm.Invitations].
func (s MDM) Invitation(ctx context.Context, token seal.Hash) (mdm.Invitation, error) {
	return s.invitation(ctx, `i.token = ?`, token.String())
}

// InvitationOf implements [mdm.Invitations].
func (s MDM) InvitationOf(ctx context.Context, device subject.DeviceID) (mdm.Invitation, error) {
	return s.invitation(ctx, `i.device_id = ?`, device)
}

func (s MDM) invitation(ctx context.Context, where string, arg any) (inv mdm.Invitation, err error) {
	var token, code string
	var created, expires, redeemed int64
	d := &inv.Device
	err = s.db.read.QueryRowContext(ctx, `SELECT i.token, i.code, i.lab, i.tries, i.created_at, i.expires_at, i.redeemed_at,
		d.state, d.id, d.user_id, COALESCE(d.udid, ''), d.serial, d.model, d.name, d.os_version
		FROM invitation i JOIN device d ON d.id = i.device_id WHERE `+where, arg).Scan(
		&token, &code, &inv.Lab, &inv.Tries, &created, &expires, &redeemed,
		&inv.State, &d.ID, &d.User, &d.UDID, &d.Serial, &d.Model, &d.Name, &d.OSVersion)
	if errors.Is(err, sql.ErrNoRows) {
		return inv, mdm.ErrInvitation
	}
	if err != nil {
		return inv, fmt.Errorf("reading invitation: %w", err)
	}
	inv.CreatedAt, inv.ExpiresAt, inv.RedeemedAt = instant(created), instant(expires), instant(redeemed)
	if inv.Token, err = parseHash(token); err != nil {
		return inv, err
	}
	if inv.Code, err = parseHash(code); err != nil {
		return inv, err
	}
	inv.User, err = s.db.Directory().User(ctx, string(d.User))
	return inv, err
}

// parseHash reads what Hash.String wrote; empty is the zero hash.
func parseHash(s string) (seal.Hash, error) {
	f, err := parseFingerprint(s)
	return seal.Hash(f), err
}

// CodeTried implements [mdm.Invitations].
func (s MDM) CodeTried(ctx context.Context, t mdm.Try) (redeemed bool, err error) {
	err = s.db.tx(ctx, func(tx *sql.Tx) error {
		n, err := changed(ctx, tx, `UPDATE invitation SET redeemed_at = ?
			WHERE token = ? AND code = ? AND redeemed_at = 0 AND tries < ? AND expires_at >= ?`,
			micros(t.At), t.Token.String(), t.Code.String(), t.MaxTries, micros(t.At))
		if err != nil {
			return fmt.Errorf("redeeming invitation: %w", err)
		}
		if redeemed = n == 1; redeemed {
			return record(ctx, tx, t.Accepted)
		}
		if _, err := tx.ExecContext(ctx, `UPDATE invitation SET tries = tries + 1 WHERE token = ? AND redeemed_at = 0`, t.Token.String()); err != nil {
			return fmt.Errorf("counting the try: %w", err)
		}
		return record(ctx, tx, t.Failed)
	})
	return redeemed && err == nil, err
}

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
		os_version = CASE WHEN ? = '' THEN os_version ELSE ? END, serial = CASE WHEN ? = '' THEN serial ELSE ? END WHERE id = ?`,
		i.Name, i.Name, i.Model, i.Model, i.OSVersion, i.OSVersion, i.Serial, i.Serial, id)
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
		return record(ctx, tx, e)
	})
}

// seal gives the boxed form of a column.
func (s MDM) seal(v seal.Secret, id subject.DeviceID, column string) []byte {
	return s.box.Close(v, "enrollment "+string(id)+" "+column)
}

// DeviceRemoved implements [mdm.Enrollments].
func (s MDM) DeviceRemoved(ctx context.Context, id subject.DeviceID, farewell *mdm.Command, e journal.Entry) error {
	return s.db.tx(ctx, func(tx *sql.Tx) error {
		n, err := changed(ctx, tx, `UPDATE device SET state = 'removed' WHERE id = ? AND state <> 'removed'`, id)
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
	})
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

const selectDevice = `SELECT d.id, d.user_id, u.mail, d.state, COALESCE(d.udid, ''), d.serial, d.model, d.name, d.os_version,
	d.created_at, d.enrolled_at, d.seen_at, COALESCE(e.identity, ''), COALESCE(e.identity_at, 0), COALESCE(e.previous, ''),
	COALESCE(e.wake_at, 0), (SELECT COUNT(*) FROM command c WHERE c.device_id = d.id AND c.done_at = 0)
	FROM device d JOIN users u ON u.id = d.user_id LEFT JOIN enrollment e ON e.device_id = d.id`

func scanDevice(row scanner) (mdm.Device, error) {
	var d mdm.Device
	var identity, previous string
	var created, enrolled, seen, identityAt, wake int64
	err := row.Scan(&d.ID, &d.User, &d.Owner, &d.State, &d.UDID, &d.Serial, &d.Model, &d.Name, &d.OSVersion,
		&created, &enrolled, &seen, &identity, &identityAt, &previous, &wake, &d.Open)
	if err != nil {
		return d, err
	}
	d.CreatedAt, d.EnrolledAt, d.SeenAt = instant(created), instant(enrolled), instant(seen)
	d.IdentityAt, d.WakeAt = instant(identityAt), instant(wake)
	if d.Identity, err = parseFingerprint(identity); err != nil {
		return d, err
	}
	d.Previous, err = parseFingerprint(previous)
	return d, err
}

// Device implements [mdm.Shelf].
func (s MDM) Device(ctx context.Context, id subject.DeviceID) (mdm.Device, error) {
	return s.device(ctx, ` WHERE d.id = ?`, id)
}

// DeviceByUDID implements [mdm.Shelf].
func (s MDM) DeviceByUDID(ctx context.Context, udid string) (mdm.Device, error) {
	return s.device(ctx, ` WHERE d.udid = ?`, udid)
}

func (s MDM) device(ctx context.Context, where string, args ...any) (mdm.Device, error) {
	d, err := scanDevice(s.db.read.QueryRowContext(ctx, selectDevice+where, args...))
	if errors.Is(err, sql.ErrNoRows) {
		return d, mdm.ErrDeviceUnknown
	}
	if err != nil {
		return d, fmt.Errorf("reading device: %w", err)
	}
	return d, nil
}

// Devices implements [mdm.Shelf].
func (s MDM) Devices(ctx context.Context) ([]mdm.Device, error) {
	list, err := all(ctx, s.db.read, scanDevice, selectDevice+` ORDER BY d.created_at DESC, d.id DESC`)
	if err != nil {
		return nil, fmt.Errorf("listing devices: %w", err)
	}
	failed, err := all(ctx, s.db.read, scanCommand, `SELECT `+commandColumns+` FROM command c WHERE c.state = 'failed'
		AND c.done_at = (SELECT MAX(f.done_at) FROM command f WHERE f.device_id = c.device_id AND f.state = 'failed')`)
	if err != nil {
		return nil, fmt.Errorf("listing failures: %w", err)
	}
	last := make(map[subject.DeviceID]*mdm.Command, len(failed))
	for i := range failed {
		last[failed[i].Device] = &failed[i]
	}
	for i := range list {
		list[i].LastError = last[list[i].ID]
	}
	return list, nil
}

// shownCommands bounds how many commands a detail shows.
const shownCommands = 100

// Detail implements [mdm.Shelf].
func (s MDM) Detail(ctx context.Context, key string) (mdm.Detail, error) {
	var d mdm.Detail
	var err error
	if d.Device, err = s.device(ctx, ` WHERE d.id = ? OR d.udid = ? OR (d.serial = ? AND d.serial <> '') ORDER BY d.created_at DESC LIMIT 1`, key, key, key); err != nil {
		return d, err
	}
	if d.Commands, err = all(ctx, s.db.read, scanCommand, `SELECT `+commandColumns+` FROM command c WHERE c.device_id = ?
		ORDER BY c.seq DESC LIMIT ?`, d.ID, shownCommands); err != nil {
		return d, fmt.Errorf("listing commands: %w", err)
	}
	if d.Certificates, err = all(ctx, s.db.read, scanHeld, `SELECT fingerprint, is_identity FROM device_certificate
		WHERE device_id = ? ORDER BY fingerprint`, d.ID); err != nil {
		return d, fmt.Errorf("listing certificates: %w", err)
	}
	if d.Apps, err = all(ctx, s.db.read, scanApp, `SELECT bundle_id, state, has_configuration FROM device_app
		WHERE device_id = ? ORDER BY bundle_id`, d.ID); err != nil {
		return d, fmt.Errorf("listing apps: %w", err)
	}
	var at int64
	err = s.db.read.QueryRowContext(ctx, `SELECT certificates_at FROM device_inventory WHERE device_id = ?`, d.ID).Scan(&at)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return d, fmt.Errorf("reading inventory: %w", err)
	}
	d.ListedAt = instant(at)
	return d, nil
}

func scanHeld(row scanner) (h mdm.Held, err error) {
	var fp string
	if err = row.Scan(&fp, &h.Identity); err != nil {
		return h, err
	}
	h.Fingerprint, err = cert.ParseFingerprint(fp)
	return h, err
}

func scanApp(row scanner) (a mdm.App, err error) {
	return a, row.Scan(&a.Bundle, &a.State, &a.Configured)
}
