package job

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/logx"
)

// How jobs are worked on.
const (
	batch       = 50               // items a lease
	leaseLife   = time.Minute      // of a server that may have died
	batchTime   = 20 * time.Second // after which no further item is begun
	noteTime    = 5 * time.Second  // to note results when the server ends
	maxAttempts = 3                // for what fails on our side
	keep        = 30 * 24 * time.Hour
)

// Step works on one batch of the oldest job that nobody works on, and gives
// how many items that were. Several servers may run it at once.
func (s *Service) Step(ctx context.Context) (n int, err error) {
	now := s.now()
	lease, found, err := s.store.JobLeased(ctx, slices.Sorted(maps.Keys(s.workers)), now, now.Add(leaseLife), batch)
	if err != nil || !found {
		return 0, err
	}
	var results []Item
	for _, item := range lease.Items {
		if ctx.Err() != nil || s.now().Sub(now) > batchTime {
			break
		}
		results = append(results, s.do(ctx, lease.Job, item))
	}
	note, stop := context.WithTimeout(context.WithoutCancel(ctx), noteTime)
	defer stop()
	if err := s.store.ItemsDone(note, lease, results, s.entry(journal.Worker("jobs"), journal.JobEnded, lease.Job)); err != nil {
		return 0, fmt.Errorf("noting results of job %s: %w", lease.ID, err)
	}
	return max(len(results), 1), nil
}

// do works on one item. What fails because of the item fails for good; what
// fails on our side is tried again.
func (s *Service) do(ctx context.Context, j Job, item Item) Item {
	failed := s.workers[j.Kind](ctx, j.By, item.ID)
	item.Attempts, item.At, item.Code = item.Attempts+1, s.now(), fault.Code(failed)
	f := fault.Of(failed)
	switch {
	case failed == nil:
		item.State = Succeeded
	case f != nil && f.Kind != fault.Internal && f.Kind != fault.Unavailable, item.Attempts >= maxAttempts:
		item.State = Failed
	}
	if failed != nil && (f == nil || f.Kind == fault.Internal) {
		s.log.ErrorContext(ctx, "an item of a job failed", logx.Kind, j.Kind, logx.Err, failed)
	}
	return item
}

// Tidy forgets jobs that ended long ago.
func (s *Service) Tidy(ctx context.Context) (int, error) {
	return s.store.JobsForgotten(ctx, s.now().Add(-keep))
}
