package opener

import (
	"sync"
	"time"

	"github.com/signet-mdm/signet/internal/subject"
)

const (
	defaultPerDevice = 200
	defaultTotal     = 10_000
)

// limiter counts the keys opened within the last hour. It lives in memory, for
// its only reader is this process, and a database is what may be tampered with.
type limiter struct {
	Limits
	mu    sync.Mutex
	spent []spending // oldest first
	by    map[subject.DeviceID]int
	all   int
}

type spending struct {
	at     time.Time
	device subject.DeviceID
	keys   int
}

func newLimiter(l Limits) *limiter {
	if l.PerDevice == 0 {
		l.PerDevice = defaultPerDevice
	}
	if l.Total == 0 {
		l.Total = defaultTotal
	}
	return &limiter{Limits: l, by: map[subject.DeviceID]int{}}
}

// take spends so many keys for a device, all or none.
func (l *limiter) take(device subject.DeviceID, keys int, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.forget(now.Add(-time.Hour))
	if keys == 0 {
		return true
	}
	if l.by[device]+keys > l.PerDevice || l.all+keys > l.Total {
		return false
	}
	l.spent = append(l.spent, spending{now, device, keys})
	l.by[device] += keys
	l.all += keys
	return true
}

// forget drops what was spent before.
func (l *limiter) forget(before time.Time) {
	n := 0
	for _, s := range l.spent {
		if s.at.After(before) {
			break
		}
		n++
		l.all -= s.keys
		if l.by[s.device] -= s.keys; l.by[s.device] == 0 {
			delete(l.by, s.device)
		}
	}
	l.spent = l.spent[n:]
}
