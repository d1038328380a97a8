package phone

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/net/html"
)

const (
	profileType = "application/x-apple-aspen-config"
	maxSteps    = 25 // requests in one visit
)

// Open follows an enrollment link in Safari: it opens the page, types code
// into a form that has a field named "code", and taps what leads to a profile,
// until an answer is one. Cookies are kept for later visits. It returns
// ErrCode when the page asks for a code and there is none, or it is refused.
func (p *Phone) Open(ctx context.Context, link, code string) ([]byte, error) {
	p.op.Lock()
	defer p.op.Unlock()
	v := &visit{phone: p, code: code, seen: map[string]bool{}}
	return v.follow(ctx, step{method: http.MethodGet, to: link})
}

// Browse opens one page and returns its text and the address it ended at.
func (p *Phone) Browse(ctx context.Context, link string) (body []byte, address string, err error) {
	p.op.Lock()
	defer p.op.Unlock()
	v := &visit{phone: p}
	a, err := v.request(ctx, step{method: http.MethodGet, to: link})
	if err != nil {
		return nil, "", err
	}
	if a.status/100 != 2 {
		return nil, a.url.String(), a.failed()
	}
	return a.body, a.url.String(), nil
}

// Press opens a page and presses the button that says words. It returns the
// text of the page that answers, and an error when there is no such button or
// the answer is none of success.
func (p *Phone) Press(ctx context.Context, link, words string) ([]byte, error) {
	p.op.Lock()
	defer p.op.Unlock()
	v := &visit{phone: p}
	a, err := v.request(ctx, step{method: http.MethodGet, to: link})
	if err != nil {
		return nil, err
	}
	if a.status/100 != 2 {
		return a.body, a.failed()
	}
	page, err := html.Parse(bytes.NewReader(a.body))
	if err != nil {
		return nil, fmt.Errorf("reading the page: %w", err)
	}
	for _, form := range elements(page, "form") {
		for _, b := range elements(form, "button") {
			if text(b) != words {
				continue
			}
			if a, err = v.request(ctx, submission(form, a.url)); err == nil && a.status/100 != 2 {
				err = a.failed()
			}
			return a.body, err
		}
	}
	return a.body, fmt.Errorf("no button says %q", words)
}

// visit is one attempt to get from a link to a profile.
type visit struct {
	phone *Phone
	code  string
	typed bool // the code was sent
	seen  map[string]bool
}

// step is a request a page offers.
type step struct {
	method, to string
	fields     url.Values
	rank       int // how likely it leads to the profile; higher is tapped first
}

var errNoProfile = errors.New("no profile behind the link")

// follow makes a request and goes on from its answer, depth first.
func (v *visit) follow(ctx context.Context, s step) ([]byte, error) {
	key := s.method + " " + s.to + "?" + s.fields.Encode()
	if v.seen[key] || len(v.seen) >= maxSteps {
		return nil, errNoProfile
	}
	v.seen[key] = true
	a, err := v.request(ctx, s)
	if err != nil {
		return nil, err
	}
	if a.mediaType() == profileType && a.status == http.StatusOK {
		return a.body, nil
	}
	if a.mediaType() != "text/html" {
		return nil, fmt.Errorf("%w: %s answered %d with %.60q", errNoProfile, a.url.Path, a.status, a.contentType())
	}
	page, err := html.Parse(bytes.NewReader(a.body))
	if err != nil {
		return nil, fmt.Errorf("reading the page: %w", err)
	}
	if form := codeForm(page); form != nil {
		return v.typeCode(ctx, form, a)
	}
	if a.status/100 != 2 {
		return nil, fmt.Errorf("%w: %w, page says %q", errNoProfile, a.failed(), says(page))
	}
	return v.tap(ctx, page, a)
}

func (v *visit) typeCode(ctx context.Context, form *html.Node, a *answer) ([]byte, error) {
	if v.code == "" {
		return nil, ErrCode
	}
	if v.typed {
		return nil, fmt.Errorf("%w again: %q", ErrCode, says(root(form)))
	}
	v.typed = true
	s := submission(form, a.url)
	s.fields.Set("code", v.code)
	return v.follow(ctx, s)
}

// tap tries what the page offers, the likeliest first.
func (v *visit) tap(ctx context.Context, page *html.Node, a *answer) ([]byte, error) {
	steps := offers(page, a.url)
	slices.SortStableFunc(steps, func(x, y step) int { return y.rank - x.rank })
	for _, s := range steps {
		b, err := v.follow(ctx, s)
		if !errors.Is(err, errNoProfile) {
			return b, err
		}
	}
	return nil, fmt.Errorf("%w: page says %q", errNoProfile, says(page))
}

func (v *visit) request(ctx context.Context, s step) (*answer, error) {
	h := http.Header{
		"Accept":          {"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"},
		"Accept-Language": {"en-GB,en;q=0.9"},
		"User-Agent": {fmt.Sprintf("Mozilla/5.0 (iPhone; CPU iPhone OS %s like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/%s Mobile/15E148 Safari/604.1",
			strings.ReplaceAll(v.phone.cfg.OSVersion, ".", "_"), v.phone.cfg.OSVersion)},
	}
	to, body := s.to, []byte(nil)
	switch {
	case s.method == http.MethodPost:
		h.Set("Content-Type", "application/x-www-form-urlencoded")
		h.Set("Sec-Fetch-Site", "same-origin")
		if u, err := url.Parse(s.to); err == nil {
			h.Set("Origin", u.Scheme+"://"+u.Host)
		}
		body = []byte(s.fields.Encode())
	case s.fields != nil:
		u, err := url.Parse(s.to)
		if err != nil {
			return nil, err
		}
		u.RawQuery = s.fields.Encode()
		to = u.String()
	}
	return fetch(ctx, v.phone.web, s.method, to, h, body)
}
