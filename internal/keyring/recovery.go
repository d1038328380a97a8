package keyring

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/signet-mdm/signet/internal/disk"
	"github.com/signet-mdm/signet/pfxconnector/escrow"
)

// recoveryFile names the recovery key that somebody who has the ring chose for
// all records. Nothing of it is secret.
const recoveryFile = "recovery-chosen.pub"

// ChooseRecovery says that all records are to be sealed to a recovery key, by
// its recipient.
func (r *Ring) ChooseRecovery(recipient string) error {
	if _, err := escrow.ParseRecovery(recipient); err != nil {
		return err
	}
	if err := disk.Replace(filepath.Join(r.dir, recoveryFile), []byte(recipient+"\n"), 0o600); err != nil {
		return fmt.Errorf("writing %s: %w", recoveryFile, err)
	}
	return nil
}

// ChosenRecovery gives that recovery key, and whether one was chosen.
func (r *Ring) ChosenRecovery() (escrow.Recovery, bool, error) {
	path := filepath.Join(r.dir, recoveryFile)
	text, err := read(path)
	if errors.Is(err, fs.ErrNotExist) {
		return escrow.Recovery{}, false, nil
	}
	if err != nil {
		return escrow.Recovery{}, false, fmt.Errorf("reading %s: %w", recoveryFile, err)
	}
	to, err := escrow.ParseRecovery(strings.TrimSpace(string(text)))
	if err != nil {
		return to, false, damaged(path, err)
	}
	return to, true, nil
}
