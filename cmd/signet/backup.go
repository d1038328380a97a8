package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/signet-mdm/signet/internal/disk"
	"github.com/signet-mdm/signet/internal/fault"
)

var errBackupExists = fault.New(fault.Conflict, "backup_exists",
	"There is a file of this name already.", "Give another name, or a directory to put backups into.")

// madeBackup is what -o json shows.
type madeBackup struct {
	File   string `json:"file"`
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
}

func (a *app) backupCommand() *cobra.Command {
	var to []string
	c := &cobra.Command{
		Use:   "backup DIR|FILE",
		Short: "Write a backup of a running server: database, keys, configuration",
		Long: `Writes one encrypted file with the database as it is at this moment, the sealed
keys and signet.toml, while the server goes on. It opens with the server's unlock
key, with the recovery key and with each --to; the unlock key itself is not in
it, so keep that elsewhere. In a directory the file is named after the time.

signet restore --verify tells whether a backup is good.`,
		Example: "  signet backup /mnt/backup\n  signet backup today.backup --to age1…",
		Args:    takes("DIR|FILE"),
		RunE: func(c *cobra.Command, args []string) error {
			client, err := a.client()
			if err != nil {
				return err
			}
			file := backupFile(args[0], time.Now())
			if _, err := os.Lstat(file); err == nil { // before anything is done for it
				return errBackupExists.Saying("There is a file " + file + " already.")
			}
			sum, size := sha256.New(), counter(0)
			err = disk.Stream(file, func(w io.Writer) error {
				return client.Backup(c.Context(), to, io.MultiWriter(w, sum, &size))
			}, 0o600)
			if errors.Is(err, fs.ErrExist) {
				return errBackupExists.Saying("There is a file " + file + " already.")
			}
			if err != nil {
				return fmt.Errorf("writing a backup: %w", err)
			}
			made := madeBackup{file, int64(size), hex.EncodeToString(sum.Sum(nil))}
			return a.showRecord(made, "file", made.File, "bytes", fmt.Sprint(made.Bytes), "sha256", made.SHA256)
		},
	}
	c.Flags().StringSliceVar(&to, "to", nil, "another age `RECIPIENT` that is to open it; may be repeated")
	return c
}

// backupFile gives the file to write: a new one in a directory, or what it says.
func backupFile(path string, now time.Time) string {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return filepath.Join(path, "signet-"+now.UTC().Format("20060102-150405")+".backup")
	}
	return path
}

// counter counts bytes.
type counter int64

func (c *counter) Write(b []byte) (int, error) {
	*c += counter(len(b))
	return len(b), nil
}
