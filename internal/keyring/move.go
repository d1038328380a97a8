package keyring

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/signet-mdm/signet/internal/disk"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/pfxconnector/escrow"
)

// MoveEscrow has another holder hold an escrow key, [File] for nobody; to the
// same one it is wrapped anew, under the newest version of the holder's key. The
// copy of before is erased once the new one has opened: when a crash comes
// between, [Ring.Where] shows it, and doing this again erases it.
func (r *Ring) MoveEscrow(ctx context.Context, id escrow.KeyID, holder string) error {
	err := r.changeEscrow(func(keys []escrowKey) ([]escrowKey, error) {
		i := slices.IndexFunc(keys, func(k escrowKey) bool { return k.ID == id })
		if i < 0 || keys[i].State == Destroyed {
			return nil, ErrEscrowUnknown
		}
		moved, err := r.move(ctx, keys[i], holder)
		keys[i] = moved
		return keys, err
	})
	if err != nil {
		return fmt.Errorf("moving escrow key %s: %w", id, err)
	}
	return r.erase(id)
}

// move writes the file of the key at its new holder's.
func (r *Ring) move(ctx context.Context, k escrowKey, holder string) (escrowKey, error) {
	private, before := k.private, k.Holder
	if k.held {
		h, err := r.holder(k.Holder)
		if err == nil {
			private, err = r.fetch(ctx, k, h)
		}
		if err != nil {
			return k, err
		}
	}
	k.private = private
	if before == "" && holder == File {
		return k, nil
	}
	text, err := r.textOf(ctx, &k, holder)
	if err != nil {
		return k, err
	}
	if err := r.replace(k.file(), text); err != nil {
		return k, err
	}
	if k.held = k.Holder != ""; k.held {
		k.private = nil
	}
	return k, nil
}

// replace is encrypt for a file that may be there.
func (r *Ring) replace(name string, plain seal.Secret) error {
	defer plain.Wipe()
	data, err := r.sealed(plain)
	if err == nil {
		err = disk.Replace(filepath.Join(r.dir, name), data, 0o600)
	}
	if err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	return nil
}
