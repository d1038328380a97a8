package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"time"

	"github.com/signet-mdm/signet/internal/config"
	"github.com/signet-mdm/signet/internal/disk"
	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/keyring"
	"github.com/signet-mdm/signet/internal/keyring/hsm"
	"github.com/signet-mdm/signet/internal/logx"
	"github.com/signet-mdm/signet/internal/seal"
)

var errPIN = fault.New(fault.Denied, "pkcs11_pin_unreadable",
	"The PIN of the PKCS#11 token cannot be read.",
	"Put it into the file of pkcs11.pin_file, which only the service user may read, or give the systemd credential signet-pkcs11-pin.")

// pinCredential is the name of the PIN among systemd's credentials.
const pinCredential = "signet-pkcs11-pin"

// tokenWait bounds how long is waited for the token at a time.
const tokenWait = 10 * time.Second

// tokenKeeps is how long an escrow key that the token opened is kept.
const tokenKeeps = 10 * time.Second

// token gives the way to the token of cfg; none when there is no token.
func (u unlocker) token(cfg config.Config) []keyring.Option {
	p := cfg.PKCS11
	if p.Module == "" {
		return nil
	}
	file := p.PINFile
	if dir := u.getenv("CREDENTIALS_DIRECTORY"); file == "" && dir != "" {
		file = filepath.Join(dir, pinCredential)
	}
	token := hsm.New(hsm.Config{Module: p.Module, Label: p.Token, Serial: p.Serial,
		PIN: func() (seal.Secret, error) { return readPIN(file) }})
	return []keyring.Option{keyring.OnToken(token), keyring.HeldBy(hsm.Kek{Token: token}, tokenKeeps)}
}

// readPIN reads the file each time: it may have been put right meanwhile.
func readPIN(file string) (seal.Secret, error) {
	f, err := disk.OpenPrivate(file)
	if err != nil {
		return seal.Secret{}, errPIN.With(err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxSecretFile))
	pin := bytes.TrimRight(text, "\r\n")
	if err != nil || len(pin) == 0 {
		return seal.Secret{}, errPIN.With(err)
	}
	return seal.NewSecret(pin), nil
}

// usable refuses a ring whose keys this program cannot use. A token that is
// only away does not keep a server from starting: what needs no CA goes on.
func usable(ctx context.Context, ring *keyring.Ring, cfg config.Config, log *slog.Logger) error {
	switch {
	case len(ring.TokenKeys()) == 0:
		return nil
	case !hsm.Built:
		return hsm.ErrNotBuilt.Saying("The keys of the CAs are on a PKCS#11 token, and this program was built without PKCS#11.")
	case cfg.PKCS11.Module == "":
		return keyring.ErrTokenUnset
	}
	ctx, stop := context.WithTimeout(ctx, tokenWait)
	defer stop()
	if err := ring.CheckToken(ctx); err != nil {
		log.ErrorContext(ctx, "the PKCS#11 token cannot be used: nothing is issued until it can", logx.Err, err)
	}
	return nil
}

// foundToken is what a restored installation has on its token.
type foundToken struct {
	Keys  []string `json:"keys"`            // that are not in the backup
	Cause string   `json:"cause,omitempty"` // why they cannot be used here; empty when they can
}

// lookForToken tells which keys are on the token, and whether they are there;
// nil for none.
func lookForToken(ctx context.Context, ring *keyring.Ring) *foundToken {
	names := ring.TokenKeys()
	if len(names) == 0 {
		return nil
	}
	ctx, stop := context.WithTimeout(ctx, tokenWait)
	defer stop()
	found := &foundToken{Keys: names}
	if err := ring.CheckToken(ctx); err != nil {
		found.Cause = cause(err)
	}
	return found
}

func (f *foundToken) write(w io.Writer) {
	if f == nil {
		return
	}
	fmt.Fprintf(w, "  %s on a PKCS#11 token, not in the backup: %s\n", count(len(f.Keys), "key"), strings.Join(f.Keys, ", "))
	if f.Cause != "" {
		fmt.Fprintf(w, "    not found here: %s\n", f.Cause)
		return
	}
	fmt.Fprintln(w, "    found on it")
}
