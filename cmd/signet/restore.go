package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"filippo.io/age"
	"github.com/spf13/cobra"

	"github.com/signet-mdm/signet/internal/backup"
	"github.com/signet-mdm/signet/internal/config"
	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/keyring"
)

// Failures of restoring.
var (
	errNotEmpty = fault.New(fault.Conflict, "restore_not_empty",
		"The directory to restore into is not empty.", "Give a new or an empty one with --data; nothing was changed.")
	errLosses = fault.New(fault.Invalid, "restore_losses",
		"Not all keys of the backup open.", "Take another backup. --accept-losses restores it all the same; those keys are lost then.")
)

// dsnFlag says where to restore the database.
const dsnFlag = "database-dsn-file"

// restorer restores one backup.
type restorer struct {
	file     string
	unlock   string // file of the unlock key
	identity string // file of further age identities
	losses   bool   // go on although keys do not open
	verify   bool
	settings map[string]string // that overrule signet.toml

	passphrase string           // file of the unlock key's
	options    []keyring.Option // how it is opened
	keys       unlocker
}

func (a *app) restoreCommand() *cobra.Command {
	var r restorer
	c := &cobra.Command{
		Use:   "restore FILE --data DIR --unlock FILE",
		Short: "Restore a backup into a new data directory, or only prove that it is good",
		Long: `Restores a backup into a data directory that is new or empty, after it has proved
that everything in it opens: each key of the server, each imported key. With
--verify it does the same in a temporary directory and leaves nothing.

It needs the unlock key of the installation, and does not copy it. With the
recovery key as --identity it also tries what is sealed to that. The database is
where the restored signet.toml says, or an empty one of MariaDB that
--database-dsn-file names; a backup of one kind can be restored into the other.`,
		Example: "  signet restore --verify --unlock /media/key/unlock.key today.backup\n" +
			"  signet restore --data /var/lib/signet --unlock /media/key/unlock.key today.backup",
		Args: takes("FILE"),
		RunE: func(c *cobra.Command, args []string) error {
			r.file = args[0]
			if flag := c.Flags().Lookup(dsnFlag); flag.Changed {
				r.settings = map[string]string{"database.dsn_file": flag.Value.String()}
			}
			r.unlock = cmp.Or(r.unlock, credentialUnlock(a.getenv))
			if r.unlock == "" {
				return usagef("--unlock is missing: the file of the unlock key, without which nothing in the backup opens")
			}
			r.keys = a.unlocker()
			r.options = r.keys.options(config.Config{Keys: config.Keys{PassphraseFile: r.passphrase}})
			if r.verify {
				return a.verifyBackup(c.Context(), r)
			}
			if err := a.restoreBackup(c.Context(), r); err != nil {
				return err
			}
			return placed(config.Config{Data: a.dataDir()}, a.configFile(c))
		},
	}
	f := c.Flags()
	f.StringVar(&r.unlock, "unlock", "", "`FILE` of the unlock key (default: the systemd credential signet-unlock)")
	f.StringVar(&r.passphrase, "passphrase-file", "", "`FILE` with the passphrase of the unlock key, if it has one (default: the systemd credential signet-passphrase, else asked)")
	f.StringVar(&r.identity, "identity", "", "`FILE` of another age identity, such as the recovery key")
	f.BoolVar(&r.verify, "verify", false, "only prove that the backup is good; changes nothing")
	f.String(dsnFlag, "", "`FILE` with the DSN of an empty MariaDB database to restore into, or '' for SQLite (default: what signet.toml says)")
	f.BoolVar(&r.losses, "accept-losses", false, "restore although some keys do not open")
	return c
}

// credentialUnlock gives the unlock key among systemd's credentials, "" for none.
func credentialUnlock(getenv func(string) string) string {
	if file := keyring.FindUnlock("", "", getenv); filepath.IsAbs(file) {
		return file
	}
	return ""
}

func (a *app) verifyBackup(ctx context.Context, r restorer) error {
	dir, err := os.MkdirTemp("", "signet-verify-")
	if err != nil {
		return fmt.Errorf("making a place to look at the backup: %w", err)
	}
	defer os.RemoveAll(dir)
	found, err := r.restore(ctx, &target{dir: dir, load: func(string) (config.Config, error) { return config.Default(), nil }})
	if err != nil {
		return err
	}
	return a.showRestored(found, "")
}

// restoreBackup leaves the directory as it was when it fails.
func (a *app) restoreBackup(ctx context.Context, r restorer) (err error) {
	dir := a.dataDir()
	entries, err := os.ReadDir(dir)
	missing := errors.Is(err, fs.ErrNotExist)
	if err != nil && !missing {
		return fmt.Errorf("looking into the data directory: %w", err)
	}
	if len(entries) > 0 {
		return errNotEmpty.Saying("The directory " + dir + " is not empty.")
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("making the data directory: %w", err)
	}
	to := &target{dir: dir, load: func(file string) (config.Config, error) {
		return config.Load(file, a.getenv, r.settings)
	}}
	found, err := r.restore(ctx, to)
	if err != nil {
		return errors.Join(err, empty(dir, missing))
	}
	found.Unlock = unlockPlace(to.cfg, a.getenv)
	if as, err := config.Load(to.cfg.In("signet.toml"), a.getenv, nil); err == nil && as.Database != to.cfg.Database {
		found.Moved = true
	}
	return a.showRestored(found, dir)
}

// empty takes out what was put into a directory, and the directory too if it
// was not there.
func empty(dir string, itself bool) error {
	if itself {
		return os.RemoveAll(dir)
	}
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		err = errors.Join(err, os.RemoveAll(filepath.Join(dir, e.Name())))
	}
	return err
}

// restore fills the target from the backup and proves what is in it.
func (r restorer) restore(ctx context.Context, to *target) (found restored, err error) {
	unlock, err := keyring.UnlockKey(r.unlock, r.options...)
	if err != nil {
		return found, fmt.Errorf("reading the unlock key: %w", err)
	}
	identities, err := r.identities()
	if err != nil {
		return found, err
	}
	in, err := os.Open(r.file)
	if err != nil {
		return found, err
	}
	defer in.Close()
	defer func() { err = to.end(err) }()
	manifest, err := backup.Read(ctx, in, to, append(identities, unlock)...)
	if err == nil {
		err = to.whole(ctx)
	}
	if err != nil {
		return found, fmt.Errorf("reading the backup: %w", err)
	}
	found = restored{Created: to.header.Created, URL: to.header.URL, Program: to.header.Program, Rows: manifest.Rows}
	p := prover{cfg: to.cfg, unlock: r.unlock, options: append(r.options, r.keys.token(to.cfg)...), identities: identities, found: &found}
	if err := p.prove(ctx); err != nil {
		return found, err
	}
	if len(found.Lost) > 0 && !r.losses {
		return found, errLosses.Saying(fmt.Sprintf("%d of %d keys of the backup do not open, the first is %s.",
			len(found.Lost), found.Keys, found.Lost[0]))
	}
	return found, to.done()
}

// identities reads those of --identity.
func (r restorer) identities() ([]age.Identity, error) {
	if r.identity == "" {
		return nil, nil
	}
	f, err := os.Open(r.identity)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	list, err := age.ParseIdentities(io.LimitReader(f, maxSecretFile))
	if err != nil {
		return nil, errors.New(r.identity + " holds no age identity") // without the cause, which may quote it
	}
	return list, nil
}

// restored is what was found in a backup, as -o json shows it.
type restored struct {
	Created  time.Time        `json:"created"`
	URL      string           `json:"url"`
	Program  string           `json:"program"`
	Rows     map[string]int64 `json:"rows"`
	Own      int              `json:"serverKeys"`         // that open
	Keys     int              `json:"keys"`               // imported ones that were tried
	Lost     []string         `json:"lost"`               // certificates of those that do not open
	Recovers *int             `json:"recovers,omitempty"` // that open with --identity too
	Token    *foundToken      `json:"token,omitempty"`    // keys that are not in the backup
	Unlock   string           `json:"unlock,omitempty"`   // where the unlock key has to be
	Moved    bool             `json:"moved,omitempty"`    // signet.toml names another database than it was restored into
}

// showRestored tells what was restored, or with no dir, proved.
func (a *app) showRestored(r restored, dir string) error {
	return a.show(r, func(w io.Writer) {
		fmt.Fprintf(w, "Backup of %s, made %s by Signet %s.\n\n", plain(r.URL), moment(r.Created), plain(r.Program))
		fmt.Fprintf(w, "  %s, %s, %s, %s\n", count(int(r.Rows["users"]), "user"), count(int(r.Rows["device"]), "device"),
			count(int(r.Rows["certificate"]), "certificate"), count(int(r.Rows["journal"]), "journal entry"))
		fmt.Fprintf(w, "  %s of the server: all open\n", count(r.Own, "key"))
		r.Token.write(w)
		fmt.Fprintf(w, "  %s: %d open, %d do not\n", count(r.Keys, "imported key"), r.Keys-len(r.Lost), len(r.Lost))
		for _, l := range r.Lost {
			fmt.Fprintf(w, "    lost: %s\n", l)
		}
		if r.Recovers != nil {
			fmt.Fprintf(w, "  %d of %d open with the other identity, too\n", *r.Recovers, r.Keys)
		}
		if dir == "" {
			fmt.Fprintln(w, "\nThe backup is good. Nothing was changed.")
			return
		}
		fmt.Fprintf(w, "\nRestored into %s. What happened after the backup was made is not known there.\n\n", dir)
		if r.Unlock != "" {
			fmt.Fprintf(w, "Next:  put the unlock key where the server looks for it: %s\n       (mode 0400, of the service's user)\n", r.Unlock)
		}
		if r.Moved {
			fmt.Fprintln(w, "Next:  say in signet.toml where the database is now: database.dsn_file")
		}
		fmt.Fprintf(w, "Next:  signet serve --data %s\n", dir)
	})
}
