package admin

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/signet-mdm/signet/internal/access"
	"github.com/signet-mdm/signet/internal/audit"
	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/journal"
)

// Audit looks whether the journal was changed.
type Audit interface {
	// Verify looks at what follows a block, as much as goes at a time.
	Verify(ctx context.Context, from audit.Anchor) (audit.Part, error)
}

// Verification is what was found of a part of the chain over the journal.
type Verification struct {
	Blocks  int          `json:"blocks" doc:"Blocks that are as they were made"`
	Entries int          `json:"entries" doc:"Entries of the journal in them"`
	Last    *ChainBlock  `json:"last,omitempty" doc:"The last of them, or the one that was begun after: keep its hash elsewhere"`
	End     bool         `json:"end" doc:"There is no more to look at; otherwise go on from last"`
	Broken  *BrokenChain `json:"broken,omitempty" doc:"First place where the chain is not what was made; nothing after it was looked at"`
	Waiting int          `json:"waiting" doc:"Entries that are in no block yet; of the end"`
	Oldest  *time.Time   `json:"oldest,omitempty" doc:"Time of the oldest of those"`
}

// ChainBlock is a block of the chain.
type ChainBlock struct {
	Block int64     `json:"block" doc:"Its number"`
	Hash  string    `json:"hash" doc:"Its SHA-256, hex; over the one before, too"`
	At    time.Time `json:"at" doc:"When it was made"`
}

// BrokenChain is where a chain is broken.
type BrokenChain struct {
	Block int64  `json:"block" doc:"Number of the block"`
	Entry string `json:"entry,omitempty" doc:"The entry of the journal, when it is about one"`
	Cause string `json:"cause" doc:"In words"`
}

func newVerification(p audit.Part) Verification {
	out := Verification{Blocks: p.Blocks, Entries: p.Entries, End: p.End, Waiting: p.Waiting, Oldest: when(p.Oldest)}
	if p.Last.Seq > 0 {
		out.Last = &ChainBlock{p.Last.Seq, p.Last.Hash, p.Last.Time()}
	}
	if p.Broken != nil {
		out.Broken = &BrokenChain{p.Broken.Block, p.Broken.Entry, p.Broken.Cause}
	}
	return out
}

type verificationInput struct {
	Since int64  `query:"since" minimum:"0" doc:"Number of a block: look at what follows it; 0 for all"`
	Hash  string `query:"hash" maxLength:"64" doc:"Its hash as it was kept: the block must still have it"`
}

func (a *API) verification() {
	register(a, operation{id: "verify-journal", tag: "access", method: http.MethodGet, path: "/journal/verification",
		summary:    "Look whether the journal was changed, from a block on",
		permission: access.AuditRead,
		faults:     []*fault.Error{audit.ErrAnchor}}, a.verifyJournal)
}

func (a *API) verifyJournal(ctx context.Context, _ journal.Actor, in *verificationInput) (*body[Verification], error) {
	part, err := a.Audit.Verify(ctx, audit.Anchor{Block: in.Since, Hash: in.Hash})
	if err != nil {
		return nil, err
	}
	return &body[Verification]{Body: newVerification(part)}, nil
}

// VerifyJournal looks at the whole chain after a block, in parts; 0 and no hash
// for all of it.
func (c *Client) VerifyJournal(ctx context.Context, since int64, hash string) (Verification, error) {
	var all Verification
	for {
		path := with("/journal/verification", "since", strconv.FormatInt(since, 10), "hash", hash)
		part, err := get[Verification](ctx, c, path)
		if err != nil {
			return all, err
		}
		part.Blocks, part.Entries = part.Blocks+all.Blocks, part.Entries+all.Entries
		if all = part; all.End || all.Last == nil {
			return all, nil
		}
		since, hash = all.Last.Block, all.Last.Hash
	}
}
