package phone

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"time"
)

const maxAnswer = 10 << 20

// connect makes the phone's two ways out: Safari, and the system.
func (p *Phone) connect() {
	jar, err := cookiejar.New(nil)
	if err != nil {
		panic(err) // only a broken public-suffix list can cause it
	}
	patience := time.Minute
	if p.cfg.HTTP != nil && p.cfg.HTTP.Timeout > 0 {
		patience = p.cfg.HTTP.Timeout
	}
	p.web = &http.Client{Transport: p.gate(p.cfg.VisitAnyway), Jar: jar, Timeout: patience}
	p.net = &http.Client{Transport: p.gate(false), Timeout: patience}
}

// gate gives a transport through which nothing passes while the phone is
// offline.
func (p *Phone) gate(visitAnyway bool) http.RoundTripper {
	if p.cfg.HTTP != nil {
		next := p.cfg.HTTP.Transport
		if next == nil {
			next = http.DefaultTransport
		}
		return gate{p, next}
	}
	t := &http.Transport{
		DialTLSContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			return p.dial(ctx, network, addr, visitAnyway)
		},
		MaxIdleConnsPerHost: 1,
		IdleConnTimeout:     30 * time.Second,
	}
	p.base = append(p.base, t)
	return gate{p, t}
}

type gate struct {
	phone *Phone
	next  http.RoundTripper
}

func (g gate) RoundTrip(r *http.Request) (*http.Response, error) {
	if g.phone.feels().Offline {
		return nil, ErrOffline
	}
	resp, err := g.next.RoundTrip(r)
	if err == nil {
		g.phone.log(EventRequest, fmt.Sprintf("%s %.200s", r.Method, r.URL.Redacted()), resp.Status)
	}
	return resp, err
}

// answer is what a server said, read to its end.
type answer struct {
	status int
	header http.Header
	body   []byte
	url    *url.URL // where it came from in the end
}

// fetch sends a request and reads the answer. body may be nil.
func fetch(ctx context.Context, client *http.Client, method, to string, header http.Header, body []byte) (*answer, error) {
	req, err := http.NewRequestWithContext(ctx, method, to, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	for k, v := range header {
		req.Header[k] = v
	}
	resp, err := client.Do(req)
	if err != nil {
		if errors.Is(err, ErrOffline) {
			return nil, ErrOffline
		}
		return nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return nil, fmt.Errorf("reading the answer: %w", err)
	}
	if len(b) > maxAnswer {
		return nil, fmt.Errorf("answer of more than %d bytes", maxAnswer)
	}
	return &answer{resp.StatusCode, resp.Header, b, resp.Request.URL}, nil
}

func (a *answer) contentType() string { return a.header.Get("Content-Type") }

// mediaType is the content type without parameters.
func (a *answer) mediaType() string {
	t, _, _ := strings.Cut(a.contentType(), ";")
	return strings.ToLower(strings.TrimSpace(t))
}

func (a *answer) failed() error {
	return &StatusError{a.status, a.body[:min(len(a.body), 4<<10)]}
}
