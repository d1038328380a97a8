package keyring

import (
	"bytes"
	"crypto/hpke"
	"fmt"

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
