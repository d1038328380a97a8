package keyring

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/signet-mdm/signet/internal/disk"
	"github.com/signet-mdm/signet/pfxconnector/escrow"
)

// Follow takes notice of escrow keys that another process made or destroyed.
// Keys that do not open what was sealed to them change nothing: [ErrCanary].
func (r *Ring) Follow() error {
	list, err := readList(r.dir)
	if err != nil {
		return err
	}
	if slices.EqualFunc(list, r.Escrow(), func(a escrowKey, b EscrowKey) bool { return a.ID == b.ID && a.State == b.State && a.Holder == b.Holder }) {
		return nil
	}
	keys, err := r.load(r)
	if err == nil {
		err = test(keys)
	}
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.escrow = keys
	return nil
}

// Escrow lists what is public of the escrow keys, the oldest first.
func (r *Ring) Escrow() []EscrowKey {
	r.mu.RLock()
	defer r.mu.RUnlock()
	list := make([]EscrowKey, len(r.escrow))
	for i, k := range r.escrow {
		list[i] = k.EscrowKey
	}
	return list
}

// Recipient gives the active escrow key.
func (r *Ring) Recipient() (escrow.Recipient, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	for _, k := range r.escrow {
		if k.State == Active {
			return k.recipient, nil
		}
	}
	return escrow.Recipient{}, ErrEscrowUnknown
}

// Retiring lists the escrow keys that open, but that nothing is sealed to.
func (r *Ring) Retiring() (list []escrow.KeyID) {
	for _, k := range r.Escrow() {
		if k.State == Retiring {
			list = append(list, k.ID)
		}
	}
	return list
}

// DestroyEscrow destroys a retiring escrow key for ever: what is sealed to it
// opens no more. Again is no error. [ErrEscrowActive], [ErrEscrowUnknown].
func (r *Ring) DestroyEscrow(id escrow.KeyID) error {
	err := r.changeEscrow(func(keys []escrowKey) ([]escrowKey, error) {
		i := slices.IndexFunc(keys, func(k escrowKey) bool { return k.ID == id })
		switch {
		case i < 0:
			return nil, ErrEscrowUnknown
		case keys[i].State == Active:
			return nil, ErrEscrowActive
		}
		keys[i].State, keys[i].private, keys[i].held = Destroyed, nil, false
		return keys, nil
	})
	if err != nil {
		return err
	}
	// The list comes first: a key in it without a file would be a damaged ring.
	return r.erase(id)
}

// erase overwrites and deletes the files of a key but the one that it needs.
func (r *Ring) erase(id escrow.KeyID) error {
	list, err := readList(r.dir)
	if err != nil {
		return err
	}
	for _, k := range list {
		if k.ID != id {
			continue
		}
		files, err := r.extra(k)
		for _, f := range files {
			if e := disk.Erase(f); e != nil && !errors.Is(e, fs.ErrNotExist) {
				err = errors.Join(err, fmt.Errorf("erasing %s: %w", f, e))
			}
		}
		return err
	}
	return ErrEscrowUnknown
}

// changeEscrow changes the list of escrow keys as it is now, one process at a
// time.
func (r *Ring) changeEscrow(change func([]escrowKey) ([]escrowKey, error)) error {
	dir, err := os.Open(r.dir)
	if err != nil {
		return fmt.Errorf("opening the key directory: %w", err)
	}
	defer dir.Close() // which unlocks
	if err := syscall.Flock(int(dir.Fd()), syscall.LOCK_EX); err != nil {
		return fmt.Errorf("locking the key directory: %w", err)
	}
	if exists(filepath.Join(r.dir, escrowFile)) {
		if err := r.Follow(); err != nil {
			return err
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	keys, err := change(slices.Clone(r.escrow))
	if err != nil {
		return err
	}
	list := make([]EscrowKey, len(keys))
	for i, k := range keys {
		list[i] = k.EscrowKey
	}
	data, err := json.MarshalIndent(list, "", "  ")
	if err != nil {
		return fmt.Errorf("encoding %s: %w", escrowFile, err)
	}
	if err := disk.Replace(filepath.Join(r.dir, escrowFile), data, 0o600); err != nil {
		return fmt.Errorf("writing %s: %w", escrowFile, err)
	}
	r.escrow = keys
	return nil
}
