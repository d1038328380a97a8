package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/signet-mdm/signet/internal/keyring"
	"github.com/signet-mdm/signet/pfxconnector/escrow"
)

// sealedTo is whom a server seals keys to, and has its importers seal them to.
type sealedTo struct {
	Fingerprint string         `json:"fingerprint"`
	Escrow      escrow.KeyID   `json:"escrow"`
	Recovery    []escrow.KeyID `json:"recovery"`
}

func (a *app) escrowFingerprint() *cobra.Command {
	c := &cobra.Command{
		Use:   "fingerprint",
		Short: "Show the fingerprint of whom keys are sealed to",
		Long: `Shows one fingerprint over the active escrow key and the recovery key. Whoever
imports from another machine gives it once with signet pfx import --escrow-key,
and again after a rotation. It needs no server and no unlock key.`,
		Example: "  signet keys escrow fingerprint",
		Args:    takes(),
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := a.local(c)
			if err != nil {
				return err
			}
			active, err := keyring.Recipient(cfg.In("keys"))
			if err != nil {
				return err
			}
			to := sealedTo{Escrow: active.ID(), Recovery: []escrow.KeyID{}}
			if r, err := escrow.ParseRecovery(cfg.Keys.Recovery); err == nil {
				to.Recovery = append(to.Recovery, r.ID())
			}
			to.Fingerprint = escrow.Pin(to.Escrow, to.Recovery...)
			return a.show(to, func(w io.Writer) { fmt.Fprintln(w, to.Fingerprint) })
		},
	}
	addSettings(c)
	return c
}
