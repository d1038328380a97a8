package escrow

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/google/uuid"
)

// ErrCannotProve is returned for a key that cannot sign, or signs too little.
var ErrCannotProve = errors.New("escrow: the key cannot sign")

// Pin is the one fingerprint over all that keys are sealed to: the escrow key
// and the recovery keys, in whatever order. Who seals on another machine
// compares it with what he was told, because a recipient that somebody slipped
// in would open all.
func Pin(active KeyID, recovery ...KeyID) string {
	list := [][]byte{[]byte(active)}
	for _, id := range slices.Sorted(slices.Values(recovery)) {
		list = append(list, []byte(id))
	}
	sum := sha256.Sum256(fields("signet/recipients/v1", list...))
	return "SHA256:" + base64.RawURLEncoding.EncodeToString(sum[:])
}

// RecordID names the record that a ticket is for. It begins with the time of
// the ticket, so that records of one time lie together, and cannot be asked
// for: who seals is told it, and who stores works it out again.
func RecordID(ticket uuid.UUID, b Binding) string {
	sum := sha256.Sum256(fields("signet/record/v1", ticket[:], []byte(b.User), b.Cert[:], b.SPKI[:]))
	var id uuid.UUID
	copy(id[:6], ticket[:6])
	copy(id[6:], sum[:])
	id[6] = id[6]&0x0f | 0x70 // version 7
	id[8] = id[8]&0x3f | 0x80
	return id.String()
}

// possession is what the key in a record signs: all that is stored of it, what
// it is bound to, and by its id the ticket.
func (r Record) possession() []byte {
	suite := binary.BigEndian.AppendUint16(nil, uint16(r.Suite))
	list := [][]byte{[]byte(r.ID), []byte(r.User), r.Cert[:], r.SPKI[:], suite, r.Nonce, r.Ciphertext}
	for _, w := range r.Wraps {
		list = append(list, []byte(w.Key), w.Enc, w.Sealed)
	}
	sum := sha256.Sum256(fields("signet/possession/v1", list...))
	return sum[:]
}

// pss is how RSA keys sign: with a salt as long as the hash.
var pss = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256}

// Prove signs the record with the key that is in it. [ErrCannotProve] for X25519
// and for RSA keys of less than 1024 bits.
//
// Spec: RFC 8017 section 8.1
func (r Record) Prove(key crypto.PrivateKey) ([]byte, error) {
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, ErrCannotProve
	}
	var how crypto.SignerOpts = crypto.SHA256
	switch signer.Public().(type) {
	case *rsa.PublicKey:
		how = pss
	case ed25519.PublicKey:
		how = crypto.Hash(0)
	}
	proof, err := signer.Sign(rand.Reader, r.possession(), how)
	if err != nil {
		return nil, errors.Join(ErrCannotProve, err)
	}
	return proof, nil
}

// Proven tells whether the holder of the private key of pub sealed the record.
func (r Record) Proven(pub crypto.PublicKey, proof []byte) bool {
	switch pub := pub.(type) {
	case *rsa.PublicKey:
		return rsa.VerifyPSS(pub, crypto.SHA256, r.possession(), proof, pss) == nil
	case *ecdsa.PublicKey:
		return ecdsa.VerifyASN1(pub, r.possession(), proof)
	case ed25519.PublicKey:
		return ed25519.Verify(pub, r.possession(), proof)
	}
	return false
}

// Recipients gives, as text, whom keys are sealed to.
func (s *Sealer) Recipients() (active string, recovery []string) {
	for _, r := range s.recovery {
		recovery = append(recovery, fmt.Sprint(r.to))
	}
	return s.active.Load().String(), recovery
}

// Pin gives the fingerprint of the recipients.
func (s *Sealer) Pin() string { return Pin(s.active.Load().id, s.offline()...) }

func (s *Sealer) offline() (list []KeyID) {
	for _, r := range s.recovery {
		list = append(list, r.id)
	}
	return list
}

// What is the most that is taken of a record which was sealed elsewhere.
const (
	maxPrivate  = 32 << 10  // an RSA key of 8192 bits takes 5 KiB
	maxWrap     = 4 << 10   // of the data key; ML-KEM-768 with X25519 takes 1.1 KiB
	maxRecovery = 256 << 10 // that and the certificate, as text
)

// What [Sealer.Accept] finds.
var (
	ErrOtherRecipients = errors.New("escrow: sealed to others than the recipients of now")
	ErrForm            = errors.New("escrow: not a sealed key")
)

// Accept tells whether what was sealed elsewhere is sealed to exactly the
// recipients of now and looks like a record. Whether it opens shows only by
// opening it.
func (s *Sealer) Accept(r Record) error {
	active, wanted := s.active.Load(), s.offline()
	if len(r.Wraps) != 1+len(wanted) || r.Wraps[0].Key != active.id {
		return ErrOtherRecipients
	}
	for i, id := range wanted {
		if r.Wraps[1+i].Key != id {
			return ErrOtherRecipients
		}
	}
	aead, err := r.Suite.AEAD(make([]byte, KeyBytes))
	if err != nil {
		return ErrForm
	}
	within := func(b []byte, from, to int) bool { return len(b) >= from && len(b) <= to }
	n := aead.NonceSize()
	ok := within(r.Nonce, n, n) && within(r.Ciphertext, aead.Overhead()+1, maxPrivate) &&
		within(r.Wraps[0].Enc, 1, maxWrap) && within(r.Wraps[0].Sealed, KeyBytes, maxWrap)
	for _, w := range r.Wraps[1:] {
		ok = ok && within(w.Enc, 0, 0) && within(w.Sealed, 1, maxRecovery)
	}
	if !ok {
		return ErrForm
	}
	return nil
}
