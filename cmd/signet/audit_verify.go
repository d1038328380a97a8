package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/signet-mdm/signet/internal/audit"
	"github.com/signet-mdm/signet/internal/config"
	"github.com/signet-mdm/signet/internal/httpd/admin"
	"github.com/signet-mdm/signet/internal/seal"
)

// wireAudit makes what reads the chain over the journal, and in the keeper what
// makes it. The key of the marks is the ring's, not the database's.
func (s *server) wireAudit() error {
	box, err := seal.NewBox(s.ring.ColumnRoot(), audit.Purpose)
	if err != nil {
		return err
	}
	s.verifier = audit.NewVerifier(s.db.Audit(), box)
	if s.cfg.Plays(config.KeeperRole) {
		s.chainer = audit.New(audit.Config{Store: s.db.Audit(), Box: box, Log: s.log, Now: time.Now})
	}
	return nil
}

// Chain implements [doctor.Database].
func (i inspected) Chain(ctx context.Context, root seal.Secret, now time.Time) (audit.State, error) {
	box, err := seal.NewBox(root, audit.Purpose)
	if err != nil {
		return audit.State{}, err
	}
	last, err := i.Audit().Last(ctx)
	if err != nil {
		return audit.State{}, err
	}
	return audit.NewVerifier(i.Audit(), box).Look(ctx, last, now)
}

func (a *app) auditVerify() *cobra.Command {
	var since int64
	var hash string
	c := &cobra.Command{
		Use:   "verify",
		Short: "Look whether somebody changed the journal",
		Long: `Reads the whole journal and its chain again: each entry must be what it was when
it was chained, no entry and no block may be missing, and each block must have
the mark of this installation. The exit status is 1 when it is broken.

That the newest blocks were taken away together with their entries shows only to
who has kept the number and the hash of one of them elsewhere, as they are
printed: --since-block and --hash look whether that block is still there, and at
what follows it.`,
		Args: takes(),
		RunE: func(c *cobra.Command, _ []string) error {
			if since < 0 || hash != "" && since == 0 {
				return usagef("--since-block is the number of a block, and --hash goes with it")
			}
			client, err := a.client()
			if err != nil {
				return err
			}
			v, err := client.VerifyJournal(c.Context(), since, hash)
			if err != nil {
				return err
			}
			if err := a.show(v, func(w io.Writer) { writeVerification(w, v, since) }); err != nil || v.Broken == nil {
				return err
			}
			return errors.New("the journal was changed: " + plain(v.Broken.Cause))
		},
	}
	f := c.Flags()
	f.Int64Var(&since, "since-block", 0, "only what follows block `N`")
	f.StringVar(&hash, "hash", "", "`HASH` of that block, as it was kept")
	return c
}

func writeVerification(w io.Writer, v admin.Verification, since int64) {
	what := "are as they were made"
	if since > 0 {
		what = fmt.Sprintf("after block %d are as they were made", since)
	}
	fmt.Fprintf(w, "%s in %s %s.\n", count(v.Entries, "entry"), count(v.Blocks, "block"), what)
	if v.Last != nil {
		fmt.Fprintf(w, "Last block: %d of %s\nHash: %s\n", v.Last.Block, moment(v.Last.At), v.Last.Hash)
	}
	if v.Broken != nil {
		return // what follows was not looked at
	}
	fmt.Fprintf(w, "Not chained yet: %d\n", v.Waiting)
	if v.Oldest != nil && time.Since(*v.Oldest) > audit.Stalled {
		fmt.Fprintf(w, "The oldest of those is of %s: the keeper does not chain. Its log has the step audit.\n", moment(*v.Oldest))
	}
}
