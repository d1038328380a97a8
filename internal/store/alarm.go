package store

import (
	"context"
	"fmt"
	"time"

	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/notify"
)

var _ notify.AlarmBook = Journal{}

const (
	ofAlarms  = ` WHERE action = '` + string(journal.KeyAlarm) + `'` // as the index names it
	tellingOf = ` WHERE action = '` + string(journal.AlarmTold) + `'`
)

// Alarms implements [notify.AlarmBook].
func (j Journal) Alarms(ctx context.Context, since, until time.Time, limit int) ([]journal.Entry, error) {
	lines, err := all(ctx, j.db.read, scanLine, selectLine+ofAlarms+` AND at > ? AND at <= ? ORDER BY at, id LIMIT ?`,
		micros(since), micros(until), limit)
	if err != nil {
		return nil, fmt.Errorf("looking for alarms: %w", err)
	}
	list := make([]journal.Entry, len(lines))
	for i, l := range lines {
		list[i] = l.Entry
	}
	return list, nil
}

// AlarmsTold implements [notify.AlarmBook].
func (j Journal) AlarmsTold(ctx context.Context) (time.Time, error) {
	var at int64
	err := j.db.read.QueryRowContext(ctx, `SELECT COALESCE(MAX(at), 0) FROM journal`+tellingOf).Scan(&at)
	if err != nil {
		return time.Time{}, fmt.Errorf("looking when alarms were told: %w", err)
	}
	return instant(at), nil
}

// Alarms counts those that were raised since, and gives the instant of the last.
func (o Operations) Alarms(ctx context.Context, since time.Time) (n int, last time.Time, err error) {
	var at int64
	err = o.db.read.QueryRowContext(ctx, `SELECT COUNT(*), COALESCE(MAX(at), 0) FROM journal`+ofAlarms+` AND at > ?`, micros(since)).Scan(&n, &at)
	if err != nil {
		return 0, time.Time{}, fmt.Errorf("counting alarms: %w", err)
	}
	return n, instant(at), nil
}
