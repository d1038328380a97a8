package audit

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/signet-mdm/signet/internal/seal"
)

// memory is a chain of blocks, made on demand.
type memory struct {
	blocks []Block
	lines  int // of a block
	most   int // links that were asked for at a time
}

func (m *memory) Blocks(_ context.Context, from int64, limit int) ([]Block, error) {
	rest := m.blocks[min(int(from)-1, len(m.blocks)):]
	return rest[:min(limit, len(rest))], nil
}

func (m *memory) Links(_ context.Context, from, to int64, each func(Link) error) error {
	m.most = max(m.most, int(to-from+1)*m.lines)
	for seq := from; seq <= to; seq++ {
		for _, l := range Links(seq, rowsOf(seq, m.lines)) {
			if err := each(l); err != nil {
				return err
			}
		}
	}
	return nil
}

func (*memory) Unchained(context.Context, time.Time, int) ([]Row, error) { return nil, nil }
func (*memory) Waiting(context.Context) (int, time.Time, error)          { return 0, time.Time{}, nil }
func (*memory) Strays(context.Context) (int, string, error)              { return 0, "", nil }

func rowsOf(seq int64, n int) []Row {
	rows := make([]Row, n)
	for i := range rows {
		rows[i].ID = fmt.Sprint(seq, i)
	}
	return rows
}

// A long chain is read in parts, however large its blocks are.
func TestVerifyInParts(t *testing.T) {
	box, err := seal.NewBox(seal.RandomRoot(), Purpose)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ blocks, lines, parts int }{
		{0, 0, 1}, {maxBlocks - 1, 1, 1}, {maxBlocks, 1, 2}, {2*maxBlocks + 1, 1, 3}, {50, inBlock, 3}, {20, inBlock, 1},
	} {
		m := &memory{lines: c.lines}
		var last Block
		for range c.blocks {
			var digests []string
			for _, r := range rowsOf(last.Seq+1, c.lines) {
				digests = append(digests, r.Digest())
			}
			last = last.next(box, time.Now(), digests)
			m.blocks = append(m.blocks, last)
		}
		var from Anchor
		parts, entries := 0, 0
		for end := false; !end && parts < 10; parts++ {
			p, err := NewVerifier(m, box).Verify(t.Context(), from)
			if err != nil || p.Broken != nil {
				t.Fatalf("%+v: got %+v, %v", c, p.Broken, err)
			}
			end, entries, from = p.End, entries+p.Entries, Anchor{p.Last.Seq, p.Last.Hash}
		}
		if parts != c.parts || entries != c.blocks*c.lines || m.most > maxLines+inBlock || from.Block != int64(c.blocks) {
			t.Errorf("%+v: got %d entries in %d parts up to block %d, at most %d at a time", c, entries, parts, from.Block, m.most)
		}
	}
}

// No two lines say the same to the digest.
func TestDigest(t *testing.T) {
	seen := map[string]int{}
	for i, r := range []Row{{}, {At: 1}, {ID: "a"}, {ActorKind: "a"}, {Actor: "a"}, {Remote: "a"}, {Action: "a"}, {User: "a"}, {Device: "a"},
		{Cert: "a"}, {Detail: "a"}, {User: "ab", Device: "c"}, {User: "a", Device: "bc"}} {
		d := r.Digest()
		if other, there := seen[d]; there {
			t.Errorf("%d and %d have the same digest", i, other)
		}
		seen[d] = i
	}
}
