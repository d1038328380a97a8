// Package seal holds what must not be seen: secrets that never print, one-time
// tokens and the hashes by which they are looked up, and boxes that encrypt
// single database columns.
package seal

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
)

const redacted = "[secret]"

// Secret is text that prints as "[secret]" through every formatter, logger
// and encoder. Only Reveal gives the bytes.
type Secret struct{ b []byte }

// NewSecret takes ownership of b.
func NewSecret(b []byte) Secret { return Secret{b} }

// SecretString copies s.
func SecretString(s string) Secret { return Secret{[]byte(s)} }

// Random returns a fresh secret of at least 128 bits in the base32 alphabet
// A-Z2-7, 26 characters: fit for links, SCEP challenges (they stay a
// PrintableString) and PKCS#12 passwords.
func Random() Secret { return Secret{[]byte(rand.Text())} }

// Reveal gives the bytes themselves, not a copy.
func (s Secret) Reveal() []byte { return s.b }

// RevealString gives the text.
func (s Secret) RevealString() string { return string(s.b) }

// Empty tells whether there is nothing in it.
func (s Secret) Empty() bool { return len(s.b) == 0 }

// Equal compares in constant time.
func (s Secret) Equal(o Secret) bool { return subtle.ConstantTimeCompare(s.b, o.b) == 1 }

// Wipe overwrites the bytes.
func (s Secret) Wipe() { clear(s.b) }

// Hash is what is stored instead of the secret and by which it is found.
func (s Secret) Hash() Hash { return sha256.Sum256(s.b) }

func (Secret) String() string               { return redacted }
func (Secret) GoString() string             { return redacted }
func (Secret) Format(f fmt.State, _ rune)   { io.WriteString(f, redacted) }
func (Secret) LogValue() slog.Value         { return slog.StringValue(redacted) }
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// Hash is the SHA-256 of a secret with at least 128 bits of entropy: a plain
// hash suffices, and look-up by it takes no secret-dependent time.
type Hash [sha256.Size]byte

func (h Hash) String() string { return hex.EncodeToString(h[:]) }
