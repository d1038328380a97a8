package notify

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/logx"
)

// Credentials has the push certificates.
type Credentials interface {
	// Credentials gives those that can be used now, one a topic.
	Credentials(ctx context.Context) ([]Credential, error)
	// Troubled notes why nothing can be pushed to a topic; "" when it can again.
	Troubled(ctx context.Context, topic, reason string) error
}

// WakerConfig says how to wake devices. All is required.
type WakerConfig struct {
	Wishes      Wishes
	Credentials Credentials
	Pusher      Pusher
	Log         *slog.Logger
	Now         func() time.Time
}

// Waker pushes to devices that are to be woken. Its steps run one after the
// other; other servers may have their own.
type Waker struct {
	WakerConfig
	wires map[string]*wire // by topic
	next  time.Time        // no batch before
}

// NewWaker makes one. It panics on a missing dependency.
func NewWaker(c WakerConfig) *Waker {
	if c.Wishes == nil || c.Credentials == nil || c.Pusher == nil || c.Log == nil || c.Now == nil {
		panic("notify: nil dependency")
	}
	return &Waker{WakerConfig: c, wires: map[string]*wire{}}
}

// Bounds of one step.
const (
	batch   = 50
	workers = 8
	leasing = 2 * time.Minute

	releasing = 5 * time.Second
	pace      = time.Second // for a full batch: whatever is new for all devices, they must not all come at once
)

// Wake pushes to devices whose wish is due and tells to how many. One that
// cannot be reached holds up no other; when Apple takes nothing at all under a
// topic, that topic pauses.
func (w *Waker) Wake(ctx context.Context) (n int, err error) {
	now := w.Now()
	wires, err := w.open(ctx, now)
	if err != nil || len(wires) == 0 || now.Before(w.next) {
		return 0, err
	}
	wishes, err := w.Wishes.WishesLeased(ctx, Lease{Topics: slices.Sorted(maps.Keys(wires)), At: now,
		Made: now.Add(-settling), Gap: Gap, Until: now.Add(leasing), Limit: batch})
	if err != nil {
		return 0, fmt.Errorf("leasing wishes: %w", err)
	}
	if len(wishes) == batch {
		w.next = now.Add(pace)
	}
	var g errgroup.Group // no shared context: one failure is not the others'
	g.SetLimit(workers)
	for _, wish := range wishes {
		g.Go(func() error { return w.wake(ctx, wires[wish.Topic], wish) })
	}
	return len(wishes), g.Wait()
}

// open gives the wires that can be pushed through now, by topic.
func (w *Waker) open(ctx context.Context, now time.Time) (map[string]*wire, error) {
	credentials, err := w.Credentials.Credentials(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the push certificates: %w", err)
	}
	open := map[string]*wire{}
	for _, c := range credentials {
		l := w.wires[c.Topic]
		if l == nil || !l.credential.Certificate.Equal(c.Certificate) {
			l = &wire{credential: c}
			w.wires[c.Topic] = l
		}
		if l.open(now) {
			open[c.Topic] = l
		}
	}
	return open, nil
}

func (w *Waker) wake(ctx context.Context, l *wire, wish Wish) error {
	if ctx.Err() != nil || !l.open(w.Now()) {
		return w.release(ctx, wish)
	}
	a := Answer{Kind: TokenGone, Reason: "what is stored of the token cannot be read"}
	if !wish.Token.Empty() {
		a = w.Pusher.Push(ctx, l.credential, Push{Token: wish.Token, Magic: wish.Magic, Expires: w.Now().Add(keeping)})
		if ctx.Err() != nil {
			return nil // the lease runs out, and the wish is there
		}
		if err := w.heard(ctx, l, a); err != nil {
			return err
		}
	}
	return w.note(ctx, wish, a)
}

// note writes down what became of a push.
func (w *Waker) note(ctx context.Context, wish Wish, a Answer) error {
	r := wish.after(a, w.Now())
	level := slog.LevelDebug
	if r.Refused || a.Kind == TooLarge || a.Kind == Refused {
		level = slog.LevelWarn
	}
	w.Log.Log(ctx, level, "pushed", logx.Device, string(wish.Device), logx.Kind, string(a.Kind), logx.Reason, a.Reason)
	err := w.Wishes.Pushed(ctx, r, journal.Entry{At: r.At, Actor: journal.Worker("push"), Action: journal.PushTokenRefused,
		User: wish.User, Device: wish.Device, Detail: map[string]string{"reason": a.Reason}})
	if err != nil {
		return fmt.Errorf("noting the push to %s: %w", wish.Device, err)
	}
	return nil
}

// release gives back what was not tried, also when the server ends.
func (w *Waker) release(ctx context.Context, wish Wish) error {
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), releasing)
	defer stop()
	if err := w.Wishes.Released(ctx, wish); err != nil {
		return fmt.Errorf("giving back the wish of %s: %w", wish.Device, err)
	}
	return nil
}

// heard says once that a topic is in trouble, and once that it is over.
func (w *Waker) heard(ctx context.Context, l *wire, a Answer) error {
	trouble, until, changed := l.heard(a, w.Now())
	if !changed {
		return nil
	}
	topic := l.credential.Topic
	switch {
	case a.Kind == CertificateRefused || a.Kind == TopicRefused:
		w.Log.ErrorContext(ctx, "Apple refuses our push certificate: no device is woken until that is mended", logx.Topic, topic, logx.Reason, trouble)
	case trouble != "":
		w.Log.WarnContext(ctx, "Apple's push service takes nothing: no device is woken for now", logx.Topic, topic, logx.Reason, trouble, logx.Until, until)
	default:
		w.Log.InfoContext(ctx, "Apple takes pushes", logx.Topic, topic)
	}
	if err := w.Credentials.Troubled(ctx, topic, trouble); err != nil {
		return fmt.Errorf("noting the state of the push certificate: %w", err)
	}
	return nil
}
