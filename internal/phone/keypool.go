package phone

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"sync"
)

// KeyPool hands out RSA-2048 keys made beforehand, since making one takes
// longer than everything else an enrollment does. It is safe for concurrent
// use; the zero value makes a fresh key for each call.
type KeyPool struct {
	// Reuse hands the same keys out again in turn when all have been taken,
	// so that thousands of phones can run. Two phones then share a key, which
	// no real phones do.
	Reuse bool

	mu   sync.Mutex
	keys []*rsa.PrivateKey
	next int
}

// Fill makes n more keys. It returns early when ctx ends.
func (k *KeyPool) Fill(ctx context.Context, n int) error {
	for range n {
		if err := ctx.Err(); err != nil {
			return err
		}
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			return err
		}
		k.Add(key)
	}
	return nil
}

// Add puts keys into the pool that were made elsewhere.
func (k *KeyPool) Add(keys ...*rsa.PrivateKey) {
	k.mu.Lock()
	k.keys = append(k.keys, keys...)
	k.mu.Unlock()
}

// take gives a key of the wanted size, from the pool where it has one.
func (k *KeyPool) take(bits int) (*rsa.PrivateKey, error) {
	if bits == 2048 {
		if key := k.pooled(); key != nil {
			return key, nil
		}
	}
	return rsa.GenerateKey(rand.Reader, bits)
}

func (k *KeyPool) pooled() *rsa.PrivateKey {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.next == len(k.keys) {
		if !k.Reuse || len(k.keys) == 0 {
			return nil
		}
		k.next = 0
	}
	key := k.keys[k.next]
	k.next++
	return key
}
