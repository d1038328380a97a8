package landing_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/signet-mdm/signet/internal/access"
	"github.com/signet-mdm/signet/internal/delivery"
	"github.com/signet-mdm/signet/internal/httpd"
	"github.com/signet-mdm/signet/internal/httpd/landing"
	"github.com/signet-mdm/signet/internal/store"
	"github.com/signet-mdm/signet/internal/subject"
)

// told is what deliveries say, by user.
type told map[subject.UserID][]delivery.Progress

func (t told) User(_ context.Context, id subject.UserID) ([]delivery.Progress, error) {
	list, known := t[id]
	if !known {
		return nil, errors.New("inner")
	}
	return list, nil
}

// visit is a browser at a server.
type visit struct {
	t        *testing.T
	sessions *access.Service
	browser  *http.Client
	url      string
}

func newVisit(t *testing.T, d told) visit {
	t.Helper()
	db, err := store.OpenSQLite(t.Context(), filepath.Join(t.TempDir(), "signet.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	sessions := access.New(db.Access(), time.Now)
	site := httpd.NewSite(slog.New(slog.DiscardHandler), nil, landing.Area(landing.Config{Sessions: sessions, Deliveries: d,
		Organization: "Example", Notice: "This is a test."}))
	srv := httptest.NewTLSServer(site)
	t.Cleanup(srv.Close)
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	browser := srv.Client()
	browser.Jar = jar
	return visit{t, sessions, browser, srv.URL}
}

// do asks for a path and gives status and page.
func (v visit) do(method, path string) (int, string) {
	v.t.Helper()
	r, err := http.NewRequestWithContext(v.t.Context(), method, v.url+path, nil)
	if err != nil {
		v.t.Fatal(err)
	}
	res, err := v.browser.Do(r)
	if err != nil {
		v.t.Fatal(err)
	}
	defer res.Body.Close()
	page, err := io.ReadAll(res.Body)
	if err != nil {
		v.t.Fatal(err)
	}
	return res.StatusCode, string(page)
}

func link(t *testing.T, s *access.Service, user string) string {
	t.Helper()
	secret, err := s.MakeLink(t.Context(), user)
	if err != nil {
		t.Fatal(err)
	}
	return "/me/link/" + secret.RevealString()
}

func TestLink(t *testing.T) {
	v := newVisit(t, told{"u-1": {}})
	if status, page := v.do("GET", "/me"); status != 401 || !strings.Contains(page, "session_expired") {
		t.Errorf("without a session: %d\n%s", status, page)
	}
	path := link(t, v.sessions, "u-1")
	for range 2 { // a mail scanner looks, and looks again
		if status, page := v.do("GET", path); status != 200 || !strings.Contains(page, `<form class="card" method="post">`) {
			t.Errorf("the link: %d\n%s", status, page)
		}
	}
	if status, page := v.do("POST", path); status != 200 || !strings.Contains(page, "no device here yet") {
		t.Errorf("going on: %d\n%s", status, page)
	}
	if status, _ := v.do("GET", "/me"); status != 200 {
		t.Errorf("again: %d", status)
	}
	if status, page := v.do("POST", path); status != 401 || !strings.Contains(page, "Open the link from your mail again, or ask for a new one.") {
		t.Errorf("the link a second time: %d\n%s", status, page)
	}
}

func TestProgress(t *testing.T) {
	working := delivery.Progress{
		Device: subject.Device{Name: "Alice's <iPhone>"}, Installed: 1, Hint: "Unlock your device.", Notes: []string{"Outlook takes no certificates."},
		Lines: []delivery.Line{
			{Words: "To sign your mail", State: delivery.Installed},
			{Words: "To read mail since 2024", State: delivery.Sent},
			{Words: "To read older mail (2019–2021)", State: delivery.Failed, Reason: "The device refused it.", Why: "inner plan"},
		}}
	done := delivery.Progress{Device: subject.Device{Model: "iPad14,1"}, Installed: 1, Lines: []delivery.Line{{Words: "To sign your mail", State: delivery.Installed}}}
	stuck := delivery.Progress{Lines: []delivery.Line{{Words: "To sign your mail", State: delivery.Failed, Reason: "It failed."}}}
	const again = `http-equiv="refresh"`
	for name, c := range map[string]struct {
		list      []delivery.Progress
		has, lack []string
	}{
		"working": {[]delivery.Progress{working, done},
			[]string{"Alice&#39;s &lt;iPhone&gt;", "1 of 3 are on this device.", "being installed", "did not work", "The device refused it.",
				"Unlock your device.", "Outlook takes no certificates.", `<progress max="3" value="1"`, "iPad14,1", "Everything is on this device.",
				again, "This is a test.", "Example"},
			[]string{"inner plan", "<script"}},
		"done":  {[]delivery.Progress{done}, []string{"Everything is on this device."}, []string{again}},
		"stuck": {[]delivery.Progress{stuck}, []string{"Your device", "help desk", "It failed."}, []string{again}},
		"empty": {[]delivery.Progress{{}}, []string{"Nothing is to come"}, []string{again, "<progress"}},
	} {
		v := newVisit(t, told{"u-1": c.list, "u-2": {}})
		_, page := v.do("POST", link(t, v.sessions, "u-1"))
		for _, want := range c.has {
			if !strings.Contains(page, want) {
				t.Errorf("%s: the page lacks %q:\n%s", name, want, page)
			}
		}
		for _, bad := range c.lack {
			if strings.Contains(page, bad) {
				t.Errorf("%s: the page has %q:\n%s", name, bad, page)
			}
		}
	}
}

// Who enrolls sees the page of the device's user as well.
func TestEnrollmentSessionSeesThePage(t *testing.T) {
	v := newVisit(t, told{"u-1": {}})
	secret, err := v.sessions.OpenEnrollment(t.Context(), "u-1", "d-1")
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), "GET", v.url+"/me", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.AddCookie(&http.Cookie{Name: "__Host-signet", Value: secret.RevealString()})
	res, err := v.browser.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != 200 {
		t.Errorf("got %d, want 200", res.StatusCode)
	}
}

func TestFailureShowsNothing(t *testing.T) {
	v := newVisit(t, told{})
	if status, page := v.do("POST", link(t, v.sessions, "u-9")); status != 500 || strings.Contains(page, "inner") {
		t.Errorf("got %d\n%s", status, page)
	}
}
