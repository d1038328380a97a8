package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/subject"
)

// record writes the journal row of e and marks its due devices, in the
// transaction of the effect.
func record(ctx context.Context, tx *sql.Tx, e journal.Entry) error {
	id, err := uuid.NewV7()
	if err != nil {
		return fmt.Errorf("making journal id: %w", err)
	}
	if e.Detail == nil {
		e.Detail = map[string]string{}
	}
	detail, err := json.Marshal(e.Detail)
	if err != nil {
		return fmt.Errorf("encoding journal detail: %w", err)
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO journal
		(id, at, actor_kind, actor_id, remote, action, user_id, device_id, certificate, detail)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		id.String(), micros(e.At), e.Actor.Kind, e.Actor.ID, e.Actor.Remote, e.Action,
		e.User, e.Device, fingerprint(e.Cert), string(detail))
	if err != nil {
		return fmt.Errorf("writing journal: %w", err)
	}
	if err := markDue(ctx, tx, e.Due); err != nil {
		return fmt.Errorf("marking due devices: %w", err)
	}
	return nil
}

// markDue makes every device in the scope due.
func markDue(ctx context.Context, tx *sql.Tx, s subject.Scope) error {
	const due = `UPDATE device SET due_rev = due_rev + 1 WHERE `
	if s.All {
		// Not only who is enrolled: another transaction may be enrolling a device.
		_, err := tx.ExecContext(ctx, due+`state <> 'removed'`)
		return err
	}
	parts := []struct {
		where string
		ids   []any
	}{
		{`user_id IN (%s)`, args(s.Users)},
		{`user_id IN (SELECT user_id FROM membership WHERE group_id IN (%s))`, args(s.Groups)},
		{`id IN (%s)`, args(s.Devices)},
	}
	for _, p := range parts {
		for ids := range slices.Chunk(p.ids, inChunk) {
			if _, err := tx.ExecContext(ctx, due+fmt.Sprintf(p.where, marks(len(ids))), ids...); err != nil {
				return err
			}
		}
	}
	return nil
}

// Journal is the facet of the audit journal.
type Journal struct{ db *DB }

// Journal gives the facet.
func (db *DB) Journal() Journal { return Journal{db} }

// Record writes an entry that has no other effect, such as the word that a key
// is about to be opened.
func (j Journal) Record(ctx context.Context, e journal.Entry) error {
	return j.db.tx(ctx, func(tx *sql.Tx) error { return record(ctx, tx, e) })
}

// OfUser lists the newest entries about a user, newest first.
func (j Journal) OfUser(ctx context.Context, id subject.UserID, limit int) ([]journal.Entry, error) {
	return all(ctx, j.db.read, scanEntry, selectEntry+` WHERE user_id = ? ORDER BY at DESC, id DESC LIMIT ?`, id, limit)
}

// OfDevice lists the newest entries about a device, newest first.
func (j Journal) OfDevice(ctx context.Context, id subject.DeviceID, limit int) ([]journal.Entry, error) {
	return all(ctx, j.db.read, scanEntry, selectEntry+` WHERE device_id = ? ORDER BY at DESC, id DESC LIMIT ?`, id, limit)
}

// Latest lists the newest entries, newest first.
func (j Journal) Latest(ctx context.Context, limit int) ([]journal.Entry, error) {
	return all(ctx, j.db.read, scanEntry, selectEntry+` ORDER BY at DESC, id DESC LIMIT ?`, limit)
}

const selectEntry = `SELECT at, actor_kind, actor_id, remote, action, user_id, device_id, certificate, detail FROM journal`

func scanEntry(row scanner) (journal.Entry, error) {
	var e journal.Entry
	var at int64
	var fp, detail string
	err := row.Scan(&at, &e.Actor.Kind, &e.Actor.ID, &e.Actor.Remote, &e.Action, &e.User, &e.Device, &fp, &detail)
	if err != nil {
		return e, err
	}
	e.At = instant(at)
	if e.Cert, err = parseFingerprint(fp); err != nil {
		return e, err
	}
	return e, json.Unmarshal([]byte(detail), &e.Detail)
}
