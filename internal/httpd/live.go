package httpd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"
)

// Lengths of time and bounds of event streams.
const (
	streamLife     = 10 * time.Minute // then the page connects again, and is asked who it is
	lookPause      = time.Second      // at least, between two looks
	lookShare      = 10               // of the time goes into looking, one part at most
	maxStreamsEach = 8                // of one page's subject
)

// Look gives for each key the version of what its page shows: any text without
// line breaks that changes when the page does. Keys without a page are left out.
type Look func(ctx context.Context, keys []string) (map[string]string, error)

// Live tells open pages that what they show has changed, by server-sent events.
// No content is in them: a page that hears of a change asks for itself again,
// so that there is one way only to what a person may see.
//
// However many pages are open, one [Live.Step] at a time looks for all of them.
type Live struct {
	done    chan struct{}
	closing sync.Once

	mu      sync.Mutex
	sources []*Source
	next    time.Time // not before then
}

// NewLive makes one without sources.
func NewLive() *Live { return &Live{done: make(chan struct{})} }

// Source is one kind of page that changes.
type Source struct {
	live *Live
	look Look
	open map[string]map[chan string]bool // by key; guarded by live.mu
}

// Source adds a kind of page.
func (l *Live) Source(look Look) *Source {
	s := &Source{l, look, map[string]map[chan string]bool{}}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sources = append(l.sources, s)
	return s
}

// Close ends all streams, and those that begin later, at once: a server that
// drains waits for nobody.
func (l *Live) Close() { l.closing.Do(func() { close(l.done) }) }

// Step looks whether open pages have changed, and tells them. It takes its
// turn at most once a second, and no more than a tenth of the time.
func (l *Live) Step(ctx context.Context) (int, error) {
	start := time.Now()
	l.mu.Lock()
	sources, due := slices.Clone(l.sources), !start.Before(l.next)
	l.mu.Unlock()
	if !due {
		return 0, nil
	}
	var errs []error
	for _, s := range sources {
		errs = append(errs, s.tell(ctx))
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.next = start.Add(max(lookPause, lookShare*time.Since(start)))
	return 0, errors.Join(errs...)
}

func (s *Source) tell(ctx context.Context) error {
	s.live.mu.Lock()
	keys := slices.Sorted(maps.Keys(s.open))
	s.live.mu.Unlock()
	if len(keys) == 0 {
		return nil
	}
	versions, err := s.look(ctx, keys)
	if err != nil {
		return fmt.Errorf("looking for what changed on pages: %w", err)
	}
	s.live.mu.Lock()
	defer s.live.mu.Unlock()
	for key, version := range versions {
		for news := range s.open[key] {
			select { // the newest counts
			case <-news:
			default:
			}
			news <- version
		}
	}
	return nil
}

// join adds a stream; ErrBusy when the key has too many.
func (s *Source) join(key string) (news chan string, leave func(), err error) {
	s.live.mu.Lock()
	defer s.live.mu.Unlock()
	if len(s.open[key]) >= maxStreamsEach {
		return nil, nil, ErrBusy
	}
	if s.open[key] == nil {
		s.open[key] = map[chan string]bool{}
	}
	news = make(chan string, 1)
	s.open[key][news] = true
	return news, func() { s.leave(key, news) }, nil
}

func (s *Source) leave(key string, news chan string) {
	s.live.mu.Lock()
	defer s.live.mu.Unlock()
	if delete(s.open[key], news); len(s.open[key]) == 0 {
		delete(s.open, key)
	}
}

// Address gives what a page of that version listens to: the route of the
// stream with the version.
func Address(path, version string) string { return path + "?seen=" + version }

// Serve is the answer of a route that is a Stream: it sends an event whenever
// the version of key is another than the page has, which is told by [Address]
// or, after a reconnect, by the browser.
//
// Spec: HTML Living Standard section 9.2 (server-sent events)
func (s *Source) Serve(w http.ResponseWriter, r *http.Request, key string) error {
	seen := cmp.Or(r.Header.Get("Last-Event-ID"), r.URL.Query().Get("seen"))
	news, leave, err := s.join(key)
	if err != nil {
		return err
	}
	defer leave()
	out, err := BeginStream(w)
	if err != nil || out.Send("retry: 3000\n\n") != nil || r.Method == http.MethodHead {
		return nil // as below: he went away
	}
	life, beat := time.NewTimer(streamLife), time.NewTicker(Heartbeat)
	defer life.Stop()
	defer beat.Stop()
	for err == nil {
		select {
		case <-r.Context().Done():
			return nil
		case <-s.live.done:
			return nil
		case <-life.C:
			return nil
		case <-beat.C:
			err = out.Send(":\n\n")
		case version := <-news:
			if version != seen {
				seen = version
				err = out.Send("id: " + version + "\ndata: changed\n\n")
			}
		}
	}
	return nil
}
