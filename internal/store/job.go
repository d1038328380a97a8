package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/signet-mdm/signet/internal/job"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/subject"
)

// Jobs is the facet of long work.
type Jobs struct{ db *DB }

// Jobs gives the facet.
func (db *DB) Jobs() Jobs { return Jobs{db} }

var _ job.Store = Jobs{}

// jobItems gives what follows SELECT id for the things of a kind in a scope,
// and its arguments.
func jobItems(k job.Kind, s subject.Scope) (string, []any, error) {
	from, ok := map[job.Kind]string{
		job.RefreshDevices: ` FROM device WHERE state = 'enrolled'`,
		job.RenewDevices:   ` FROM device WHERE state = 'enrolled'`,
		job.CheckKeys:      ` FROM escrow_key WHERE 1 = 1`,
	}[k]
	switch {
	case !ok:
		return "", nil, fmt.Errorf("no jobs of kind %q", k)
	case s.All:
		return from, nil, nil
	case len(s.Users) == 1 && len(s.Groups)+len(s.Devices) == 0:
		return from + ` AND user_id = ?`, []any{s.Users[0]}, nil
	case len(s.Groups) == 1 && len(s.Users)+len(s.Devices) == 0:
		return from + ` AND user_id IN (SELECT user_id FROM membership WHERE group_id = ?)`, []any{s.Groups[0]}, nil
	}
	return "", nil, errJobScope
}

var errJobScope = errors.New("a job is for all, for one group or for one user")

// JobSize implements [job.Shelf].
func (s Jobs) JobSize(ctx context.Context, k job.Kind, scope subject.Scope, at time.Time) (n int, err error) {
	if k == job.IssueEncryption {
		list, err := s.lacking(ctx, scope, at)
		return len(list), err
	}
	from, values, err := jobItems(k, scope)
	if err != nil {
		return 0, err
	}
	if err := s.db.read.QueryRowContext(ctx, `SELECT COUNT(*)`+from, values...).Scan(&n); err != nil {
		return 0, fmt.Errorf("counting the items of a job: %w", err)
	}
	return n, nil
}

// JobStarted implements [job.Shelf].
func (s Jobs) JobStarted(ctx context.Context, j job.Job, scope subject.Scope, e journal.Entry) (job.Job, error) {
	put, err := s.putting(ctx, j, scope)
	if err != nil {
		return j, err
	}
	err = s.db.tx(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO job (id, kind, target, state, actor_kind, actor_id, remote, total, done, failed,
			created_at, ended_at, lease_until) VALUES (?, ?, ?, ?, ?, ?, ?, 0, 0, 0, ?, 0, 0)`,
			j.ID, j.Kind, j.Target, j.State, j.By.Kind, j.By.ID, j.By.Remote, micros(j.Created))
		if err != nil {
			return fmt.Errorf("inserting job: %w", err)
		}
		total, err := put(tx)
		if err != nil {
			return fmt.Errorf("inserting the items of a job: %w", err)
		}
		if j.Total = int(total); total == 0 {
			j.State, j.Ended = job.Done, j.Created
		}
		_, err = tx.ExecContext(ctx, `UPDATE job SET total = ?, state = ?, ended_at = ? WHERE id = ?`, total, j.State, micros(j.Ended), j.ID)
		if err != nil {
			return fmt.Errorf("counting the items of a job: %w", err)
		}
		entry := e
		entry.Detail = withDetail(e.Detail, "items", strconv.Itoa(j.Total))
		return record(ctx, tx, entry)
	})
	return j, err
}

// putting gives what inserts the items of a job and counts them.
func (s Jobs) putting(ctx context.Context, j job.Job, scope subject.Scope) (func(*sql.Tx) (int64, error), error) {
	const insert = `INSERT INTO job_item (job_id, item, state, code, attempts, at) SELECT ?, id, 'open', '', 0, 0`
	if j.Kind != job.IssueEncryption {
		from, values, err := jobItems(j.Kind, scope)
		return func(tx *sql.Tx) (int64, error) {
			return changed(ctx, tx, insert+from, append([]any{j.ID}, values...)...)
		}, err
	}
	list, err := s.lacking(ctx, scope, j.Created)
	return func(tx *sql.Tx) (total int64, err error) {
		for chunk := range slices.Chunk(list, inChunk) {
			n, err := changed(ctx, tx, insert+` FROM users WHERE id IN (`+marks(len(chunk))+`)`, append([]any{j.ID}, args(chunk)...)...)
			if total += n; err != nil {
				return total, err
			}
		}
		return total, nil
	}, err
}

// withDetail gives the details and one more.
func withDetail(d map[string]string, key, value string) map[string]string {
	out := map[string]string{key: value}
	for k, v := range d {
		out[k] = v
	}
	return out
}

const selectJob = `SELECT id, kind, target, state, actor_kind, actor_id, remote, total, done, failed, created_at, ended_at FROM job`

func scanJob(row scanner) (job.Job, error) {
	var j job.Job
	var created, ended int64
	err := row.Scan(&j.ID, &j.Kind, &j.Target, &j.State, &j.By.Kind, &j.By.ID, &j.By.Remote, &j.Total, &j.Done, &j.Failed, &created, &ended)
	j.Created, j.Ended = instant(created), instant(ended)
	return j, err
}

// Job implements [job.Shelf].
func (s Jobs) Job(ctx context.Context, id string) (job.Job, error) {
	j, err := scanJob(s.db.read.QueryRowContext(ctx, selectJob+` WHERE id = ?`, id))
	if errors.Is(err, sql.ErrNoRows) {
		return j, job.ErrUnknown
	}
	if err != nil {
		return j, fmt.Errorf("reading job: %w", err)
	}
	return j, nil
}

// Jobs implements [job.Shelf].
func (s Jobs) Jobs(ctx context.Context, before time.Time, id string, limit int) ([]job.Job, error) {
	query, values := jobPage(before, id, limit)
	list, err := all(ctx, s.db.read, scanJob, query, values...)
	if err != nil {
		return nil, fmt.Errorf("listing jobs: %w", err)
	}
	return list, nil
}

func jobPage(before time.Time, id string, limit int) (query string, values []any) {
	follows, at := after("created_at", "id", before, id)
	return selectJob + ` WHERE 1 = 1` + follows + ` ORDER BY created_at DESC, id DESC LIMIT ?`, append(at, limit)
}

// JobItems implements [job.Shelf].
func (s Jobs) JobItems(ctx context.Context, id string, state job.ItemState, after string, limit int) ([]job.Item, error) {
	query, values := jobItemPage(id, state, after, limit)
	list, err := all(ctx, s.db.read, scanItem, query, values...)
	if err != nil {
		return nil, fmt.Errorf("listing the items of a job: %w", err)
	}
	return list, nil
}

const selectItem = `SELECT i.item, CASE WHEN i.state = 'open' AND j.ended_at > 0 THEN 'skipped' ELSE i.state END,
	i.code, i.attempts, i.at FROM job_item i JOIN job j ON j.id = i.job_id WHERE i.job_id = ?`

func jobItemPage(id string, state job.ItemState, after string, limit int) (query string, values []any) {
	where, values := ``, []any{id}
	switch state {
	case "":
	case job.Open:
		where = ` AND i.state = 'open' AND j.ended_at = 0`
	case job.Skipped:
		where = ` AND i.state = 'open' AND j.ended_at > 0`
	default:
		where, values = ` AND i.state = ?`, append(values, state)
	}
	return selectItem + where + ` AND i.item > ? ORDER BY i.item LIMIT ?`, append(values, after, limit)
}

func scanItem(row scanner) (job.Item, error) {
	var i job.Item
	var at int64
	err := row.Scan(&i.ID, &i.State, &i.Code, &i.Attempts, &at)
	i.At = instant(at)
	return i, err
}

// JobCancelled implements [job.Shelf].
func (s Jobs) JobCancelled(ctx context.Context, id string, e journal.Entry) (j job.Job, err error) {
	err = s.db.tx(ctx, func(tx *sql.Tx) error {
		n, err := changed(ctx, tx, `UPDATE job SET state = 'cancelled', ended_at = ? WHERE id = ? AND ended_at = 0`, micros(e.At), id)
		if err != nil {
			return fmt.Errorf("cancelling job: %w", err)
		}
		j, err = scanJob(tx.QueryRowContext(ctx, selectJob+` WHERE id = ?`, id))
		switch {
		case errors.Is(err, sql.ErrNoRows):
			return job.ErrUnknown
		case err != nil:
			return fmt.Errorf("reading job: %w", err)
		case n == 0:
			return job.ErrEnded
		}
		return record(ctx, tx, e)
	})
	return j, err
}
