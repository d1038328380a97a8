// Package audit makes the journal tell when somebody has changed it. The
// keeper puts the lines that are in no block yet into the next one: a block has
// the digest of each of its lines, its hash is over those and the hash of the
// block before, and its mark over the hash is made with a key that the database
// does not hold. [Verifier] reads all that again.
//
// Which lines have a block is found by their ids and not by a time, so that a
// transaction which commits late is not missed. Two processes may chain at once:
// a number is given to one block only, and who comes second starts anew.
//
// What the chain cannot tell is that its newest blocks were taken away together
// with their lines: for that, a hash has to be kept elsewhere ([Anchor]).
package audit

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"time"

	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/seal"
)

// Failures of chaining.
var (
	// ErrOvertaken is returned by a store when another block has come meanwhile.
	ErrOvertaken = fault.New(fault.Conflict, "audit_overtaken",
		"Another process has added a block to the audit chain.", "Nothing has to be done.")
	ErrCut = fault.New(fault.Internal, "audit_chain_cut",
		"The newest block of the audit chain is not there any more, or another one is in its place.",
		"Somebody who can write to the database took it away; compare the journal with a backup. signet audit verify with the hash that the log has shows it, too.")
)

// Purpose is that of the box for marks.
const Purpose = "audit"

// Row is a line of the journal exactly as it is stored.
type Row struct {
	ID        string
	At        int64 // microseconds
	ActorKind string
	Actor     string
	Remote    string
	Action    string
	User      string
	Device    string
	Cert      string
	Detail    string
}

// Digest is over all that a line says.
func (r Row) Digest() string {
	h := sha256.New()
	put(h, "signet audit line 1")
	number(h, r.At)
	for _, s := range []string{r.ID, r.ActorKind, r.Actor, r.Remote, r.Action, r.User, r.Device, r.Cert, r.Detail} {
		put(h, s)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// Block is a link of the chain. Hashes are in hex.
type Block struct {
	Seq      int64 // from 1 on, without gaps
	At       int64 // when it was made, microseconds
	Entries  int
	Previous string // hash of the block before; empty for the first
	Hash     string
	Mark     []byte // of the hash, with a key that the database does not hold
}

// Time is when it was made.
func (b Block) Time() time.Time { return time.UnixMicro(b.At).UTC() }

// digest begins the hash of a block, to which the digests of its lines are put.
func (b Block) digest() hash.Hash {
	h := sha256.New()
	put(h, "signet audit block 1")
	number(h, b.Seq)
	number(h, b.At)
	number(h, int64(b.Entries))
	put(h, b.Previous)
	return h
}

func (b Block) aad() string { return fmt.Sprintf("block %d %s", b.Seq, b.Hash) }

// next makes the block that follows with those lines.
func (b Block) next(box *seal.Box, at time.Time, digests []string) Block {
	n := Block{Seq: b.Seq + 1, At: at.UnixMicro(), Entries: len(digests), Previous: b.Hash}
	h := n.digest()
	for _, d := range digests {
		put(h, d)
	}
	n.Hash = hex.EncodeToString(h.Sum(nil))
	n.Mark = box.Close(seal.Secret{}, n.aad())
	return n
}

// marked tells whether we made the block.
func (b Block) marked(box *seal.Box) bool {
	_, err := box.Open(b.Mark, b.aad())
	return err == nil
}

// Link says which line has which place in a block.
type Link struct {
	Block  int64
	N      int // from 1 on
	Entry  string
	Digest string
	Row    *Row // nil: the line is gone
}

// Links gives those of the rows of a block, in their order.
func Links(block int64, rows []Row) []Link {
	list := make([]Link, len(rows))
	for i, r := range rows {
		list[i] = Link{Block: block, N: i + 1, Entry: r.ID, Digest: r.Digest(), Row: &r}
	}
	return list
}

// put writes a text so that no two lists of texts are the same bytes.
func put(h hash.Hash, s string) {
	number(h, int64(len(s)))
	h.Write([]byte(s))
}

func number(h hash.Hash, n int64) {
	h.Write(binary.BigEndian.AppendUint64(nil, uint64(n)))
}

// Store keeps the chain beside the journal.
type Store interface {
	// Last gives the newest block; the zero block when there is none.
	Last(ctx context.Context) (Block, error)
	// Unchained gives lines that are in no block and of that instant or later,
	// oldest first, at most limit.
	Unchained(ctx context.Context, from time.Time, limit int) ([]Row, error)
	// Chained adds a block with its links: all or nothing, and [ErrOvertaken]
	// unless the block before is the newest.
	Chained(ctx context.Context, b Block, links []Link) error
}
