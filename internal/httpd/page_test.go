package httpd_test

import (
	"net/http"
	"path"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/signet-mdm/signet/internal/httpd"
)

func TestPages(t *testing.T) {
	files := fstest.MapFS{"web/hello.html": {Data: []byte(`{{define "main"}}<h1>Hello {{.}}</h1>{{end}}`)}}
	pages := httpd.NewPages(files, httpd.House{Organization: "Example & Co", Notice: "This is a lab.",
		Help: httpd.Help{Name: "The <desk>", Phone: "+49 30 123", Mail: "help@example.com", URL: "javascript:alert(1)"}})
	routes := area(pages.Fail, httpd.Local)
	routes.Routes = append(routes.Routes, httpd.Route{Method: "GET", Path: "/hello", Permission: httpd.Anyone, MaxBody: httpd.NoBody,
		Handle: func(w http.ResponseWriter, _ *http.Request, _ httpd.Caller) error {
			return pages.Write(w, 200, "hello", httpd.View{Title: "Hello", Live: httpd.Address("/events", "abc"), Data: "<script>"})
		}})
	s := httpd.NewSite(discard(), nil, routes, httpd.Static())

	w := ask(s, "GET", "/hello", nil)
	page := w.Body.String()
	for _, part := range []string{"<h1>Hello &lt;script&gt;</h1>", "<title>Hello – Example &amp; Co</title>", "This is a lab.",
		`<noscript><meta http-equiv="refresh" content="5"></noscript>`, `<main data-live="/events?seen=abc">`,
		"The &lt;desk&gt;", `href="tel:&#43;4930123"`, `href="mailto:help@example.com"`} {
		if !strings.Contains(page, part) {
			t.Errorf("the page lacks %s:\n%s", part, page)
		}
	}
	if strings.Count(page, "<script") != 1 || strings.Contains(page, "style=") || strings.Contains(page, "javascript:") {
		t.Errorf("the page has inline code:\n%s", page)
	}
	if csp := w.Header().Get("Content-Security-Policy"); !strings.HasPrefix(csp, "default-src 'none'") {
		t.Errorf("policy: %q", csp)
	}

	loads := regexp.MustCompile(`(?:href|src)="(/static/[^"]+)"`).FindAllStringSubmatch(page, -1)
	if len(loads) != 2 {
		t.Fatalf("no style sheet or no script:\n%s", page)
	}
	total := len(page)
	for _, f := range loads {
		w := ask(s, "GET", f[1], nil)
		if w.Code != 200 || !strings.Contains(w.Header().Get("Cache-Control"), "immutable") {
			t.Errorf("%s: %d, %s", f[1], w.Code, w.Header().Get("Cache-Control"))
		}
		total += w.Body.Len()
		other := "/static/000000000000/" + path.Base(f[1]) // as another version of this server calls it
		if w := ask(s, "GET", other, nil); w.Code != 200 || w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d, %s", other, w.Code, w.Header().Get("Cache-Control"))
		}
	}
	if total > 60<<10 {
		t.Errorf("a page with all that it loads has %d bytes", total)
	}
	if w := ask(s, "GET", "/static/000000000000/layout.html", nil); w.Code != 404 {
		t.Errorf("a file that no page loads: %d", w.Code)
	}

	w = ask(s, "GET", "/fail/declared", nil)
	for _, part := range []string{"<h1>It is taken.</h1>", "Take another.", "test_conflict", "<code>" + w.Header().Get(httpd.RequestIDHeader)[:8] + "</code>"} {
		if !strings.Contains(w.Body.String(), part) {
			t.Errorf("the error page lacks %q:\n%s", part, w.Body)
		}
	}
	if w.Code != 409 || strings.Contains(w.Body.String(), "inner") {
		t.Errorf("error page: %d\n%s", w.Code, w.Body)
	}
}
