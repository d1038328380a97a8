package keyring

import (
	"bytes"
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
	Canary    []byte       `json:"canary"`           // its id, sealed to it when it was made
	Holder    string       `json:"holder,omitempty"` // who has to be asked for it; "" for nobody
}

type escrowKey struct {
	EscrowKey
	recipient escrow.Recipient
	private   hpke.PrivateKey // nil: it is not this process's, is no more, or is held
	held      bool            // its holder has to be asked
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
		text, err := r.decrypt(k.file())
		if err != nil {
			return nil, err
		}
		if keys[i].held = k.Holder != ""; keys[i].held {
			text.Wipe()
			continue
		}
		keys[i].private, err = k.parse(text)
		if err != nil {
			return nil, damaged(filepath.Join(r.dir, k.file()), err)
		}
	}
	return keys, nil
}

// AddEscrow makes a new escrow key and the active one, held as the ring's options
// say; the one before stays to open what was sealed to it.
func (r *Ring) AddEscrow() (escrow.KeyID, error) {
	key, err := newEscrowKey()
	if err != nil {
		return "", fmt.Errorf("making escrow key: %w", err)
	}
	text, err := r.textOf(context.Background(), &key, r.escrowIn)
	if err != nil {
		return "", err
	}
	if err := r.encrypt(key.file(), text); err != nil {
		return "", err
	}
	if key.held = key.Holder != ""; key.held {
		key.private = nil
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

// textOf gives what is in the file of a key whose holder is that from now on.
func (r *Ring) textOf(ctx context.Context, key *escrowKey, holder string) (seal.Secret, error) {
	if holder == "" || holder == File {
		key.Holder = ""
		return key.plain()
	}
	h, err := r.holder(holder)
	if err != nil {
		return seal.Secret{}, err
	}
	key.Holder = holder
	return key.wrap(ctx, h)
}

// plain encodes the private half.
func (k escrowKey) plain() (seal.Secret, error) {
	b, err := k.private.Bytes()
	if err != nil {
		return seal.Secret{}, fmt.Errorf("encoding escrow key: %w", err)
	}
	return seal.NewSecret(bytes.Clone(b)), nil // it may be the key's own
}

// parse reads what plain gives, and wipes it.
func (k escrowKey) parse(plain seal.Secret) (hpke.PrivateKey, error) {
	defer plain.Wipe()
	return k.recipient.KEM().NewPrivateKey(bytes.Clone(plain.Reveal())) // which may keep it
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
	return escrowKey{EscrowKey: public, recipient: to, private: private}, err
}

// Unwrap opens a wrap with the escrow key that it names. ErrEscrowUnknown when
// that is not here; ErrUnwrap when it does not open under info; a fault of kind
// Unavailable when the key's holder does not give it now.
func (r *Ring) Unwrap(ctx context.Context, w escrow.Wrap, info []byte) (seal.Secret, error) {
	private, err := r.private(ctx, w.Key)
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

func (r *Ring) private(ctx context.Context, id escrow.KeyID) (hpke.PrivateKey, error) {
	for _, k := range r.usable() {
		switch {
		case k.ID != id:
		case k.held:
			return r.held(ctx, k)
		default:
			return k.private, nil
		}
	}
	return nil, ErrEscrowUnknown
}
