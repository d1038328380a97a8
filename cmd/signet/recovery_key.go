package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/signet-mdm/signet/internal/config"
	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/keyring"
	"github.com/signet-mdm/signet/pfxconnector/escrow"
	"github.com/signet-mdm/signet/pfxconnector/opener"
)

// Why no recovery key is chosen.
var (
	errNoRecovery = fault.New(fault.Invalid, "recovery_unset",
		"There is no recovery key.", "Set keys.recovery to the recipient (age1…) and restart the server.")
	errOtherRecovery = fault.New(fault.Conflict, "recovery_other",
		"This is not the recovery key of keys.recovery.", "Set keys.recovery to it in every signet.toml and restart; then say it again here.")
)

// wireRecovery makes what seals records to a recovery key that was chosen.
func (s *server) wireRecovery() {
	s.recoverer = opener.NewRecoverer(opener.RecovererConfig{Records: s.db.PFX(), Keys: s.ring, Journal: s.db.Journal(), Log: s.log, Now: time.Now,
		Chosen: func() (escrow.Recovery, bool, error) { return chosenRecovery(s.ring, s.cfg) }})
}

// chosenRecovery gives the recovery key that all records are to be sealed to: it
// has to stand in the configuration, and to have been chosen by somebody who has
// the keys. Whoever can write one of the two has not got the other.
func chosenRecovery(ring *keyring.Ring, cfg config.Config) (escrow.Recovery, bool, error) {
	to, chosen, err := ring.ChosenRecovery()
	if err != nil || !chosen || cfg.Keys.Recovery == "" {
		return to, false, err
	}
	configured, err := escrow.ParseRecovery(cfg.Keys.Recovery)
	return to, err == nil && configured.ID() == to.ID(), err
}

// recoveryState is how far the records are with the recovery key.
type recoveryState struct {
	Recipient string       `json:"recipient"`
	ID        escrow.KeyID `json:"id"`
	Chosen    bool         `json:"chosen"` // whether what lacks it gets it
	Keys      int          `json:"keys"`   // private keys that are sealed to it
	Lack      int          `json:"lack"`   // that are not
	Others    int          `json:"others"` // that are sealed to another recovery key
}

func (s recoveryState) write(w io.Writer) {
	fmt.Fprintf(w, "%s\n  %s sealed to it, %d not, %d to another recovery key\n", s.Recipient, count(s.Keys, "private key"), s.Lack, s.Others)
	switch {
	case s.Lack+s.Others == 0:
	case s.Chosen:
		fmt.Fprintln(w, "  the keeper is at it")
	default:
		fmt.Fprintln(w, "  signet keys recovery rotate has the keeper seal them to it")
	}
}

func (a *app) recoveryShow() *cobra.Command {
	c := &cobra.Command{
		Use:   "show",
		Short: "Show the recovery key, and how many private keys are sealed to it",
		Args:  takes(),
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, ring, err := a.opened(c)
			if err != nil {
				return err
			}
			state, err := recoveryOf(c.Context(), ring, cfg)
			if err != nil {
				return err
			}
			return a.show(state, state.write)
		},
	}
	addSettings(c)
	return c
}

// recoveryOf counts.
func recoveryOf(ctx context.Context, ring *keyring.Ring, cfg config.Config) (state recoveryState, err error) {
	if cfg.Keys.Recovery == "" {
		return state, errNoRecovery
	}
	to, err := escrow.ParseRecovery(cfg.Keys.Recovery)
	if err != nil {
		return state, fmt.Errorf("reading keys.recovery: %w", err)
	}
	_, chosen, err := chosenRecovery(ring, cfg)
	if err != nil {
		return state, err
	}
	db, err := inspectDatabase(ctx, cfg)
	if err != nil {
		return state, err
	}
	defer db.Close()
	wraps, err := db.Wraps(ctx)
	state = recoveryState{Recipient: cfg.Keys.Recovery, ID: to.ID(), Chosen: chosen, Keys: wraps[to.ID()]}
	state.Lack = -state.Keys
	for id, n := range wraps {
		switch {
		case !id.Offline():
			state.Lack += n
		case id != to.ID():
			state.Others += n
		}
	}
	return state, err
}

func (a *app) recoveryRotate() *cobra.Command {
	c := &cobra.Command{
		Use:   "rotate RECIPIENT",
		Short: "Have all imported private keys sealed to another recovery key",
		Long: `Chooses a recovery key, by its age recipient, that stands in keys.recovery already.
A keeper that was started with it opens each imported private key that is not
sealed to it, a hundred at a time, and seals it to that key in the place of the
one before. Whoever has the identity of RECIPIENT can open all of them then.`,
		Example: "  signet keys recovery rotate age1…\n  signet keys recovery show",
		Args:    takes("RECIPIENT"),
		RunE: func(c *cobra.Command, args []string) error {
			cfg, ring, err := a.escrowKeys(c, "")
			if err != nil {
				return err
			}
			if err := chooseRecovery(c.Context(), ring, cfg, args[0]); err != nil {
				return err
			}
			state, err := recoveryOf(c.Context(), ring, cfg)
			if err != nil {
				return err
			}
			return a.show(state, state.write)
		},
	}
	addSettings(c)
	return c
}

// chooseRecovery writes down first who wished for it.
func chooseRecovery(ctx context.Context, ring *keyring.Ring, cfg config.Config, recipient string) (err error) {
	to, err := escrow.ParseRecovery(recipient)
	if err != nil {
		return usagef("RECIPIENT is no age recipient")
	}
	if cfg.Keys.Recovery == "" {
		return errNoRecovery
	}
	if configured, err := escrow.ParseRecovery(cfg.Keys.Recovery); err != nil || configured.ID() != to.ID() {
		return errOtherRecovery
	}
	db, err := openDatabase(ctx, cfg, ring)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if err := db.Journal().Record(ctx, journal.Entry{At: time.Now(), Actor: journal.Actor{Kind: journal.Local, ID: "keys"},
		Action: journal.RecoveryChosen, Detail: map[string]string{"to": string(to.ID())}}); err != nil {
		return err
	}
	if err := ring.ChooseRecovery(recipient); err != nil {
		return err
	}
	return ownFile(cfg.In("keys"), "recovery-chosen.pub")
}
