package httpd_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gorilla/mux"

	"github.com/signet-mdm/signet/internal/access"
	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/httpd"
	"github.com/signet-mdm/signet/internal/logx"
)

var errTest = fault.New(fault.Conflict, "test_conflict", "It is taken.", "Take another.")

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

func echo(w http.ResponseWriter, r *http.Request, by httpd.Caller) error {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return fmt.Errorf("reading body: %w", err)
	}
	fmt.Fprintf(w, "%s %s %d", mux.Vars(r)["name"], by.Role, len(body))
	return nil
}

func area(render httpd.Render, guard httpd.Guard) httpd.Area {
	return httpd.Area{Guard: guard, Render: render, Routes: []httpd.Route{
		{Method: "GET", Path: "/t/{name}", Permission: httpd.Anyone, MaxBody: httpd.NoBody, Handle: echo},
		{Method: "PUT", Path: "/t/{name}", Permission: httpd.Anyone, MaxBody: 10, Handle: echo},
		{Method: "GET", Path: "/mine/{name}", Permission: access.UserRead, MaxBody: httpd.NoBody, Handle: echo},
		{Method: "GET", Path: "/fail/declared", Permission: httpd.Anyone, MaxBody: httpd.NoBody,
			Handle: func(http.ResponseWriter, *http.Request, httpd.Caller) error {
				return fmt.Errorf("doing it: %w", errTest.With(errors.New("inner secret path")))
			}},
		{Method: "GET", Path: "/fail/plain", Permission: httpd.Anyone, MaxBody: httpd.NoBody,
			Handle: func(http.ResponseWriter, *http.Request, httpd.Caller) error { return errors.New("inner secret path") }},
		{Method: "GET", Path: "/fail/panic", Permission: httpd.Anyone, MaxBody: httpd.NoBody,
			Handle: func(http.ResponseWriter, *http.Request, httpd.Caller) error { panic("inner secret path") }},
		{Method: "GET", Path: "/fail/half", Permission: httpd.Anyone, MaxBody: httpd.NoBody,
			Handle: func(w http.ResponseWriter, _ *http.Request, _ httpd.Caller) error {
				io.WriteString(w, "half")
				panic("inner secret path")
			}},
	}}
}

func ask(h http.Handler, method, target string, body io.Reader) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(method, target, body))
	return w
}

func TestRouting(t *testing.T) {
	s := httpd.NewSite(discard(), []string{"signet.example.com"}, area(httpd.Bare, httpd.Local))
	const host = "https://signet.example.com"
	for name, c := range map[string]struct {
		method, target string
		status         int
		body, allow    string
	}{
		"found":            {"GET", host + "/t/x", 200, "x  0", ""},
		"HEAD":             {"HEAD", host + "/t/x", 200, "x  0", ""}, // the real server drops the body
		"with port":        {"GET", "https://SIGNET.example.com:8443/t/x", 200, "x  0", ""},
		"guarded":          {"GET", host + "/mine/x", 200, "x socket 0", ""},
		"unknown path":     {"GET", host + "/nowhere", 404, "not_found\n", ""},
		"unknown below":    {"GET", host + "/t/x/y", 404, "not_found\n", ""},
		"wrong method":     {"POST", host + "/t/x", 405, "method_not_allowed\n", "GET, HEAD, PUT"},
		"unknown method":   {"BREW", host + "/t/x", 405, "method_not_allowed\n", "GET, HEAD, PUT"},
		"unknown host":     {"GET", "https://evil.example.com/t/x", 421, "host_unknown\n", ""},
		"double slash":     {"GET", host + "//t/x", 400, "path_invalid\n", ""},
		"inner slash":      {"PUT", host + "/t//x", 400, "path_invalid\n", ""},
		"dot dot":          {"GET", host + "/t/../t/x", 400, "path_invalid\n", ""},
		"encoded dot dot":  {"GET", host + "/t/%2e%2e/t/x", 400, "path_invalid\n", ""},
		"dot":              {"GET", host + "/t/./x", 400, "path_invalid\n", ""},
		"encoded slash":    {"GET", host + "/t/a%2Fb", 400, "path_invalid\n", ""},
		"NUL":              {"GET", host + "/t/a%00b", 400, "path_invalid\n", ""},
		"backslash":        {"GET", host + "/t/a%5cb", 400, "path_invalid\n", ""},
		"no UTF-8":         {"GET", host + "/t/%ff", 400, "path_invalid\n", ""},
		"over-long":        {"GET", host + "/t/" + strings.Repeat("x", 2000), 400, "path_invalid\n", ""},
		"declared failure": {"GET", host + "/fail/declared", 409, "test_conflict\n", ""},
		"plain failure":    {"GET", host + "/fail/plain", 500, "internal\n", ""},
		"panic":            {"GET", host + "/fail/panic", 500, "internal\n", ""},
	} {
		w := ask(s, c.method, c.target, nil)
		if w.Code != c.status || w.Body.String() != c.body || w.Header().Get("Allow") != c.allow {
			t.Errorf("%s: got %d %q Allow %q, want %d %q Allow %q", name, w.Code, w.Body, w.Header().Get("Allow"), c.status, c.body, c.allow)
		}
		for header, want := range map[string]string{"X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin", "Cache-Control": "no-store"} {
			if got := w.Header().Get(header); got != want {
				t.Errorf("%s: %s is %q, want %q", name, header, got, want)
			}
		}
	}
}

func TestAnyHost(t *testing.T) {
	s := httpd.NewSite(discard(), nil, area(httpd.Bare, httpd.Local))
	if w := ask(s, "GET", "http://10.0.0.1:8080/t/x", nil); w.Code != 200 {
		t.Errorf("a site without names: got %d, want 200", w.Code)
	}
}

// Half an answer must not look whole.
func TestPanicAfterWriting(t *testing.T) {
	srv := httptest.NewServer(httpd.NewSite(discard(), nil, area(httpd.Bare, nilGuard)))
	defer srv.Close()
	res, err := http.Get(srv.URL + "/fail/half")
	if err == nil {
		_, err = io.ReadAll(res.Body)
		res.Body.Close()
	}
	if err == nil {
		t.Error("the client took half an answer for a whole one")
	}
}

func nilGuard(*http.Request, string) (httpd.Caller, error) {
	return httpd.Caller{}, access.ErrUnauthenticated
}

func TestGuard(t *testing.T) {
	for name, c := range map[string]struct {
		guard httpd.Guard
		want  int
	}{
		"stranger":   {nilGuard, 401},
		"no role":    {func(*http.Request, string) (httpd.Caller, error) { return httpd.Caller{}, nil }, 401},
		"wrong role": {func(*http.Request, string) (httpd.Caller, error) { return httpd.Caller{Role: access.Person}, nil }, 403},
		"right role": {func(*http.Request, string) (httpd.Caller, error) { return httpd.Caller{Role: access.Auditor}, nil }, 200},
	} {
		w := ask(httpd.NewSite(discard(), nil, area(httpd.Problem, c.guard)), "GET", "/mine/x", nil)
		if w.Code != c.want {
			t.Errorf("%s: got %d, want %d", name, w.Code, c.want)
		}
		if c.want == 401 && w.Header().Get("WWW-Authenticate") == "" {
			t.Errorf("%s: 401 without WWW-Authenticate", name)
		}
	}
}

func TestCrossOrigin(t *testing.T) {
	s := httpd.NewSite(discard(), nil, area(httpd.Bare, httpd.Local))
	for name, c := range map[string]struct {
		header, value string
		want          int
	}{
		"a device":            {"User-Agent", "MDM/1.0", 200},
		"our own form":        {"Sec-Fetch-Site", "same-origin", 200},
		"an old browser":      {"Origin", "https://example.com", 200},
		"another site":        {"Sec-Fetch-Site", "cross-site", 403},
		"another site, older": {"Origin", "https://evil.example.net", 403},
	} {
		r := httptest.NewRequest("PUT", "https://example.com/t/x", nil)
		r.Header.Set(c.header, c.value)
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		if w.Code != c.want {
			t.Errorf("%s: got %d, want %d", name, w.Code, c.want)
		}
	}
}

// Neither the answer nor a log line of an API shows more than was declared,
// and the log has one record a request, with everything to search for.
func TestRenderAndLog(t *testing.T) {
	var log bytes.Buffer
	s := httpd.NewSite(logx.New(&log, true, slog.LevelDebug), nil, area(httpd.Problem, httpd.Local))
	w := ask(s, "GET", "/fail/declared", nil)
	id := w.Header().Get(httpd.RequestIDHeader)
	want := `{"type":"urn:signet:problem:test_conflict","title":"Conflict","status":409,"detail":"It is taken.",` +
		`"code":"test_conflict","hint":"Take another.","requestId":"` + id + `"}` + "\n"
	if w.Body.String() != want || w.Header().Get("Content-Type") != "application/problem+json" {
		t.Errorf("got %s %s, want %s", w.Header().Get("Content-Type"), w.Body, want)
	}
	if n := strings.Count(log.String(), "\n"); n != 1 {
		t.Errorf("%d log records, want 1: %s", n, &log)
	}
	for _, part := range []string{`"route":"/fail/declared"`, `"status":409`, `"code":"test_conflict"`, `"method":"GET"`,
		`"duration":`, `"remote":"192.0.2.1"`, `"request_id":"` + id + `"`, `"level":"INFO"`} {
		if !strings.Contains(log.String(), part) {
			t.Errorf("log lacks %s: %s", part, &log)
		}
	}
	for _, path := range []string{"/fail/plain", "/fail/panic"} {
		log.Reset()
		if w := ask(s, "GET", path, nil); strings.Contains(w.Body.String(), "inner") {
			t.Errorf("%s shows the inside: %s", path, w.Body)
		}
		if !strings.Contains(log.String(), "inner secret path") || !strings.Contains(log.String(), `"level":"ERROR"`) {
			t.Errorf("%s: the log does not tell the operator: %s", path, &log)
		}
	}
}

func TestIncompleteRoutesDoNotStart(t *testing.T) {
	whole := httpd.Route{Method: "GET", Path: "/x", Permission: httpd.Anyone, MaxBody: httpd.NoBody, Handle: echo}
	change := func(f func(*httpd.Route)) httpd.Route { r := whole; f(&r); return r }
	for name, c := range map[string]struct {
		area httpd.Area
		ok   bool
	}{
		"whole":              {httpd.Area{Render: httpd.Bare, Routes: []httpd.Route{whole}}, true},
		"no render":          {httpd.Area{Routes: []httpd.Route{whole}}, false},
		"no permission":      {one(change(func(r *httpd.Route) { r.Permission = "" })), false},
		"unknown permission": {one(change(func(r *httpd.Route) { r.Permission = "user.raed" })), false},
		"no limit":           {one(change(func(r *httpd.Route) { r.MaxBody = 0 })), false},
		"no handler":         {one(change(func(r *httpd.Route) { r.Handle = nil })), false},
		"no method":          {one(change(func(r *httpd.Route) { r.Method = "" })), false},
		"relative path":      {one(change(func(r *httpd.Route) { r.Path = "x" })), false},
		"guard missing":      {one(change(func(r *httpd.Route) { r.Permission = access.UserRead })), false},
	} {
		panicked := func() (p bool) {
			defer func() { p = recover() != nil }()
			httpd.NewSite(discard(), nil, c.area)
			return false
		}()
		if panicked == c.ok {
			t.Errorf("%s: panicked %v, want %v", name, panicked, !c.ok)
		}
	}
}

func one(r httpd.Route) httpd.Area {
	return httpd.Area{Render: httpd.Bare, Routes: []httpd.Route{r}}
}
