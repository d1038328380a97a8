package notify

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/internal/subject"
)

// Wishes keeps which devices are to be woken, and when.
type Wishes interface {
	// WishesLeased leases wishes that are due, the oldest first, and moves them
	// to the end of the lease; so a wish outlives whoever leased it. Two calls
	// never give the same one while its lease runs. A device that was tried less
	// than the lease's Gap ago is put off until then. The wish of a device whose
	// token was refused is dropped: with another token comes another wish.
	WishesLeased(ctx context.Context, l Lease) ([]Wish, error)
	// Pushed notes what became of a push. When the wish is as it was leased it
	// moves to Next; one that changed meanwhile stays, because the device came
	// or there is more for it. Once it has another token, nothing else is noted
	// of the old one. The entry is written when a token is found refused.
	Pushed(ctx context.Context, r Result, e journal.Entry) error
	// Released gives a wish back as it was: nothing was tried. Without effect
	// when it changed meanwhile.
	Released(ctx context.Context, w Wish) error
}

// Lease says which wishes to lease.
type Lease struct {
	Topics []string // of the devices' enrollments
	At     time.Time
	Made   time.Time // only wishes for then or before
	Gap    time.Duration
	Until  time.Time
	Limit  int
}

// Wish is that a device be woken, leased to one server.
type Wish struct {
	Device   subject.DeviceID
	User     subject.UserID
	Topic    string
	Token    seal.Secret // empty: what is stored cannot be read
	Magic    seal.Secret
	TokenAt  time.Time // when the device told them
	SeenAt   time.Time // when it last spoke
	SentAt   time.Time // when Apple last took a push; zero: never
	Pushes   int       // that Apple took since the device spoke
	Failures int       // since Apple last took one

	WantedAt, TriedAt time.Time // as they were before the lease
	Until             time.Time // end of the lease
}

// Result is what became of a push, and what follows.
type Result struct {
	Device         subject.DeviceID
	TokenAt, Until time.Time // of the wish
	At             time.Time
	Reason         string    // fit to be shown
	Sent           bool      // Apple took it
	Refused        bool      // the token is dead: no push until the device brings another
	Next           time.Time // when to push again unless the device comes; zero: never
	Pushes         int
	Failures       int
}

// PushState is how pushing to a device goes.
type PushState struct {
	Topic     string    // that it enrolled with
	Certified bool      // there is a certificate for it
	TokenAt   time.Time // when it told its token; zero: it has none
	TriedAt   time.Time // last push; zero: never
	SentAt    time.Time // last one that Apple took
	Reason    string    // last answer
	RefusedAt time.Time // since when its token is dead; zero: it is not
	Pushes    int       // since it last spoke
	Failures  int       // since Apple last took one
}

// Lengths of time that nobody configures.
const (
	Gap      = time.Minute        // the least between two pushes to one device
	settling = 2 * time.Second    // what is made at one time is fetched at one time
	keeping  = 7 * 24 * time.Hour // Apple keeps a push for a device that is off
	longest  = time.Hour          // between tries that fail
	mistake  = 24 * time.Hour     // after an answer that no waiting will change
)

// silences are the pauses after pushes that the device did not follow. Apple
// keeps one for it, so repeating is for those that got lost; the last pause is
// a day, so that a device that was off for weeks still finds a fresh one, and
// a dead one costs a push a day until Apple says that it is gone.
//
// Spec: Apple MDM, Handling NotNow status responses: at least daily
var silences = []time.Duration{5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 8 * time.Hour, 24 * time.Hour}

// after says what follows from an answer.
func (w Wish) after(a Answer, now time.Time) Result {
	r := Result{Device: w.Device, TokenAt: w.TokenAt, Until: w.Until, At: now, Reason: a.Reason, Pushes: w.Pushes, Failures: w.Failures + 1}
	if !w.SeenAt.Before(w.SentAt) {
		r.Pushes = 0
	}
	switch a.Kind {
	case Taken:
		r.Sent, r.Failures = true, 0
		r.Pushes++
		r.Next = now.Add(spread(silences[min(r.Pushes, len(silences))-1]))
	case TokenGone, TokenForeign:
		// Apple saw another token dead when that was before the device told this.
		r.Refused = a.Since.IsZero() || a.Since.After(w.TokenAt)
		if !r.Refused {
			r.Next = now.Add(backOff(r.Failures, 0))
		}
	case CertificateRefused, TopicRefused: // not for what the device did
		r.Failures, r.Next = w.Failures, now.Add(Gap)
	case TooLarge, Refused:
		r.Next = now.Add(spread(mistake))
	default:
		r.Next = now.Add(backOff(r.Failures, a.RetryAfter))
	}
	return r
}

// backOff is how long to wait after so many failures in a row: no less than
// was asked for, no more than an hour, and not all at the same instant.
func backOff(failures int, asked time.Duration) time.Duration {
	d := min(Gap<<min(max(failures-1, 0), 6), longest*3/4)
	return min(spread(max(d, asked)), longest)
}

// spread adds up to a third.
func spread(d time.Duration) time.Duration { return d + rand.N(d/3+1) }
