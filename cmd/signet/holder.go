package main

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"time"

	"github.com/signet-mdm/signet/internal/config"
	"github.com/signet-mdm/signet/internal/disk"
	"github.com/signet-mdm/signet/internal/doctor"
	"github.com/signet-mdm/signet/internal/keyring"
	"github.com/signet-mdm/signet/internal/keyring/hsm"
	"github.com/signet-mdm/signet/internal/keyring/transit"
	"github.com/signet-mdm/signet/internal/logx"
	"github.com/signet-mdm/signet/internal/seal"
)

// Names of what signs us in, among systemd's credentials.
const (
	transitToken    = "signet-transit-token"
	transitSecretID = "signet-transit-secret-id"
)

const (
	holderWait  = 3 * time.Second  // bounds a look at who holds escrow keys, where others wait too
	holderPause = 10 * time.Second // between two looks
	renewPause  = time.Minute
)

// holders gives who may hold escrow keys, and who is to hold new ones.
func (u unlocker) holders(cfg config.Config) []keyring.Option {
	options := []keyring.Option{keyring.EscrowIn(cfg.Keys.EscrowIn)}
	if cfg.Transit.Address != "" {
		options = append(options, keyring.HeldBy(u.transit(cfg.Transit), time.Duration(cfg.Transit.CacheSeconds)*time.Second))
	}
	return options
}

// transit gives the way to the server that has OpenBao or Vault.
func (u unlocker) transit(t config.Transit) *transit.Client {
	trusted, err := roots(t.CA)
	if err != nil {
		trusted = x509.NewCertPool() // nobody is trusted, rather than those of the system
	}
	return transit.New(transit.Config{Address: t.Address, Mount: t.Mount, Key: t.Key, Namespace: t.Namespace, Roots: trusted,
		Token: u.secret(t.TokenFile, transitToken), RoleID: t.RoleID, SecretID: u.secret(t.SecretIDFile, transitSecretID), Now: time.Now})
}

// secret reads a file, or systemd's credential, each time: it may have changed.
func (u unlocker) secret(file, credential string) func() (seal.Secret, error) {
	if dir := u.getenv("CREDENTIALS_DIRECTORY"); file == "" && dir != "" {
		file = filepath.Join(dir, credential)
	}
	return func() (seal.Secret, error) {
		f, err := disk.OpenPrivate(file)
		if err != nil {
			return seal.Secret{}, err
		}
		defer f.Close()
		text, err := io.ReadAll(io.LimitReader(f, maxSecretFile))
		if text = bytes.TrimSpace(text); err == nil && len(text) == 0 {
			err = errors.New("it is empty")
		}
		return seal.NewSecret(text), err
	}
}

// held refuses a ring whose escrow keys cannot be had at all. Who only does not
// answer does not keep a server from starting: what is imported needs the public
// halves alone, and deliveries wait.
func held(ctx context.Context, ring *keyring.Ring, log *slog.Logger) error {
	ctx, stop := context.WithTimeout(ctx, holderWait)
	defer stop()
	err := ring.CheckHolders(ctx)
	if errors.Is(err, keyring.ErrHolderWrong) || errors.Is(err, keyring.ErrHolderUnset) || errors.Is(err, hsm.ErrNotBuilt) {
		return fmt.Errorf("trying the escrow keys: %w", err)
	}
	if err != nil {
		log.ErrorContext(ctx, "an escrow key is not to be had: no key is delivered until it is", logx.Err, err)
	}
	return nil
}

// holdersReady is the check of readiness.
func (s *server) holdersReady(ctx context.Context) error {
	ctx, stop := context.WithTimeout(ctx, holderWait)
	defer stop()
	return s.ring.CheckHolders(ctx)
}

// keysUsable tells whether what is sealed to the escrow keys opens now.
func (s *server) keysUsable() error {
	if err := s.ring.SelfTest(); err != nil {
		return err
	}
	ctx, stop := context.WithTimeout(context.Background(), holderWait)
	defer stop()
	return s.ring.Ready(ctx)
}

// holderSteps look after who holds escrow keys, and after what signs us in.
func (s *server) holderSteps() []step {
	return []step{
		seldom("escrow holder", holderPause, s.ring.CheckHolders),
		seldom("escrow sign-in", renewPause, s.ring.Renew),
	}
}

// seldom is a step that a nudge does not hurry: it asks another server.
func seldom(name string, every time.Duration, run func(context.Context) error) step {
	var last time.Time
	var err error
	return step{name, every, func(ctx context.Context) (int, error) {
		if time.Since(last) > every/2 {
			err = run(ctx)
			last = time.Now()
		}
		return 0, err
	}}
}

// holdersOf is who may hold escrow keys, for the doctor.
func (u unlocker) holdersOf(cfg config.Config) []doctor.Holder {
	if cfg.Transit.Address == "" {
		return nil
	}
	return []doctor.Holder{{Name: "transit", Look: func(ctx context.Context) (doctor.Holding, error) {
		return lookAtTransit(ctx, u.transit(cfg.Transit))
	}}}
}

func lookAtTransit(ctx context.Context, c *transit.Client) (h doctor.Holding, err error) {
	if err := c.Check(ctx); err != nil {
		return h, err
	}
	k, err := c.About(ctx)
	if err != nil {
		return h, err
	}
	h = doctor.Holding{What: fmt.Sprintf("key %s of type %s, version %d, opens from version %d", c.Key, k.Type, k.Latest, k.Least), Latest: k.Latest}
	for _, l := range []struct {
		is   bool
		says string
	}{{k.Exportable, "can be exported"}, {k.Backup, "can be copied by a backup of it"}, {k.Deletable, "can be deleted"}} {
		if l.is {
			h.Loose = append(h.Loose, l.says)
		}
	}
	t, err := c.Signed(ctx)
	h.Ends, h.Renews = t.Life(), t.Renewable
	return h, err
}

// inWords says where an escrow key is.
func inWords(at keyring.Held) string {
	words := at.Holder
	if at.Version > 0 {
		words += fmt.Sprintf(" v%d", at.Version)
	}
	if len(at.Extra) > 0 {
		words += " and left over"
	}
	return strings.TrimSpace(words)
}
