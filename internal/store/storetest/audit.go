package storetest

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-mdm/signet/internal/audit"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/internal/store"
)

func testAudit(t *testing.T, open Open) {
	t.Run("what is in no block", func(t *testing.T) {
		db := open(t)
		a := db.Audit()
		if last, err := a.Last(t.Context()); err != nil || last.Seq != 0 {
			t.Errorf("of nothing: got %+v, %v", last, err)
		}
		lines(t, db, 3)
		rows, err := a.Unchained(t.Context(), at.Add(time.Second), 10)
		if err != nil || len(rows) != 2 || rows[0].Detail != `{"n":"1"}` || rows[0].ID == "" || rows[0].At != at.Add(time.Second).UnixMicro() {
			t.Fatalf("got %+v, %v; want the second and the third", rows, err)
		}
		b := audit.Block{Seq: 1, At: 5, Entries: 2, Hash: "h", Mark: []byte{0, 1}}
		if err := a.Chained(t.Context(), b, audit.Links(1, rows)); err != nil {
			t.Fatal(err)
		}
		if n, oldest, err := a.Waiting(t.Context()); err != nil || n != 1 || !oldest.Equal(at) {
			t.Errorf("waiting: got %d since %v, %v", n, oldest, err)
		}
		if last, err := a.Last(t.Context()); err != nil || cmp.Diff(b, last) != "" {
			t.Errorf("last: %v\n%s", err, cmp.Diff(b, last))
		}
		if list, err := a.Blocks(t.Context(), 1, 10); err != nil || cmp.Diff([]audit.Block{b}, list) != "" {
			t.Errorf("blocks: got %+v, %v", list, err)
		}
		var links []audit.Link
		if err := a.Links(t.Context(), 1, 1, func(l audit.Link) error { links = append(links, l); return nil }); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(audit.Links(1, rows), links); diff != "" {
			t.Error(diff)
		}
		if n, entry, err := a.Strays(t.Context()); err != nil || n != 0 || entry != "" {
			t.Errorf("strays: got %d, %q, %v", n, entry, err)
		}
		rows, err = a.Unchained(t.Context(), time.Time{}, 10)
		if err != nil || len(rows) != 1 {
			t.Fatalf("got %+v, %v; want the first", rows, err)
		}
		for _, seq := range []int64{1, 3} {
			if err := a.Chained(t.Context(), audit.Block{Seq: seq, Mark: []byte{}}, audit.Links(seq, rows)); !errors.Is(err, audit.ErrOvertaken) {
				t.Errorf("block %d after block 1: got %v", seq, err)
			}
		}
		if n, _, err := a.Waiting(t.Context()); err != nil || n != 1 {
			t.Errorf("a refused block has taken a line: %d, %v", n, err)
		}
	})
	t.Run("a late one is not missed", func(t *testing.T) {
		db, box := open(t), auditBox(t)
		clock := at.Add(time.Hour)
		c := chainer(db, box, func() time.Time { return clock })
		lines(t, db, 2)
		steps(t, c, 2)
		lines(t, db, 1) // of an hour ago
		clock = clock.Add(time.Minute)
		steps(t, c, 0)
		clock = clock.Add(time.Hour)
		steps(t, c, 0)
		clock = clock.Add(time.Minute)
		steps(t, c, 1)
		whole(t, db, box, 3, 2)
	})
	t.Run("two at once, much to chain", func(t *testing.T) {
		db, box := open(t), auditBox(t)
		lines(t, db, 2300)
		var wg sync.WaitGroup
		for range 2 {
			c := chainer(db, box, func() time.Time { return at })
			wg.Go(func() {
				for range 10 {
					if _, err := c.Step(t.Context()); err != nil && !errors.Is(err, audit.ErrOvertaken) {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		whole(t, db, box, 2300, 3)
		again := loaded(t, TakeDump(t, db))
		whole(t, again, box, 2300, 3)
	})
}

// lines writes n lines of consecutive seconds.
func lines(t *testing.T, db *store.DB, n int) {
	t.Helper()
	for i := range n {
		e := entry(journal.UserChanged)
		e.At, e.Detail = at.Add(time.Duration(i)*time.Second), map[string]string{"n": fmt.Sprint(i)}
		if err := db.Journal().Record(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
}

func auditBox(t *testing.T) *seal.Box {
	t.Helper()
	box, err := seal.NewBox(seal.RandomRoot(), audit.Purpose)
	if err != nil {
		t.Fatal(err)
	}
	return box
}

func chainer(db *store.DB, box *seal.Box, now func() time.Time) *audit.Chainer {
	return audit.New(audit.Config{Store: db.Audit(), Box: box, Log: slog.New(slog.DiscardHandler), Now: now})
}

func steps(t *testing.T, c *audit.Chainer, want int) {
	t.Helper()
	if n, err := c.Step(t.Context()); err != nil || n != want {
		t.Errorf("step: got %d, %v; want %d", n, err, want)
	}
}

// whole wants a good chain of all there is.
func whole(t *testing.T, db *store.DB, box *seal.Box, entries, blocks int) {
	t.Helper()
	p, err := audit.NewVerifier(db.Audit(), box).Verify(t.Context(), audit.Anchor{})
	if err != nil || p.Broken != nil || !p.End || p.Entries != entries || p.Blocks != blocks || p.Waiting != 0 {
		t.Errorf("got %+v, %v; want %d entries in %d blocks", p, err, entries, blocks)
	}
}
