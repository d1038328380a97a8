package escrow

import (
	"crypto/rand"
	"crypto/x509"
	"fmt"
	"sync/atomic"

	"github.com/google/uuid"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/subject"
)

// Key is a private key in the clear, on its way into escrow.
type Key struct {
	User        subject.UserID
	Certificate *x509.Certificate // whose public key matches
	PKCS8       []byte            // DER; stays the caller's, who wipes it
}

// Binding gives what the key belongs to.
func (k Key) Binding() Binding {
	return Binding{k.User, cert.FingerprintOf(k.Certificate.Raw), cert.FingerprintOf(k.Certificate.RawSubjectPublicKeyInfo)}
}

// Sealer seals keys to one escrow key and to any recovery recipients. It is
// safe for concurrent use.
type Sealer struct {
	active   atomic.Pointer[Recipient]
	recovery []Recovery
}

// NewSealer seals to the active escrow key; without recovery recipients, losing
// that key loses all.
func NewSealer(active Recipient, recovery ...Recovery) *Sealer {
	if active.pub == nil {
		panic("escrow: no active recipient")
	}
	s := &Sealer{recovery: recovery}
	s.active.Store(&active)
	return s
}

// Succeed makes another escrow key the active one.
func (s *Sealer) Succeed(active Recipient) {
	if active.pub == nil {
		panic("escrow: no active recipient")
	}
	s.active.Store(&active)
}

// Seal encrypts k. The caller fills in where the record comes from.
func (s *Sealer) Seal(k Key) (Record, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return Record{}, fmt.Errorf("making escrow id: %w", err)
	}
	return s.SealAs(id.String(), k)
}

// SealAs is Seal for a record whose id was given.
func (s *Sealer) SealAs(id string, k Key) (Record, error) {
	r := Record{ID: id, Binding: k.Binding(), Suite: AES256GCM}
	dataKey := make([]byte, KeyBytes)
	rand.Read(dataKey)
	defer clear(dataKey)
	aead, err := r.Suite.AEAD(dataKey)
	if err != nil {
		return Record{}, err
	}
	r.Nonce = make([]byte, aead.NonceSize())
	rand.Read(r.Nonce)
	r.Ciphertext = aead.Seal(nil, r.Nonce, k.PKCS8, r.AAD(r.Suite))
	wrap, err := s.active.Load().Wrap(r.ID, dataKey)
	if err != nil {
		return Record{}, err
	}
	r.Wraps = []Wrap{wrap}
	for _, recovery := range s.recovery {
		if wrap, err = recovery.Wrap(k); err != nil {
			return Record{}, err
		}
		r.Wraps = append(r.Wraps, wrap)
	}
	return r, nil
}
