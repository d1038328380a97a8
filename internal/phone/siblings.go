package phone

import (
	"crypto/rand"
	"crypto/rsa"
	"math/big"
	"sync"
)

// Siblings makes RSA keys of 2048 bits without waiting: all have one modulus
// and differ in their exponents. Each is good for everything, and none protects
// anything from who has another. They are for tests that need thousands.
type Siblings struct {
	mu    sync.Mutex
	first *rsa.PrivateKey
	phi   *big.Int
	e     int
}

// NewSiblings makes the modulus.
func NewSiblings() (*Siblings, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	one := big.NewInt(1)
	phi := new(big.Int).Mul(new(big.Int).Sub(key.Primes[0], one), new(big.Int).Sub(key.Primes[1], one))
	return &Siblings{first: key, phi: phi, e: key.E}, nil
}

// Next gives a key that was not given before.
func (s *Siblings) Next() *rsa.PrivateKey {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		s.e += 2
		if d := new(big.Int).ModInverse(big.NewInt(int64(s.e)), s.phi); d != nil {
			key := &rsa.PrivateKey{PublicKey: rsa.PublicKey{N: s.first.N, E: s.e}, D: d, Primes: s.first.Primes}
			key.Precompute()
			return key
		}
	}
}
