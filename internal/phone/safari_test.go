package phone_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/signet-mdm/signet/internal/phone"
)

// portal is a web site with an enrollment of several pages.
func portal(t *testing.T) *httptest.Server {
	mux := http.NewServeMux()
	page := func(w http.ResponseWriter, body string) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprintf(w, "<!doctype html><title>x</title><main>%s</main>", body)
	}
	mux.HandleFunc("GET /enroll/{token}", func(w http.ResponseWriter, r *http.Request) {
		if r.PathValue("token") != "good" {
			w.WriteHeader(http.StatusGone)
			page(w, `<p role="alert">This link was used already.</p>`)
			return
		}
		page(w, `<a href="/privacy">Privacy</a><a href="/welcome">Start</a>`)
	})
	const form = `<form method=post action="/code"><input type=hidden name=csrf value="t0"><input name="code" autocomplete="one-time-code">
		<button>Continue</button></form>`
	mux.HandleFunc("GET /welcome", func(w http.ResponseWriter, r *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: "__Host-s", Value: "1", Path: "/", Secure: true, HttpOnly: true})
		page(w, form)
	})
	mux.HandleFunc("POST /code", func(w http.ResponseWriter, r *http.Request) {
		if c, err := r.Cookie("__Host-s"); err != nil || c.Value != "1" || r.FormValue("csrf") != "t0" {
			http.Error(w, "no session", http.StatusForbidden)
			return
		}
		if r.FormValue("code") != "123456" {
			w.WriteHeader(http.StatusUnprocessableEntity)
			page(w, `<p role="alert">The code is wrong.</p>`+form)
			return
		}
		http.Redirect(w, r, "/consent", http.StatusSeeOther)
	})
	mux.HandleFunc("GET /consent", func(w http.ResponseWriter, r *http.Request) {
		page(w, `<form method=post action="/logout"><button>Sign out</button></form>
			<a href="https://elsewhere.example/profile.mobileconfig">profile</a>
			<form method=post action="/profile"><input type=checkbox name=agree required value=yes><input type=submit name=go value="Get profile"></form>`)
	})
	mux.HandleFunc("POST /profile", func(w http.ResponseWriter, r *http.Request) {
		if r.FormValue("agree") != "yes" || r.FormValue("go") != "Get profile" || !strings.Contains(r.UserAgent(), "iPhone OS 18_2") {
			http.Error(w, "not agreed", http.StatusForbidden)
			return
		}
		w.Header().Set("Content-Type", "application/x-apple-aspen-config")
		w.Write([]byte("the profile"))
	})
	mux.HandleFunc("/logout", func(http.ResponseWriter, *http.Request) { t.Error("tapped Sign out") })
	mux.HandleFunc("/privacy", func(http.ResponseWriter, *http.Request) { t.Error("wandered off to the privacy page") })
	mux.HandleFunc("GET /loop", func(w http.ResponseWriter, r *http.Request) {
		page(w, `<a href="/loop?`+r.URL.RawQuery+`x">Next profile</a>`)
	})
	mux.HandleFunc("GET /direct", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/x-apple-aspen-config; charset=utf-8")
		w.Write([]byte("the profile"))
	})
	mux.HandleFunc("GET /text", func(w http.ResponseWriter, r *http.Request) { w.Write([]byte("<plist")) })
	srv := httptest.NewTLSServer(mux)
	t.Cleanup(srv.Close)
	return srv
}

func TestOpen(t *testing.T) {
	srv := portal(t)
	roots := x509.NewCertPool()
	roots.AddCert(srv.Certificate())
	for name, c := range map[string]struct {
		cfg        phone.Config
		link, code string
		want       string // part of the error, "" when it works
	}{
		"whole way":         {phone.Config{Roots: roots}, "/enroll/good", "123456", ""},
		"straight":          {phone.Config{Roots: roots}, "/direct", "", ""},
		"through warning":   {phone.Config{VisitAnyway: true}, "/enroll/good", "123456", ""},
		"untrusted":         {phone.Config{}, "/enroll/good", "123456", "certificate"},
		"wrong code":        {phone.Config{Roots: roots}, "/enroll/good", "111111", "The code is wrong."},
		"no code":           {phone.Config{Roots: roots}, "/enroll/good", "", "asks for a code"},
		"used link":         {phone.Config{Roots: roots}, "/enroll/bad", "123456", "used already"},
		"not a page":        {phone.Config{Roots: roots}, "/text", "", "no profile"},
		"pages without end": {phone.Config{Roots: roots}, "/loop", "", "no profile"},
	} {
		t.Run(name, func(t *testing.T) {
			p := phone.New(c.cfg)
			defer p.Close()
			got, err := p.Open(t.Context(), srv.URL+c.link, c.code)
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v, want %q", err, c.want)
			}
			if err == nil && !bytes.Equal(got, []byte("the profile")) {
				t.Errorf("got %q", got)
			}
		})
	}
}

func TestBrowse(t *testing.T) {
	srv := portal(t)
	p := phone.New(phone.Config{VisitAnyway: true})
	defer p.Close()
	body, at, err := p.Browse(t.Context(), srv.URL+"/welcome")
	if err != nil || !bytes.Contains(body, []byte("one-time-code")) || at != srv.URL+"/welcome" {
		t.Errorf("got %q at %s, %v", body, at, err)
	}
	if _, _, err = p.Browse(t.Context(), srv.URL+"/enroll/bad"); err == nil {
		t.Error("410 gave no error")
	}
	p.Behave(phone.Mood{Offline: true})
	if _, _, err = p.Browse(t.Context(), srv.URL+"/welcome"); !errors.Is(err, phone.ErrOffline) {
		t.Errorf("got %v, want ErrOffline", err)
	}
}

func TestServerCertificate(t *testing.T) {
	a := newAuthority()
	for name, c := range map[string]struct {
		shape func(*x509.Certificate)
		ok    bool
	}{
		"well":          {func(*x509.Certificate) {}, true},
		"no name":       {func(c *x509.Certificate) { c.DNSNames = nil }, false},
		"address":       {func(c *x509.Certificate) { c.DNSNames, c.IPAddresses = nil, []net.IP{{127, 0, 0, 1}} }, true},
		"no serverAuth": {func(c *x509.Certificate) { c.ExtKeyUsage = nil }, false},
		"ten years":     {func(c *x509.Certificate) { c.NotAfter = c.NotBefore.AddDate(10, 0, 0) }, false},
		"ten years from 2018": {func(c *x509.Certificate) {
			c.NotBefore, c.ExtKeyUsage = time.Date(2018, 1, 1, 0, 0, 0, 0, time.UTC), nil
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			cert := certify("mdm.example.com", a.raKey, a.ca, a.caKey, func(x *x509.Certificate) {
				x.DNSNames, x.ExtKeyUsage = []string{"mdm.example.com"}, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
				c.shape(x)
			})
			if err := phone.Acceptable(cert); (err == nil) != c.ok {
				t.Errorf("got %v, want ok %v", err, c.ok)
			}
		})
	}
}

// A phone holds a real connection to the rules, too.
func TestServerCertificateOnTheWire(t *testing.T) {
	a := newAuthority()
	cert := certify("127.0.0.1", a.raKey, a.ca, a.caKey, func(c *x509.Certificate) {
		c.IPAddresses, c.NotAfter = []net.IP{{127, 0, 0, 1}}, c.NotBefore.AddDate(3, 0, 0)
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	})
	srv := httptest.NewUnstartedServer(http.NotFoundHandler())
	srv.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{cert.Raw, a.ca.Raw}, PrivateKey: a.raKey}}}
	srv.StartTLS()
	defer srv.Close()
	roots := x509.NewCertPool()
	roots.AddCert(a.root)
	for os, want := range map[string]string{"18.2": "825 days", "12.4": "404"} {
		p := phone.New(phone.Config{OSVersion: os, Roots: roots})
		if _, _, err := p.Browse(t.Context(), srv.URL); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("iOS %s: got %v, want %q", os, err, want)
		}
		p.Close()
	}
}

func TestMutualTLS(t *testing.T) {
	for _, mutual := range []bool{true, false} {
		s := newServer(t)
		var seen []*x509.Certificate
		tlsServer := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			seen = r.TLS.PeerCertificates
			s.Config.Handler.ServeHTTP(w, r)
		}))
		tlsServer.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
		tlsServer.StartTLS()
		t.Cleanup(tlsServer.Close)
		p := s.phone(phone.Config{MutualTLS: mutual})
		if err := p.Enroll(t.Context(), xml(t, s.enrollment(map[string]any{"ServerURL": tlsServer.URL + "/mdm", "SignMessage": false}))); err != nil {
			t.Fatal(err)
		}
		if _, err := p.Poll(t.Context()); err != nil {
			t.Fatal(err)
		}
		if (len(seen) == 1 && seen[0].Equal(identityOf(t, p))) != mutual || !mutual && len(seen) != 0 {
			t.Errorf("mutual TLS %v: the server saw %d certificates", mutual, len(seen))
		}
		if sig := s.said("Idle")[0].signature; sig != "" {
			t.Error("Mdm-Signature without SignMessage")
		}
	}
}

// A managed root is trusted at once; an intermediate is no anchor.
func TestManagedRoots(t *testing.T) {
	s := newServer(t)
	a := s.auth
	cert := certify("127.0.0.1", a.raKey, a.ca, a.caKey, func(c *x509.Certificate) {
		c.IPAddresses, c.ExtKeyUsage = []net.IP{{127, 0, 0, 1}}, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	})
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	srv.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{cert.Raw, a.ca.Raw}, PrivateKey: a.raKey}}}
	srv.StartTLS()
	defer srv.Close()
	p := s.enrolled(phone.Config{})
	for name, c := range map[string]struct {
		cert *x509.Certificate
		ok   bool
	}{"intermediate": {a.ca, false}, "root": {a.root, true}} {
		d := profile("org.example.roots", 40, payload("com.apple.security.pkcs1", 41, map[string]any{"PayloadContent": c.cert.Raw}))
		if r := s.install(p, xml(t, d)); r["Status"] != "Acknowledged" {
			t.Fatalf("got %v %s", r["Status"], chain(r))
		}
		p.Close()
		if _, _, err := p.Browse(t.Context(), srv.URL); (err == nil) != c.ok {
			t.Errorf("%s: got %v, want ok %v", name, err, c.ok)
		}
	}
}

// A button is pressed by what it says, with what stands in its form.
func TestPress(t *testing.T) {
	var got string
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		switch {
		case r.Method == http.MethodPost && r.FormValue("device") == "d-1":
			got = r.Header.Get("Sec-Fetch-Site")
			io.WriteString(w, "<p>done")
		case r.Method == http.MethodPost:
			http.Error(w, "no", http.StatusForbidden)
		default:
			io.WriteString(w, `<form method="post" action="/other"><button>Keep it</button></form>
				<form method="post" action="/remove"><input type="hidden" name="device" value="d-1"><button>Remove it <b>now</b></button></form>`)
		}
	}))
	defer srv.Close()
	p := phone.New(phone.Config{VisitAnyway: true})
	defer p.Close()
	if body, err := p.Press(t.Context(), srv.URL, "Remove it now"); err != nil || string(body) != "<p>done" || got != "same-origin" {
		t.Errorf("got %q, %v, from %q", body, err, got)
	}
	for _, words := range []string{"Keep it", "Explode"} {
		if _, err := p.Press(t.Context(), srv.URL, words); err == nil {
			t.Errorf("%s: no error", words)
		}
	}
}
