package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"filippo.io/age"
	"github.com/spf13/cobra"

	"github.com/signet-mdm/signet/internal/access"
	"github.com/signet-mdm/signet/internal/config"
	"github.com/signet-mdm/signet/internal/disk"
	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/keyring"
	"github.com/signet-mdm/signet/internal/keyring/hsm"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/internal/store"
	"github.com/signet-mdm/signet/pfxconnector/escrow"
)

var errInitialised = fault.New(fault.Conflict, "already_initialised",
	"This data directory is set up already.", "Use another one with --data; nothing here was changed.")

// firstTokenLife is how long the first administrator's token lives.
const firstTokenLife = 90 * 24 * time.Hour

// founded is what init has to tell, some of it once only.
type founded struct {
	cfg      config.Config     // as it was written
	root     [sha256.Size]byte // fingerprint of the root CA
	recovery string            // age identity made now; "" when a recipient was given
	token    seal.Secret       // of the first administrator
	unlock   string            // where the unlock key is
}

func (a *app) initCommand() *cobra.Command {
	var whole string
	c := &cobra.Command{
		Use:   "init --url https://HOST[:PORT]",
		Short: "Make a data directory: configuration, keys, CAs, database, first administrator",
		Long: `Makes a data directory: configuration, keys, CAs, database, first administrator.

With --front-of it makes one for a second process of an installation on MariaDB,
which faces the network: it has the same configuration and the keys of the RAs,
of TLS and of profile signing, but no key of a CA or of a user. The first
directory is the keeper's from then on.`,
		Example: "  signet init --url https://mdm.example.org --organization Example\n" +
			"  signet init --data D --url https://127.0.0.1:8443 --listen 127.0.0.1:8443\n" +
			"  signet init --data front --front-of /var/lib/signet --keeper-address unix:/run/signet/keeper.sock",
		Args: takes(),
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := a.settings(c)
			if err != nil {
				return err
			}
			cfg.Data = a.dataDir()
			if whole != "" {
				return a.initFront(cfg, whole)
			}
			if cfg.URL == "" {
				return usagef("--url is missing: the address under which devices reach the server")
			}
			f, err := initialise(c.Context(), cfg, a.unlocker())
			if err != nil {
				return err
			}
			if err := placed(cfg, a.configFile(c)); err != nil {
				return err
			}
			a.printFounded(cfg, f)
			return nil
		},
	}
	addSettings(c)
	c.Flags().StringVar(&whole, "front-of", "", "make a data directory without CA keys for a front end of the one in `DIR`")
	return c
}

// initialise makes the data directory. What a crash left half-way is completed
// by the next run; signet.toml is written last and says that all is there.
func initialise(ctx context.Context, cfg config.Config, keys unlocker) (founded, error) {
	var f founded
	file := cfg.In("signet.toml")
	if _, err := os.Stat(file); err == nil {
		return f, errInitialised.Saying("There is a Signet in " + cfg.Data + " already.")
	} else if !errors.Is(err, fs.ErrNotExist) {
		return f, fmt.Errorf("looking into the data directory: %w", err)
	}
	if err := os.MkdirAll(cfg.Data, 0o700); err != nil {
		return f, fmt.Errorf("making the data directory: %w", err)
	}
	if cfg.Keys.Recovery == "" {
		id, err := age.GenerateX25519Identity()
		if err != nil {
			return f, fmt.Errorf("making the recovery key: %w", err)
		}
		f.recovery, cfg.Keys.Recovery = id.String(), id.Recipient().String()
	}
	if _, err := escrow.ParseRecovery(cfg.Keys.Recovery); err != nil {
		return f, usagef("--keys-recovery is no age recipient")
	}
	if problems := withoutFiles(cfg).Check(); len(problems) > 0 {
		return f, usageError{problems[0]}
	}
	if cfg.CA.KeyStore == "pkcs11" && !hsm.Built {
		return f, hsm.ErrNotBuilt
	}
	ring, err := makeKeys(cfg, keys, &f)
	if err != nil {
		return f, err
	}
	if f.token, err = firstAdministrator(ctx, cfg, ring); err != nil {
		return f, err
	}
	var text bytes.Buffer
	if err := config.Describe(&text, cfg); err != nil {
		return f, fmt.Errorf("writing the configuration: %w", err)
	}
	f.cfg = cfg
	if err := disk.Replace(file, text.Bytes(), 0o600); err != nil {
		return f, fmt.Errorf("writing the configuration: %w", err)
	}
	return f, nil
}

// withoutFiles leaves out the unlock key, which is made only now.
func withoutFiles(cfg config.Config) config.Config {
	cfg.Keys.UnlockFile = ""
	return cfg
}

func makeKeys(cfg config.Config, keys unlocker, f *founded) (*keyring.Ring, error) {
	f.unlock = keys.file(cfg)
	ring, err := keys.create(cfg)
	if errors.Is(err, keyring.ErrExists) {
		ring, err = keys.open(cfg)
	}
	if err != nil {
		return nil, fmt.Errorf("making the keys: %w", err)
	}
	if err := (maker{ring, cfg, time.Now()}).all(); err != nil {
		return nil, err
	}
	if cfg.CA.OfflineRoot {
		return ring, nil
	}
	certs, err := ring.Certificates(rootKey)
	if err != nil {
		return nil, err
	}
	f.root = sha256.Sum256(certs[0].Raw)
	return ring, nil
}

func firstAdministrator(ctx context.Context, cfg config.Config, ring *keyring.Ring) (seal.Secret, error) {
	var db *store.DB
	var err error
	if cfg.CA.OfflineRoot {
		db, err = unclaimed(ctx, cfg)
	} else {
		db, err = foundDatabase(ctx, cfg, ring)
	}
	if err != nil {
		return seal.Secret{}, err
	}
	defer db.Close()
	by := journal.Actor{Kind: journal.Local, ID: "init"}
	_, secret, err := access.New(db.Access(), time.Now).CreateToken(ctx, by, "first administrator", string(access.Admin), firstTokenLife)
	if err != nil {
		return secret, fmt.Errorf("making the first administrator: %w", err)
	}
	return secret, nil
}

func (a *app) printFounded(cfg config.Config, f founded) {
	fmt.Fprintf(a.stdout, `Signet is set up in %s.

  wrote   signet.toml   every setting explained
  made    keys          unlocked by %s
                        Whoever has that file and this directory has every key: move it to
                        another disk, see keys.unlock_file.
  made    %s
  made    %s

`, cfg.Data, f.unlock, f.authorities(), databaseName(cfg))
	if f.recovery != "" {
		fmt.Fprintf(a.stdout, `Recovery key, shown this once. Write it down and keep it away from any computer:
with it and a copy of the database the age program opens every imported key.

  %s

`, f.recovery)
	}
	fmt.Fprintf(a.stdout, `First administrator's API token, shown this once, good for 90 days (on this machine
the socket in the data directory needs none):

  %s

`, f.token.Reveal())
	if f.cfg.CA.OfflineRoot {
		fmt.Fprintf(a.stdout, `Next, for each of device, smime and services:
       signet ca csr device --data %s > device.csr      the owner of the root signs it
       signet ca import device device-chain.pem --data %s
`, cfg.Data, cfg.Data)
		return
	}
	fmt.Fprintf(a.stdout, `Next:  signet serve --data %s
       signet user add you@example.org --name "Your Name" --data %s
`, cfg.Data, cfg.Data)
}

// authorities says what CAs there are.
func (f founded) authorities() string {
	if f.cfg.CA.OfflineRoot {
		return "keys of CAs, which the owner of the offline root has yet to certify"
	}
	return "root CA       SHA-256 " + colons(f.root[:])
}

// colons writes bytes as people compare fingerprints.
func colons(b []byte) string {
	var out bytes.Buffer
	for i, x := range b {
		if i > 0 {
			out.WriteByte(':')
		}
		fmt.Fprintf(&out, "%02x", x)
	}
	return out.String()
}
