package keyring

import (
	"context"
	"crypto/hpke"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/pfxconnector/escrow"
)

// State is what an escrow key is for.
type State string

// The states. Exactly one key is active.
const (
	Active    State = "active"    // seals and opens
	Retiring  State = "retiring"  // opens
	Destroyed State = "destroyed" // is no more
)

// EscrowKey is what is public of an escrow key.
type EscrowKey struct {
	ID        escrow.KeyID `json:"id"`
	Recipient string       `json:"recipient"`
	State     State        `json:"state"`
	Canary    []byte       `json:"canary"` // its id, sealed to it when it was made
}

type escrowKey struct {
	EscrowKey
	recipient escrow.Recipient
	private   hpke.PrivateKey
}

// escrowFile lists the escrow keys. It holds nothing secret: who seals needs
// it and nothing else.
const escrowFile = "escrow.json"

// Recipient gives the active escrow key of the ring in dir, without unlocking
// anything.
func Recipient(dir string) (escrow.Recipient, error) {
	keys, err := readList(dir)
	if err != nil {
		return escrow.Recipient{}, err
	}
	for _, k := range keys {
		if k.State == Active {
			return k.recipient, nil
		}
	}
	return escrow.Recipient{}, damaged(filepath.Join(dir, escrowFile), errors.New("no active key"))
}

// readList reads the public file and checks that ids are the fingerprints.
func readList(dir string) ([]escrowKey, error) {
	data, err := read(filepath.Join(dir, escrowFile))
	if err != nil {
		return nil, missing(dir, err)
	}
	var list []EscrowKey
	if err := json.Unmarshal(data, &list); err != nil {
		return nil, damaged(filepath.Join(dir, escrowFile), err)
	}
	keys := make([]escrowKey, len(list))
	for i, k := range list {
		to, err := escrow.ParseRecipient(k.Recipient)
		if err != nil || to.ID() != k.ID {
			return nil, damaged(filepath.Join(dir, escrowFile), fmt.Errorf("key %d is not what its id says", i))
		}
		keys[i] = escrowKey{EscrowKey: k, recipient: to}
	}
	return keys, nil
}

func keyFile(id escrow.KeyID) string { return "escrow-" + id.Hex() + ".age" }

// readEscrow reads the list with the private keys.
func (r *Ring) readEscrow() ([]escrowKey, error) {
	keys, err := readList(r.dir)
	if err != nil {
		return nil, err
	}
	for i, k := range keys {
		if k.State == Destroyed {
			continue
		}
		text, err := r.decrypt(keyFile(k.ID))
		if err != nil {
			return nil, err
		}
		keys[i].private, err = k.recipient.KEM().NewPrivateKey(text.Reveal())
		text.Wipe()
		if err != nil {
			return nil, damaged(filepath.Join(r.dir, keyFile(k.ID)), err)
		}
	}
	return keys, nil
}

// AddEscrow makes a new escrow key and the active one; the one before stays to
// open what was sealed to it.
func (r *Ring) AddEscrow() (escrow.KeyID, error) {
	key, err := newEscrowKey()
	if err != nil {
		return "", fmt.Errorf("making escrow key: %w", err)
	}
	plain, err := key.private.Bytes()
	if err != nil {
		return "", fmt.Errorf("encoding escrow key: %w", err)
	}
	if err := r.encrypt(keyFile(key.ID), seal.NewSecret(plain)); err != nil {
		return "", err
	}
	return key.ID, r.changeEscrow(func(keys []escrowKey) ([]escrowKey, error) {
		for i := range keys {
			if keys[i].State == Active {
				keys[i].State = Retiring
			}
		}
		return append(keys, key), nil
	})
}

func newEscrowKey() (escrowKey, error) {
	private, err := escrow.Hybrid().GenerateKey()
	if err != nil {
		return escrowKey{}, err
	}
	to, err := escrow.NewRecipient(private.PublicKey())
	if err != nil {
		return escrowKey{}, err
	}
	canary, err := sealCanary(private.PublicKey(), to.ID())
	public := EscrowKey{ID: to.ID(), Recipient: to.String(), State: Active, Canary: canary}
	return escrowKey{public, to, private}, err
}

// Unwrap opens a wrap with the escrow key that it names. ErrEscrowUnknown when
// that is not here; ErrUnwrap when it does not open under info.
func (r *Ring) Unwrap(_ context.Context, w escrow.Wrap, info []byte) (seal.Secret, error) {
	private, err := r.private(w.Key)
	if err != nil {
		return seal.Secret{}, err
	}
	h, err := hpke.NewRecipient(w.Enc, private, escrow.KDF(), escrow.AEAD(), info)
	if err != nil {
		return seal.Secret{}, ErrUnwrap.With(err)
	}
	plain, err := h.Open(nil, w.Sealed)
	if err != nil {
		return seal.Secret{}, ErrUnwrap.With(err)
	}
	return seal.NewSecret(plain), nil
}

func (r *Ring) private(id escrow.KeyID) (hpke.PrivateKey, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	for _, k := range r.escrow {
		if k.ID == id && k.private != nil {
			return k.private, nil
		}
	}
	return nil, ErrEscrowUnknown
}
