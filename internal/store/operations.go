package store

import (
	"context"
	"database/sql"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/signet-mdm/signet/internal/delivery/plan"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/metrics"
	"github.com/signet-mdm/signet/mdm"
	"github.com/signet-mdm/signet/notify"
)

// Operations is the facet of those who watch the server.
type Operations struct{ db *DB }

// Operations gives the facet.
func (db *DB) Operations() Operations { return Operations{db} }

var _ metrics.Source = Operations{}

// moving counts the parcels whose command is not done, by plan.Facts.State as
// far as rows alone tell it. All others have arrived, unless they are being
// removed: whether a device shows what it took is not looked at. CROSS keeps
// SQLite from beginning with the parcels, which are many more.
const moving = `SELECT CASE WHEN p.failed_at > 0 OR c.state IN ('failed', 'cancelled') THEN 'failed'
	WHEN p.wants_seal = 1 THEN 'queued'
	WHEN p.frame <> '' AND p.sealed IS NULL THEN 'parked'
	WHEN c.state = 'sent' THEN 'sent' ELSE 'sealed' END AS shown, COUNT(*)
	FROM command c CROSS JOIN parcel p ON p.id = c.parcel_id
	WHERE c.state <> 'acknowledged' AND p.ended_at = 0 AND p.removal_uuid = '' AND p.command_uuid = c.uuid
	GROUP BY shown`

// recent is how far back a backup is looked for.
const recent = 35 * 24 * time.Hour

// Figures implements [metrics.Source].
func (o Operations) Figures(ctx context.Context) (metrics.Figures, error) {
	f := metrics.Figures{
		Devices:  zeros(mdm.Invited, mdm.Enrolling, mdm.Enrolled, mdm.Removed),
		Parcels:  zeros(plan.Queued, plan.Parked, plan.Ready, plan.Sent, plan.Arrived, plan.Failed, plan.Removing),
		Commands: zeros(mdm.Queued, mdm.Sent),
		Mails:    zeros(notify.Waiting, notify.Sent, notify.Failed),
		CRLs:     map[string]time.Time{},
	}
	var parcel, command, mail, backup int64
	q := o.db.read
	for what, read := range map[string]func() error{
		"rows": func() error {
			return q.QueryRowContext(ctx, `SELECT (SELECT COUNT(*) FROM users), (SELECT COUNT(*) FROM escrow_key),
				(SELECT COUNT(*) FROM scep_request WHERE state = 'open' AND expires_at > (SELECT COALESCE(MAX(at), 0) FROM journal)),
				(SELECT COUNT(*) FROM device WHERE due_rev > done_rev),
				(SELECT COALESCE(MIN(created_at), 0) FROM parcel WHERE wants_seal = 1 AND ended_at = 0),
				(SELECT COALESCE(MIN(created_at), 0) FROM command WHERE state <> 'acknowledged' AND state IN ('queued', 'sent')),
				(SELECT COALESCE(MIN(since), 0) FROM mail WHERE state = 'waiting'),
				(SELECT COALESCE(MAX(at), 0) FROM journal WHERE action = ? AND at > (SELECT MAX(at) FROM journal) - ?)`,
				journal.BackupMade, recent.Microseconds()).
				Scan(&f.Users, &f.EscrowedKeys, &f.Requests, &f.DevicesDue, &parcel, &command, &mail, &backup)
		},
		"devices": func() error { return o.count(ctx, f.Devices, `SELECT state, COUNT(*) FROM device GROUP BY state`) },
		"commands": func() error {
			return o.count(ctx, f.Commands, `SELECT state, COUNT(*) FROM command
			WHERE state <> 'acknowledged' AND state IN ('queued', 'sent') GROUP BY state`)
		},
		"parcels": func() error { return o.parcels(ctx, f.Parcels) },
		"mails":   func() error { return o.count(ctx, f.Mails, `SELECT state, COUNT(*) FROM mail GROUP BY state`) },
		"lists":   func() error { return o.lists(ctx, f.CRLs) },
		"bytes":   func() error { return q.QueryRowContext(ctx, o.db.dia.size).Scan(&f.DatabaseBytes) },
	} {
		if err := read(); err != nil {
			return f, fmt.Errorf("counting %s: %w", what, err)
		}
	}
	f.ParcelWaits, f.CommandWaits, f.MailWaits, f.BackedUp = instant(parcel), instant(command), instant(mail), instant(backup)
	return f, nil
}

func (o Operations) parcels(ctx context.Context, into map[string]int) error {
	var total, removing int
	err := o.db.read.QueryRowContext(ctx, `SELECT (SELECT COUNT(*) FROM parcel WHERE ended_at = 0),
		(SELECT COUNT(*) FROM parcel WHERE ended_at = 0 AND removal_uuid > '')`).Scan(&total, &removing)
	if err == nil {
		err = o.count(ctx, into, moving)
	}
	rest := total - removing
	for _, n := range into {
		rest -= n
	}
	into[string(plan.Removing)], into[string(plan.Arrived)] = removing, max(0, rest)
	return err
}

// zeros is a count of nothing, so that a state that nothing is in shows as 0.
func zeros[S ~string](states ...S) map[string]int {
	m := map[string]int{}
	for _, s := range states {
		m[string(s)] = 0
	}
	return m
}

func (o Operations) count(ctx context.Context, into map[string]int, query string, args ...any) error {
	type row struct {
		state string
		n     int
	}
	rows, err := all(ctx, o.db.read, func(s scanner) (r row, err error) { return r, s.Scan(&r.state, &r.n) }, query, args...)
	for _, r := range rows {
		into[r.state] = r.n
	}
	return err
}

// lists gives when the oldest published CRL of each issuer was made.
func (o Operations) lists(ctx context.Context, into map[string]time.Time) error {
	type row struct {
		issuer string
		at     int64
	}
	rows, err := all(ctx, o.db.read, func(s scanner) (r row, err error) { return r, s.Scan(&r.issuer, &r.at) },
		`SELECT issuer, MIN(this_update) FROM crl WHERE number > 0 GROUP BY issuer`)
	for _, r := range rows {
		into[r.issuer] = instant(r.at)
	}
	return err
}

// Schema tells which migration the database is at and which this program
// brings.
func (o Operations) Schema(ctx context.Context) (have, want int64, err error) {
	var v sql.NullInt64
	if err := o.db.read.QueryRowContext(ctx, `SELECT MAX(version_id) FROM goose_db_version WHERE is_applied = 1`).Scan(&v); err != nil {
		return 0, NewestSchema(), fmt.Errorf("reading schema version: %w", err)
	}
	return v.Int64, NewestSchema(), nil
}

// NewestSchema is the number of this program's last migration, the same for
// every database.
func NewestSchema() int64 {
	n, err := sqlite.newest()
	if err != nil {
		panic("store: " + err.Error()) // the files are in the program
	}
	return n
}

// newest gives the number of the last migration of this program.
func (d dialect) newest() (int64, error) {
	list, err := d.numbers()
	if err != nil {
		return 0, err
	}
	return list[len(list)-1], nil
}

// numbers gives those of all migrations of this program, in order.
func (d dialect) numbers() (list []int64, err error) {
	files, err := fs.ReadDir(schema, "schema/"+d.schema)
	if err != nil {
		return nil, fmt.Errorf("reading schema files: %w", err)
	}
	for _, f := range files {
		number, _, _ := strings.Cut(f.Name(), "_")
		n, err := strconv.ParseInt(number, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("migration %s has no number: %w", f.Name(), err)
		}
		list = append(list, n)
	}
	slices.Sort(list)
	return list, nil
}
