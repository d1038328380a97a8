package escrow

import (
	"crypto/ecdh"
	"crypto/hpke"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// ErrRecipient is returned for text that is no recipient.
var ErrRecipient = errors.New("escrow: not a recipient")

// KeyID names a key that opens wraps: its kind and the SHA-256 of its public
// half, such as "hpke:4f1a…". A client that seals pins it.
type KeyID string

// Hex gives the fingerprint without the kind.
func (k KeyID) Hex() string {
	_, hexed, _ := strings.Cut(string(k), ":")
	return hexed
}

// Offline tells whether the key is a recovery key, which no program of ours
// has.
func (k KeyID) Offline() bool { return strings.HasPrefix(string(k), "age:") }

// Hybrid is the default kind of escrow key: it stays safe when either of
// ML-KEM-768 and X25519 is broken.
func Hybrid() hpke.KEM { return hpke.MLKEM768X25519() }

// Classic is the kind without post-quantum part, for keys in hardware that
// knows only curves.
func Classic() hpke.KEM { return hpke.DHKEM(ecdh.X25519()) }

// Recipient is the public half of an escrow key.
type Recipient struct {
	pub hpke.PublicKey
	id  KeyID
}

// NewRecipient takes a public key of one of the two kinds.
func NewRecipient(pub hpke.PublicKey) (Recipient, error) {
	if kem := pub.KEM().ID(); kem != Hybrid().ID() && kem != Classic().ID() {
		return Recipient{}, ErrRecipient
	}
	sum := sha256.Sum256(recipientBytes(pub))
	return Recipient{pub, KeyID("hpke:" + hex.EncodeToString(sum[:]))}, nil
}

// ID gives the fingerprint.
func (r Recipient) ID() KeyID { return r.id }

// PublicKey gives the key itself.
func (r Recipient) PublicKey() hpke.PublicKey { return r.pub }

// KEM gives its kind.
func (r Recipient) KEM() hpke.KEM { return r.pub.KEM() }

const prefix = "signet-escrow-"

// String gives the recipient as one line of text, for files and pinning.
func (r Recipient) String() string {
	return prefix + base64.RawURLEncoding.EncodeToString(recipientBytes(r.pub))
}

// recipientBytes is the KEM's number and the public key.
func recipientBytes(pub hpke.PublicKey) []byte {
	return append(binary.BigEndian.AppendUint16(nil, pub.KEM().ID()), pub.Bytes()...)
}

// ParseRecipient reads what String writes.
func ParseRecipient(s string) (Recipient, error) {
	text, ok := strings.CutPrefix(s, prefix)
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if !ok || err != nil || len(raw) < 2 {
		return Recipient{}, ErrRecipient
	}
	kem, err := hpke.NewKEM(binary.BigEndian.Uint16(raw))
	if err != nil {
		return Recipient{}, ErrRecipient
	}
	pub, err := kem.NewPublicKey(raw[2:])
	if err != nil {
		return Recipient{}, ErrRecipient
	}
	r, err := NewRecipient(pub)
	if err != nil || r.String() != s { // one text a key, so that texts can be pinned
		return Recipient{}, ErrRecipient
	}
	return r, nil
}

// Wrap encrypts the data key of record id.
func (r Recipient) Wrap(id string, dataKey []byte) (Wrap, error) {
	enc, sender, err := hpke.NewSender(r.pub, KDF(), AEAD(), WrapInfo(id, r.id))
	if err != nil {
		return Wrap{}, fmt.Errorf("wrapping for %s: %w", r.id, err)
	}
	sealed, err := sender.Seal(nil, dataKey)
	if err != nil {
		return Wrap{}, fmt.Errorf("wrapping for %s: %w", r.id, err)
	}
	return Wrap{Key: r.id, Enc: enc, Sealed: sealed}, nil
}
