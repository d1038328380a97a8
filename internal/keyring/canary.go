package keyring

import (
	"bytes"
	"crypto/hpke"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"syscall"

	"github.com/signet-mdm/signet/pfxconnector/escrow"
)

// canaryInfo keeps canaries apart from data keys.
func canaryInfo(id escrow.KeyID) []byte { return []byte("signet/canary/v1" + string(id)) }

func sealCanary(pub hpke.PublicKey, id escrow.KeyID) ([]byte, error) {
	return hpke.Seal(pub, escrow.KDF(), escrow.AEAD(), canaryInfo(id), []byte(id))
}

func (k escrowKey) opens(canary []byte) error {
	plain, err := hpke.Open(k.private, escrow.KDF(), escrow.AEAD(), canaryInfo(k.ID), canary)
	if err != nil {
		return ErrCanary.With(fmt.Errorf("key %s: %w", k.ID, err))
	}
	if !bytes.Equal(plain, []byte(k.ID)) {
		return ErrCanary.With(fmt.Errorf("key %s: another key's canary", k.ID))
	}
	return nil
}

// SelfTest opens, with each escrow key, the canary of the day it was made, and
// one that is sealed now to the recipient that importers use. Run it before
// anything is sealed or opened: with a wrong key, nothing may be.
func (r *Ring) SelfTest() error {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return test(r.escrow)
}

func test(keys []escrowKey) error {
	for _, k := range keys {
		if k.private == nil { // it is the keeper's, or is no more
			continue
		}
		if err := k.opens(k.Canary); err != nil {
			return err
		}
		fresh, err := sealCanary(k.recipient.PublicKey(), k.ID)
		if err != nil {
			return ErrCanary.With(err)
		}
		if err := k.opens(fresh); err != nil {
			return err
		}
	}
	return nil
}

// Present tells whether the file of each escrow key can still be read and is the
// key's: the server goes on without, from memory, and would not start again.
// [ErrUnreadable], [ErrDamaged], [ErrUnlockWrong].
func (r *Ring) Present() error {
	for _, k := range r.usable() {
		text, err := r.decrypt(k.file())
		if errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EIO) {
			err = ErrUnreadable.Saying("The file " + k.file() + " of an escrow key cannot be read.").With(err)
		}
		if err == nil && !k.held {
			_, err = k.parse(text)
			if err != nil {
				err = damaged(filepath.Join(r.dir, k.file()), err)
			}
		}
		text.Wipe()
		if err != nil {
			return err
		}
	}
	return nil
}
