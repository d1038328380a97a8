package notify_test

import (
	"testing"
	"time"

	"github.com/signet-mdm/signet/notify"
)

var start = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// What follows from each answer, between bounds because of the jitter.
func TestAfter(t *testing.T) {
	told, spoke, sent := start.Add(-time.Hour), start.Add(-time.Minute), start.Add(-30*time.Second)
	fresh := notify.Wish{TokenAt: told, SeenAt: spoke}
	silent := func(pushes int) notify.Wish {
		return notify.Wish{TokenAt: told, SeenAt: spoke, SentAt: sent, Pushes: pushes}
	}
	failing := func(failures int) notify.Wish { return notify.Wish{TokenAt: told, Failures: failures} }
	taken := notify.Answer{Kind: notify.Taken}
	for name, tt := range map[string]struct {
		wish             notify.Wish
		answer           notify.Answer
		least, most      time.Duration // until Next; 0: never
		pushes, failures int
		refused          bool
	}{
		"taken":                 {fresh, taken, 5 * time.Minute, 7 * time.Minute, 1, 0, false},
		"taken after failures":  {failing(4), taken, 5 * time.Minute, 7 * time.Minute, 1, 0, false},
		"second silence":        {silent(1), taken, 30 * time.Minute, 41 * time.Minute, 2, 0, false},
		"hundredth silence":     {silent(99), taken, 24 * time.Hour, 33 * time.Hour, 100, 0, false},
		"it came in between":    {notify.Wish{SeenAt: start, SentAt: sent, Pushes: 7}, taken, 5 * time.Minute, 7 * time.Minute, 1, 0, false},
		"gone":                  {fresh, notify.Answer{Kind: notify.TokenGone}, 0, 0, 0, 1, true},
		"gone since later":      {fresh, notify.Answer{Kind: notify.TokenGone, Since: told.Add(time.Second)}, 0, 0, 0, 1, true},
		"an older one was gone": {fresh, notify.Answer{Kind: notify.TokenGone, Since: told.Add(-time.Second)}, time.Minute, 90 * time.Second, 0, 1, false},
		"foreign":               {fresh, notify.Answer{Kind: notify.TokenForeign}, 0, 0, 0, 1, true},
		"later":                 {fresh, notify.Answer{Kind: notify.Later}, time.Minute, 90 * time.Second, 0, 1, false},
		"later, as was asked":   {fresh, notify.Answer{Kind: notify.Later, RetryAfter: 20 * time.Minute}, 20 * time.Minute, 27 * time.Minute, 0, 1, false},
		"later, asked too much": {fresh, notify.Answer{Kind: notify.Later, RetryAfter: 24 * time.Hour}, time.Hour, time.Hour, 0, 1, false},
		"unanswered, third":     {failing(2), notify.Answer{Kind: notify.Unanswered}, 4 * time.Minute, 6 * time.Minute, 0, 3, false},
		"unanswered for ever":   {failing(1000), notify.Answer{Kind: notify.Unanswered}, 45 * time.Minute, time.Hour, 0, 1001, false},
		"our certificate":       {failing(2), notify.Answer{Kind: notify.CertificateRefused}, time.Minute, time.Minute, 0, 2, false},
		"our topic":             {fresh, notify.Answer{Kind: notify.TopicRefused}, time.Minute, time.Minute, 0, 0, false},
		"too large":             {fresh, notify.Answer{Kind: notify.TooLarge}, 24 * time.Hour, 33 * time.Hour, 0, 1, false},
		"a mistake":             {fresh, notify.Answer{Kind: notify.Refused}, 24 * time.Hour, 33 * time.Hour, 0, 1, false},
	} {
		for range 50 {
			r := tt.wish.After(tt.answer, start)
			wait := r.Next.Sub(start)
			if r.Next.IsZero() {
				wait = 0
			}
			if wait < tt.least || wait > tt.most || r.Pushes != tt.pushes || r.Failures != tt.failures || r.Refused != tt.refused ||
				r.Sent != (tt.answer.Kind == notify.Taken) {
				t.Errorf("%s: got %+v, %v from now", name, r, wait)
				break
			}
		}
	}
}
