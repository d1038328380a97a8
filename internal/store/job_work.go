package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/signet-mdm/signet/internal/job"
	"github.com/signet-mdm/signet/internal/journal"
)

// JobLeased implements [job.Desk].
func (s Jobs) JobLeased(ctx context.Context, kinds []job.Kind, now, until time.Time, limit int) (l job.Lease, found bool, err error) {
	free := ` WHERE ended_at = 0 AND lease_until <= ? AND kind IN (` + marks(len(kinds)) + `)`
	values := append([]any{micros(now)}, args(kinds)...)
	var waiting bool
	if err := s.db.read.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM job`+free+`)`, values...).Scan(&waiting); err != nil || !waiting {
		return l, false, err
	}
	err = s.db.tx(ctx, func(tx *sql.Tx) error {
		found = false // f may run again
		j, err := scanJob(tx.QueryRowContext(ctx, selectJob+free+` ORDER BY created_at, id LIMIT 1`, values...))
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("looking for a job: %w", err)
		}
		n, err := changed(ctx, tx, `UPDATE job SET lease_until = ? WHERE id = ? AND ended_at = 0 AND lease_until <= ?`, micros(until), j.ID, micros(now))
		if err != nil || n == 0 {
			return err
		}
		query, values := jobItemPage(j.ID, job.Open, "", limit)
		items, err := all(ctx, tx, scanItem, query, values...)
		if err != nil {
			return fmt.Errorf("reading the items of a job: %w", err)
		}
		l, found = job.Lease{Job: j, Items: items, Until: until}, true
		return nil
	})
	return l, found && err == nil, err
}

// ItemsDone implements [job.Desk].
func (s Jobs) ItemsDone(ctx context.Context, l job.Lease, results []job.Item, e journal.Entry) error {
	return s.db.tx(ctx, func(tx *sql.Tx) error {
		done, failed := 0, 0
		for _, r := range results {
			n, err := changed(ctx, tx, `UPDATE job_item SET state = ?, code = ?, attempts = ?, at = ? WHERE job_id = ? AND item = ? AND state = 'open'`,
				r.State, r.Code, r.Attempts, micros(r.At), l.ID, r.ID)
			if err != nil {
				return fmt.Errorf("noting an item of a job: %w", err)
			}
			done += int(n) * count(r.State == job.Succeeded)
			failed += int(n) * count(r.State == job.Failed)
		}
		_, err := tx.ExecContext(ctx, `UPDATE job SET done = done + ?, failed = failed + ?,
			lease_until = CASE WHEN lease_until = ? THEN 0 ELSE lease_until END WHERE id = ?`, done, failed, micros(l.Until), l.ID)
		if err != nil {
			return fmt.Errorf("noting the progress of a job: %w", err)
		}
		return endJob(ctx, tx, l.ID, e)
	})
}

func count(yes bool) int {
	if yes {
		return 1
	}
	return 0
}

// endJob ends a job when nothing is left of it.
func endJob(ctx context.Context, tx *sql.Tx, id string, e journal.Entry) error {
	n, err := changed(ctx, tx, `UPDATE job SET state = 'done', ended_at = ? WHERE id = ? AND ended_at = 0 AND done + failed = total`, micros(e.At), id)
	if err != nil || n == 0 {
		return err
	}
	j, err := scanJob(tx.QueryRowContext(ctx, selectJob+` WHERE id = ?`, id))
	if err != nil {
		return fmt.Errorf("reading job: %w", err)
	}
	e.Detail = withDetail(withDetail(e.Detail, "done", strconv.Itoa(j.Done)), "failed", strconv.Itoa(j.Failed))
	return record(ctx, tx, e)
}

// forgetItems bounds how much of a job is deleted in one transaction.
const forgetItems = 5000

// JobsForgotten implements [job.Desk].
func (s Jobs) JobsForgotten(ctx context.Context, before time.Time) (n int, err error) {
	old, err := all(ctx, s.db.read, column[string], `SELECT id FROM job WHERE ended_at > 0 AND ended_at < ? ORDER BY ended_at LIMIT 10`, micros(before))
	if err != nil {
		return 0, fmt.Errorf("looking for old jobs: %w", err)
	}
	for _, id := range old {
		err := s.db.tx(ctx, func(tx *sql.Tx) error { return forgetJob(ctx, tx, id) })
		if err != nil {
			return n, fmt.Errorf("forgetting job %s: %w", id, err)
		}
		n++
	}
	return n, nil
}

// forgetJob deletes a job, or so many of its items that it can be deleted the
// next time.
func forgetJob(ctx context.Context, tx *sql.Tx, id string) error {
	last, err := all(ctx, tx, column[string], `SELECT item FROM job_item WHERE job_id = ? ORDER BY item LIMIT 1 OFFSET ?`, id, forgetItems)
	if err != nil {
		return err
	}
	if len(last) > 0 {
		_, err := tx.ExecContext(ctx, `DELETE FROM job_item WHERE job_id = ? AND item < ?`, id, last[0])
		return err
	}
	if _, err := tx.ExecContext(ctx, `DELETE FROM job_item WHERE job_id = ?`, id); err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `DELETE FROM job WHERE id = ?`, id)
	return err
}
