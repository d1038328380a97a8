package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/signet-mdm/signet/internal/config"
	"github.com/signet-mdm/signet/internal/disk"
	"github.com/signet-mdm/signet/internal/keyring"
)

// frontRoles are those that get by without the keys of CAs and users.
const frontRoles = config.FrontRole + "," + config.WorkerRole + "," + config.AdminRole

// initFront makes a data directory for a front end of the installation in
// whole. What is said on the command line beats what is set there.
func (a *app) initFront(given config.Config, whole string) error {
	if _, err := os.Stat(given.In("signet.toml")); err == nil {
		return errInitialised.Saying("There is a Signet in " + given.Data + " already.")
	} else if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("looking into the data directory: %w", err)
	}
	cfg, err := config.Load(filepath.Join(whole, "signet.toml"), a.getenv, nil)
	if err != nil {
		return err
	}
	cfg.Data = whole
	u := a.unlocker()
	ring, err := keyring.Open(cfg.In("keys"), u.file(cfg), u.options(cfg)...)
	if err != nil {
		return fmt.Errorf("opening the keys of %s: %w", whole, err)
	}
	cfg.Data, cfg.Roles = given.Data, frontRoles
	cfg.Keys.UnlockFile, cfg.Keys.PassphraseFile = given.Keys.UnlockFile, given.Keys.PassphraseFile
	cfg.Keeper = given.Keeper
	if problems := withoutFiles(cfg).Check(); len(problems) > 0 {
		return usageError{problems[0]}
	}
	if err := ring.Share(cfg.In("keys"), u.file(cfg), facesNetwork); err != nil {
		return fmt.Errorf("sharing the keys: %w", err)
	}
	var text bytes.Buffer
	if err := config.Describe(&text, cfg); err != nil {
		return fmt.Errorf("writing the configuration: %w", err)
	}
	if err := disk.Replace(cfg.In("signet.toml"), text.Bytes(), 0o600); err != nil {
		return fmt.Errorf("writing the configuration: %w", err)
	}
	fmt.Fprintf(a.stdout, `A data directory for a front end is in %s. It has no key of a CA or of a user.

Next:  signet serve --data %s --roles keeper --keeper-listen …
       signet serve --data %s
`, cfg.Data, whole, cfg.Data)
	return nil
}

// facesNetwork tells whether the front end needs a key itself.
func facesNetwork(name string) bool {
	return slices.Contains([]string{profileKey, tlsKey}, name) || strings.Contains(name, "-ra") || strings.HasPrefix(name, "push-")
}
