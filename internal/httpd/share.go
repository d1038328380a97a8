package httpd

import (
	"net"
	"net/http"
	"net/netip"
	"sync"
)

// What one address may have of a site's bounds. A company whose phones share
// one is within it: a request takes milliseconds.
const (
	maxInFlightEach = 64       // requests
	maxOpenEach     = 64       // streams; pages without one ask again by themselves
	maxBodiesEach   = 32 << 20 // bytes of their bodies
)

// shares counts what each address holds of something scarce, so that one
// cannot have all of it. It keeps only addresses that hold something, which
// the bound of the whole limits.
type shares struct {
	each int64

	mu   sync.Mutex
	held map[string]int64
}

func newShares(each int64) *shares { return &shares{each: each, held: map[string]int64{}} }

// take adds n to what key holds, unless that is then over its share. The empty
// key, which the Unix socket has, may hold anything.
func (s *shares) take(key string, n int64) bool {
	if key == "" {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held[key]+n > s.each {
		return false
	}
	s.held[key] += n
	return true
}

// give takes n back.
func (s *shares) give(key string, n int64) {
	if key == "" {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held[key] -= n; s.held[key] <= 0 {
		delete(s.held, key)
	}
}

// Places are a number of things at a time, of which each address has its share.
type Places struct {
	all  chan struct{}
	each *shares
}

// NewPlaces makes them: so many in all, and so many for each address.
func NewPlaces(all int, each int64) Places { return Places{make(chan struct{}, all), newShares(each)} }

// Enter takes a place for the sender of a request; nil when there is none.
func (p Places) Enter(r *http.Request) (leave func()) { return p.enter(sharer(Remote(r))) }

// enter takes a place; nil when there is none.
func (p Places) enter(key string) (leave func()) {
	if !p.each.take(key, 1) {
		return nil
	}
	select {
	case p.all <- struct{}{}:
	default:
		p.each.give(key, 1)
		return nil
	}
	return func() {
		<-p.all
		p.each.give(key, 1)
	}
}

// sharer gives what an address without port is counted by: of IPv6 the
// network, since a client has all of it.
func sharer(remote string) string {
	addr, err := netip.ParseAddr(remote)
	if err != nil || addr.Unmap().Is4() {
		return remote
	}
	network, err := addr.WithZone("").Prefix(64)
	if err != nil {
		return remote
	}
	return network.String()
}

// hostOf gives an address without its port; "" when it has none.
func hostOf(addr string) string {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return ""
	}
	return host
}
