package audit

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"time"

	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/seal"
)

// ErrAnchor is returned for what cannot be a hash of a block.
var ErrAnchor = fault.New(fault.Invalid, "audit_hash_invalid",
	"The hash of a block is 64 hexadecimal digits, and comes with the number of its block.", "signet audit verify prints both.")

// Stalled is how old a line may be that is in no block.
const Stalled = 10 * time.Minute

// Bounds of what is read at a time: blocks at most, and lines about.
const (
	maxBlocks = 1000
	maxLines  = 20_000
)

// Book is the chain as it is read.
type Book interface {
	// Blocks gives those with a number of at least from, in order, at most
	// limit.
	Blocks(ctx context.Context, from int64, limit int) ([]Block, error)
	// Links gives those of the blocks from one to another, in order, each to
	// a function, whose error ends it and is returned as it is. What it is
	// given is its own.
	Links(ctx context.Context, from, to int64, each func(Link) error) error
	// Unchained is that of [Store].
	Unchained(ctx context.Context, from time.Time, limit int) ([]Row, error)
	// Waiting counts the lines that are in no block, and gives the instant of
	// the oldest.
	Waiting(ctx context.Context) (n int, oldest time.Time, err error)
	// Strays counts links of blocks that are not there, and gives the first
	// line that one is of.
	Strays(ctx context.Context) (n int, entry string, err error)
}

// Anchor is a block that somebody has kept the hash of. The zero value is the
// beginning; without a hash the block is taken as it stands.
type Anchor struct {
	Block int64
	Hash  string
}

// Broken is the first place where the chain is not what was made.
type Broken struct {
	Block int64
	Entry string // id of the line; empty when it is not about one
	Cause string // in words for people
}

// Error implements error.
func (b *Broken) Error() string { return b.Cause }

// Part is what was found of a part of the chain.
type Part struct {
	Blocks  int
	Entries int
	Last    Block // that was looked at and is well; zero for none
	End     bool  // there is no other after it
	Broken  *Broken
	Waiting int       // lines in no block yet, when this is the end
	Oldest  time.Time // of those
}

// Verifier reads the chain.
type Verifier struct {
	book Book
	box  *seal.Box
}

// NewVerifier takes the box that the marks were made with.
func NewVerifier(book Book, box *seal.Box) *Verifier {
	if book == nil || box == nil {
		panic("audit: nil dependency")
	}
	return &Verifier{book, box}
}

// Verify looks at what follows an anchor, as much as goes at a time: Last of one
// part is the anchor of the next. [ErrAnchor].
func (v *Verifier) Verify(ctx context.Context, from Anchor) (Part, error) {
	var p Part
	if h, err := hex.DecodeString(from.Hash); err != nil || from.Block < 0 || from.Hash != "" && (len(h) != 32 || from.Block == 0) {
		return p, ErrAnchor
	}
	err := v.part(ctx, from, &p)
	if broken, is := errors.AsType[*Broken](err); is {
		p.Broken, p.End = broken, true
		return p, nil
	}
	return p, err
}

func (v *Verifier) part(ctx context.Context, from Anchor, p *Part) error {
	last, err := v.anchor(ctx, from)
	if err != nil {
		return err
	}
	list, err := v.book.Blocks(ctx, last.Seq+1, maxBlocks)
	if err != nil {
		return err
	}
	p.Last = last
	some := list[:few(list)]
	if err := v.blocks(ctx, some, p); err != nil {
		return err
	}
	if p.End = len(some) == len(list) && len(list) < maxBlocks; !p.End {
		return nil
	}
	return v.rest(ctx, p)
}

// few is how many blocks have about as many lines as are read at a time.
func few(list []Block) int {
	lines := 0
	for i, b := range list {
		if lines += b.Entries; lines >= maxLines {
			return i + 1
		}
	}
	return len(list)
}

// anchor gives the block that is begun after.
func (v *Verifier) anchor(ctx context.Context, from Anchor) (Block, error) {
	if from.Block == 0 {
		return Block{}, nil
	}
	list, err := v.book.Blocks(ctx, from.Block, 1)
	if err != nil {
		return Block{}, err
	}
	if len(list) == 0 || list[0].Seq != from.Block {
		return Block{}, &Broken{Block: from.Block, Cause: fmt.Sprintf("Block %d is not there: the end of the chain was taken away, or an older backup was restored.", from.Block)}
	}
	if from.Hash != "" && list[0].Hash != from.Hash {
		return Block{}, &Broken{Block: from.Block, Cause: fmt.Sprintf("Block %d has another hash than the one that was kept.", from.Block)}
	}
	return list[0], nil
}

// rest looks for what belongs to no block.
func (v *Verifier) rest(ctx context.Context, p *Part) error {
	n, entry, err := v.book.Strays(ctx)
	if err != nil {
		return err
	}
	if n > 0 {
		return &Broken{Block: p.Last.Seq + 1, Entry: entry, Cause: fmt.Sprintf("%d entries are linked to blocks that are not there, after block %d.", n, p.Last.Seq)}
	}
	p.Waiting, p.Oldest, err = v.book.Waiting(ctx)
	return err
}

// blocks looks at consecutive blocks.
func (v *Verifier) blocks(ctx context.Context, list []Block, p *Part) error {
	if len(list) == 0 {
		return nil
	}
	w := walk{v: v, left: list, part: p}
	if err := w.begin(); err != nil {
		return err
	}
	if err := v.book.Links(ctx, list[0].Seq, list[len(list)-1].Seq, w.link); err != nil {
		return err
	}
	for len(w.left) > 0 { // whose links did not all come
		if err := w.end(); err != nil {
			return err
		}
	}
	return nil
}

// walk is where a verification stands: at the first block of those left.
type walk struct {
	v    *Verifier
	left []Block
	part *Part
	n    int // links of it that were seen
	hash hash.Hash
}

// begin looks at the block itself.
func (w *walk) begin() error {
	b, last := w.left[0], w.part.Last
	switch {
	case b.Seq != last.Seq+1:
		return &Broken{Block: last.Seq + 1, Cause: fmt.Sprintf("Block %d is missing.", last.Seq+1)}
	case !b.marked(w.v.box):
		return &Broken{Block: b.Seq, Cause: fmt.Sprintf("Block %d was changed, or not made by this installation: its mark does not open.", b.Seq)}
	case b.Previous != last.Hash:
		return &Broken{Block: b.Seq, Cause: fmt.Sprintf("Block %d does not follow the block before it.", b.Seq)}
	}
	w.n, w.hash = 0, b.digest()
	return nil
}

// link looks at the next link and its line.
func (w *walk) link(l Link) error {
	for len(w.left) > 0 && l.Block != w.left[0].Seq {
		if err := w.end(); err != nil {
			return err
		}
	}
	if len(w.left) == 0 {
		return nil // of a block that came meanwhile
	}
	b := w.left[0]
	if w.n++; w.n > b.Entries {
		return &Broken{b.Seq, l.Entry, fmt.Sprintf("Block %d has a link too many, to entry %s.", b.Seq, l.Entry)}
	}
	if l.N != w.n {
		return w.lacks(w.n)
	}
	if l.Row == nil {
		return &Broken{b.Seq, l.Entry, fmt.Sprintf("Entry %s of block %d is missing.", l.Entry, b.Seq)}
	}
	if l.Row.Digest() != l.Digest {
		return &Broken{b.Seq, l.Entry, fmt.Sprintf("Entry %s of block %d was changed.", l.Entry, b.Seq)}
	}
	put(w.hash, l.Digest)
	return nil
}

// end looks whether the block was whole, and goes to the next.
func (w *walk) end() error {
	b := w.left[0]
	if w.n < b.Entries {
		return w.lacks(w.n + 1)
	}
	if hex.EncodeToString(w.hash.Sum(nil)) != b.Hash {
		return &Broken{Block: b.Seq, Cause: fmt.Sprintf("Block %d was changed: its entries do not give its hash.", b.Seq)}
	}
	w.part.Blocks, w.part.Entries, w.part.Last = w.part.Blocks+1, w.part.Entries+b.Entries, b
	if w.left = w.left[1:]; len(w.left) == 0 {
		return nil
	}
	return w.begin()
}

func (w *walk) lacks(n int) error {
	return &Broken{Block: w.left[0].Seq, Cause: fmt.Sprintf("Of block %d the link of entry number %d is missing.", w.left[0].Seq, n)}
}

// State is the chain at a glance.
type State struct {
	Last   Block
	Broken *Broken   // of its last block
	Oldest time.Time // of the lines of the last day that are in no block yet
}

// Look looks at the newest block only.
func (v *Verifier) Look(ctx context.Context, newest Block, now time.Time) (s State, err error) {
	s.Last = newest
	if newest.Seq > 0 {
		err = v.one(ctx, newest)
	}
	if broken, is := errors.AsType[*Broken](err); is {
		s.Broken, err = broken, nil
	}
	if err != nil {
		return s, err
	}
	rows, err := v.book.Unchained(ctx, now.Add(-24*time.Hour), 1)
	if len(rows) > 0 {
		s.Oldest = time.UnixMicro(rows[0].At).UTC()
	}
	return s, err
}

func (v *Verifier) one(ctx context.Context, b Block) error {
	before, err := v.anchor(ctx, Anchor{Block: b.Seq - 1})
	if err != nil {
		return err
	}
	return v.blocks(ctx, []Block{b}, &Part{Last: before})
}
