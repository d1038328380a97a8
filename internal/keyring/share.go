package keyring

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/signet-mdm/signet/internal/disk"
	"github.com/signet-mdm/signet/internal/seal"
)

// Share makes a ring in dir, with an unlock key of its own, for a process that
// must not have all keys: the column root, and of the named keys those that
// wanted picks. Of the others and of the escrow keys it gets what is public.
// ErrExists when dir has a ring.
func (r *Ring) Share(dir, unlock string, wanted func(name string) bool) error {
	list, err := read(filepath.Join(r.dir, escrowFile))
	if err != nil {
		return damaged(filepath.Join(r.dir, escrowFile), err)
	}
	to, err := r.empty(dir, unlock)
	if err != nil {
		return err
	}
	for _, name := range r.Names() {
		if !wanted(name) {
			continue
		}
		k, err := r.get(name)
		if err != nil {
			return err
		}
		if err := to.Add(name, k.key, k.certs); err != nil {
			return fmt.Errorf("sharing key %s: %w", name, err)
		}
	}
	if err := r.shareCertificates(dir); err != nil {
		return err
	}
	// The list says that the ring is whole, so it comes last.
	if err := disk.Replace(filepath.Join(dir, escrowFile), list, 0o600); err != nil {
		return fmt.Errorf("writing %s: %w", escrowFile, err)
	}
	return nil
}

// empty begins a ring that has our column root only.
func (r *Ring) empty(dir, unlock string) (*Ring, error) {
	if exists(filepath.Join(dir, escrowFile)) {
		return nil, ErrExists.Saying("There are keys in " + dir + " already.")
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("making key directory: %w", err)
	}
	if err := private(dir); err != nil {
		return nil, err
	}
	id, err := readUnlock(unlock, ways{})
	if errors.Is(err, ErrUnlockMissing) {
		id, err = makeUnlock(unlock)
	}
	if err != nil {
		return nil, err
	}
	to := newRing(dir, id, ways{token: r.token})
	if exists(filepath.Join(dir, columnFile)) { // left by a crash
		return to, nil
	}
	return to, to.encrypt(columnFile, seal.NewSecret(slices.Clone(r.column.Reveal())))
}

// shareCertificates copies the certificates that are not there yet.
func (r *Ring) shareCertificates(dir string) error {
	entries, err := os.ReadDir(r.dir)
	if err != nil {
		return fmt.Errorf("listing keys: %w", err)
	}
	for _, e := range entries {
		name, is := strings.CutSuffix(e.Name(), certSuffix)
		if !is || !nameForm.MatchString(name) || exists(filepath.Join(dir, e.Name())) {
			continue
		}
		data, err := read(filepath.Join(r.dir, e.Name()))
		if err != nil {
			return damaged(filepath.Join(r.dir, e.Name()), err)
		}
		if unsealed.Match(data) {
			continue
		}
		if err := disk.Replace(filepath.Join(dir, e.Name()), data, 0o600); err != nil {
			return fmt.Errorf("writing certificates of %s: %w", name, err)
		}
	}
	return nil
}
