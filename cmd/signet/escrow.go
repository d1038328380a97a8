package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/signet-mdm/signet/internal/config"
	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/keyring"
	"github.com/signet-mdm/signet/pfxconnector/escrow"
)

// Why an escrow key is not touched.
var (
	errEscrowElsewhere = fault.New(fault.Conflict, "escrow_key_elsewhere",
		"The escrow keys are the keeper's.", "Do this where the keeper's data directory is.")
	errEscrowMissing = fault.New(fault.Unavailable, "escrow_key_missing",
		"Imported keys are sealed to an escrow key that is not here.", "Restore the keys of the backup that the database belongs to; nothing was changed.")
	errEscrowNeeded = fault.New(fault.Conflict, "escrow_key_needed",
		"Keys are still sealed to this escrow key.", "Wait until the keeper has sealed them to the active one; signet keys escrow list shows how many are left.")
)

// followEscrow takes notice of escrow keys that were made or destroyed: what is
// imported from now on is sealed to the active one.
func (s *server) followEscrow(context.Context) (int, error) {
	if err := s.ring.Follow(); err != nil {
		return 0, fmt.Errorf("reading the escrow keys: %w", err)
	}
	to, err := s.ring.Recipient()
	if err == nil {
		s.sealing.Succeed(to)
	}
	return 0, err
}

// escrowHere tells whether the keeper has every escrow key that something is
// sealed to.
func (s *server) escrowHere(ctx context.Context) error {
	wraps, err := s.db.Operations().Wraps(ctx)
	if err != nil {
		return err
	}
	here := s.ring.Retiring()
	if to, err := s.ring.Recipient(); err == nil {
		here = append(here, to.ID())
	}
	for id, n := range wraps {
		if !id.Offline() && !slices.Contains(here, id) {
			return errEscrowMissing.Saying(count(n, "imported key") + " sealed to an escrow key that is not here.").With(errors.New(string(id)))
		}
	}
	return nil
}

// listedEscrow is an escrow key as people see it.
type listedEscrow struct {
	ID    escrow.KeyID `json:"id"`
	State string       `json:"state"`        // active, retiring, destroyed or recovery
	Keys  int          `json:"keys"`         // private keys that are sealed to it
	In    string       `json:"in,omitempty"` // where its private half is: file, or who holds it and under which version
}

func (a *app) escrowList() *cobra.Command {
	c := &cobra.Command{
		Use:   "list",
		Short: "List the escrow keys, and how many private keys are sealed to each",
		Args:  takes(),
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, ring, err := a.opened(c)
			if err != nil {
				return err
			}
			db, err := inspectDatabase(c.Context(), cfg)
			if err != nil {
				return err
			}
			defer db.Close()
			wraps, err := db.Wraps(c.Context())
			if err != nil {
				return err
			}
			list, err := escrowOf(ring, cfg, wraps)
			if err != nil {
				return err
			}
			return showTable(a, list, []string{"id", "state", "keys", "in"}, func(k listedEscrow) []string {
				return []string{string(k.ID), k.State, strconv.Itoa(k.Keys), cmp.Or(k.In, "-")}
			})
		},
	}
	addSettings(c)
	return c
}

// escrowOf lists the keys of the ring, the recovery key, and who else something
// is sealed to.
func escrowOf(ring *keyring.Ring, cfg config.Config, wraps map[escrow.KeyID]int) ([]listedEscrow, error) {
	list := []listedEscrow{}
	add := func(id escrow.KeyID, state, in string) {
		list = append(list, listedEscrow{id, state, wraps[id], in})
		delete(wraps, id)
	}
	where, err := ring.Where()
	if err != nil {
		return nil, err
	}
	for _, k := range where {
		in := inWords(k)
		if k.State == keyring.Destroyed {
			in = ""
		}
		add(k.ID, string(k.State), in)
	}
	if r, err := escrow.ParseRecovery(cfg.Keys.Recovery); err == nil {
		add(r.ID(), "recovery", "")
	}
	for _, id := range slices.Sorted(maps.Keys(wraps)) {
		add(id, "unknown", "")
	}
	return list, nil
}

func (a *app) escrowRotate() *cobra.Command {
	var to string
	c := &cobra.Command{
		Use:   "rotate",
		Short: "Make another escrow key the one that keys are sealed to",
		Long: `Makes a new escrow key. A running server takes notice within seconds: what is
imported from then on is sealed to the new key, and the keeper seals to it what
was sealed to the one before, a hundred at a time. What is stored of the private
keys themselves is not touched. The key before stays and opens until it is
destroyed. Make a backup when signet keys escrow list shows none left on it.`,
		Example: "  signet keys escrow rotate\n  signet keys escrow list",
		Args:    takes(),
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, ring, err := a.escrowKeys(c, to)
			if err != nil {
				return err
			}
			id, err := ring.AddEscrow()
			if err == nil {
				err = own(cfg.In("keys"))
			}
			if err != nil {
				return err
			}
			return a.show(listedEscrow{ID: id, State: string(keyring.Active), In: cmp.Or(to, cfg.Keys.EscrowIn)}, func(w io.Writer) {
				fmt.Fprintf(w, "%s is the escrow key now; signet keys escrow list shows how far the keeper is\n", id)
			})
		},
	}
	addSettings(c)
	holderFlag(c, &to, "`WHERE` the new key is: file, transit or pkcs11 (default: keys.escrow_in)")
	return c
}

func holderFlag(c *cobra.Command, to *string, usage string) {
	c.Flags().StringVar(to, "to", "", usage)
}

func (a *app) escrowMove() *cobra.Command {
	var to string
	c := &cobra.Command{
		Use:   "move --to WHERE [ID...]",
		Short: "Have escrow keys held elsewhere, or under the newest version of the key there",
		Long: `Moves the private halves of escrow keys, all of them unless some are named: file
encrypts them to the unlock key alone, transit has the server of transit.address
encrypt them besides, and pkcs11 the token of pkcs11.module. Each is tried where it is then, before the copy of before is
erased. Again to the same place wraps them anew, under the newest version of the
key there. What is sealed to them is not touched, and a running server goes on. A
backup from before has the keys as they were: to be rid of those, rotate.`,
		Example: "  signet keys escrow move --to transit",
		Args:    cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, args []string) error {
			if to == "" {
				return usagef("say where to with --to")
			}
			cfg, ring, err := a.escrowKeys(c, "")
			if err != nil {
				return err
			}
			moved, err := moveEscrow(c.Context(), ring, to, args)
			if err = errors.Join(err, own(cfg.In("keys"))); err != nil {
				return err
			}
			return showTable(a, moved, []string{"id", "state", "in"}, func(k listedEscrow) []string {
				return []string{string(k.ID), k.State, k.In}
			})
		},
	}
	addSettings(c)
	holderFlag(c, &to, "`WHERE` they are from now on: file, transit or pkcs11")
	return c
}

// moveEscrow moves the keys of those ids, all for none.
func moveEscrow(ctx context.Context, ring *keyring.Ring, to string, ids []string) (moved []listedEscrow, err error) {
	for _, id := range ids {
		if !slices.ContainsFunc(ring.Escrow(), func(k keyring.EscrowKey) bool { return string(k.ID) == id }) {
			return nil, keyring.ErrEscrowUnknown
		}
	}
	for _, k := range ring.Escrow() {
		if k.State == keyring.Destroyed || len(ids) > 0 && !slices.Contains(ids, string(k.ID)) {
			continue
		}
		if err := ring.MoveEscrow(ctx, k.ID, to); err != nil {
			return nil, err
		}
	}
	where, err := ring.Where()
	for _, k := range where {
		if k.State != keyring.Destroyed && (len(ids) == 0 || slices.Contains(ids, string(k.ID))) {
			moved = append(moved, listedEscrow{ID: k.ID, State: string(k.State), In: inWords(k)})
		}
	}
	return moved, err
}

func (a *app) escrowDestroy() *cobra.Command {
	c := &cobra.Command{
		Use:   "destroy ID",
		Short: "Destroy an escrow key that nothing is sealed to any more",
		Long: `Destroys a retiring escrow key for ever. It is refused while anything in the
database is sealed to it. A backup from before has its own copy of the key, and
needs it: this does not touch backups.`,
		Example: "  signet keys escrow destroy hpke:4f1a…",
		Args:    takes("ID"),
		RunE: func(c *cobra.Command, args []string) error {
			cfg, ring, err := a.escrowKeys(c, "")
			if err != nil {
				return err
			}
			id := escrow.KeyID(args[0])
			if err := a.destroyEscrow(c.Context(), cfg, ring, id); err != nil {
				return err
			}
			return a.show(listedEscrow{ID: id, State: string(keyring.Destroyed)}, func(w io.Writer) {
				fmt.Fprintf(w, "%s is destroyed\n", id)
			})
		},
	}
	addSettings(c)
	return c
}

// escrowKeys opens the ring of the keeper; new escrow keys are made there, or
// where the configuration says.
func (a *app) escrowKeys(c *cobra.Command, there string) (cfg config.Config, ring *keyring.Ring, err error) {
	if cfg, err = a.local(c); err != nil {
		return cfg, nil, err
	}
	if !cfg.Plays(config.KeeperRole) {
		return cfg, nil, errEscrowElsewhere
	}
	cfg.Keys.EscrowIn = cmp.Or(there, cfg.Keys.EscrowIn)
	if ring, err = a.unlocker().open(cfg); err == nil {
		err = ring.SelfTest()
	}
	return cfg, ring, err
}

// destroyEscrow destroys a key after the database promised that nothing is
// sealed to it, nor will be.
func (a *app) destroyEscrow(ctx context.Context, cfg config.Config, ring *keyring.Ring, id escrow.KeyID) (err error) {
	i := slices.IndexFunc(ring.Escrow(), func(k keyring.EscrowKey) bool { return k.ID == id })
	switch {
	case i < 0:
		return keyring.ErrEscrowUnknown
	case ring.Escrow()[i].State == keyring.Active:
		return keyring.ErrEscrowActive
	}
	db, err := openDatabase(ctx, cfg, ring)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	left, err := db.PFX().EscrowDestroyed(ctx, id, journal.Entry{At: time.Now(), Actor: journal.Actor{Kind: journal.Local, ID: "keys"},
		Action: journal.EscrowDestroyed, Detail: map[string]string{"key": string(id)}})
	if err != nil {
		return err
	}
	if left > 0 {
		return errEscrowNeeded.Saying(count(left, "private key") + " still sealed to this escrow key.")
	}
	if err := ring.DestroyEscrow(id); err != nil {
		return err
	}
	return own(cfg.In("keys"))
}

// own gives what root wrote into a directory to the directory's owner.
func own(dir string) error { return ownFile(dir, "escrow*") }

// ownFile does so with the files of that pattern.
func ownFile(dir, pattern string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return fmt.Errorf("looking at the key directory: %w", err)
	}
	uid, gid := owner(info)
	if os.Geteuid() != 0 || uid <= 0 {
		return nil
	}
	files, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil {
		return err
	}
	for _, f := range files {
		if err := os.Chown(f, uid, gid); err != nil {
			return fmt.Errorf("giving a key to its owner: %w", err)
		}
	}
	return nil
}
