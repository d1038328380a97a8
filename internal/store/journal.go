package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/subject"
)

// record writes the journal row of e and marks its due devices, in the
// transaction of the effect.
func record(ctx context.Context, tx statements, e journal.Entry) error {
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
func markDue(ctx context.Context, tx statements, s subject.Scope) error {
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

// Record writes an entry that has no other effect but this: of the word that a
// key is about to be opened its user is told.
func (j Journal) Record(ctx context.Context, e journal.Entry) error {
	return j.db.tx(ctx, func(tx *sql.Tx) error {
		if err := record(ctx, tx, e); err != nil || e.Action != journal.KeyOpened {
			return err
		}
		return j.db.untold(ctx, tx, e)
	})
}

// Opened counts the private keys that were opened since, those for a device and
// all. The journal is where that stands first, whoever opens.
func (j Journal) Opened(ctx context.Context, device subject.DeviceID, since time.Time) (ofDevice, all int, err error) {
	const opened = `'` + string(journal.KeyOpened) + `'` // as the index names it
	err = j.db.read.QueryRowContext(ctx, `SELECT COALESCE(SUM(CASE WHEN device_id = ? THEN 1 ELSE 0 END), 0), COUNT(*) FROM journal
		WHERE action = `+opened+` AND at > ?`, device, micros(since)).Scan(&ofDevice, &all)
	if err != nil {
		return 0, 0, fmt.Errorf("counting opened keys: %w", err)
	}
	return ofDevice, all, nil
}

// Lines lists what a query asks for; never nil.
func (j Journal) Lines(ctx context.Context, q journal.Query) ([]journal.Line, error) {
	query, values := linePage(q)
	list, err := all(ctx, j.db.read, scanLine, query, values...)
	if err != nil {
		return nil, fmt.Errorf("listing the journal: %w", err)
	}
	return list, nil
}

func linePage(q journal.Query) (query string, values []any) {
	where, values := ` WHERE 1 = 1`, []any{}
	if q.User != "" {
		where, values = where+` AND user_id = ?`, append(values, q.User)
	}
	if q.Device != "" {
		where, values = where+` AND device_id = ?`, append(values, q.Device)
	}
	follows, at := after("at", "id", q.Before, q.ID)
	return selectLine + where + follows + ` ORDER BY at DESC, id DESC LIMIT ?`, append(append(values, at...), q.Limit)
}

// Latest lists the newest entries, newest first.
func (j Journal) Latest(ctx context.Context, limit int) ([]journal.Entry, error) {
	lines, err := j.Lines(ctx, journal.Query{Limit: limit})
	entries := make([]journal.Entry, len(lines))
	for i, l := range lines {
		entries[i] = l.Entry
	}
	return entries, err
}

const selectLine = `SELECT id, at, actor_kind, actor_id, remote, action, user_id, device_id, certificate, detail FROM journal`

func scanLine(row scanner) (journal.Line, error) {
	var l journal.Line
	var at int64
	var fp, detail string
	err := row.Scan(&l.ID, &at, &l.Actor.Kind, &l.Actor.ID, &l.Actor.Remote, &l.Action, &l.User, &l.Device, &fp, &detail)
	if err != nil {
		return l, err
	}
	l.At = instant(at)
	if l.Cert, err = parseFingerprint(fp); err != nil {
		return l, err
	}
	return l, json.Unmarshal([]byte(detail), &l.Detail)
}
