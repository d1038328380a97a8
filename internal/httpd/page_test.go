package httpd_test

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/signet-mdm/signet/internal/httpd"
)

func TestPages(t *testing.T) {
	files := fstest.MapFS{"web/hello.html": {Data: []byte(`{{define "main"}}<h1>Hello {{.}}</h1>{{end}}`)}}
	pages := httpd.NewPages(files, "Example & Co", "This is a lab.")
	routes := area(pages.Fail, httpd.Local)
	routes.Routes = append(routes.Routes, httpd.Route{Method: "GET", Path: "/hello", Permission: httpd.Anyone, MaxBody: httpd.NoBody,
		Handle: func(w http.ResponseWriter, _ *http.Request, _ httpd.Caller) error {
			return pages.Write(w, 200, "hello", httpd.View{Title: "Hello", Refresh: 5 * time.Second, Data: "<script>"})
		}})
	s := httpd.NewSite(discard(), nil, routes, httpd.Static())

	w := ask(s, "GET", "/hello", nil)
	page := w.Body.String()
	for _, part := range []string{"<h1>Hello &lt;script&gt;</h1>", "<title>Hello – Example &amp; Co</title>", "This is a lab.",
		`<meta http-equiv="refresh" content="5">`} {
		if !strings.Contains(page, part) {
			t.Errorf("the page lacks %s:\n%s", part, page)
		}
	}
	if strings.Contains(page, "<script") || strings.Contains(page, "style=") {
		t.Errorf("the page has inline code:\n%s", page)
	}
	if csp := w.Header().Get("Content-Security-Policy"); !strings.HasPrefix(csp, "default-src 'none'") {
		t.Errorf("policy: %q", csp)
	}

	style := regexp.MustCompile(`href="(/static/[^"]+)"`).FindStringSubmatch(page)
	if style == nil {
		t.Fatalf("no style sheet:\n%s", page)
	}
	if w := ask(s, "GET", style[1], nil); w.Code != 200 || !strings.Contains(w.Header().Get("Cache-Control"), "immutable") {
		t.Errorf("style sheet: %d, %s", w.Code, w.Header().Get("Cache-Control"))
	}

	w = ask(s, "GET", "/fail/declared", nil)
	for _, part := range []string{"<h1>It is taken.</h1>", "Take another.", "test_conflict", w.Header().Get(httpd.RequestIDHeader)} {
		if !strings.Contains(w.Body.String(), part) {
			t.Errorf("the error page lacks %q:\n%s", part, w.Body)
		}
	}
	if w.Code != 409 || strings.Contains(w.Body.String(), "inner") {
		t.Errorf("error page: %d\n%s", w.Code, w.Body)
	}
}
