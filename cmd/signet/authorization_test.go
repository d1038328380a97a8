package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/signet-mdm/signet/internal/access"
	"github.com/signet-mdm/signet/internal/config"
	"github.com/signet-mdm/signet/internal/httpd"
	"github.com/signet-mdm/signet/internal/httpd/admin"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/phone"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/pfxconnector/gateway"
)

var update = flag.Bool("update", false, "write the generated pages instead of comparing them")

var tester = journal.Actor{Kind: journal.Local, ID: "test"}

// caller is somebody who makes requests.
type caller struct {
	name string
	show func(*http.Request) // puts his credential into a request
}

// assembled is the whole server as `signet serve` builds it, with one of each
// kind of caller.
type assembled struct {
	*server
	t       *testing.T
	sites   []site
	mux     map[string]http.Handler // by name of the site
	callers []caller
	token   map[access.Role]string
	device  subject.DeviceID
}

func newAssembled(t *testing.T) *assembled {
	t.Helper()
	cfg := config.Default()
	cfg.Data, cfg.URL, cfg.Listen = t.TempDir(), "https://127.0.0.1:8443", "127.0.0.1:8443"
	cfg.Mail = config.Mail{Server: "127.0.0.1:9", TLS: "none", From: "signet@example.com"} // nothing is sent: no step runs
	made, err := initialise(t.Context(), cfg, unlocker{getenv: func(string) string { return "" }})
	if err != nil {
		t.Fatal(err)
	}
	s, err := assemble(t.Context(), made.cfg, slog.New(slog.DiscardHandler), unlocker{getenv: func(string) string { return "" }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.db.Close() })
	a := &assembled{server: s, t: t, sites: s.sites(), mux: map[string]http.Handler{}, token: map[access.Role]string{}}
	for _, site := range a.sites {
		a.mux[site.name] = httpd.NewSite(s.log, site.hosts, site.areas...)
	}
	a.meet()
	return a
}

// meet makes the callers, from the one who has nothing on.
func (a *assembled) meet() {
	u, err := a.directory.Add(a.t.Context(), tester, subject.User{Mail: "alice@example.com", Name: "Alice Example"})
	a.must(err)
	identity := a.enroll(u)
	link, err := a.access.MakeLink(a.t.Context(), string(u.ID))
	a.must(err)
	person, err := a.access.OpenLink(a.t.Context(), link.RevealString(), "")
	a.must(err)
	enrolling, err := a.access.OpenEnrollment(a.t.Context(), string(u.ID), string(a.device))
	a.must(err)
	cookie := func(secret string) func(*http.Request) {
		return func(r *http.Request) { r.AddCookie(&http.Cookie{Name: "__Host-signet", Value: secret}) }
	}
	a.callers = []caller{
		{"anonymous", func(*http.Request) {}},
		{"device", func(r *http.Request) { r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{identity}} }},
		{"enrolling", cookie(enrolling.RevealString())},
		{"person", cookie(person.RevealString())},
	}
	for _, role := range access.TokenRoles() {
		_, secret, err := a.access.CreateTokenOf(a.t.Context(), tester, string(u.ID), string(role), string(role), time.Hour)
		a.must(err)
		a.token[role] = secret.RevealString()
		a.callers = append(a.callers, caller{string(role), a.tokenAndConsole(a.token[role])})
	}
	a.callers = append(a.callers, caller{"other MDM", bearer(a.otherMDM())})
}

// otherMDM registers one and gives its secret.
func (a *assembled) otherMDM() string {
	ca, err := a.ring.Certificates(rootKey)
	a.must(err)
	_, secret, err := a.gateway.Register(a.t.Context(), tester, gateway.Terms{Name: "other", CAs: [][]byte{ca[0].Raw},
		Naming: gateway.ByMail, Forms: []gateway.Form{gateway.Profile}, PerHour: 1, Expires: time.Now().Add(time.Hour)},
		func(context.Context, string, string) (string, error) { return "approval", nil })
	a.must(err)
	return secret.RevealString()
}

// tokenAndConsole shows an API token, and the session of the console that was
// opened with it: each where it counts.
func (a *assembled) tokenAndConsole(token string) func(*http.Request) {
	a.t.Helper()
	by, err := a.access.Token(a.t.Context(), token, "")
	a.must(err)
	if !by.May(access.ConsoleUse) {
		return bearer(token)
	}
	session, err := a.consents.OpenConsole(a.t.Context(), by)
	a.must(err)
	return func(r *http.Request) {
		bearer(token)(r)
		r.AddCookie(&http.Cookie{Name: "__Host-signet-console", Value: session.RevealString()})
	}
}

func bearer(token string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token) }
}

// enroll lets a phone of the user in and gives its identity.
func (a *assembled) enroll(u subject.User) *x509.Certificate {
	inv, link, code, err := a.mdm.Invite(a.t.Context(), tester, u)
	a.must(err)
	a.device = inv.Device.ID
	p := phone.New(phone.Config{OSVersion: "18.2", VisitAnyway: true, HTTP: &http.Client{Transport: direct{a.mux["HTTPS"]}}})
	defer p.Close()
	file, err := p.Open(a.t.Context(), link.RevealString(), code.RevealString())
	a.must(err)
	a.must(p.Enroll(a.t.Context(), file))
	e, _ := p.Enrollment()
	return e.Identity.Certificate
}

func (a *assembled) must(err error) {
	a.t.Helper()
	if err != nil {
		a.t.Fatal(err)
	}
}

// direct is a connection without a network.
type direct struct{ http.Handler }

func (d direct) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Host, r.RemoteAddr, r.RequestURI = r.URL.Host, "192.0.2.7:1", r.URL.RequestURI()
	if r.Body == nil {
		r.Body = http.NoBody
	}
	w := httptest.NewRecorder()
	d.ServeHTTP(w, r)
	res := w.Result()
	res.Request = r
	return res, nil
}

// started is an answer that ends the request as soon as it begins: what it
// begins with is all that is asked here, and some never end by themselves.
type started struct {
	*httptest.ResponseRecorder
	end context.CancelFunc
}

func (s started) WriteHeader(status int) { s.ResponseRecorder.WriteHeader(status); s.end() }

func (s started) Write(b []byte) (int, error) { defer s.end(); return s.ResponseRecorder.Write(b) }

// call makes the request of a route with made-up parts, so that it does no
// harm when it is let in.
func (a *assembled) call(at site, rt httpd.Route, change ...func(*http.Request)) *httptest.ResponseRecorder {
	ctx, stop := context.WithTimeout(a.t.Context(), time.Minute)
	defer stop()
	target := "https://127.0.0.1:8443" + strings.NewReplacer("{", "no-", "}", "").Replace(rt.Path)
	r := httptest.NewRequestWithContext(ctx, rt.Method, target, nil)
	r.TLS = nil
	for _, f := range change {
		f(r)
	}
	w := started{httptest.NewRecorder(), stop}
	a.mux[at.name].ServeHTTP(w, r)
	return w.ResponseRecorder
}

// unproven are the refusals of who cannot show what a protocol wants, besides
// the statuses 401 and 403.
var unproven = []string{"mdm_unsigned", "mdm_signature", "mdm_stranger"}

// letIn tells whether the caller reached what the route is for.
func letIn(w *httptest.ResponseRecorder) bool {
	code := strings.TrimSpace(w.Body.String())
	return w.Code != http.StatusUnauthorized && w.Code != http.StatusTooManyRequests && w.Code != http.StatusForbidden && !slices.Contains(unproven, code)
}

// routes calls f with each route of a listener.
func (s site) routes(f func(httpd.Route)) {
	for _, area := range s.areas {
		for _, rt := range area.Routes {
			f(rt)
		}
	}
}

// Every route of every listener, called by every kind of caller, on the server
// as it is assembled: docs/authorization.md is what came out. A route that is
// not in it fails.
func TestAuthorization(t *testing.T) {
	a := newAssembled(t)
	var out bytes.Buffer
	out.WriteString(authorizationHead)
	for _, at := range a.sites {
		fmt.Fprintf(&out, "\n## %s (`%s`)\n\n| route | permission |", at.name, at.flag)
		for _, c := range a.callers {
			fmt.Fprintf(&out, " %s |", c.name)
		}
		out.WriteString("\n| --- | --- |" + strings.Repeat(" --- |", len(a.callers)) + "\n")
		at.routes(func(rt httpd.Route) {
			fmt.Fprintf(&out, "| `%s %s` | %s |", rt.Method, rt.Path, rt.Permission)
			for _, c := range a.callers {
				fmt.Fprintf(&out, " %s |", map[bool]string{true: "yes", false: "–"}[letIn(a.call(at, rt, c.show))])
			}
			out.WriteString("\n")
		})
	}
	const file = "../../docs/authorization.md"
	if *update {
		a.must(os.WriteFile(file, out.Bytes(), 0o644))
	}
	want, err := os.ReadFile(file)
	a.must(err)
	if !bytes.Equal(want, out.Bytes()) {
		t.Errorf("docs/authorization.md is not what the server does; look at the difference, then: go test ./cmd/signet -run Authorization -update")
	}
}

const authorizationHead = `# Who may call what

Made by a test that calls every route of every listener with every kind of caller, on the server as it is
assembled; a new route does not pass it without a row here. "yes" is: let in, whatever comes of it. *anyone*
is: the answer is public, or the handler proves the caller by itself, by a device's signature, a one-time
challenge, an invitation or a link. A *device* shows its identity certificate, *enrolling* has redeemed an
invitation, *person* has opened the link to the own page, *other MDM* shows the secret of a registration (which may
still wait for approval); the others are API tokens, which name a user here, and sessions of the console that were
opened with them.

The socket belongs to the user that the server runs as: whoever reaches it is the administrator of this machine,
whatever else he shows. What every role may do is in ` + "`internal/access/role.go`" + `.
Mail is configured here; without it the help desk is kept from inviting, because it would see link and code together.
`

// No API token counts in a cookie or in an address.
func TestTokensElsewhere(t *testing.T) {
	a := newAssembled(t)
	token := a.token[access.Admin]
	ways := map[string]func(*http.Request){
		"session cookie": func(r *http.Request) { r.AddCookie(&http.Cookie{Name: "__Host-signet", Value: token}) },
		"own cookie":     func(r *http.Request) { r.AddCookie(&http.Cookie{Name: "Authorization", Value: "Bearer " + token}) },
		"query":          func(r *http.Request) { r.URL.RawQuery = "access_token=" + token },
		"basic":          func(r *http.Request) { r.SetBasicAuth("admin", token) },
	}
	a.sites[0].routes(func(rt httpd.Route) {
		if rt.Permission == access.Anyone {
			return
		}
		for way, show := range ways {
			if w := a.call(a.sites[0], rt, show); w.Code != http.StatusUnauthorized {
				t.Errorf("%s %s with a token as %s: got %d, want 401", rt.Method, rt.Path, way, w.Code)
			}
		}
	})
}

// Nothing that changes something is taken from another site, whatever the
// browser brings along.
func TestOtherSites(t *testing.T) {
	a := newAssembled(t)
	for name, from := range map[string]func(*http.Request){
		"another site": func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") },
		"a sibling":    func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "same-site") },
		"older":        func(r *http.Request) { r.Header.Set("Origin", "https://evil.example.net") },
	} {
		for _, at := range a.sites {
			at.routes(func(rt httpd.Route) {
				if rt.Method == http.MethodGet {
					return
				}
				for _, c := range a.callers {
					if w := a.call(at, rt, c.show, from); w.Code != http.StatusForbidden || !strings.Contains(w.Body.String(), httpd.ErrOrigin.Code) {
						t.Errorf("%s: %s %s by %s from %s: got %d %s", at.name, rt.Method, rt.Path, c.name, name, w.Code, w.Body)
					}
				}
			})
		}
	}
}

// What is taken from a token, or from a user, holds with the next request.
func TestAtOnce(t *testing.T) {
	a := newAssembled(t)
	https := a.sites[0]
	list := httpd.Route{Method: http.MethodGet, Path: "/api/v1/users"}
	token, secret, err := a.access.CreateToken(t.Context(), tester, "short", string(access.Admin), time.Hour)
	a.must(err)
	show := bearer(secret.RevealString())
	if w := a.call(https, list, show); w.Code != http.StatusOK {
		t.Fatalf("got %d", w.Code)
	}
	tokens, err := a.access.Tokens(t.Context(), time.Time{}, "", 100)
	a.must(err)
	if i := slices.IndexFunc(tokens, func(x access.Token) bool { return x.ID == token.ID }); tokens[i].Used.IsZero() {
		t.Error("its use is not recorded")
	}
	a.must(a.access.RevokeToken(t.Context(), tester, token.ID))
	if w := a.call(https, list, show); w.Code != http.StatusUnauthorized {
		t.Errorf("revoked: got %d, want 401", w.Code)
	}
	person := a.callers[3]
	mine := httpd.Route{Method: http.MethodGet, Path: "/me"}
	if w := a.call(https, mine, person.show); w.Code != http.StatusOK {
		t.Fatalf("own page: got %d", w.Code)
	}
	u, err := a.directory.User(t.Context(), "alice@example.com")
	a.must(err)
	u.Disabled = true
	_, err = a.directory.Change(t.Context(), tester, u)
	a.must(err)
	if w := a.call(https, mine, person.show); w.Code != http.StatusUnauthorized {
		t.Errorf("disabled: got %d, want 401", w.Code)
	}
}

// Whatever the API refuses, it says so in the form and with the codes that its
// description promises.
func TestRefusalsAreDescribed(t *testing.T) {
	a := newAssembled(t)
	described := describedCodes(t)
	send := func(contentType, body string) func(*http.Request) {
		return func(r *http.Request) {
			r.Body, r.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
			r.Header.Set("Content-Type", contentType)
		}
	}
	changes := map[string]func(*http.Request){
		"nothing":         func(*http.Request) {},
		"empty object":    send("application/json", "{}"),
		"unknown members": send("application/json", `{"x":1,"file":"a","name":"b","mail":"c","members":["d"],"profile":"e","user":"f","role":"admin"}`),
		"members":         send("application/json", `{"members":["nobody@example.com"]}`),
		"user":            send("application/json", `{"mail":"nobody"}`),
		"challenge":       send("application/json", `{"profile":"no-profile","user":"alice@example.com"}`),
		"other kind":      send("text/plain", "x"),
		"not JSON":        send("application/json", "{"),
		"too much":        send("application/json", strings.Repeat(" ", 20<<20)),
		"YAML":            send("application/yaml", "kind: Nothing\n"),
		"unknown query":   func(r *http.Request) { r.URL.RawQuery = "no=1" },
		"other method":    func(r *http.Request) { r.Method = "BREW" },
		"other address":   func(r *http.Request) { r.URL.Path += "/no/such/thing" },
		"double slash":    func(r *http.Request) { r.URL.Path += "//x" },
		"another site":    func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") },
		"a real user":     func(r *http.Request) { r.URL.Path = strings.Replace(r.URL.Path, "no-user", "alice@example.com", 1) },
	}
	seen := map[string]bool{}
	a.sites[0].routes(func(rt httpd.Route) {
		if rt.Permission == access.Anyone || !strings.HasPrefix(rt.Path, admin.Prefix) {
			return
		}
		for _, c := range a.callers[3:5] { // one who may not, one who may
			for name, change := range changes {
				w := a.call(a.sites[0], rt, c.show, change)
				if w.Code < 400 {
					continue
				}
				var p httpd.ProblemBody
				if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || w.Header().Get("Content-Type") != "application/problem+json" ||
					p.Status != w.Code || p.Code == "" || p.Detail == "" || p.RequestID != w.Header().Get(httpd.RequestIDHeader) {
					t.Errorf("%s %s with %s: got %d %s", rt.Method, rt.Path, name, w.Code, w.Body)
				}
				seen[p.Code] = true
				if (w.Code == http.StatusMethodNotAllowed) != (w.Header().Get("Allow") != "") {
					t.Errorf("%s %s with %s: status %d, Allow %q", rt.Method, rt.Path, name, w.Code, w.Header().Get("Allow"))
				}
				if p.Code == httpd.ErrMethod.Code || p.Code == httpd.ErrNotFound.Code {
					continue // of no operation
				}
				if op := rt.Method + " " + rt.Path; !slices.Contains(described[op][w.Code], p.Code) {
					t.Errorf("%s with %s: status %d with code %s is not described", op, name, w.Code, p.Code)
				}
			}
		}
	})
	for _, code := range []string{"unauthenticated", "request_invalid", "media_type_unsupported", "body_too_large", "method_not_allowed",
		"not_found", "path_invalid", "cross_origin", "user_unknown", "address_invalid"} {
		if !seen[code] {
			t.Errorf("nothing was refused with %s", code)
		}
	}
}

// describedCodes gives the codes of each operation by status.
func describedCodes(t *testing.T) map[string]map[int][]string {
	t.Helper()
	text, err := admin.Description()
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Paths map[string]map[string]struct {
			Responses map[string]struct {
				Ref string `json:"$ref"`
			}
		}
		Components struct {
			Responses map[string]struct {
				Codes []string `json:"x-codes"`
			}
		}
	}
	if err := json.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	out := map[string]map[int][]string{}
	for path, methods := range doc.Paths {
		for method, op := range methods {
			codes := map[int][]string{}
			for status, r := range op.Responses {
				n, err := strconv.Atoi(status)
				if err != nil {
					t.Fatal(err)
				}
				codes[n] = doc.Components.Responses[strings.TrimPrefix(r.Ref, "#/components/responses/")].Codes
			}
			out[strings.ToUpper(method)+" "+path] = codes
		}
	}
	return out
}
