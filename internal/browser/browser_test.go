package browser

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// The judge is the one that was published.
func TestAxeIsUnchanged(t *testing.T) {
	h := sha256.Sum256([]byte(axe))
	if got := hex.EncodeToString(h[:]); got != "29348999450cdf2849a8e70b7912fc2da85a849da39c0d0d5394f51d4a9ed95c" {
		t.Errorf("axe.min.js has the SHA-256 %s", got)
	}
}

// spy is a test that only takes note of errors.
type spy struct {
	testing.TB
	errors []string
}

func (s *spy) Helper() {}
func (s *spy) Errorf(format string, args ...any) {
	s.errors = append(s.errors, strings.TrimSpace(format), strings.Join(texts(args), " "))
}

func texts(args []any) (list []string) {
	for _, a := range args {
		if s, ok := a.(string); ok {
			list = append(list, s)
		}
	}
	return list
}

// A page with every fault that Sound looks for: it finds them all.
func TestSoundFindsFaults(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", "default-src 'none'")
		w.Header().Set("Content-Type", "text/html")
		w.Write([]byte(`<!doctype html><html><head><title>x</title></head><body><h1>x</h1>
<p style="font-size:12px">small</p><a href="/">x</a><img src="/none.png"><pre>` + strings.Repeat("wide", 200) + `</pre><!--` + strings.Repeat("x", 70_000) + `-->
<script>document.title = "ran"</script></body></html>`))
	}))
	defer srv.Close()
	p := Start(t).Page(t, Look{})
	p.Open(srv.URL)
	s := &spy{TB: t}
	p.t = s
	p.Sound("bad")
	all := strings.Join(s.errors, "\n")
	for _, want := range []string{"html-has-lang", "image-alt", "pixels too wide", "pixels: small", "small target", "Content Security Policy", "bytes were loaded"} {
		if !strings.Contains(all, want) {
			t.Errorf("Sound does not find %q:\n%s", want, all)
		}
	}
	if title := Eval[string](p, "document.title"); title != "x" {
		t.Errorf("the inline script ran: %q", title)
	}
}
