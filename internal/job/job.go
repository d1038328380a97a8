// Package job has the long work that administrators ask for: something that is
// done to many things, one by one. It is kept in the store, so that it
// survives the server that began it, and tells how far it is.
//
// It promises that each item is done at least once or says why not: a server
// that is killed may have done up to a batch that it had not noted yet, and
// what it does must bear being done twice. Start at [Service.Start] and
// [Service.Step].
package job

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/subject"
)

// Failures that callers tell apart.
var (
	ErrUnknown = fault.New(fault.NotFound, "job_unknown",
		"There is no such job.", "signet job list shows them; they are kept for 30 days after their end.")
	ErrEnded = fault.New(fault.Conflict, "job_ended",
		"The job has ended already.", "signet job show says how.")
)

// Kind is what a job does to each of its items.
type Kind string

// The kinds. The items of the first two are devices, those of CheckKeys sealed
// keys, those of IssueEncryption users to whom nobody can encrypt mail.
const (
	RefreshDevices Kind = "device.refresh"
	RenewDevices   Kind = "device.renew"
	CheckKeys      Kind = "key.check"

	IssueEncryption Kind = "encryption.issue"
)

// State is where a job stands.
type State string

// The states. A job that has ended stays as it is.
const (
	Planned   State = "planned" // a dry run
	Running   State = "running"
	Done      State = "done"
	Cancelled State = "cancelled"
)

// Job is one piece of long work.
type Job struct {
	ID      string
	Kind    Kind
	Target  string // for people
	State   State
	By      journal.Actor
	Total   int // items
	Done    int // that went well
	Failed  int // that did not
	Created time.Time
	Ended   time.Time // zero: not yet
}

// ItemState is what became of an item.
type ItemState string

// The states of items. One that is open when its job ends was skipped.
const (
	Open      ItemState = "open"
	Succeeded ItemState = "done"
	Failed    ItemState = "failed"
	Skipped   ItemState = "skipped"
)

// Item is one thing that a job is done to.
type Item struct {
	ID       string
	State    ItemState
	Code     string // of the failure, the last one when it is tried again
	Attempts int
	At       time.Time // of the last attempt; zero: none
}

// Worker does to one item what its kind is about, in the name of who asked. It
// bears being called twice for the same.
type Worker func(ctx context.Context, by journal.Actor, item string) error

// Store keeps jobs.
type Store interface {
	Shelf
	Desk
}

// Shelf has the jobs for those who look and ask.
type Shelf interface {
	// JobStarted stores a job with an item for each thing of its kind in the
	// scope, and gives it with their number; without any it is done at once.
	JobStarted(ctx context.Context, j Job, s subject.Scope, e journal.Entry) (Job, error)
	// JobSize counts the items that a job would have at that time.
	JobSize(ctx context.Context, k Kind, s subject.Scope, at time.Time) (int, error)
	// Job gives a job. ErrUnknown when there is none.
	Job(ctx context.Context, id string) (Job, error)
	// Jobs lists at most limit, newest first, those that follow the one that was
	// made at before and has that id; the newest for the zero time; never nil.
	Jobs(ctx context.Context, before time.Time, id string, limit int) ([]Job, error)
	// JobItems lists at most limit items by id, those that follow after; only
	// those in the state unless it is empty. Never nil. Of a job that has ended
	// what is open is Skipped.
	JobItems(ctx context.Context, id string, s ItemState, after string, limit int) ([]Item, error)
	// JobCancelled ends a running job. ErrUnknown, or ErrEnded.
	JobCancelled(ctx context.Context, id string, e journal.Entry) (Job, error)
}

// Desk is where jobs are worked on.
type Desk interface {
	// JobLeased hands out the oldest job of these kinds that nobody has, with at
	// most limit open items, and tells whether there was one. Nobody else gets
	// it until then.
	JobLeased(ctx context.Context, kinds []Kind, now, until time.Time, limit int) (Lease, bool, error)
	// ItemsDone notes what became of items and gives the lease back. A job with
	// nothing left is Done, and only then e is written. What was noted before
	// stays.
	ItemsDone(ctx context.Context, l Lease, results []Item, e journal.Entry) error
	// JobsForgotten deletes a few jobs that ended before then, and counts them.
	JobsForgotten(ctx context.Context, before time.Time) (int, error)
}

// Lease is a job that is worked on.
type Lease struct {
	Job
	Items []Item
	Until time.Time
}

// Service runs jobs.
type Service struct {
	store   Store
	workers map[Kind]Worker
	log     *slog.Logger
	now     func() time.Time
}

// New makes the service with a worker for each kind that it can run.
func New(store Store, workers map[Kind]Worker, log *slog.Logger, now func() time.Time) *Service {
	if store == nil || log == nil || now == nil || len(workers) == 0 {
		panic("job: nil dependency")
	}
	return &Service{store, workers, log, now}
}

// Start begins a job of that kind in a scope; target says in words which. With
// dryRun it only counts.
func (s *Service) Start(ctx context.Context, by journal.Actor, k Kind, scope subject.Scope, target string, dryRun bool) (Job, error) {
	j := Job{Kind: k, Target: target, State: Planned, By: by, Created: s.now()}
	if dryRun {
		var err error
		j.Total, err = s.store.JobSize(ctx, k, scope, j.Created)
		return j, err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return j, fmt.Errorf("making job id: %w", err)
	}
	j.ID, j.State = id.String(), Running
	return s.store.JobStarted(ctx, j, scope, s.entry(by, journal.JobStarted, j))
}

// Job gives a job.
func (s *Service) Job(ctx context.Context, id string) (Job, error) { return s.store.Job(ctx, id) }

// Jobs lists at most limit jobs, newest first: those that follow the one that
// was made at before and has that id, or the newest for the zero time.
func (s *Service) Jobs(ctx context.Context, before time.Time, id string, limit int) ([]Job, error) {
	return s.store.Jobs(ctx, before, id, limit)
}

// Items lists at most limit items of a job whose ids follow after, in one
// state or in any.
func (s *Service) Items(ctx context.Context, id string, state ItemState, after string, limit int) ([]Item, error) {
	if _, err := s.store.Job(ctx, id); err != nil {
		return nil, err
	}
	return s.store.JobItems(ctx, id, state, after, limit)
}

// Cancel ends a job after the items that are being worked on. What was done
// stays done.
func (s *Service) Cancel(ctx context.Context, by journal.Actor, id string) (Job, error) {
	return s.store.JobCancelled(ctx, id, s.entry(by, journal.JobCancelled, Job{ID: id}))
}

func (s *Service) entry(by journal.Actor, a journal.Action, j Job) journal.Entry {
	detail := map[string]string{"job": j.ID}
	if j.Kind != "" {
		detail["kind"] = string(j.Kind)
	}
	if j.Target != "" {
		detail["target"] = j.Target
	}
	return journal.Entry{At: s.now(), Actor: by, Action: a, Detail: detail}
}
