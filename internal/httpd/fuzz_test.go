package httpd_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"path"
	"testing"

	"github.com/signet-mdm/signet/internal/httpd"
)

// Whatever is asked for, a site neither fails nor redirects, and what reaches
// a handler is a path that reads one way only.
func FuzzSite(f *testing.F) {
	for _, target := range []string{"/t/x", "//t/x", "/t/%2e%2e/x", "/t/a%2Fb", "/t/\x00", "/t/%ff", "/fail/declared", "*", ""} {
		f.Add("GET", target, "signet.example.com")
	}
	f.Add("CONNECT", "/t/x", "[::1]:8443")
	a := area(httpd.Bare, httpd.Local)
	a.Routes = a.Routes[:4] // without those that fail by themselves
	s := httpd.NewSite(discard(), []string{"signet.example.com", "::1"}, a)
	f.Fuzz(func(t *testing.T, method, target, host string) {
		u, err := url.Parse(target)
		if err != nil {
			return
		}
		w := httptest.NewRecorder()
		s.ServeHTTP(w, &http.Request{Method: method, URL: u, Host: host, Header: http.Header{}, Body: http.NoBody, RemoteAddr: "192.0.2.1:1"})
		if w.Code/100 == 3 || w.Code >= 500 {
			t.Errorf("%q %q %q: status %d", method, target, host, w.Code)
		}
		if w.Code == http.StatusOK && path.Clean(u.Path) != u.Path {
			t.Errorf("%q was taken", target)
		}
	})
}
