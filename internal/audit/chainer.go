package audit

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/signet-mdm/signet/internal/logx"
	"github.com/signet-mdm/signet/internal/seal"
)

const (
	inBlock = 1000             // lines at most
	pause   = 5 * time.Second  // between blocks that are not full
	window  = 15 * time.Minute // how late a transaction may commit to be found at once
	round   = time.Hour        // between looking through the whole journal
	telling = time.Hour        // between hashes in the log
)

// Config is what a chainer needs.
type Config struct {
	Store Store
	Box   *seal.Box
	Log   *slog.Logger
	Now   func() time.Time
}

// Chainer puts lines into blocks. It is for one goroutine; several processes may
// have one each.
type Chainer struct {
	Config
	from time.Time // where to look; zero: from the beginning
	next time.Time // when to look again
	all  time.Time // when to look through everything again
	told time.Time // when the log had a hash
	last Block     // that we have seen
}

// New makes one.
func New(c Config) *Chainer {
	if c.Store == nil || c.Box == nil || c.Log == nil || c.Now == nil {
		panic("audit: nil dependency")
	}
	return &Chainer{Config: c}
}

// Step makes a block of what is in none, and tells how many lines that were. It
// may be killed anywhere and run again. [ErrCut] once when the newest block that
// it knew is gone: it goes on with what is there.
func (c *Chainer) Step(ctx context.Context) (int, error) {
	now := c.Now()
	if now.Before(c.next) {
		return 0, nil
	}
	last, err := c.Store.Last(ctx)
	if err != nil {
		return 0, err
	}
	seen := c.last
	c.last = last
	if last.Seq < seen.Seq || last.Seq == seen.Seq && last.Hash != seen.Hash {
		return 0, ErrCut
	}
	rows, err := c.Store.Unchained(ctx, c.from, inBlock)
	if err != nil {
		return 0, err
	}
	if len(rows) > 0 {
		err = c.chain(ctx, last, rows)
	}
	switch {
	case errors.Is(err, ErrOvertaken): // and looks again at what is left
		return 0, nil
	case err != nil:
		return 0, err
	}
	c.turn(now, rows)
	return len(rows), nil
}

// chain adds the block.
func (c *Chainer) chain(ctx context.Context, last Block, rows []Row) error {
	links := Links(last.Seq+1, rows)
	digests := make([]string, len(links))
	for i, l := range links {
		digests[i] = l.Digest
	}
	now := c.Now()
	b := last.next(c.Box, now, digests)
	if err := c.Store.Chained(ctx, b, links); err != nil {
		return err
	}
	c.last = b
	if now.Sub(c.told) >= telling {
		c.told = now
		c.Log.InfoContext(ctx, "the journal is chained", logx.Block, b.Seq, logx.Hash, b.Hash)
	}
	return nil
}

// turn says where to look next, and when: past what is chained while there is
// much, and not at each request when there is little.
func (c *Chainer) turn(now time.Time, rows []Row) {
	if len(rows) == inBlock {
		c.from = time.UnixMicro(rows[len(rows)-1].At)
		return
	}
	if c.all.IsZero() {
		c.all = now.Add(round)
	}
	c.from, c.next = now.Add(-window), now.Add(pause)
	if !now.Before(c.all) {
		c.from, c.all = time.Time{}, time.Time{}
	}
}
