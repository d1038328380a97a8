package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
)

// Box encrypts single columns (push tokens, PushMagic, unlock tokens) with a
// key of its own purpose, so that a stolen database shows none of them. It is
// not for private keys: those go to the escrow.
type Box struct{ aead cipher.AEAD }

// NewBox derives the key for purpose from a root of at least 32 bytes.
func NewBox(root Secret, purpose string) (*Box, error) {
	if len(root.b) < 32 {
		return nil, errors.New("seal: column root is shorter than 32 bytes")
	}
	key, err := hkdf.Key(sha256.New, root.b, nil, "signet/box/v1/"+purpose, 32)
	if err != nil {
		return nil, fmt.Errorf("deriving box key: %w", err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("box cipher: %w", err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("box mode: %w", err)
	}
	return &Box{aead}, nil
}

// Close encrypts plain for the row named by aad. The nonce is inside.
func (b *Box) Close(plain Secret, aad string) []byte {
	return b.aead.Seal(nil, nil, plain.b, []byte(aad))
}

// Open decrypts what Close made for the same aad.
func (b *Box) Open(box []byte, aad string) (Secret, error) {
	plain, err := b.aead.Open(nil, nil, box, []byte(aad))
	if err != nil {
		return Secret{}, errors.New("seal: column does not open: wrong key or another row's value")
	}
	return Secret{plain}, nil
}

// RandomRoot makes a new root for boxes.
func RandomRoot() Secret {
	b := make([]byte, 32)
	rand.Read(b)
	return Secret{b}
}
