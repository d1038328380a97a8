package main

import (
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/signet-mdm/signet/internal/config"
	"github.com/signet-mdm/signet/internal/keyring"
	"github.com/signet-mdm/signet/internal/seal"
)

func (a *app) keysCommand() *cobra.Command {
	return group("keys", "The keys in the data directory, beside a server or without one", a.keysList(),
		group("escrow", "The keys that imported private keys are sealed to", a.escrowList(), a.escrowFingerprint(), a.escrowRotate(), a.escrowMove(), a.escrowDestroy()),
		group("recovery", "The offline key that imported private keys are sealed to as well", a.recoveryShow(), a.recoveryRotate()),
		group("passphrase", "Give the unlock key a passphrase, or take it away", a.passphraseSet(), a.passphraseRemove()))
}

func (a *app) passphraseSet() *cobra.Command {
	var file string
	c := &cobra.Command{
		Use:   "set",
		Short: "Encrypt the unlock key with a passphrase, or with another one",
		Long: `Encrypts the file of the unlock key with a passphrase, as age -p does; the age
program opens it without Signet. The server asks for the passphrase when it is
started on a terminal; else it comes from the systemd credential
signet-passphrase or from the file of keys.passphrase_file. The key itself stays
what it is: copies of the file that were made before still open without it.`,
		Example: "  signet keys passphrase set",
		Args:    takes(),
		RunE: func(c *cobra.Command, _ []string) error {
			return a.changeUnlock(c, "encrypted", func(path string, options []keyring.Option) error {
				secret, err := a.newPassphrase(file)
				if err != nil {
					return err
				}
				return keyring.SetPassphrase(path, secret, options...)
			})
		},
	}
	addSettings(c)
	c.Flags().StringVar(&file, "new-passphrase-file", "", "`FILE` with the new passphrase (default: asked on the terminal)")
	return c
}

func (a *app) passphraseRemove() *cobra.Command {
	c := &cobra.Command{
		Use:   "remove",
		Short: "Keep the unlock key in clear",
		Args:  takes(),
		RunE: func(c *cobra.Command, _ []string) error {
			return a.changeUnlock(c, "in clear", func(path string, options []keyring.Option) error {
				return keyring.RemovePassphrase(path, options...)
			})
		},
	}
	addSettings(c)
	return c
}

// changeUnlock rewrites the file of the unlock key. Its owner stays.
func (a *app) changeUnlock(c *cobra.Command, state string, change func(string, []keyring.Option) error) error {
	cfg, err := a.local(c)
	if err != nil {
		return err
	}
	u := a.unlocker()
	path := u.file(cfg)
	info, err := os.Stat(path)
	if err == nil {
		err = change(path, u.options(cfg))
	} else if os.IsNotExist(err) {
		err = keyring.ErrUnlockMissing.Saying("The unlock key " + path + " is not there.").With(err)
	}
	if err != nil {
		return err
	}
	if uid, gid := owner(info); os.Geteuid() == 0 && uid > 0 {
		if err := os.Chown(path, uid, gid); err != nil {
			return fmt.Errorf("giving the unlock key to its owner: %w", err)
		}
	}
	return a.show(map[string]string{"unlock": path, "state": state}, func(w io.Writer) {
		fmt.Fprintf(w, "%s is %s now\n", path, state)
	})
}

// local gives the settings for a command that works on the data directory
// itself.
func (a *app) local(c *cobra.Command) (config.Config, error) {
	if err := a.initialised(c); err != nil {
		return config.Config{}, err
	}
	cfg, err := a.settings(c)
	cfg.Data = a.dataDir()
	return cfg, err
}

// opened is local for a command that needs the keys there.
func (a *app) opened(c *cobra.Command) (config.Config, *keyring.Ring, error) {
	cfg, err := a.local(c)
	if err != nil {
		return cfg, nil, err
	}
	ring, err := a.unlocker().open(cfg)
	return cfg, ring, err
}

// newPassphrase reads the file, or asks twice.
func (a *app) newPassphrase(file string) (seal.Secret, error) {
	if file != "" {
		return keyring.ReadPassphrase(file)
	}
	if !a.terminal(a.stdin) {
		return seal.Secret{}, usagef("there is nobody to ask for the passphrase: give --new-passphrase-file")
	}
	first, err := a.askSecret("New passphrase: ")
	if err != nil {
		return first, err
	}
	again, err := a.askSecret("Once more: ")
	if err == nil && !again.Equal(first) {
		err = usagef("the two are not the same; nothing was changed")
	}
	return first, err
}
