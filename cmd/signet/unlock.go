package main

import (
	"fmt"
	"os"
	"sync"

	"golang.org/x/term"

	"github.com/signet-mdm/signet/internal/config"
	"github.com/signet-mdm/signet/internal/keyring"
	"github.com/signet-mdm/signet/internal/seal"
)

// unlocker opens keyrings with the unlock key that the configuration names.
type unlocker struct {
	getenv func(string) string
	ask    func(prompt string) (seal.Secret, error) // nil: there is nobody to ask
}

// unlocker asks for a passphrase where somebody sits at a terminal.
func (a *app) unlocker() unlocker {
	u := unlocker{getenv: a.getenv}
	if a.terminal(a.stdin) {
		u.ask = a.askSecret
	}
	return u
}

// file tells where the unlock key is.
func (u unlocker) file(cfg config.Config) string {
	return keyring.FindUnlock(cfg.Keys.UnlockFile, cfg.In("keys"), u.getenv)
}

// options are what opening the ring of cfg may need besides.
func (u unlocker) options(cfg config.Config) []keyring.Option {
	var options []keyring.Option
	if file := keyring.FindPassphrase(cfg.Keys.PassphraseFile, u.getenv); file != "" {
		options = append(options, keyring.Passphrase(func() (seal.Secret, error) { return keyring.ReadPassphrase(file) }))
	} else if u.ask != nil {
		options = append(options, keyring.Passphrase(u.once("Passphrase of the unlock key: ")))
	}
	return append(append(options, u.token(cfg)...), u.holders(cfg)...)
}

// once asks the first time and remembers what was said.
func (u unlocker) once(prompt string) func() (seal.Secret, error) {
	said := sync.OnceValues(func() (string, error) {
		secret, err := u.ask(prompt)
		return secret.RevealString(), err
	})
	return func() (seal.Secret, error) {
		text, err := said()
		return seal.SecretString(text), err
	}
}

// open opens the ring of a data directory, as the roles of this process need it.
func (u unlocker) open(cfg config.Config) (*keyring.Ring, error) {
	open := keyring.OpenFront
	if cfg.Plays(config.KeeperRole) {
		open = keyring.Open
	}
	return open(cfg.In("keys"), u.file(cfg), u.options(cfg)...)
}

// create makes it.
func (u unlocker) create(cfg config.Config) (*keyring.Ring, error) {
	return keyring.Create(cfg.In("keys"), u.file(cfg), u.options(cfg)...)
}

// askSecret asks on the terminal, which shows nothing of the answer.
func (a *app) askSecret(prompt string) (seal.Secret, error) {
	fmt.Fprint(a.stderr, prompt)
	b, err := term.ReadPassword(int(a.stdin.(*os.File).Fd()))
	fmt.Fprintln(a.stderr)
	if err != nil {
		return seal.Secret{}, fmt.Errorf("reading from the terminal: %w", err)
	}
	return seal.NewSecret(b), nil
}
