// Package escrow seals private keys for keeping. It works with public keys
// alone: whoever seals cannot read back what was sealed. Opening is opener's
// work, and needs a private key that only the keyring has.
//
// A [Record] holds one key, encrypted under a random data key of its own. The
// data key is wrapped for an escrow key (HPKE); beside it, for each recovery
// recipient, lies an age file that the age tool alone can open, without any
// of our programs. The data key's ciphertext is bound to user, certificate and
// public key ([Binding]), never to the escrow key, so that changing the escrow
// key rewrites wraps only.
//
// It promises that no value here holds a private key in the clear, and it does
// no I/O. Start at [Sealer].
package escrow

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hpke"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/subject"
)

// ErrSuite is returned for a suite that this version does not know: a later
// version wrote the record.
var ErrSuite = errors.New("escrow: suite unknown")

// Suite says how the key itself is encrypted. Values are stored; they are only
// ever added.
type Suite int

// AES256GCM is the suite that is written: a random nonce and, because each
// record has its own data key, no way to use one twice.
const AES256GCM Suite = 1

// KeyBytes is the length of a data key, of every suite.
const KeyBytes = 32

// AEAD gives the cipher under a data key.
func (s Suite) AEAD(dataKey []byte) (cipher.AEAD, error) {
	if s != AES256GCM || len(dataKey) != KeyBytes {
		return nil, ErrSuite
	}
	block, err := aes.NewCipher(dataKey)
	if err != nil {
		return nil, fmt.Errorf("escrow cipher: %w", err)
	}
	return cipher.NewGCM(block)
}

// KDF and AEAD are the parts of HPKE that every wrap uses; the KEM follows
// from the key.
//
// Spec: RFC 9180
func KDF() hpke.KDF { return hpke.HKDFSHA256() }

// AEAD is the cipher of wraps.
func AEAD() hpke.AEAD { return hpke.AES256GCM() }

// Binding is what a sealed key belongs to. A ciphertext under another binding
// does not open.
type Binding struct {
	User subject.UserID
	Cert cert.Fingerprint
	SPKI cert.Fingerprint
}

// AAD is the additional data of the key's ciphertext.
func (b Binding) AAD(s Suite) []byte {
	suite := binary.BigEndian.AppendUint16(nil, uint16(s))
	return fields("signet/escrow/v1", []byte(b.User), b.Cert[:], b.SPKI[:], suite)
}

// WrapInfo is the HPKE info of the wrap of record id for an escrow key.
func WrapInfo(id string, key KeyID) []byte {
	return fields("signet/dek/v1", []byte(id), []byte(key))
}

// fields joins byte strings so that no two lists give the same result.
func fields(label string, list ...[]byte) []byte {
	out := []byte(label)
	for _, f := range list {
		out = binary.BigEndian.AppendUint32(out, uint32(len(f)))
		out = append(out, f...)
	}
	return out
}

// Record is one private key in escrow. (User, Cert) is unique.
type Record struct {
	ID string // UUID
	Binding
	Suite      Suite
	Nonce      []byte
	Ciphertext []byte // of the PKCS#8
	Wraps      []Wrap

	Source    cert.Fingerprint // SHA-256 of the file it came in
	CreatedAt time.Time
	CreatedBy string
}

// Wrap is what one holder of a key needs to open a record.
type Wrap struct {
	Key    KeyID
	Enc    []byte // HPKE encapsulation; empty for age
	Sealed []byte // the data key; for age, the file with the private key itself
}

// Held is the wrap of a record.
type Held struct {
	Record string // its ID
	Wrap
}

// Deposit is a certificate with its sealed key.
type Deposit struct {
	Certificate cert.Record
	Key         Record
}
