package device_test

import (
	"bufio"
	"html"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/signet-mdm/signet/mdm/profile"
)

const iPhone = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_2 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.2 Mobile/15E148 Safari/604.1"

// signIn redeems an invitation and gives the header of the session.
func (s *server) signIn(link, code string) http.Header {
	s.t.Helper()
	status, h, body := s.ask("POST", link, http.Header{"Content-Type": {"application/x-www-form-urlencoded"}},
		strings.NewReader(url.Values{"code": {code}}.Encode()))
	if status != http.StatusSeeOther {
		s.t.Fatalf("got %d\n%s", status, body)
	}
	cookie, _, _ := strings.Cut(h.Get("Set-Cookie"), ";")
	return http.Header{"Cookie": {cookie}}
}

// Whoever opens the link elsewhere is led to Safari, and can go on all the same.
func TestWelcomeElsewhere(t *testing.T) {
	s := newServer(t, options{})
	_, link, code := s.invite(s.user("alice@example.com", "Alice"))
	for agent, c := range map[string]struct{ has, lacks []string }{
		iPhone: {[]string{`<form class="card"`}, []string{"<details", `class="qr"`, "data-copy"}},
		strings.Replace(iPhone, "Version/18.2", "CriOS/131.0", 1): {[]string{"Open this page in Safari", "<details data-touch>", "data-copy"}, []string{`class="qr"`}},
		"Mozilla/5.0 (X11; Linux x86_64)":                         {[]string{`class="qr"`, "<details data-touch>", "on your iPhone or iPad"}, nil},
	} {
		_, _, body := s.ask("GET", link, http.Header{"User-Agent": {agent}}, nil)
		for _, want := range append(c.has, "<form", `name="code"`, "Hello <bdi>Alice</bdi>", "Start", "The help desk") {
			if !strings.Contains(body, want) {
				t.Errorf("%s: the page lacks %q:\n%s", agent, want, body)
			}
		}
		for _, bad := range c.lacks {
			if strings.Contains(body, bad) {
				t.Errorf("%s: the page has %q", agent, bad)
			}
		}
		if strings.Contains(body, `value="`+link+`"`) != (agent != iPhone) {
			t.Errorf("%s: the address to copy is wrong:\n%s", agent, body)
		}
	}
	form := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
	if _, _, body := s.ask("POST", link, form, strings.NewReader("code=wrong")); !strings.Contains(body, "<details data-touch open>") {
		t.Errorf("after a wrong code the form is folded away:\n%s", body)
	}
	mine := s.signIn(link, code)
	if status, _, body := s.ask("GET", "/enroll/steps", nil, nil); status != 401 || !strings.Contains(body, "begun in another browser") {
		t.Errorf("another browser: got %d\n%s", status, body)
	}
	if status, _, _ := s.ask("GET", "/enroll/steps", mine, nil); status != 200 {
		t.Errorf("the same browser: got %d", status)
	}
}

// The page says what the profile says.
func TestRightsPage(t *testing.T) {
	s := newServer(t, options{})
	_, link, code := s.invite(s.user("alice@example.com", "Alice"))
	mine := s.signIn(link, code)
	_, _, body := s.ask("GET", "/enroll/rights", mine, nil)
	can, cannot := s.mdm.Rights.Words()
	for _, sentence := range append(can, cannot...) {
		if strings.Count(body, html.EscapeString(sentence)+"</li>") != 1 {
			t.Errorf("the page lacks %q:\n%s", sentence, body)
		}
	}
	if got := strings.Count(body, "</li>"); got < len(can)+len(cannot) || got > len(can)+len(cannot)+3 {
		t.Errorf("%d lines for %d rights and limits", got, len(can)+len(cannot))
	}
	_, _, prof := s.ask("GET", "/enroll/profile", mine, nil)
	if s.mdm.Rights != profile.CertificateDelivery || !strings.Contains(prof, "<integer>7443</integer>") {
		t.Error("the profile has other rights")
	}
}

// The page of the three steps knows when the profile was fetched, and hears of
// it and of the enrollment.
func TestStepsPage(t *testing.T) {
	s := newServer(t, options{progress: "/me/devices/"})
	inv, link, code := s.invite(s.user("alice@example.com", "Alice"))
	p := s.phone()
	mine := s.signIn(link, code)
	_, _, body := s.ask("GET", "/enroll/steps", mine, nil)
	for _, want := range []string{"Get profile", "Stolen Device Protection", `<noscript><meta http-equiv="refresh" content="5"></noscript>`,
		`data-live="/enroll/events?seen=`, `role="img"`, `role="status"`} {
		if !strings.Contains(body, want) {
			t.Errorf("before: the page lacks %q:\n%s", want, body)
		}
	}
	if strings.Contains(body, "data-left") {
		t.Error("a countdown before the download")
	}
	_, address, _ := strings.Cut(body, `data-live="`)
	address, _, _ = strings.Cut(address, `"`)
	r, err := http.NewRequestWithContext(t.Context(), "GET", s.url+html.UnescapeString(address), nil)
	s.must(err)
	r.Header = mine
	stream, err := s.browser().Do(r)
	s.must(err)
	defer stream.Body.Close()
	news := bufio.NewScanner(stream.Body)
	hears := func(what string) {
		t.Helper()
		for news.Scan() {
			if news.Text() == "data: changed" {
				return
			}
		}
		t.Fatalf("%s: the stream ended: %v", what, news.Err())
	}
	go func() {
		for t.Context().Err() == nil {
			s.live.Step(t.Context())
			time.Sleep(20 * time.Millisecond)
		}
	}()

	_, _, prof := s.ask("GET", "/enroll/profile", mine, nil)
	hears("the download")
	_, _, body = s.ask("GET", "/enroll/steps", mine, nil)
	if !strings.Contains(body, `data-left="479"`) && !strings.Contains(body, `data-left="478"`) && !strings.Contains(body, `data-left="477"`) ||
		!strings.Contains(body, "about 8 min") || !strings.Contains(body, "Get it again") {
		t.Errorf("after the download:\n%s", body)
	}
	s.must(p.Enroll(t.Context(), []byte(prof)))
	hears("the enrollment")
	status, h, _ := s.ask("GET", "/enroll/steps", mine, nil)
	if want := "/me/devices/" + string(inv.Device.ID); status != http.StatusSeeOther || h.Get("Location") != want {
		t.Errorf("afterwards: got %d to %q, want %s", status, h.Get("Location"), want)
	}
}
