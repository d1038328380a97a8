package landing_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/signet-mdm/signet/internal/access"
	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/delivery"
	"github.com/signet-mdm/signet/internal/httpd"
	"github.com/signet-mdm/signet/internal/httpd/landing"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/store"
	"github.com/signet-mdm/signet/internal/store/sqlitetest"
	"github.com/signet-mdm/signet/internal/subject"
)

// told is what deliveries say, by user.
type told map[subject.UserID][]delivery.Progress

func (t told) Users(_ context.Context, ids []subject.UserID) (map[subject.UserID][]delivery.Progress, error) {
	for _, id := range ids {
		if _, known := t[id]; !known {
			return nil, errors.New("inner")
		}
	}
	return t, nil
}

// gone takes note of lost devices.
type gone []string

func (g *gone) Lost(_ context.Context, by journal.Actor, user subject.UserID, id subject.DeviceID) error {
	*g = append(*g, by.ID+" "+string(user)+" "+string(id))
	return nil
}

// asked takes note of who asks for links.
type asked []string

func (a *asked) MailLink(_ context.Context, remote, address string) error {
	*a = append(*a, remote+" "+address)
	if address == "broken" {
		return errors.New("inner")
	}
	return nil
}

// noon is when the pages are looked at.
var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.Local)

// visit is a browser at a server.
type visit struct {
	t        *testing.T
	sessions *access.Service
	browser  *http.Client
	url      string
	lost     *gone
	asked    *asked
	live     *httpd.Live
}

func newVisit(t *testing.T, d landing.Deliveries) visit {
	t.Helper()
	db, err := store.OpenSQLite(t.Context(), sqlitetest.Path(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	sessions := access.New(db.Access(), time.Now)
	v := visit{t: t, sessions: sessions, lost: &gone{}, asked: &asked{}, live: httpd.NewLive()}
	site := httpd.NewSite(slog.New(slog.DiscardHandler), nil, httpd.Static(), landing.Area(landing.Config{
		Sessions: sessions, Deliveries: d, Devices: v.lost, Links: v.asked, Live: v.live, Now: func() time.Time { return noon },
		House:  httpd.House{Organization: "Example", Notice: "This is a test.", Help: httpd.Help{Name: "Our desk", Mail: "help@example.com"}},
		Powers: httpd.Powers{Can: []string{"see <this>"}, Cannot: []string{"see that"}},
	}))
	srv := httptest.NewTLSServer(site)
	t.Cleanup(srv.Close)
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	v.browser, v.url = srv.Client(), srv.URL
	v.browser.Jar = jar
	return v
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
	if status, page := v.do("GET", "/me"); status != 401 || !strings.Contains(page, `action="/me/ask"`) {
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
	if status, page := v.do("POST", path); status != 401 || !strings.Contains(page, "Mail me a link") {
		t.Errorf("the link a second time: %d\n%s", status, page)
	}
}

// working and done are devices on the way and at the end of it.
var (
	working = delivery.Progress{
		Device:   subject.Device{ID: "d-1", Name: "Alice's <iPhone>", Model: "iPhone17,1", OSVersion: "18.2"},
		Enrolled: noon.Add(-time.Hour), Installed: 2, Hint: "Unlock your iPhone.", Notes: []string{"Outlook takes no certificates."},
		Lines: []delivery.Line{
			{Words: "Trust in your organisation's certificates", State: delivery.Installed},
			{Words: "To sign your mail", State: delivery.Installed, Certificate: true, Cert: cert.Fingerprint{1}, From: noon, Until: noon.AddDate(1, 0, 0)},
			{Words: "To read mail since 2024", State: delivery.Sent, Certificate: true, Cert: cert.Fingerprint{2}},
			{Words: "To read mail of 2015", State: delivery.Sealed, Certificate: true, Cert: cert.Fingerprint{3}, Ask: "Unlock your iPhone."},
			{Words: "To read older mail (2019–2021)", State: delivery.Failed, Certificate: true, Cert: cert.Fingerprint{4}, Reason: "The device refused it.", Next: noon, Why: "inner plan"},
			{Words: "To read older mail (2012–2015)", State: delivery.Queued, Certificate: true, Cert: cert.Fingerprint{5}},
		}}
	done = delivery.Progress{Device: subject.Device{ID: "d-2", Model: "iPad14,1"}, Enrolled: noon.AddDate(0, -1, 0), Installed: 1,
		Lines: []delivery.Line{{Words: "To read mail since 2024", State: delivery.Installed, Certificate: true, Cert: cert.Fingerprint{2}}}}
)

const again = `http-equiv="refresh"`

// pageHas asks for a page, and wants some words and not others.
func (v visit) pageHas(path string, has, lacks []string) {
	v.t.Helper()
	status, page := v.do("GET", path)
	if status != 200 {
		v.t.Errorf("%s: got %d", path, status)
	}
	for _, want := range append(has, "This is a test.", "Example", "Our desk", `href="mailto:help@example.com"`) {
		if !strings.Contains(page, want) {
			v.t.Errorf("%s: the page lacks %q:\n%s", path, want, page)
		}
	}
	for _, bad := range append(lacks, "inner plan", "style=", "<iPhone>", "onclick") {
		if strings.Contains(page, bad) {
			v.t.Errorf("%s: the page has %q:\n%s", path, bad, page)
		}
	}
}

func TestDevicePage(t *testing.T) {
	stuck := delivery.Progress{Device: subject.Device{ID: "d-3"}, Lines: []delivery.Line{{Words: "To sign your mail", State: delivery.Failed, Certificate: true, Reason: "It failed."}}}
	empty := delivery.Progress{Device: subject.Device{ID: "d-4"}}
	settings := delivery.Progress{Device: subject.Device{ID: "d-5"}, Lines: []delivery.Line{{Words: "Outlook's settings", State: delivery.Queued}}}
	v := newVisit(t, told{"u-1": {working, done, stuck, empty, settings}})
	v.do("POST", link(t, v.sessions, "u-1"))
	for id, c := range map[string]struct{ has, lacks []string }{
		"d-1": {[]string{"Your iPhone needs you", "Alice&#39;s &lt;iPhone&gt;", "1 of 5 certificates are on this iPhone.", `<progress max="5" value="1"`, "Unlock your iPhone.",
			`<span class="state done">`, `<span class="state way">`, `<span class="state needs">`, `<span class="state failed">`, `<span class="state waiting">`,
			"</svg>\ninstalled", "</svg>\non its way", "</svg>\nneeds you", "</svg>\ndid not work", "</svg>\nwaiting", "The device refused it. It is tried again by itself.",
			"24 Nov 2026 – 24 Nov 2027", "Outlook takes no certificates.", "You may close this page", again, `data-live="/me/events?seen=`}, nil},
		"d-2": {[]string{"Your iPad is ready", "Your certificate is on this iPad.", "You may close this page"}, []string{again, "data-live"}},
		"d-3": {[]string{"Your device needs help", "It failed. Ask for help.", "0 of 1 certificate is on this device."}, []string{again}},
		"d-4": {[]string{"Nothing is to come to this device yet."}, []string{again, "<progress"}},
		"d-5": {[]string{"Setting up your device", "There is no certificate for this device yet."}, []string{"<progress"}},
	} {
		v.pageHas("/me/devices/"+id, c.has, c.lacks)
	}
}

func TestHome(t *testing.T) {
	v := newVisit(t, told{"u-1": {working, done}, "u-2": {}})
	v.do("POST", link(t, v.sessions, "u-1"))
	v.pageHas("/me", []string{"New device: <bdi>Alice&#39;s &lt;iPhone&gt;</bdi>", "Was that not you?", "iPhone with version 18.2, since 24 Nov 2026",
		"On <bdi>Your iPad</bdi>", "On <bdi>Alice&#39;s &lt;iPhone&gt;</bdi>", "On none of your devices yet", "Add another device", "/me/privacy", again,
		`href="/me/devices/d-2/lost"`, "24 Nov 2026 – 24 Nov 2027"}, []string{"New device: <bdi>Your iPad"})
	v.do("POST", link(t, v.sessions, "u-2"))
	v.pageHas("/me", []string{"no device here yet"}, []string{again, "New device", "My certificates"})
	v.pageHas("/me/privacy", []string{"see &lt;this&gt;", "see that"}, nil)
}

// Somebody else's device is none that can be seen, asked about or removed.
func TestLost(t *testing.T) {
	v := newVisit(t, told{"u-1": {working, done}, "u-2": {}})
	if status, _ := v.do("POST", "/me/devices/d-1/lost"); status != 401 {
		t.Errorf("without a session: %d", status)
	}
	v.do("POST", link(t, v.sessions, "u-2"))
	for _, r := range [][2]string{{"GET", "/me/devices/d-1"}, {"GET", "/me/devices/d-1/lost"}, {"POST", "/me/devices/d-1/lost"}} {
		if status, page := v.do(r[0], r[1]); status != 404 || !strings.Contains(page, "page_device_unknown") || strings.Contains(page, "Alice") {
			t.Errorf("%s %s by another user: %d\n%s", r[0], r[1], status, page)
		}
	}
	v.do("POST", link(t, v.sessions, "u-1"))
	v.pageHas("/me/devices/d-1/lost", []string{"Remove <bdi>Alice&#39;s &lt;iPhone&gt;</bdi>?", "Remove it now", "Keep it", `method="post"`}, nil)
	if len(*v.lost) != 0 {
		t.Fatalf("looking removed %q", *v.lost)
	}
	elsewhere, err := v.sessions.OpenEnrollment(t.Context(), "u-1", "")
	if err != nil {
		t.Fatal(err)
	}
	mailed := link(t, v.sessions, "u-1")
	if status, page := v.do("POST", "/me/devices/d-1/lost"); status != 200 || !strings.Contains(page, "is removed") {
		t.Errorf("removing: %d\n%s", status, page)
	}
	if len(*v.lost) != 1 || (*v.lost)[0] != "u-1 u-1 d-1" {
		t.Errorf("removed: %q", *v.lost)
	}
	if _, err := v.sessions.Session(t.Context(), elsewhere.RevealString(), ""); !errors.Is(err, access.ErrSession) {
		t.Errorf("a session elsewhere afterwards: %v", err)
	}
	v.pageHas("/me", []string{"My devices"}, nil) // but here it goes on
	if status, _ := v.do("POST", mailed); status != 401 {
		t.Errorf("a link from before: %d", status)
	}
	r, err := http.NewRequestWithContext(t.Context(), "POST", v.url+"/me/devices/d-2/lost", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header = http.Header{"Origin": {"https://evil.example"}, "Sec-Fetch-Site": {"cross-site"}}
	res, err := v.browser.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != 403 || len(*v.lost) != 1 {
		t.Errorf("from another site: %d, removed %q", res.StatusCode, *v.lost)
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

// Who asks for a link hears the same at the same time, whoever he is.
func TestAsk(t *testing.T) {
	v := newVisit(t, told{})
	ask := func(address string) (int, string) {
		t.Helper()
		res, err := v.browser.PostForm(v.url+"/me/ask", url.Values{"address": {address}})
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		page, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res.StatusCode, string(page)
	}
	start := time.Now()
	if status, page := ask("alice@example.com"); status != 200 || !strings.Contains(page, "Look into your mail") || strings.Contains(page, "alice") {
		t.Errorf("got %d\n%s", status, page)
	}
	if took := time.Since(start); took < time.Second {
		t.Errorf("the answer came after %v: its time tells something", took)
	}
	if len(*v.asked) != 1 || (*v.asked)[0] != "127.0.0.1 alice@example.com" {
		t.Errorf("asked: %q", *v.asked)
	}
	if status, page := ask("broken"); status != 500 || strings.Contains(page, "inner") {
		t.Errorf("a failure: %d\n%s", status, page)
	}
	if status, _ := ask(strings.Repeat("x", 5000)); status != 413 {
		t.Errorf("too much: %d", status)
	}
}

// Without mail there is nothing to ask for.
func TestAskWithoutMail(t *testing.T) {
	c := landing.Config{Sessions: access.New(noStore{}, time.Now), Deliveries: told{}, Devices: &gone{}, Live: httpd.NewLive(), Now: time.Now}
	site := httpd.NewSite(slog.New(slog.DiscardHandler), nil, landing.Area(c))
	for path, want := range map[string]string{"/me": "Open the link from your mail again", "/me/ask": "not_found"} {
		w := httptest.NewRecorder()
		method := map[bool]string{true: "POST", false: "GET"}[path == "/me/ask"]
		site.ServeHTTP(w, httptest.NewRequest(method, path, nil))
		if !strings.Contains(w.Body.String(), want) || strings.Contains(w.Body.String(), "/me/ask") {
			t.Errorf("%s: %d\n%s", path, w.Code, w.Body)
		}
	}
}

// noStore is never asked.
type noStore struct{ access.Store }
