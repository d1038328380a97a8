package httpd

import (
	"errors"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/signet-mdm/signet/internal/access"
	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/seal"
)

// ErrAttempts is returned to an address that has shown too much that opens
// nothing.
var ErrAttempts = fault.New(fault.Denied, "too_many_attempts",
	"Too many invalid tokens came from this address.", "Wait as long as Retry-After says.")

// How often an address may show what opens nothing.
const (
	triesBurst = 30
	triesEvery = 2 * time.Second // one more
)

// remembered bounds what is kept of each kind; an older half goes first.
const remembered = 4096

// tries bounds guessing. What opened something a moment ago still does, wherever
// it comes from, so that a stranger who guesses locks out nobody who works
// behind the same address.
type tries struct {
	mu    sync.Mutex
	wrong memory[string, *rate.Limiter] // by address
	right memory[seal.Hash, struct{}]
}

// waiting is for how long an address is not listened to.
type waiting struct{ time.Duration }

func (w waiting) Error() string { return "not listened to for " + w.String() }

// look asks for the caller who shows this secret, unless that may not be tried
// now.
func (t *tries) look(secret, remote string, find func() (Caller, error)) (Caller, error) {
	hash, key := seal.SecretString(secret).Hash(), sharer(remote)
	if err := t.admit(hash, key); err != nil {
		return Caller{}, err
	}
	c, err := find()
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case err == nil:
		t.right.put(hash, struct{}{})
	case errors.Is(err, access.ErrUnauthenticated):
		t.right.drop(hash)
		t.bucket(key).Allow()
	}
	return c, err
}

// admit gives ErrAttempts when the address has no try left.
func (t *tries) admit(hash seal.Hash, key string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, known := t.right.get(hash); known || key == "" {
		return nil
	}
	left := t.bucket(key).Tokens()
	if left >= 1 {
		return nil
	}
	return ErrAttempts.With(waiting{time.Duration((1 - left) * float64(triesEvery))})
}

// bucket is that of an address.
func (t *tries) bucket(key string) *rate.Limiter {
	b, ok := t.wrong.get(key)
	if !ok {
		b = rate.NewLimiter(rate.Every(triesEvery), triesBurst)
		t.wrong.put(key, b)
	}
	return b
}

// memory keeps what was put or asked for lately.
type memory[K comparable, V any] struct{ young, old map[K]V }

func (m *memory[K, V]) get(k K) (V, bool) {
	v, ok := m.young[k]
	if !ok {
		if v, ok = m.old[k]; ok {
			m.put(k, v)
		}
	}
	return v, ok
}

func (m *memory[K, V]) put(k K, v V) {
	if m.young == nil || len(m.young) >= remembered/2 {
		m.young, m.old = map[K]V{}, m.young
	}
	m.young[k] = v
}

func (m *memory[K, V]) drop(k K) {
	delete(m.young, k)
	delete(m.old, k)
}
