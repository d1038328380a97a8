package storetest

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-mdm/signet/internal/job"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/store"
	"github.com/signet-mdm/signet/internal/subject"
)

// jobKinds are all that there are.
var jobKinds = []job.Kind{job.RefreshDevices, job.CheckKeys}

func testJobs(t *testing.T, open Open) {
	t.Run("has an item for each device in its scope", func(t *testing.T) {
		f := facet(t, open(t))
		a, b := f.enrolled("alice@example.com", "U-1"), f.enrolled("bob@example.com", "U-2")
		f.invite("carol@example.com") // no device yet
		bob, err := f.db.Directory().User(t.Context(), "bob@example.com")
		f.must(err)
		group, err := f.db.Directory().GroupSaved(t.Context(), "Finance", []subject.UserID{bob.ID}, entry(journal.GroupChanged))
		f.must(err)
		both := []string{string(a), string(b)}
		slices.Sort(both)
		for name, c := range map[string]struct {
			scope subject.Scope
			want  []string
		}{
			"all":    {subject.Scope{All: true}, both},
			"user":   {subject.OfUser(bob.ID), []string{string(b)}},
			"group":  {subject.Scope{Groups: []subject.GroupID{group}}, []string{string(b)}},
			"nobody": {subject.OfUser("u-0"), nil},
		} {
			j := startJob(t, f.db, name, c.scope)
			if n, err := f.db.Jobs().JobSize(t.Context(), job.RefreshDevices, c.scope, at); err != nil || n != len(c.want) || j.Total != n {
				t.Errorf("%s: got %d and %d items, %v; want %d", name, n, j.Total, err, len(c.want))
			}
			var got []string
			walk(t, 1, func(last job.Item) ([]job.Item, error) {
				return f.db.Jobs().JobItems(t.Context(), j.ID, job.Open, last.ID, 1)
			}, func(i job.Item) { got = append(got, i.ID) })
			if !slices.Equal(got, c.want) {
				t.Errorf("%s: got %v, want %v", name, got, c.want)
			}
			if (j.State == job.Done) != (len(c.want) == 0) {
				t.Errorf("%s: a job over %d things is %s", name, len(c.want), j.State)
			}
			stored, err := f.db.Jobs().Job(t.Context(), j.ID)
			if diff := cmp.Diff(j, stored); err != nil || diff != "" {
				t.Errorf("%s: %v\n%s", name, err, diff)
			}
		}
		if _, err := f.db.Jobs().JobSize(t.Context(), job.CheckKeys, subject.Scope{All: true}, at); err != nil {
			t.Error(err)
		}
		if _, err := f.db.Jobs().JobSize(t.Context(), job.RefreshDevices, subject.Scope{}, at); err == nil {
			t.Error("a job for nobody has a size")
		}
	})

	t.Run("is worked on in batches until nothing is left", func(t *testing.T) {
		f := facet(t, open(t))
		for i := range 5 {
			f.enrolled(fmt.Sprintf("u%d@example.com", i), fmt.Sprintf("U-%d", i))
		}
		j := startJob(t, f.db, "all", subject.Scope{All: true})
		f.jobIs(j.ID, job.Running, 0, 0)
		now := at
		for _, states := range [][]job.ItemState{{job.Succeeded, job.Open}, {job.Failed, job.Succeeded}, {job.Succeeded, job.Succeeded}} {
			l := f.lease(now, 2)
			if _, found, err := f.db.Jobs().JobLeased(t.Context(), jobKinds, now, now.Add(time.Minute), 2); err != nil || found {
				t.Fatalf("a second lease of the job: %v, %v", found, err)
			}
			for i := range l.Items {
				l.Items[i].State, l.Items[i].Attempts, l.Items[i].At = states[i], l.Items[i].Attempts+1, at
				if states[i] != job.Succeeded {
					l.Items[i].Code = "device_unknown"
				}
			}
			f.must(f.db.Jobs().ItemsDone(t.Context(), l, l.Items, entry(journal.JobEnded)))
			f.must(f.db.Jobs().ItemsDone(t.Context(), l, l.Items[:1], entry(journal.JobEnded))) // again changes nothing
		}
		f.jobIs(j.ID, job.Done, 4, 1)
		failed, err := f.db.Jobs().JobItems(t.Context(), j.ID, job.Failed, "", 10)
		if err != nil || len(failed) != 1 || failed[0].Code != "device_unknown" || !failed[0].At.Equal(at) {
			t.Errorf("failed: got %+v, %v", failed, err)
		}
		log, err := f.db.Journal().Latest(t.Context(), 1)
		if err != nil || log[0].Action != journal.JobEnded || log[0].Detail["done"] != "4" || log[0].Detail["failed"] != "1" {
			t.Errorf("journal: got %+v, %v", log, err)
		}
		if _, found, err := f.db.Jobs().JobLeased(t.Context(), jobKinds, now.Add(time.Hour), now.Add(2*time.Hour), 2); err != nil || found {
			t.Errorf("a job that ended was handed out: %v", err)
		}
	})

	t.Run("goes to another when its lease has run out", func(t *testing.T) {
		f := facet(t, open(t))
		f.enrolled("alice@example.com", "U-1")
		j := startJob(t, f.db, "all", subject.Scope{All: true})
		slow := f.lease(at, 10)
		quick := f.lease(slow.Until, 10)
		for _, l := range []job.Lease{quick, slow} { // both did it
			l.Items[0].State = job.Succeeded
			f.must(f.db.Jobs().ItemsDone(t.Context(), l, l.Items, entry(journal.JobEnded)))
		}
		f.jobIs(j.ID, job.Done, 1, 0)
	})

	t.Run("of many who want one, one gets it", func(t *testing.T) {
		f := facet(t, open(t))
		f.enrolled("alice@example.com", "U-1")
		startJob(t, f.db, "all", subject.Scope{All: true})
		var wg sync.WaitGroup
		var got atomic.Int32
		for range 8 {
			wg.Go(func() {
				if _, found, err := f.db.Jobs().JobLeased(t.Context(), jobKinds, at, at.Add(time.Minute), 2); err != nil {
					t.Error(err)
				} else if found {
					got.Add(1)
				}
			})
		}
		wg.Wait()
		if got.Load() != 1 {
			t.Errorf("%d leases, want 1", got.Load())
		}
	})

	t.Run("is not for who cannot do its kind", func(t *testing.T) {
		f := facet(t, open(t))
		f.enrolled("alice@example.com", "U-1")
		startJob(t, f.db, "all", subject.Scope{All: true})
		if _, found, err := f.db.Jobs().JobLeased(t.Context(), []job.Kind{job.CheckKeys}, at, at.Add(time.Minute), 2); err != nil || found {
			t.Errorf("got %v, %v", found, err)
		}
	})

	t.Run("ends when it is cancelled, with what was under way", func(t *testing.T) {
		f := facet(t, open(t))
		for i := range 3 {
			f.enrolled(fmt.Sprintf("u%d@example.com", i), fmt.Sprintf("U-%d", i))
		}
		j := startJob(t, f.db, "all", subject.Scope{All: true})
		l := f.lease(at, 1)
		got, err := f.db.Jobs().JobCancelled(t.Context(), j.ID, entry(journal.JobCancelled))
		if err != nil || got.State != job.Cancelled || !got.Ended.Equal(at) {
			t.Errorf("got %+v, %v", got, err)
		}
		l.Items[0].State = job.Succeeded
		f.must(f.db.Jobs().ItemsDone(t.Context(), l, l.Items, entry(journal.JobEnded)))
		f.jobIs(j.ID, job.Cancelled, 1, 0)
		for state, want := range map[job.ItemState]int{job.Skipped: 2, job.Succeeded: 1, job.Open: 0, "": 3} {
			if items, err := f.db.Jobs().JobItems(t.Context(), j.ID, state, "", 10); err != nil || len(items) != want {
				t.Errorf("%q: got %+v, %v; want %d", state, items, err, want)
			}
		}
		for id, want := range map[string]error{j.ID: job.ErrEnded, "j-0": job.ErrUnknown} {
			if _, err := f.db.Jobs().JobCancelled(t.Context(), id, entry(journal.JobCancelled)); !errors.Is(err, want) {
				t.Errorf("cancelling %s: got %v, want %v", id, err, want)
			}
		}
		if _, err := f.db.Jobs().Job(t.Context(), "j-0"); !errors.Is(err, job.ErrUnknown) {
			t.Errorf("got %v, want ErrUnknown", err)
		}
	})

	t.Run("is forgotten after its time", func(t *testing.T) {
		f := facet(t, open(t))
		f.enrolled("alice@example.com", "U-1")
		running := startJob(t, f.db, "all", subject.Scope{All: true})
		ended := startJob(t, f.db, "nobody", subject.OfUser("u-0"))
		if n, err := f.db.Jobs().JobsForgotten(t.Context(), at); err != nil || n != 0 {
			t.Errorf("too early: got %d, %v", n, err)
		}
		if n, err := f.db.Jobs().JobsForgotten(t.Context(), at.Add(time.Hour)); err != nil || n != 1 {
			t.Errorf("got %d, %v; want 1", n, err)
		}
		list, err := f.db.Jobs().Jobs(t.Context(), time.Time{}, "", 10)
		if err != nil || len(list) != 1 || list[0].ID != running.ID || running.ID == ended.ID {
			t.Errorf("got %+v, %v", list, err)
		}
	})
}

// startJob starts a refresh job.
func startJob(t *testing.T, db *store.DB, target string, s subject.Scope) job.Job {
	t.Helper()
	j := job.Job{ID: string(subject.NewDeviceID()), Kind: job.RefreshDevices, Target: target, State: job.Running,
		By: journal.Actor{Kind: journal.Admin, ID: "t-1", Remote: "192.0.2.1"}, Created: at}
	e := entry(journal.JobStarted)
	e.Detail = map[string]string{"job": j.ID}
	j, err := db.Jobs().JobStarted(t.Context(), j, s, e)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

// lease takes a batch that must be there.
func (f mdmFacet) lease(now time.Time, limit int) job.Lease {
	f.t.Helper()
	l, found, err := f.db.Jobs().JobLeased(f.t.Context(), jobKinds, now, now.Add(time.Minute), limit)
	if err != nil || !found || len(l.Items) == 0 {
		f.t.Fatalf("got %+v, %v, %v", l, found, err)
	}
	return l
}

func (f mdmFacet) jobIs(id string, state job.State, done, failed int) {
	f.t.Helper()
	j, err := f.db.Jobs().Job(f.t.Context(), id)
	if err != nil || j.State != state || j.Done != done || j.Failed != failed {
		f.t.Errorf("got %+v, %v; want %s with %d done and %d failed", j, err, state, done, failed)
	}
}
