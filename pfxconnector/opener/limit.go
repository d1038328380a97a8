package opener

import (
	"context"
	"maps"
	"sync"
	"time"

	"github.com/signet-mdm/signet/internal/subject"
)

const (
	defaultPerDevice = 200
	defaultTotal     = 10_000
)

// spend takes so many keys from what is left of the hour, or none: ErrLimit.
// The journal knows what other processes opened, and this one before it was
// started. Several may ask it at once and then open together, so each also
// counts for itself, which nobody who has the database can undo.
func (o *Opener) spend(ctx context.Context, device subject.DeviceID, keys int) error {
	if keys == 0 {
		return nil
	}
	now := o.Now()
	ofDevice, all, err := o.Journal.Opened(ctx, device, now.Add(-time.Hour))
	switch {
	case err != nil:
		return ErrJournal.With(err)
	case ofDevice+keys > o.limit.PerDevice, all+keys > o.limit.Total, !o.limit.take(device, keys, now):
		return ErrLimit
	}
	return nil
}

// limiter counts the keys that this process opened within the last hour.
type limiter struct {
	Limits
	mu    sync.Mutex
	spent []spending // oldest first
	by    map[subject.DeviceID]int
	all   int
	told  map[subject.DeviceID]time.Time // when the limit was last spoken of
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
	return &limiter{Limits: l, by: map[subject.DeviceID]int{}, told: map[subject.DeviceID]time.Time{}}
}

// take spends so many keys for a device, all or none.
func (l *limiter) take(device subject.DeviceID, keys int, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.forget(now.Add(-time.Hour))
	if l.by[device]+keys > l.PerDevice || l.all+keys > l.Total {
		return false
	}
	l.spent = append(l.spent, spending{now, device, keys})
	l.by[device] += keys
	l.all += keys
	return true
}

// first tells whether a refusal to a device is the first within an hour.
func (l *limiter) first(device subject.DeviceID, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	maps.DeleteFunc(l.told, func(_ subject.DeviceID, at time.Time) bool { return now.Sub(at) >= time.Hour })
	_, told := l.told[device]
	if !told {
		l.told[device] = now
	}
	return !told
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
