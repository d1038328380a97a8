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
)

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
	var created, expires, redeemed, downloaded int64
	d := &inv.Device
	err = s.db.read.QueryRowContext(ctx, `SELECT i.token, i.code, i.lab, i.tries, i.created_at, i.expires_at, i.redeemed_at,
		i.downloaded_at, d.state, d.id, d.user_id, `+deviceColumns+`
		FROM invitation i JOIN device d ON d.id = i.device_id WHERE `+where, arg).Scan(append([]any{
		&token, &code, &inv.Lab, &inv.Tries, &created, &expires, &redeemed, &downloaded,
		&inv.State, &d.ID, &d.User}, deviceFields(d)...)...)
	if errors.Is(err, sql.ErrNoRows) {
		return inv, mdm.ErrInvitation
	}
	if err != nil {
		return inv, fmt.Errorf("reading invitation: %w", err)
	}
	inv.CreatedAt, inv.ExpiresAt = instant(created), instant(expires)
	inv.RedeemedAt, inv.DownloadedAt = instant(redeemed), instant(downloaded)
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
		// So that tries at the same time are judged and counted one by one.
		if _, err := s.db.hold(ctx, tx, `invitation WHERE token = ?`, t.Token.String()); err != nil {
			return err
		}
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

// ProfileDownloaded implements [mdm.Invitations].
func (s MDM) ProfileDownloaded(ctx context.Context, device subject.DeviceID, e journal.Entry) error {
	return s.db.tx(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `UPDATE invitation SET downloaded_at = ? WHERE device_id = ?`, micros(e.At), device); err != nil {
			return fmt.Errorf("noting the download: %w", err)
		}
		return record(ctx, tx, e)
	})
}

// Stages implements [mdm.Invitations].
func (s MDM) Stages(ctx context.Context, devices []subject.DeviceID) (map[subject.DeviceID]mdm.Stage, error) {
	stages := make(map[subject.DeviceID]mdm.Stage, len(devices))
	if len(devices) == 0 {
		return stages, nil
	}
	scan := func(row scanner) (id subject.DeviceID, err error) {
		var stage mdm.Stage
		var downloaded int64
		err = row.Scan(&id, &stage.State, &downloaded)
		stage.DownloadedAt = instant(downloaded)
		stages[id] = stage
		return id, err
	}
	_, err := all(ctx, s.db.read, scan, `SELECT d.id, d.state, i.downloaded_at FROM device d JOIN invitation i ON i.device_id = d.id
		WHERE d.id IN (`+marks(len(devices))+`)`, args(devices)...)
	if err != nil {
		return nil, fmt.Errorf("reading invitations: %w", err)
	}
	return stages, nil
}
