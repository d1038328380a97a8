package device_test

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/signet-mdm/signet/internal/httpd/device"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/phone"
	"github.com/signet-mdm/signet/mdm"
	"github.com/signet-mdm/signet/mdm/profile"
)

// A user goes from the link in his mail to an enrolled phone, and back.
func TestEnrollment(t *testing.T) {
	for name, o := range map[string]options{
		"with a code":      {},
		"in lab mode":      {lab: true},
		"unsigned profile": {unsigned: true},
		"progress page":    {progress: "/me/devices/"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, o)
			p, inv := s.enrolled(s.user("alice@example.com", "Alice"))
			e, ok := p.Enrollment()
			if !ok || e.Topic != topic || e.AccessRights != 7443 || !e.SignMessage || s.state(inv) != mdm.Enrolled {
				t.Fatalf("enrolled %v: %+v, state %s", ok, e, s.state(inv))
			}
			if got := e.Identity.Certificate.Subject.CommonName; got != string(inv.Device.ID) {
				t.Errorf("the identity names %q, want the device", got)
			}
			prof, _ := p.Profile(e.Profile)
			if len(prof.Signers) > 0 == o.unsigned {
				t.Errorf("the profile has %d signers", len(prof.Signers))
			}
			s.must(s.mdm.Refresh(t.Context(), admin, inv.Device.ID, false))
			if n, err := p.Poll(t.Context()); err != nil || n != 2 {
				t.Errorf("Poll: got %d commands, %v; want 2", n, err)
			}
			d, err := s.mdm.Device(t.Context(), p.Serial())
			if err != nil || d.Open != 0 || len(d.Certificates) == 0 || d.Model == "" || d.OSVersion == "" {
				t.Errorf("inventory: got %+v, %v", d, err)
			}
			s.must(p.RemoveManagement(t.Context()))
			if got := s.state(inv); got != mdm.Removed {
				t.Errorf("after removal by the user: got %s", got)
			}
		})
	}
}

// Whoever only looks at the link, as mail scanners do, changes nothing.
func TestLookingChangesNothing(t *testing.T) {
	s := newServer(t, options{})
	_, link, code := s.invite(s.user("alice@example.com", "Alice"))
	for range 10 {
		for _, method := range []string{"GET", "HEAD"} {
			if status, _, _ := s.ask(method, link, nil, nil); status != 200 {
				t.Errorf("%s: got %d", method, status)
			}
		}
	}
	if _, err := s.phone().Open(t.Context(), link, code); err != nil {
		t.Error(err)
	}
}

func TestWelcomePage(t *testing.T) {
	s := newServer(t, options{})
	_, link, code := s.invite(s.user("alice@example.com", `"><script>alert(1)</script>`))
	status, h, body := s.ask("GET", link, nil, nil)
	if status != 200 || !strings.Contains(body, "Hello <bdi>&#34;&gt;&lt;script&gt;") {
		t.Errorf("got %d:\n%s", status, body)
	}
	if strings.Count(body, "<script") != 1 || strings.Contains(body, "style=") || strings.Contains(body, code) || strings.Contains(body, "Test mode") {
		t.Errorf("the page holds what it should not:\n%s", body)
	}
	if csp := h.Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") || strings.Contains(csp, "unsafe") {
		t.Errorf("policy: got %q", csp)
	}
	lab := newServer(t, options{lab: true})
	_, link, _ = lab.invite(lab.user("alice@example.com", "Alice"))
	if _, _, body := lab.ask("GET", link, nil, nil); !strings.Contains(body, device.LabNotice) || strings.Contains(body, `name="code"`) {
		t.Errorf("the lab's page does not say so, or asks for a code:\n%s", body)
	}
}

func TestWrongCode(t *testing.T) {
	s := newServer(t, options{})
	_, link, code := s.invite(s.user("alice@example.com", "Alice"))
	if _, err := s.phone().Open(t.Context(), link, "BBBBB-BBBBB"); !errors.Is(err, phone.ErrCode) {
		t.Errorf("wrong code: got %v, want ErrCode", err)
	}
	form := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}, "Origin": {s.url}}
	want := []int{403, 403, 403, 409, 409}
	for i, want := range want {
		status, h, body := s.ask("POST", link, form, strings.NewReader("code=wrong"))
		if status != want || len(h["Set-Cookie"]) > 0 {
			t.Errorf("try %d: got %d with cookies %v, want %d", i+2, status, h["Set-Cookie"], want)
		}
		if want == 403 && !strings.Contains(body, `role="alert"`) {
			t.Errorf("try %d: the page says nothing:\n%s", i+2, body)
		}
	}
	if status, _, _ := s.ask("POST", link, form, strings.NewReader("code="+code)); status != 409 {
		t.Errorf("right code after five wrong ones: got %d, want 409", status)
	}
	if n := s.entries(journal.InvitationRefused, ""); n != 5 {
		t.Errorf("journal has %d refusals, want 5", n)
	}
}

func TestForms(t *testing.T) {
	s := newServer(t, options{})
	_, link, code := s.invite(s.user("alice@example.com", "Alice"))
	form := func(more http.Header) http.Header {
		h := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
		for k, v := range more {
			h[k] = v
		}
		return h
	}
	for name, c := range map[string]struct {
		url    string
		header http.Header
		body   string
		want   int
	}{
		"from another site":  {link, form(http.Header{"Origin": {"https://evil.example"}, "Sec-Fetch-Site": {"cross-site"}}), "code=" + code, 403},
		"too large":          {link, form(nil), "code=" + strings.Repeat("x", 5000), 413},
		"not a form":         {link, form(nil), "%zz=1", 400},
		"unknown link":       {s.url + "/enroll/AAAAAAAAAAAAAAAAAAAAAAAAAA", form(nil), "code=" + code, 404},
		"no link":            {s.url + "/enroll/", form(nil), "code=" + code, 404},
		"path out of bounds": {s.url + "/enroll/" + strings.Repeat("A", 5000), form(nil), "code=" + code, 400},
	} {
		if status, _, _ := s.ask("POST", c.url, c.header, strings.NewReader(c.body)); status != c.want {
			t.Errorf("%s: got %d, want %d", name, status, c.want)
		}
	}
	if _, err := s.phone().Open(t.Context(), link, code); err != nil {
		t.Errorf("after all that: %v", err)
	}
}

// The profile is for the session that redeemed the code and for nobody else.
func TestProfileNeedsTheSession(t *testing.T) {
	s := newServer(t, options{})
	_, link, code := s.invite(s.user("alice@example.com", "Alice"))
	status, h, _ := s.ask("POST", link, http.Header{"Content-Type": {"application/x-www-form-urlencoded"}},
		strings.NewReader(url.Values{"code": {code}}.Encode()))
	if status != http.StatusSeeOther || h.Get("Location") != "/enroll/rights" {
		t.Fatalf("got %d to %q", status, h.Get("Location"))
	}
	set := h.Get("Set-Cookie")
	for _, want := range []string{"__Host-", "Secure", "HttpOnly", "SameSite=Lax", "Path=/"} {
		if !strings.Contains(set, want) {
			t.Errorf("cookie %q lacks %s", set, want)
		}
	}
	cookie, _, _ := strings.Cut(set, ";")
	mine := http.Header{"Cookie": {cookie}}
	forged := http.Header{"Cookie": {cookie + "x"}}
	for path, want := range map[string]int{"/enroll/rights": 401, "/enroll/steps": 401, "/enroll/events": 401, "/enroll/profile": 401} {
		for name, h := range map[string]http.Header{"no session": nil, "forged session": forged} {
			if status, _, body := s.ask("GET", path, h, nil); status != want || strings.Contains(body, "plist") {
				t.Errorf("%s, %s: got %d, want %d", path, name, status, want)
			}
		}
	}
	elsewhere := http.Header{"Cookie": {cookie}, "Sec-Fetch-Site": {"cross-site"}}
	if status, _, body := s.ask("GET", "/enroll/profile", elsewhere, nil); status != 403 || strings.Contains(body, "plist") {
		t.Errorf("started by another site: got %d, want 403", status)
	}
	status, h, _ = s.ask("HEAD", "/enroll/profile", mine, nil)
	if status != 200 || h.Get("Content-Type") != profile.ContentType || s.entries(journal.ProfileDownloaded, "") != 0 {
		t.Errorf("HEAD: got %d, %q, and %d downloads", status, h.Get("Content-Type"), s.entries(journal.ProfileDownloaded, ""))
	}
	status, h, body := s.ask("GET", "/enroll/profile", mine, nil)
	if status != 200 || h.Get("Content-Type") != profile.ContentType || h.Get("Cache-Control") != "no-store" || !strings.Contains(body, "com.apple.mdm") {
		t.Errorf("got %d, %q, %q", status, h.Get("Content-Type"), h.Get("Cache-Control"))
	}
	if status, h, _ := s.ask("GET", link, nil, nil); status != http.StatusSeeOther || h.Get("Location") != "/enroll/steps" {
		t.Errorf("the used link: got %d to %q", status, h.Get("Location"))
	}
	if status, _, body := s.ask("GET", "/enroll/steps", mine, nil); status != 200 || !strings.Contains(body, "Get it again") {
		t.Errorf("steps: got %d", status)
	}
}

// Each download has a challenge of its own, and the last one counts.
func TestDownloadTwice(t *testing.T) {
	s := newServer(t, options{})
	_, link, code := s.invite(s.user("alice@example.com", "Alice"))
	p := s.phone()
	first, err := p.Open(t.Context(), link, code)
	s.must(err)
	second, err := p.Open(t.Context(), link, "")
	s.must(err)
	if err := p.Enroll(t.Context(), first); err == nil {
		t.Error("the first profile still enrolls")
	}
	if err := p.Enroll(t.Context(), second); err != nil {
		t.Errorf("the second profile: %v", err)
	}
	if _, err := s.phone().Open(t.Context(), link, code); err == nil {
		t.Error("another phone got a profile from the used link")
	}
	if _, err := p.Open(t.Context(), link, code); err == nil {
		t.Error("the profile can be had after enrollment")
	}
	if err := s.phone().Enroll(t.Context(), second); err == nil {
		t.Error("another phone enrolled with the same profile")
	}
}
