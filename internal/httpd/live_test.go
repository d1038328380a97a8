package httpd_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/signet-mdm/signet/internal/httpd"
)

// board is what pages show, by key.
type board struct {
	mu     sync.Mutex
	shows  map[string]string
	looks  int
	asked  []string
	broken error
}

func (b *board) set(key, version string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.shows[key] = version
}

func (b *board) look(_ context.Context, keys []string) (map[string]string, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.looks++
	b.asked = keys
	out := map[string]string{}
	for _, k := range keys {
		if v, ok := b.shows[k]; ok {
			out[k] = v
		}
	}
	return out, b.broken
}

// events is a site with one stream, for whoever asks in ?key=.
func events(live *httpd.Live, look httpd.Look) *httpd.Site {
	source := live.Source(look)
	return httpd.NewSite(discard(), nil, httpd.Area{Render: httpd.Bare, Routes: []httpd.Route{{
		Method: "GET", Path: "/events", Permission: httpd.Anyone, MaxBody: httpd.NoBody, Stream: true,
		Handle: func(w http.ResponseWriter, r *http.Request, _ httpd.Caller) error {
			return source.Serve(w, r, r.URL.Query().Get("key"))
		}}}})
}

// heard is an answer that is read while it is written.
type heard struct {
	*httptest.ResponseRecorder
	lines chan string
}

func (h heard) Write(b []byte) (int, error) {
	for line := range strings.Lines(string(b)) {
		if line = strings.TrimSpace(line); line != "" {
			h.lines <- line
		}
	}
	return len(b), nil
}

// open opens a stream and gives what it says; it ends with ctx.
func open(ctx context.Context, s http.Handler, query string, header http.Header) (lines chan string, status chan int) {
	h := heard{httptest.NewRecorder(), make(chan string, 100)}
	r := httptest.NewRequest("GET", "/events?"+query, nil).WithContext(ctx)
	for k, v := range header {
		r.Header[k] = v
	}
	status = make(chan int, 1)
	go func() {
		s.ServeHTTP(h, r)
		close(h.lines)
		status <- h.Code
	}()
	return h.lines, status
}

// step runs the steps of live as the server's loop does.
func steps(ctx context.Context, live *httpd.Live) {
	for ctx.Err() == nil {
		live.Step(ctx)
		time.Sleep(100 * time.Millisecond)
	}
}

func TestLiveTellsOfChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		live, b := httpd.NewLive(), &board{shows: map[string]string{"alice": "v1", "bob": "v1"}}
		site := events(live, b.look)
		go steps(ctx, live)
		alice, _ := open(ctx, site, "key=alice&seen=v1", nil)
		late, _ := open(ctx, site, "key=alice&seen=v0", nil)
		again, _ := open(ctx, site, "key=alice&seen=v0", http.Header{"Last-Event-Id": {"v1"}})
		nobody, _ := open(ctx, site, "key=nobody", nil)
		want := func(name string, lines chan string, want ...string) {
			t.Helper()
			for _, w := range want {
				select {
				case got := <-lines:
					if got != w {
						t.Errorf("%s: got %q, want %q", name, got, w)
					}
				default:
					t.Errorf("%s: got nothing, want %q", name, w)
				}
			}
			select {
			case got := <-lines:
				t.Errorf("%s: got %q too many", name, got)
			default:
			}
		}
		time.Sleep(5 * time.Second)
		want("who has seen it", alice, "retry: 3000")
		want("who is late", late, "retry: 3000", "id: v1", "data: changed")
		want("who comes again", again, "retry: 3000")
		b.set("alice", "v2")
		time.Sleep(1200 * time.Millisecond)
		for name, lines := range map[string]chan string{"who has seen it": alice, "who is late": late, "who comes again": again} {
			want(name, lines, "id: v2", "data: changed")
		}
		want("without a page", nobody, "retry: 3000")
		b.mu.Lock()
		if b.looks > 8 || strings.Join(b.asked, " ") != "alice nobody" {
			t.Errorf("%d looks in six seconds, the last for %q; want one for each second and for those who listen", b.looks, b.asked)
		}
		b.mu.Unlock()
		time.Sleep(9 * time.Second)
		want("heartbeat", nobody, ":")
		stop() // and the streams end with their clients
		time.Sleep(time.Second)
		for range alice {
		}
		for range nobody {
		}
	})
}

// A stream lives for ten minutes, and ends at once when the server does.
func TestLiveEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		live, b := httpd.NewLive(), &board{shows: map[string]string{}}
		site := events(live, b.look)
		start := time.Now()
		lines, status := open(t.Context(), site, "key=alice", nil)
		if code := <-status; code != 200 || time.Since(start) != 10*time.Minute {
			t.Errorf("it ended with %d after %v", code, time.Since(start))
		}
		n := 0
		for range lines {
			n++
		}
		if n != 1+39 && n != 1+40 {
			t.Errorf("%d lines, want a heartbeat every 15 seconds", n)
		}
		start = time.Now()
		if w := ask(site, "HEAD", "/events?key=alice", nil); w.Code != 200 || time.Since(start) != 0 {
			t.Errorf("HEAD: %d after %v", w.Code, time.Since(start))
		}
		_, status = open(t.Context(), site, "key=alice", nil)
		synctest.Wait()
		live.Close()
		live.Close()
		<-status
		if _, status = open(t.Context(), site, "key=alice", nil); <-status != 200 || time.Since(start) != 0 {
			t.Errorf("it went on for %v", time.Since(start))
		}
	})
}

// However many somebody opens, there is a bound, and streams take no place from
// other requests.
func TestLiveIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		live, b := httpd.NewLive(), &board{shows: map[string]string{}}
		site := events(live, b.look)
		ctx, stop := context.WithCancel(t.Context())
		for range 8 {
			open(ctx, site, "key=alice", nil)
		}
		synctest.Wait()
		if _, status := open(ctx, site, "key=alice", nil); <-status != 503 {
			t.Error("a ninth stream of one subject")
		}
		for i := range 56 {
			open(ctx, site, "key=u"+string(rune('A'+i)), nil)
		}
		synctest.Wait()
		if _, status := open(ctx, site, "key=bob", nil); <-status != 503 {
			t.Error("a 65th stream from one address")
		}
		if w := ask(site, "GET", "/nothing", nil); w.Code != 404 {
			t.Errorf("another request from there: %d", w.Code)
		}
		stop()
		synctest.Wait()
		ctx, stop = context.WithCancel(t.Context())
		defer stop()
		lines, _ := open(ctx, site, "key=alice", nil)
		synctest.Wait()
		if line := <-lines; line != "retry: 3000" {
			t.Errorf("after they went: got %q", line)
		}
		stop()
		synctest.Wait()
	})
}

func TestLiveStepFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		live, b := httpd.NewLive(), &board{broken: errors.New("inner")}
		site := events(live, b.look)
		if _, err := live.Step(t.Context()); err != nil || b.looks != 0 {
			t.Errorf("nobody listens: %d looks, %v", b.looks, err)
		}
		time.Sleep(time.Second)
		ctx, stop := context.WithCancel(t.Context())
		open(ctx, site, "key=alice", nil)
		synctest.Wait()
		if _, err := live.Step(ctx); !errors.Is(err, b.broken) {
			t.Errorf("got %v", err)
		}
		stop()
		synctest.Wait()
	})
}

// The limits of a server are for answers that end: a stream outlives them.
func TestLiveOutlivesTimeouts(t *testing.T) {
	for _, h2 := range []bool{false, true} {
		live, b := httpd.NewLive(), &board{shows: map[string]string{"alice": "v1"}}
		srv := httptest.NewUnstartedServer(events(live, b.look))
		srv.Config.ReadTimeout, srv.Config.WriteTimeout = 50*time.Millisecond, 50*time.Millisecond
		srv.EnableHTTP2 = h2
		srv.StartTLS()
		resp, err := srv.Client().Get(srv.URL + "/events?key=alice")
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(150 * time.Millisecond)
		if _, err := live.Step(t.Context()); err != nil {
			t.Fatal(err)
		}
		in := bufio.NewScanner(resp.Body)
		var got []string
		for len(got) < 3 && in.Scan() {
			if in.Text() != "" {
				got = append(got, in.Text())
			}
		}
		if strings.Join(got, " ") != "retry: 3000 id: v1 data: changed" || (resp.ProtoMajor == 2) != h2 {
			t.Errorf("%s: got %q, %v", resp.Proto, got, in.Err())
		}
		live.Close()
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			t.Errorf("%s: it ends with %v", resp.Proto, err)
		}
		resp.Body.Close()
		srv.Close()
	}
}
