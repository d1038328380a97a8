package bench

import (
	"bytes"
	"crypto/tls"
	"io"
	"net/http"
	"net/http/cookiejar"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/signet-mdm/signet/internal/phone"
)

// message is one signed message of a phone, to be sent as often as wanted.
type message struct {
	path string
	head http.Header
	body []byte
}

// recorder keeps what a phone says to the MDM server.
type recorder struct {
	http.RoundTripper
	mu   sync.Mutex
	said []message
}

// RoundTrip implements [http.RoundTripper].
func (r *recorder) RoundTrip(req *http.Request) (*http.Response, error) {
	if strings.HasPrefix(req.URL.Path, "/mdm/") {
		body, err := io.ReadAll(req.Body)
		if err != nil {
			return nil, err
		}
		req.Body = io.NopCloser(bytes.NewReader(body))
		r.mu.Lock()
		r.said = append(r.said, message{req.URL.Path, req.Header.Clone(), body})
		r.mu.Unlock()
	}
	return r.RoundTripper.RoundTrip(req)
}

// enrolled is a phone that is enrolled and has nothing left to fetch.
type enrolled struct {
	*phone.Phone
	rec                       *recorder
	authenticate, token, idle message
}

// insecure trusts any server: these are our own on loopback.
func insecure() *http.Transport {
	return &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: false}
}

// enroll brings n phones of one user to the server.
func (s *server) enroll(n int) []enrolled {
	s.b.Helper()
	s.signet("user", "add", "alice@example.com", "--name", "Alice Example")
	pool := &phone.KeyPool{}
	if err := pool.Fill(s.b.Context(), n); err != nil {
		s.b.Fatal(err)
	}
	list := make([]enrolled, n)
	for i := range list {
		list[i] = s.enrollOne(pool)
	}
	s.settle(list)
	for i := range list {
		list[i].listen(s.b)
	}
	return list
}

// settle lets phones poll until the server has had nothing for them three
// times.
func (s *server) settle(list []enrolled) {
	s.b.Helper()
	for quiet := 0; quiet < 3; quiet++ {
		time.Sleep(time.Second)
		for _, p := range list {
			n, err := p.Poll(s.b.Context())
			if err != nil {
				s.b.Fatal(err)
			}
			if n > 0 {
				quiet = 0
			}
		}
	}
}

func (s *server) enrollOne(pool *phone.KeyPool) enrolled {
	s.b.Helper()
	ctx, b := s.b.Context(), s.b
	rec := &recorder{RoundTripper: insecure()}
	jar, err := cookiejar.New(nil)
	if err != nil {
		b.Fatal(err)
	}
	p := phone.New(phone.Config{Keys: pool, HTTP: &http.Client{Transport: rec, Jar: jar}})
	b.Cleanup(p.Close)
	profile, err := p.Open(ctx, s.field("link", "invite", "alice@example.com"), "")
	if err != nil {
		b.Fatal(err)
	}
	if err := p.Enroll(ctx, profile); err != nil {
		b.Fatal(err)
	}
	return enrolled{Phone: p, rec: rec}
}

// listen polls once more and picks the messages out of what was said.
func (p *enrolled) listen(b *testing.B) {
	b.Helper()
	idle := `<plist version="1.0"><dict><key>Status</key><string>Idle</string><key>UDID</key><string>` + p.UDID() + `</string></dict></plist>`
	if status, answer, err := p.Send(b.Context(), phone.Connect, []byte(idle)); err != nil || status != http.StatusOK || len(answer) > 0 {
		b.Fatalf("polling: %d %v\n%s", status, err, answer)
	}
	for _, m := range p.rec.said {
		switch {
		case bytes.Contains(m.body, []byte("<string>Authenticate</string>")):
			p.authenticate = m
		case bytes.Contains(m.body, []byte("<string>TokenUpdate</string>")):
			p.token = m
		case bytes.Equal(m.body, []byte(idle)):
			p.idle = m
		}
	}
}

// send puts a message and wants 200.
func send(b *testing.B, c *http.Client, url string, m message) {
	req, err := http.NewRequestWithContext(b.Context(), http.MethodPut, url, bytes.NewReader(m.body))
	if err != nil {
		b.Error(err)
		return
	}
	req.Header = m.head
	resp, err := c.Do(req)
	if err != nil {
		b.Error(err)
		return
	}
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	resp.Body.Close()
	if err != nil || resp.StatusCode != http.StatusOK || len(answer) != 0 {
		b.Errorf("%s: %d %v %.200q", url, resp.StatusCode, err, answer)
	}
}
