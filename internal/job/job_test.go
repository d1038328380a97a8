package job_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/job"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/internal/store"
	"github.com/signet-mdm/signet/internal/store/sqlitetest"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/mdm"
)

var (
	start = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	by    = journal.Actor{Kind: journal.Admin, ID: "t-1"}
	all   = subject.Scope{All: true}

	errItem = fault.New(fault.Denied, "test_item", "It does not want.", "")
)

// world is a store with enrolled devices and a worker that does as it is told.
type world struct {
	*job.Service
	t     *testing.T
	db    *store.DB
	clock time.Time
	calls map[string]int
	work  func(ctx context.Context, item string, call int) error
}

func newWorld(t *testing.T, devices int) *world {
	t.Helper()
	db, err := store.OpenSQLite(t.Context(), sqlitetest.Path(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	w := &world{t: t, db: db, clock: start, calls: map[string]int{}}
	w.work = func(context.Context, string, int) error { return nil }
	w.Service = job.New(db.Jobs(), map[job.Kind]job.Worker{job.RefreshDevices: w.do}, slog.New(slog.DiscardHandler), func() time.Time { return w.clock })
	box, err := seal.NewBox(seal.RandomRoot(), "push")
	w.must(err)
	for i := range devices {
		w.enroll(db.MDM(box), i)
	}
	return w
}

func (w *world) enroll(s store.MDM, i int) {
	e := journal.Entry{At: start, Actor: by, Action: journal.DeviceEnrolled}
	u := subject.User{ID: subject.NewUserID(), Mail: fmt.Sprintf("u%d@example.com", i), UPN: fmt.Sprintf("u%d@example.com", i), CreatedAt: start}
	w.must(w.db.Directory().UserSaved(w.t.Context(), u, e))
	d := subject.Device{ID: subject.NewDeviceID(), User: u.ID}
	w.must(s.Invited(w.t.Context(), mdm.Invitation{Token: seal.Random().Hash(), User: u, Device: d, State: mdm.Invited, CreatedAt: start}, e))
	w.must(s.Authenticated(w.t.Context(), mdm.Binding{Device: d.ID, UDID: fmt.Sprint(i), At: start}, e))
	w.must(s.TokensUpdated(w.t.Context(), mdm.Tokens{Device: d.ID, At: start}, e))
}

func (w *world) do(ctx context.Context, actor journal.Actor, item string) error {
	if actor != by {
		w.t.Errorf("done in the name of %+v, want %+v", actor, by)
	}
	w.calls[item]++
	return w.work(ctx, item, w.calls[item])
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) start() job.Job {
	w.t.Helper()
	j, err := w.Start(w.t.Context(), by, job.RefreshDevices, all, "all", false)
	w.must(err)
	return j
}

// drain steps until there is nothing to do.
func (w *world) drain() {
	w.t.Helper()
	for range 100 {
		n, err := w.Step(w.t.Context())
		w.must(err)
		if n == 0 {
			return
		}
	}
	w.t.Fatal("there is always something to do")
}

func (w *world) is(id string, state job.State, done, failed int) {
	w.t.Helper()
	j, err := w.Job(w.t.Context(), id)
	if err != nil || j.State != state || j.Done != done || j.Failed != failed {
		w.t.Errorf("got %+v, %v; want %s with %d done and %d failed", j, err, state, done, failed)
	}
}

func TestEachItemOnce(t *testing.T) {
	w := newWorld(t, 120) // more than two batches
	j := w.start()
	if n, err := w.Step(t.Context()); err != nil || n == 0 || n >= 120 {
		t.Errorf("one step did %d, %v; want a part", n, err)
	}
	w.drain()
	w.is(j.ID, job.Done, 120, 0)
	for item, n := range w.calls {
		if n != 1 {
			t.Errorf("%s was done %d times", item, n)
		}
	}
}

func TestDryRunOnlyCounts(t *testing.T) {
	w := newWorld(t, 3)
	j, err := w.Start(t.Context(), by, job.RefreshDevices, all, "all", true)
	if err != nil || j.Total != 3 || j.State != job.Planned || j.ID != "" {
		t.Errorf("got %+v, %v", j, err)
	}
	w.drain()
	if list, err := w.Jobs(t.Context(), time.Time{}, "", 10); err != nil || len(list)+len(w.calls) != 0 {
		t.Errorf("got %v and %v, %v", list, w.calls, err)
	}
}

// What fails because of an item fails at once; what fails on our side is tried
// again, and not for ever.
func TestFailures(t *testing.T) {
	for name, c := range map[string]struct {
		work         func(context.Context, string, int) error
		calls        int
		done, failed int
		code         string
	}{
		"the item's": {func(context.Context, string, int) error { return errItem }, 1, 0, 1, "test_item"},
		"ours, once": {func(_ context.Context, _ string, call int) error {
			if call == 1 {
				return errors.New("no")
			}
			return nil
		}, 2, 1, 0, ""},
		"ours, always": {func(context.Context, string, int) error { return errors.New("no") }, 3, 0, 1, "internal"},
		"not now": {func(_ context.Context, _ string, call int) error {
			if call < 3 {
				return fault.New(fault.Unavailable, "test_busy", "Not now.", "")
			}
			return nil
		}, 3, 1, 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 1)
			w.work = c.work
			j := w.start()
			w.drain()
			w.is(j.ID, job.Done, c.done, c.failed)
			items, err := w.Items(t.Context(), j.ID, "", "", 10)
			if err != nil || len(items) != 1 || items[0].Code != c.code || items[0].Attempts != c.calls || w.calls[items[0].ID] != c.calls {
				t.Errorf("got %+v after %v, %v", items, w.calls, err)
			}
		})
	}
}

// A server that ends notes what it did; one that is killed does not, and
// another goes on when its lease has run out.
func TestGoesOn(t *testing.T) {
	w := newWorld(t, 5)
	j := w.start()
	ctx, stop := context.WithCancel(t.Context())
	w.work = func(_ context.Context, _ string, call int) error {
		if len(w.calls) == 3 {
			stop()
		}
		return nil
	}
	if n, err := w.Step(ctx); err != nil || n != 3 {
		t.Errorf("the server that ends: got %d, %v; want 3", n, err)
	}
	w.is(j.ID, job.Running, 3, 0)
	if _, found, err := w.db.Jobs().JobLeased(t.Context(), []job.Kind{job.RefreshDevices}, start, start.Add(time.Minute), 10); err != nil || !found {
		t.Fatalf("the server that is killed: %v, %v", found, err)
	}
	if n, err := w.Step(t.Context()); err != nil || n != 0 {
		t.Errorf("while it may live: got %d, %v", n, err)
	}
	w.clock = start.Add(time.Minute)
	w.drain()
	w.is(j.ID, job.Done, 5, 0)
}

func TestCancel(t *testing.T) {
	w := newWorld(t, 60)
	j := w.start()
	if _, err := w.Step(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, err := w.Cancel(t.Context(), by, j.ID); err != nil || got.State != job.Cancelled {
		t.Errorf("got %+v, %v", got, err)
	}
	w.drain()
	w.is(j.ID, job.Cancelled, len(w.calls), 0)
	if len(w.calls) == 60 {
		t.Error("it was done to the end")
	}
	if _, err := w.Items(t.Context(), "j-0", "", "", 10); !errors.Is(err, job.ErrUnknown) {
		t.Errorf("items of no job: got %v", err)
	}
}

func TestTidy(t *testing.T) {
	w := newWorld(t, 1)
	w.start()
	w.drain()
	for want, days := range []int{29, 31} {
		w.clock = start.AddDate(0, 0, days)
		if n, err := w.Tidy(t.Context()); err != nil || n != want {
			t.Errorf("after %d days: forgot %d, %v; want %d", days, n, err, want)
		}
	}
}
