package scep

import (
	"net/netip"
	"sync"
	"time"
)

// failures counts what each address got wrong within a minute. It is bounded:
// when too many addresses fail, the rest share one count.
type failures struct {
	max int

	mu     sync.Mutex
	counts map[string]int
	since  time.Time
}

const (
	failureWindow = time.Minute
	maxAddresses  = 10_000
)

// blocked tells whether the address failed too often.
func (f *failures) blocked(remote string, now time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.counts[f.key(remote, now)] >= f.max
}

// failed counts one.
func (f *failures) failed(remote string, now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.counts[f.key(remote, now)]++
}

// key starts a new window when the old one is over, and gives the key to count
// the address by: of IPv6 the network, since a client has all of it.
func (f *failures) key(remote string, now time.Time) string {
	if now.Sub(f.since).Abs() >= failureWindow || f.counts == nil {
		f.counts, f.since = map[string]int{}, now
	}
	key := remote
	if addr, err := netip.ParseAddr(remote); err == nil && addr.Unmap().Is6() {
		if network, err := addr.WithZone("").Prefix(64); err == nil {
			key = network.String()
		}
	}
	if _, known := f.counts[key]; !known && len(f.counts) >= maxAddresses {
		return "others"
	}
	return key
}
