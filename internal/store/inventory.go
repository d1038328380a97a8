package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"

	"github.com/signet-mdm/signet/mdm"
)

func saveInventory(ctx context.Context, tx *sql.Tx, o mdm.Outcome) error {
	if o.Listed {
		if err := saveHeld(ctx, tx, o); err != nil {
			return fmt.Errorf("storing the certificates of %s: %w", o.Device, err)
		}
	}
	if o.Shown {
		if err := saveProfiles(ctx, tx, o); err != nil {
			return fmt.Errorf("storing the profiles of %s: %w", o.Device, err)
		}
	}
	if len(o.Apps)+len(o.Gone) > 0 {
		if err := saveApps(ctx, tx, o); err != nil {
			return fmt.Errorf("storing the apps of %s: %w", o.Device, err)
		}
	}
	if o.Information == nil {
		return nil
	}
	if err := saveInformation(ctx, tx, o.Device, *o.Information); err != nil {
		return err
	}
	return listed(ctx, tx, o, "information_at")
}

func saveHeld(ctx context.Context, tx *sql.Tx, o mdm.Outcome) error {
	if err := listed(ctx, tx, o, "certificates_at"); err != nil { // first: two lists at once do not mix
		return err
	}
	if _, err := tx.ExecContext(ctx, `DELETE FROM device_certificate WHERE device_id = ?`, o.Device); err != nil {
		return err
	}
	for _, h := range o.Certificates {
		if _, err := tx.ExecContext(ctx, `INSERT INTO device_certificate (device_id, fingerprint, is_identity, seen_at) VALUES (?, ?, ?, ?)`,
			o.Device, fingerprint(h.Fingerprint), h.Identity, micros(o.At)); err != nil {
			return err
		}
	}
	return nil
}

func saveProfiles(ctx context.Context, tx *sql.Tx, o mdm.Outcome) error {
	ids, err := json.Marshal(o.Profiles)
	if err != nil {
		return err
	}
	n, err := changed(ctx, tx, `UPDATE device_profiles SET identifiers = ?, at = ? WHERE device_id = ?`, string(ids), micros(o.At), o.Device)
	if err != nil || n > 0 {
		return err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO device_profiles (device_id, identifiers, at) VALUES (?, ?, ?)`, o.Device, string(ids), micros(o.At))
	return err
}

func saveApps(ctx context.Context, tx *sql.Tx, o mdm.Outcome) error {
	for _, a := range o.Apps {
		n, err := changed(ctx, tx, `UPDATE device_app SET state = ?, seen_at = ?,
			has_configuration = CASE WHEN ? THEN ? ELSE has_configuration END WHERE device_id = ? AND bundle_id = ?`,
			a.State, micros(o.At), o.Configured, a.Configured, o.Device, a.Bundle)
		if err != nil {
			return err
		}
		if n > 0 {
			continue
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO device_app (device_id, bundle_id, state, has_configuration, seen_at) VALUES (?, ?, ?, ?, ?)`,
			o.Device, a.Bundle, a.State, a.Configured, micros(o.At)); err != nil {
			return err
		}
	}
	for _, bundle := range o.Gone {
		if _, err := tx.ExecContext(ctx, `DELETE FROM device_app WHERE device_id = ? AND bundle_id = ?
			AND state NOT IN (`+marks(len(mdm.ToldOnce))+`)`, append([]any{o.Device, bundle}, args(mdm.ToldOnce)...)...); err != nil {
			return err
		}
	}
	if !o.Configured {
		return nil
	}
	return listed(ctx, tx, o, "apps_at")
}

// listed notes when a part of the inventory was told.
func listed(ctx context.Context, tx *sql.Tx, o mdm.Outcome, column string) error {
	n, err := changed(ctx, tx, `UPDATE device_inventory SET `+column+` = ? WHERE device_id = ?`, micros(o.At), o.Device)
	if err != nil || n > 0 {
		return err
	}
	if _, err := tx.ExecContext(ctx, `INSERT INTO device_inventory (device_id, certificates_at, apps_at, information_at) VALUES (?, 0, 0, 0)`, o.Device); err != nil {
		return err
	}
	return listed(ctx, tx, o, column)
}
