package scep

import (
	"hash/maphash"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// perAddress keeps one T an address for a minute. It is bounded: when there
// are too many addresses, each of the rest shares with some, nobody knows whom.
// So whoever has that many addresses does not use up what all others have.
type perAddress[T any] struct {
	create func() T

	mu    sync.Mutex
	of    map[string]T
	since time.Time
}

const (
	window       = time.Minute
	maxAddresses = 10_000
	maxShared    = 1000
)

// seed keeps strangers from choosing with whom they share.
var seed = maphash.MakeSeed()

// with calls f with what the address has.
func (p *perAddress[T]) with(remote string, now time.Time, f func(T)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now.Sub(p.since).Abs() >= window || p.of == nil {
		p.of, p.since = map[string]T{}, now
	}
	key := network(remote)
	if _, known := p.of[key]; !known && len(p.of) >= maxAddresses {
		key = strconv.FormatUint(maphash.String(seed, key)%maxShared, 10)
	}
	t, known := p.of[key]
	if !known {
		t = p.create()
		p.of[key] = t
	}
	f(t)
}

// network gives what an address is counted by: of IPv6 the network, since a
// client has all of it.
func network(remote string) string {
	addr, err := netip.ParseAddr(remote)
	if err != nil || addr.Unmap().Is4() {
		return remote
	}
	n, err := addr.WithZone("").Prefix(64)
	if err != nil {
		return remote
	}
	return n.String()
}

// How much work with private keys one address may cause: more than the phones
// of a company do behind theirs, less than what fills a processor.
const (
	workRate  = 10 // requests a second
	workBurst = 100
)

// work limits what an address makes us do with private keys.
type work struct{ perAddress[*rate.Limiter] }

func newWork() *work {
	return &work{perAddress[*rate.Limiter]{create: func() *rate.Limiter { return rate.NewLimiter(workRate, workBurst) }}}
}

// allow charges one request, and tells whether it may be served.
func (w *work) allow(remote string, now time.Time) (ok bool) {
	w.with(remote, now, func(l *rate.Limiter) { ok = l.AllowN(now, 1) })
	return ok
}

// guesses counts the challenges of each address that nobody made.
type guesses struct{ perAddress[*int] }

func newGuesses() *guesses {
	return &guesses{perAddress[*int]{create: func() *int { return new(int) }}}
}

// another counts one and gives how many there were within the window.
func (g *guesses) another(remote string, now time.Time) (n int) {
	g.with(remote, now, func(count *int) { *count++; n = *count })
	return n
}
