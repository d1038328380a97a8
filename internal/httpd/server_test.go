package httpd_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/signet-mdm/signet/internal/httpd"
)

// start serves h on loopback and gives the address and a function that stops
// it and waits.
func start(t *testing.T, h http.Handler) (addr string, stop func() error) {
	t.Helper()
	l, err := httpd.Listen("--listen", "127.0.0.1:0", nil, h)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- httpd.Serve(ctx, discard(), l) }()
	stop = func() error { cancel(); err := <-done; done <- err; return err }
	t.Cleanup(func() { stop() })
	return l.Addr().String(), stop
}

// zeros is a body of n bytes that says nothing of its length.
type zeros struct{ left int64 }

func (z *zeros) Read(b []byte) (int, error) {
	if z.left <= 0 {
		return 0, io.EOF
	}
	n := min(int64(len(b)), z.left)
	clear(b[:n])
	z.left -= n
	return int(n), nil
}

func TestBodyLimits(t *testing.T) {
	addr, _ := start(t, httpd.NewSite(discard(), nil, area(httpd.Bare, httpd.Local)))
	for name, c := range map[string]struct {
		method  string
		size    int64
		chunked bool
		want    int
	}{
		"empty":           {"PUT", 0, false, 200},
		"at the limit":    {"PUT", 10, false, 200},
		"chunked, at it":  {"PUT", 10, true, 200},
		"one over":        {"PUT", 11, false, 413},
		"chunked, over":   {"PUT", 11, true, 413},
		"300 MB":          {"PUT", 300 << 20, false, 413},
		"300 MB, chunked": {"PUT", 300 << 20, true, 413},
		"GET with a body": {"GET", 1, false, 413},
	} {
		r, err := http.NewRequest(c.method, "http://"+addr+"/t/x", &zeros{c.size})
		if err != nil {
			t.Fatal(err)
		}
		if !c.chunked {
			r.ContentLength = c.size
		}
		before := heap()
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			// The server answers and closes while the client still sends.
			if c.size < 1<<20 {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		res.Body.Close()
		if res.StatusCode != c.want {
			t.Errorf("%s: got %d, want %d", name, res.StatusCode, c.want)
		}
		if grown := heap() - before; grown > 20<<20 {
			t.Errorf("%s: the heap grew by %d MiB", name, grown>>20)
		}
	}
}

// Many bodies at once, each within its limit, do not fill the memory: those
// that are too much are told to come back, and what ended is given back.
func TestManyLargeBodies(t *testing.T) {
	read, hold := make(chan struct{}, 9), make(chan struct{})
	a := httpd.Area{Render: httpd.Bare, Routes: []httpd.Route{{Method: "PUT", Path: "/t", Permission: httpd.Anyone, MaxBody: 64 << 20,
		Handle: func(w http.ResponseWriter, r *http.Request, _ httpd.Caller) error {
			_, err := io.Copy(io.Discard, r.Body)
			if err == nil {
				read <- struct{}{}
				<-hold
			}
			return err
		}}}}
	s := httpd.NewSite(discard(), nil, a)
	answers := make(chan int)
	const fits = httpd.BodiesEach
	for n := range 4 {
		go func() { answers <- from(s, fmt.Sprint("192.0.2.", n, ":1"), &zeros{fits}).Code }()
		<-read
	}
	if w := from(s, "192.0.2.9:1", &zeros{fits}); w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
		t.Errorf("one too many: got %d, want 503 with Retry-After", w.Code)
	}
	close(hold)
	for range 4 {
		if code := <-answers; code != 200 {
			t.Errorf("one that fits: got %d, want 200", code)
		}
	}
	for addr, want := range map[string]int{"192.0.2.0:1": 503, "[2001:db8::1]:1": 503, "@": 200} {
		if w := from(s, addr, &zeros{fits + 1}); w.Code != want {
			t.Errorf("more than the share of %s: got %d, want %d", addr, w.Code, want)
		}
	}
	if w := from(s, "192.0.2.0:1", &zeros{fits}); w.Code != 200 {
		t.Errorf("afterwards: got %d, want 200", w.Code)
	}
}

// from asks as the peer at addr.
func from(h http.Handler, addr string, body io.Reader) *httptest.ResponseRecorder {
	r := httptest.NewRequest("PUT", "/t", body)
	r.RemoteAddr = addr
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// One address cannot have all places, others and the socket still get theirs,
// and what ended is given back.
func TestPlacesOfOneAddress(t *testing.T) {
	read, hold := make(chan struct{}), make(chan struct{})
	a := httpd.Area{Render: httpd.Bare, Routes: []httpd.Route{{Method: "PUT", Path: "/t", Permission: httpd.Anyone, MaxBody: 10,
		Handle: func(_ http.ResponseWriter, r *http.Request, _ httpd.Caller) error {
			if b, _ := io.ReadAll(r.Body); len(b) > 0 {
				read <- struct{}{}
				<-hold
			}
			return nil
		}}}}
	s := httpd.NewSite(discard(), nil, a)
	answers := make(chan int)
	for n := range httpd.InFlightEach {
		go func() { answers <- from(s, fmt.Sprintf("[2001:db8::%x]:1", n), &zeros{1}).Code }()
		<-read
	}
	w := from(s, "[2001:db8::ffff]:1", nil)
	if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" || w.Header().Get("Connection") != "close" {
		t.Errorf("one too many: got %d %v, want 503 with Retry-After and close", w.Code, w.Header())
	}
	for _, addr := range []string{"[2001:db8:0:1::1]:1", "192.0.2.1:1", "@"} {
		if w := from(s, addr, nil); w.Code != 200 {
			t.Errorf("%s meanwhile: got %d, want 200", addr, w.Code)
		}
	}
	close(hold)
	for range httpd.InFlightEach {
		if code := <-answers; code != 200 {
			t.Errorf("one that fits: got %d, want 200", code)
		}
	}
	if w := from(s, "[2001:db8::1]:1", nil); w.Code != 200 {
		t.Errorf("afterwards: got %d, want 200", w.Code)
	}
}

func TestSharer(t *testing.T) {
	for remote, want := range map[string]string{
		"": "", "192.0.2.1": "192.0.2.1", "::ffff:192.0.2.1": "::ffff:192.0.2.1",
		"2001:db8::1": "2001:db8::/64", "fe80::1%eth0": "fe80::/64", "2001:db8:0:1::1": "2001:db8:0:1::/64",
	} {
		if got := httpd.Sharer(remote); got != want {
			t.Errorf("%q: got %q, want %q", remote, got, want)
		}
	}
}

func heap() int64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// pipes is a listener whose connections are pipes, so that time may be false.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (p pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}
func (p pipes) Close() error   { close(p.closed); return nil }
func (p pipes) Addr() net.Addr { return &net.TCPAddr{} }

func TestSlowSendersAreCutOff(t *testing.T) {
	for name, c := range map[string]struct {
		sent   string
		within time.Duration
	}{
		"half a header": {"GET /t/x HTTP/1.1\r\nHost: x\r\nX-Half: ", 10 * time.Second},
		"half a body":   {"PUT /t/x HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhalf", 31 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			l := pipes{make(chan net.Conn), make(chan struct{})}
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() {
				done <- httpd.Serve(ctx, discard(), httpd.On(l, httpd.NewSite(discard(), nil, area(httpd.Bare, httpd.Local))))
			}()
			ours, theirs := net.Pipe()
			l.conns <- theirs
			start := time.Now()
			io.WriteString(ours, c.sent)
			io.Copy(io.Discard, ours)
			if took := time.Since(start); took > c.within {
				t.Errorf("%s kept the connection open for %v", name, took)
			}
			ours.Close()
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	}
}

func TestHugeHeaderIsRefused(t *testing.T) {
	addr, _ := start(t, httpd.NewSite(discard(), nil, area(httpd.Bare, httpd.Local)))
	r, _ := http.NewRequest("GET", "http://"+addr+"/t/x", nil)
	r.Header.Set("X-Big", strings.Repeat("x", 80<<10))
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("got %d, want 431", res.StatusCode)
	}
}

func TestPortTaken(t *testing.T) {
	addr, _ := start(t, http.NotFoundHandler())
	_, err := httpd.Listen("--listen", addr, nil, http.NotFoundHandler())
	if !errors.Is(err, httpd.ErrListen) || !strings.Contains(err.Error(), addr) || !strings.Contains(err.Error(), "--listen") {
		t.Errorf("got %v, want ErrListen that names address and setting", err)
	}
}

// What is under way when the end comes is finished; what fails ends the rest.
func TestServeDrains(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	addr, stop := start(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(entered)
		<-leave
		io.WriteString(w, "whole")
	}))
	got := make(chan string, 1)
	go func() {
		res, err := http.Get("http://" + addr)
		if err != nil {
			got <- err.Error()
			return
		}
		defer res.Body.Close()
		b, _ := io.ReadAll(res.Body)
		got <- string(b)
	}()
	<-entered
	ended := make(chan error, 1)
	go func() { ended <- stop() }()
	close(leave)
	if err := <-ended; err != nil {
		t.Errorf("a drained end: %v", err)
	}
	if s := <-got; s != "whole" {
		t.Errorf("the running request got %q", s)
	}
}

func TestServeReportsAFailedListener(t *testing.T) {
	l, err := httpd.Listen("--listen", "127.0.0.1:0", nil, http.NotFoundHandler())
	if err != nil {
		t.Fatal(err)
	}
	other, err := httpd.Listen("--http-listen", "127.0.0.1:0", nil, http.NotFoundHandler())
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	if err := httpd.Serve(t.Context(), discard(), l, other); err == nil || !strings.Contains(err.Error(), "--listen") {
		t.Errorf("got %v, want the failure of --listen", err)
	}
}

func TestUnixSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "signet.sock")
	if err := os.WriteFile(path, nil, 0o600); err != nil { // what a dead server left
		t.Fatal(err)
	}
	site := httpd.NewSite(discard(), nil, area(httpd.Problem, httpd.Local))
	l, err := httpd.ListenUnix("socket", path, site)
	if err != nil {
		t.Fatal(err)
	}
	if got := l.Addr().String(); got != path {
		t.Errorf("address of the socket: got %s, want %s", got, path)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode of the socket: got %v, %v; want 0600", info.Mode().Perm(), err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- httpd.Serve(ctx, discard(), l) }()
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}}}
	res, err := client.Get("http://signet/mine/x")
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(res.Body)
	res.Body.Close()
	if string(body) != "x socket 0" {
		t.Errorf("got %q, want the local caller", body)
	}
	if _, err := httpd.ListenUnix("socket", path, site); !errors.Is(err, httpd.ErrListen) {
		t.Errorf("a second server on the same socket: got %v, want ErrListen", err)
	}
	client.CloseIdleConnections()
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
