package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/mdm"
)

// deviceColumns is what a device d said of itself, in the order of deviceFields.
const deviceColumns = `COALESCE(d.udid, ''), d.serial, d.model, d.name, d.os_version, d.imei, d.meid, d.wifi_mac`

// deviceFields gives where deviceColumns are read into.
func deviceFields(d *subject.Device) []any {
	return []any{&d.UDID, &d.Serial, &d.Model, &d.Name, &d.OSVersion, &d.IMEI, &d.MEID, &d.WiFiMAC}
}

const selectDevice = `SELECT d.id, d.user_id, u.mail, d.state, ` + deviceColumns + `,
	d.created_at, d.enrolled_at, d.seen_at, COALESCE(e.identity, ''), COALESCE(e.identity_at, 0), COALESCE(e.previous, ''),
	COALESCE(e.wake_at, 0), (SELECT COUNT(*) FROM command c WHERE c.device_id = d.id AND c.done_at = 0)
	FROM device d JOIN users u ON u.id = d.user_id LEFT JOIN enrollment e ON e.device_id = d.id`

func scanDevice(row scanner) (mdm.Device, error) {
	var d mdm.Device
	var identity, previous string
	var created, enrolled, seen, identityAt, wake int64
	fields := append([]any{&d.ID, &d.User, &d.Owner, &d.State}, deviceFields(&d.Device)...)
	err := row.Scan(append(fields, &created, &enrolled, &seen, &identity, &identityAt, &previous, &wake, &d.Open)...)
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

// DevicePage implements [mdm.Shelf].
func (s MDM) DevicePage(ctx context.Context, q mdm.Query) ([]mdm.Device, error) {
	query, values := devicePage(q)
	list, err := all(ctx, s.db.read, scanDevice, query, values...)
	if err != nil {
		return nil, fmt.Errorf("listing devices: %w", err)
	}
	if len(list) == 0 {
		return list, nil
	}
	ids := make([]subject.DeviceID, len(list))
	for i, d := range list {
		ids[i] = d.ID
	}
	which, values := ` AND c.device_id IN (`+marks(len(ids))+`)`, args(ids)
	if err := s.lastErrors(ctx, list, which, values...); err != nil {
		return nil, err
	}
	return list, s.ends(ctx, list, which, values...)
}

func devicePage(q mdm.Query) (query string, values []any) {
	where, values := ` WHERE 1 = 1`, []any{}
	if q.User != "" {
		where, values = where+` AND d.user_id = ?`, append(values, q.User)
	}
	if q.State != "" {
		where, values = where+` AND d.state = ?`, append(values, q.State)
	}
	if !q.Silent.IsZero() {
		where, values = where+` AND d.state = 'enrolled' AND d.seen_at < ?`, append(values, micros(q.Silent))
	}
	if !q.Ending.IsZero() {
		where, values = where+` AND d.state = 'enrolled' AND d.id IN (SELECT c.device_id`+inUse+` AND c.not_after < ?)`, append(values, micros(q.Ending))
	}
	follows, at := after("d.created_at", "d.id", q.Before, string(q.ID))
	return selectDevice + where + follows + ` ORDER BY d.created_at DESC, d.id DESC LIMIT ?`, append(append(values, at...), q.Limit)
}

// lastErrors fills in the last failure of each device, in one statement.
func (s MDM) lastErrors(ctx context.Context, list []mdm.Device, which string, values ...any) error {
	failed, err := all(ctx, s.db.read, scanCommand, `SELECT `+commandColumns+` FROM command c WHERE c.state = 'failed'`+which+`
		AND c.done_at = (SELECT MAX(f.done_at) FROM command f WHERE f.device_id = c.device_id AND f.state = 'failed')`, values...)
	if err != nil {
		return fmt.Errorf("listing failures: %w", err)
	}
	last := make(map[subject.DeviceID]*mdm.Command, len(failed))
	for i := range failed {
		last[failed[i].Device] = &failed[i]
	}
	for i := range list {
		list[i].LastError = last[list[i].ID]
	}
	return nil
}

// shownCommands bounds how many commands a detail shows.
const shownCommands = 100

// named finds a device by what people call it. Our id counts most and the serial
// number least: UDID and serial number are what a device says of itself, and one
// that says another's id must not stand in its place.
const named = ` WHERE d.id = ? OR d.udid = ? OR (d.serial = ? AND d.serial <> '')
	ORDER BY CASE WHEN d.id = ? THEN 0 WHEN d.udid = ? THEN 1 ELSE 2 END, d.created_at DESC LIMIT 1`

// Detail implements [mdm.Shelf].
func (s MDM) Detail(ctx context.Context, key string) (mdm.Detail, error) {
	var d mdm.Detail
	var err error
	if d.Device, err = s.device(ctx, named, key, key, key, key, key); err != nil {
		return d, err
	}
	one := []mdm.Device{d.Device}
	if err := s.lastErrors(ctx, one, ` AND c.device_id = ?`, d.ID); err != nil {
		return d, err
	}
	if err := s.ends(ctx, one, ` AND c.device_id = ?`, d.ID); err != nil {
		return d, err
	}
	d.Device = one[0]
	bound, _, err := s.db.Certificates().Bound(ctx, d.ID)
	if err != nil {
		return d, err
	}
	d.IdentityEnd = bound.NotAfter
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
	err = row.Scan(&a.Bundle, &a.State, &a.Configured)
	return a, err
}
