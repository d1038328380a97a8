package notify

import (
	"sync"
	"time"
)

// strikes is how many pushes in a row may fail before a topic pauses: one
// alone may be the network's.
const strikes = 5

// wire is the way to all devices of one topic. It pauses when the certificate
// is refused, and when nothing is answered any more.
type wire struct {
	credential Credential

	mu      sync.Mutex
	failed  int       // pushes in a row that Apple did not deal with
	pauses  int       // in a row
	until   time.Time // end of the pause
	trouble string    // why; "" for none
	told    bool      // something was heard
}

// open tells whether there is no pause.
func (l *wire) open(now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !now.Before(l.until)
}

// heard takes an answer. It gives what is wrong with the topic, "" when nothing
// is, until when it pauses, and whether what is wrong changed.
func (l *wire) heard(a Answer, now time.Time) (trouble string, until time.Time, changed bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	before := l.trouble
	switch {
	case a.Kind == CertificateRefused || a.Kind == TopicRefused:
		l.pause(a, now)
	case a.Kind == Unanswered, a.Kind == Later && a.Reason != "TooManyRequests": // which is about one device
		if l.failed++; l.failed < strikes {
			return before, l.until, false
		}
		l.pause(a, now)
	default:
		l.failed, l.pauses, l.until, l.trouble = 0, 0, time.Time{}, ""
	}
	changed = l.trouble != before || !l.told
	l.told = true
	return l.trouble, l.until, changed
}

// pause begins one, the longer the more there were. What was under way when
// another began says nothing new.
func (l *wire) pause(a Answer, now time.Time) {
	if now.Before(l.until) {
		return
	}
	l.pauses++
	l.until, l.trouble = now.Add(backOff(l.pauses, a.RetryAfter)), a.Reason
}
