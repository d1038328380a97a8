package httpd_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/signet-mdm/signet/internal/access"
	"github.com/signet-mdm/signet/internal/httpd"
)

// tokens knows one token, and counts how often it was asked.
type tokens struct{ asked int }

func (t *tokens) Token(_ context.Context, presented, _ string) (httpd.Caller, error) {
	t.asked++
	if presented != "right" {
		return httpd.Caller{}, access.ErrUnauthenticated
	}
	return httpd.Caller{Role: access.Auditor}, nil
}

// show asks for something with a token from an address.
func show(s *httpd.Site, token, remote string) *httptest.ResponseRecorder {
	r := httptest.NewRequest("GET", "/mine/x", nil)
	r.RemoteAddr = remote + ":1"
	r.Header.Set("Authorization", "Bearer "+token)
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w
}

// 10 000 guesses in a minute from one address are looked up a few times only;
// who has the token gets in meanwhile, from elsewhere and from behind that
// address.
func TestGuessing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var known tokens
		s := httpd.NewSite(discard(), nil, area(httpd.Problem, httpd.Bearer(&known)))
		const bad, good = "192.0.2.66", "198.51.100.1"
		if w := show(s, "right", bad); w.Code != http.StatusOK { // somebody works there
			t.Fatalf("got %d", w.Code)
		}
		known.asked = 0
		late := 0
		for i := range 10_000 {
			w := show(s, fmt.Sprint("guess", i), bad)
			if w.Code == http.StatusTooManyRequests {
				late++
				if w.Header().Get("Retry-After") == "" || w.Header().Get("RateLimit") == "" {
					t.Fatalf("without Retry-After: %v", w.Header())
				}
			}
			time.Sleep(6 * time.Millisecond)
		}
		if known.asked > 70 || late < 9900 {
			t.Errorf("%d guesses were looked up, %d refused unseen; want at most 70", known.asked, late)
		}
		for remote, want := range map[string]int{bad: http.StatusOK, good: http.StatusOK} {
			if w := show(s, "right", remote); w.Code != want {
				t.Errorf("the right token from %s: got %d, want %d", remote, w.Code, want)
			}
		}
		time.Sleep(time.Minute)
		if w := show(s, "guess", bad); w.Code != http.StatusUnauthorized {
			t.Errorf("a minute later: got %d, want 401", w.Code)
		}
	})
}

// From 1000 addresses together, each has its own few tries, an IPv6 network
// counts as one, and others get in.
func TestGuessingFromMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var known tokens
		s := httpd.NewSite(discard(), nil, area(httpd.Problem, httpd.Bearer(&known)))
		for i := range 50_000 {
			show(s, fmt.Sprint("guess", i), fmt.Sprintf("203.0.%d.%d", i%1000/250, i%250))
		}
		if known.asked > 31_000 {
			t.Errorf("%d of 50 000 guesses were looked up", known.asked)
		}
		known.asked = 0
		for i := range 100 {
			show(s, "guess", fmt.Sprintf("[2001:db8::%x]", i+1))
		}
		if known.asked > 31 {
			t.Errorf("one network: %d guesses were looked up", known.asked)
		}
		if w := show(s, "right", "198.51.100.1"); w.Code != http.StatusOK {
			t.Errorf("the right token: got %d", w.Code)
		}
	})
}

// A token that was good and is revoked counts like any other.
func TestRevokedIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		revoked := false
		var asked int
		s := httpd.NewSite(discard(), nil, area(httpd.Problem, httpd.Bearer(tokenFunc(func() (httpd.Caller, error) {
			if asked++; revoked {
				return httpd.Caller{}, access.ErrUnauthenticated
			}
			return httpd.Caller{Role: access.Auditor}, nil
		}))))
		show(s, "right", "192.0.2.1")
		revoked = true
		for range 100 {
			show(s, "right", "192.0.2.1")
		}
		if asked > 32 {
			t.Errorf("looked up %d times", asked)
		}
	})
}

type tokenFunc func() (httpd.Caller, error)

func (f tokenFunc) Token(context.Context, string, string) (httpd.Caller, error) { return f() }
