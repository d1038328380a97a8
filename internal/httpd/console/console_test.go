package console_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"io"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/signet-mdm/signet/internal/access"
	"github.com/signet-mdm/signet/internal/audit"
	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/directory"
	"github.com/signet-mdm/signet/internal/httpd"
	"github.com/signet-mdm/signet/internal/httpd/admin"
	"github.com/signet-mdm/signet/internal/httpd/console"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/internal/store"
	"github.com/signet-mdm/signet/internal/store/sqlitetest"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/mdm"
	"github.com/signet-mdm/signet/pfxconnector"
	"github.com/signet-mdm/signet/scep"
	"github.com/signet-mdm/signet/scep/ca"
)

// nasty is a name out of a nightmare.
const nasty = `"><script>alert(1)</script><img src=x onerror=alert(1)>{{.}}`

// issuing has one certificate and one request, both with a nasty name.
type issuing struct {
	admin.Issuing
	record  cert.Record
	request scep.Request
	done    []string // what was done, and by whom
}

type transports struct{ admin.Transport }
type connectors struct {
	admin.ConnectorRegister
	admin.ConnectorUse
}

func (i *issuing) Certificates(context.Context, scep.IssuedQuery) ([]cert.Record, error) {
	return []cert.Record{i.record}, nil
}

func (i *issuing) Certificate(_ context.Context, key string) (scep.Issued, error) {
	if key != i.record.Fingerprint.String() {
		return scep.Issued{}, scep.ErrCertificateUnknown
	}
	return scep.Issued{Record: i.record, Issuer: "smime", Current: true}, nil
}

func (i *issuing) Revoke(_ context.Context, by journal.Actor, _ cert.Fingerprint, reason string) error {
	i.done = append(i.done, "revoke "+reason+" "+by.ID+" "+by.Remote)
	return nil
}

func (i *issuing) Requests(context.Context, scep.RequestQuery) ([]scep.Request, error) {
	return []scep.Request{i.request}, nil
}

func (i *issuing) Request(context.Context, string) (scep.Request, error) { return i.request, nil }

func (i *issuing) Approve(_ context.Context, by journal.Actor, person subject.UserID, _ string) error {
	if person == i.request.Holder.User {
		return scep.ErrRequestOwn
	}
	i.done = append(i.done, "approve "+by.ID)
	return nil
}

func (i *issuing) Deny(_ context.Context, _ journal.Actor, _ subject.UserID, _, reason string) error {
	i.done = append(i.done, "deny "+reason)
	return nil
}

// What the console does not call here.
type (
	devices    struct{ admin.Devices }
	tenants    struct{ admin.Tenant }
	policies   struct{ admin.Policies }
	deliveries struct{ admin.Deliveries }
	noJobs     admin.Jobs // which has a method of its own name
	jobs       struct{ noJobs }
	pushes     struct{ admin.Push }
	backups    struct{ admin.Backups }
	rollovers  struct{ admin.Rollovers }
)

func (devices) DevicePage(context.Context, mdm.Query) ([]mdm.Device, error) {
	return []mdm.Device{{Device: subject.Device{ID: "d-1", Name: nasty, Model: nasty}, State: mdm.Enrolled}}, nil
}

// counts has something to say.
type counts struct{}

func (counts) Counts(context.Context) (admin.Counts, error) {
	return admin.Counts{Users: 3, Requests: 1, BackedUp: time.Now(), Devices: map[string]int{"enrolled": 1}}, nil
}

// world is a server with real tokens, sessions, users and journal.
type world struct {
	t        *testing.T
	db       *store.DB
	access   *access.Service
	users    *directory.Service
	issuing  *issuing
	keys     *keys
	consents *access.Consents
	now      time.Time
	url      string
	log      bytes.Buffer
	client   *http.Client // of the TLS server, without cookies
}

func newWorld(t *testing.T) *world {
	t.Helper()
	db, err := store.OpenSQLite(t.Context(), sqlitetest.Path(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	w := &world{t: t, db: db, now: time.Now(), issuing: newIssuing(t), keys: &keys{}}
	w.access = access.New(db.Access(), func() time.Time { return w.now })
	box, err := seal.NewBox(seal.RandomRoot(), "approval")
	if err != nil {
		t.Fatal(err)
	}
	w.consents = w.access.Consents(box, 2)
	w.users = directory.New(db.Directory(), func() time.Time { return w.now })
	api := admin.New(admin.Config{Users: w.users, Tokens: w.access, Consents: w.consents, Recoveries: recoveries{}, Approvers: approvers{Consents: w.consents}, Devices: devices{}, Tenant: tenants{}, Keys: w.keys, Deposits: &pfxconnector.Service{}, Transport: transports{}, Connectors: connectors{}, Issuing: w.issuing, Policies: policies{},
		Deliveries: deliveries{}, Journal: db.Journal(), Audit: audit.NewVerifier(db.Audit(), box), Jobs: jobs{}, Push: pushes{}, Backups: backups{}, Rollovers: rollovers{}, Overview: counts{},
		MaxFile: 1 << 20, Now: func() time.Time { return w.now }, Authorities: func() []admin.Authority { return nil }})
	log := slog.New(slog.NewTextHandler(&w.log, nil))
	srv := httptest.NewTLSServer(httpd.NewSite(log, nil, httpd.Static(), console.Area(console.Config{
		API: api, Inside: api.Inside(log), Tokens: w.access, Sessions: w.access, Credentials: w.consents, MaxFile: 1 << 20, House: httpd.House{Organization: "Example"}})))
	t.Cleanup(srv.Close)
	w.url, w.client = srv.URL, srv.Client()
	return w
}

type approvers struct{ *access.Consents }

func (approvers) Add(context.Context, access.Caller, subject.User, string) (admin.ApproverChange, error) {
	return admin.ApproverChange{}, access.ErrApproverMail
}

func (approvers) Remove(context.Context, access.Caller, subject.User, string) (admin.ApproverChange, error) {
	return admin.ApproverChange{}, access.ErrApproverMail
}

func (approvers) Send(context.Context, access.Caller, subject.User) (admin.ApproverChange, error) {
	return admin.ApproverChange{}, access.ErrApproverMail
}

type recoveries struct{ admin.Recoveries }

func newIssuing(t *testing.T) *issuing {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(7), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return &issuing{
		record: cert.Record{Fingerprint: cert.FingerprintOf(der), DER: der, Serial: "07", Profile: "laptops", Subject: "CN=" + nasty, Addresses: []string{nasty},
			Holder: cert.Holder{User: "u-1", Device: "d-1"}, NotBefore: c.NotBefore, NotAfter: c.NotAfter, CreatedAt: c.NotBefore},
		request: scep.Request{ID: "r-1", State: scep.RequestOpen, Transaction: nasty, Created: c.NotBefore, Expires: c.NotAfter,
			Grant: scep.Grant{Profile: "laptops", Names: ca.Names{CommonName: nasty}, Holder: cert.Holder{User: "u-1", Device: "d-1"}}},
	}
}

// token makes an API token of a role, and of a new user when name is not empty.
func (w *world) token(role access.Role, name string) (access.Token, string) {
	w.t.Helper()
	var user subject.User
	var err error
	if name != "" {
		if user, err = w.users.Add(w.t.Context(), journal.Worker("test"), subject.User{Mail: name + "@example.com", Name: name}); err != nil {
			w.t.Fatal(err)
		}
	}
	token, secret, err := w.access.CreateTokenOf(w.t.Context(), journal.Worker("test"), string(user.ID), "x", string(role), 24*time.Hour)
	if err != nil {
		w.t.Fatal(err)
	}
	return token, secret.RevealString()
}

// browser is a window with cookies of its own.
type browser struct {
	*world
	http *http.Client
}

func (w *world) browser() browser {
	w.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		w.t.Fatal(err)
	}
	return browser{w, &http.Client{Transport: w.client.Transport, Jar: jar,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// signedIn is a window of somebody with such a token.
func (w *world) signedIn(role access.Role, name string) (browser, access.Token) {
	w.t.Helper()
	token, secret := w.token(role, name)
	b := w.browser()
	if res, _ := b.post("/admin/sign-in", url.Values{"token": {secret}}); res.StatusCode != http.StatusSeeOther || res.Header.Get("Location") != "/admin/" {
		w.t.Fatalf("signing in: got %s to %q", res.Status, res.Header.Get("Location"))
	}
	return b, token
}

func (b browser) do(r *http.Request) (*http.Response, string) {
	b.t.Helper()
	res, err := b.http.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer res.Body.Close()
	page, err := io.ReadAll(res.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return res, string(page)
}

func (b browser) get(path string) (*http.Response, string) {
	b.t.Helper()
	r, err := http.NewRequestWithContext(b.t.Context(), http.MethodGet, b.url+path, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	return b.do(r)
}

// post sends a form as a browser does; change makes another request of it.
func (b browser) post(path string, form url.Values, change ...func(*http.Request)) (*http.Response, string) {
	b.t.Helper()
	r, err := http.NewRequestWithContext(b.t.Context(), http.MethodPost, b.url+path, strings.NewReader(form.Encode()))
	if err != nil {
		b.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Origin", b.url)
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	for _, f := range change {
		f(r)
	}
	return b.do(r)
}

// path of the certificate that there is.
func (w *world) certificate() string {
	return "/admin/certificates/" + w.issuing.record.Fingerprint.String()
}

func TestSignIn(t *testing.T) {
	w := newWorld(t)
	token, secret := w.token(access.Admin, "")
	b := w.browser()
	for name, presented := range map[string]string{"nothing": "", "nonsense": nasty, "another": secret[:len(secret)-1] + "0", "its id": token.ID} {
		res, page := b.post("/admin/sign-in", url.Values{"token": {presented}})
		if res.StatusCode != http.StatusUnauthorized || !strings.Contains(page, "no token that is good now") || len(res.Cookies()) != 0 {
			t.Errorf("%s: got %s with cookies %v", name, res.Status, res.Cookies())
		}
	}
	res, _ := b.post("/admin/sign-in", url.Values{"token": {" " + secret + "\r\n"}})
	if res.StatusCode != http.StatusSeeOther || len(res.Cookies()) != 1 {
		t.Fatalf("got %s with cookies %v", res.Status, res.Cookies())
	}
	c := res.Cookies()[0]
	if c.Name != "__Host-signet-console" || !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.Path != "/" || c.Domain != "" || c.MaxAge != 8*3600 {
		t.Errorf("got %v", c)
	}
	if strings.Contains(w.log.String(), secret) || strings.Contains(w.log.String(), c.Value) || strings.Contains(c.Value, secret) {
		t.Error("the token or the session is in the log, or the token in the cookie")
	}
	res, page := b.get("/admin/")
	if res.StatusCode != http.StatusOK || !strings.Contains(page, "Certificates") {
		t.Errorf("got %s", res.Status)
	}
	for header, want := range map[string]string{"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin"} {
		if got := res.Header.Get(header); got != want {
			t.Errorf("%s: got %q, want %q", header, got, want)
		}
	}
	if policy := res.Header.Get("Content-Security-Policy"); !strings.Contains(policy, "default-src 'none'") || strings.Contains(policy, "unsafe") || !strings.Contains(policy, "frame-ancestors 'none'") {
		t.Errorf("got the policy %q", policy)
	}
	lines, err := w.db.Journal().Lines(t.Context(), journal.Query{Limit: 1})
	if err != nil || len(lines) != 1 || lines[0].Action != journal.ConsoleOpened || lines[0].Actor != (journal.Actor{Kind: journal.Admin, ID: token.ID, Remote: "127.0.0.1"}) {
		t.Errorf("journal: %+v, %v", lines, err)
	}
	// Another sign-in of the same window ends the session that it had.
	again, _ := b.post("/admin/sign-in", url.Values{"token": {secret}})
	if again.Cookies()[0].Value == c.Value {
		t.Error("the session is the same after another sign-in")
	}
	old := w.browser()
	r, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, w.url+"/admin/", nil)
	r.AddCookie(&http.Cookie{Name: c.Name, Value: c.Value})
	if res, _ := old.do(r); res.StatusCode != http.StatusUnauthorized {
		t.Errorf("the session before: got %s", res.Status)
	}
}

// Guessing ends after a while, and locks out nobody who has a session.
func TestGuessing(t *testing.T) {
	w := newWorld(t)
	in, _ := w.signedIn(access.Admin, "")
	b := w.browser()
	var res *http.Response
	for range 40 {
		if res, _ = b.post("/admin/sign-in", url.Values{"token": {"signet_GUESS"}}); res.StatusCode != http.StatusUnauthorized {
			break
		}
	}
	if res.StatusCode != http.StatusTooManyRequests || res.Header.Get("Retry-After") == "" {
		t.Errorf("got %s, Retry-After %q", res.Status, res.Header.Get("Retry-After"))
	}
	if res, _ := in.get("/admin/"); res.StatusCode != http.StatusOK {
		t.Errorf("who was in: got %s", res.Status)
	}
}

// Each role may do what it may over the API, and is told so when not.
func TestRoles(t *testing.T) {
	w := newWorld(t)
	revoke, approve := w.certificate()+"/revoke", "/admin/approvals/r-1/approve"
	for _, c := range []struct {
		role                             access.Role
		name                             string
		certificates, revoking, approves int
		why                              string
	}{
		{access.Admin, "", 200, 303, 403, "for a person to decide"},
		{access.Auditor, "", 200, 403, 403, "Your role does not allow this"},
		{access.Helpdesk, "", 403, 403, 403, "Your role does not allow this"},
		{access.Approver, "", 403, 403, 403, "Your role does not allow this"},
		{access.Approver, "bob", 403, 403, 303, "Your role does not allow this"},
	} {
		w.issuing.done = nil
		b, token := w.signedIn(c.role, c.name)
		if res, _ := b.get("/admin/certificates"); res.StatusCode != c.certificates {
			t.Errorf("%s: certificates: got %s, want %d", c.role, res.Status, c.certificates)
		}
		asked, _ := b.get(revoke)
		res, page := b.post(revoke, url.Values{"reason": {"keyCompromise"}})
		if res.StatusCode != c.revoking || (asked.StatusCode == 200) != (c.revoking == 303) {
			t.Errorf("%s: revoking: got %s after %s, want %d", c.role, res.Status, asked.Status, c.revoking)
		}
		var want []string
		if c.revoking == 303 {
			want = append(want, "revoke keyCompromise "+token.ID+" 127.0.0.1")
		}
		decided, said := b.post(approve, nil)
		if decided.StatusCode != c.approves {
			t.Errorf("%s: approving: got %s, want %d", c.role, decided.Status, c.approves)
		}
		if c.approves == 303 {
			want = append(want, "approve "+token.ID)
		}
		if !strings.Contains(page+said, c.why) {
			t.Errorf("%s: no page says %q", c.role, c.why)
		}
		if got := strings.Join(w.issuing.done, ", "); got != strings.Join(want, ", ") {
			t.Errorf("%s: got done %q, want %q", c.role, got, want)
		}
	}
}

// Each role sees in the menu what it may open, and nothing of the rest where it
// could be seen beside.
func TestMenu(t *testing.T) {
	w := newWorld(t)
	u, err := w.users.Add(t.Context(), journal.Worker("test"), subject.User{Mail: "carol@example.com", Name: "Carol"})
	if err != nil {
		t.Fatal(err)
	}
	pages := []string{"users", "import", "quarantine", "certificates", "approvals", "authorities", "audit"}
	for role, may := range map[access.Role][]string{
		access.Admin: pages, access.Auditor: slices.DeleteFunc(slices.Clone(pages), func(s string) bool { return s == "import" }), access.Helpdesk: {"users"}, access.Approver: {"users", "approvals", "audit"},
	} {
		b, _ := w.signedIn(role, "")
		_, home := b.get("/admin/")
		_, user := b.get("/admin/users/" + string(u.ID))
		for _, page := range pages {
			want := slices.Contains(may, page)
			if got := strings.Contains(home, `<a href="/admin/`+page+`"`); got != want {
				t.Errorf("%s: %s in the menu: got %v", role, page, got)
			}
			if res, _ := b.get("/admin/" + page); (res.StatusCode == http.StatusOK) != want {
				t.Errorf("%s: %s: got %s", role, page, res.Status)
			}
		}
		for part, page := range map[string]string{"Certificates issued here": "certificates", "History": "audit"} {
			if strings.Contains(user, part) != slices.Contains(may, page) {
				t.Errorf("%s: %q on the page of a user", role, part)
			}
		}
		if got := strings.Contains(user, "Imported certificates"); got != (role == access.Admin || role == access.Auditor) {
			t.Errorf("%s: imported certificates: got %v", role, got)
		}
	}
}

// Nobody approves in his own name: he is not offered to, and the API refuses.
func TestOwnRequest(t *testing.T) {
	w := newWorld(t)
	b, token := w.signedIn(access.Approver, "alice")
	w.issuing.request.Holder.User = subject.UserID(token.User)
	if _, page := b.get("/admin/approvals/r-1"); !strings.Contains(page, "in your own name") || strings.Contains(page, "/approve") {
		t.Errorf("got %s", page)
	}
	if res, page := b.post("/admin/approvals/r-1/approve", nil); res.StatusCode != http.StatusForbidden || !strings.Contains(page, "in his own name") {
		t.Errorf("got %s %s", res.Status, page)
	}
	if res, _ := b.post("/admin/approvals/r-1/deny", url.Values{"reason": {"no such laptop"}}); res.StatusCode != http.StatusSeeOther {
		t.Errorf("denying: got %s", res.Status)
	}
	if got := strings.Join(w.issuing.done, ", "); got != "deny no such laptop" {
		t.Errorf("got done %q", got)
	}
}

// What another site sends with the cookie is refused, signing in included.
func TestOtherSites(t *testing.T) {
	w := newWorld(t)
	b, _ := w.signedIn(access.Admin, "")
	_, secret := w.token(access.Admin, "")
	for name, from := range map[string]func(*http.Request){
		"another site": func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") },
		"a sibling":    func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "same-site") },
		"older": func(r *http.Request) {
			r.Header.Del("Sec-Fetch-Site")
			r.Header.Set("Origin", "https://evil.example.net")
		},
	} {
		for path, form := range map[string]url.Values{w.certificate() + "/revoke": {"reason": {"keyCompromise"}}, "/admin/approvals/r-1/deny": {},
			"/admin/sign-in": {"token": {secret}}, "/admin/sign-out": {}, "/admin/import": {}, keyPath + "/pin": {}, "/admin/quarantine/q-1/assign": {"user": {"a"}}} {
			if res, page := b.post(path, form, from); res.StatusCode != http.StatusForbidden || !strings.Contains(page, "cross_origin") || len(res.Cookies()) != 0 {
				t.Errorf("%s from %s: got %s", path, name, res.Status)
			}
		}
	}
	if len(w.issuing.done)+len(w.keys.done) != 0 {
		t.Errorf("done: %q, %q", w.issuing.done, w.keys.done)
	}
	if res, _ := b.get("/admin/"); res.StatusCode != http.StatusOK {
		t.Errorf("the session has ended: %s", res.Status)
	}
}

// A session ends when it is not used, after a day's work, with its token, with
// its user and by signing out; what it looked like goes on looking like that.
func TestSessionEnds(t *testing.T) {
	for name, end := range map[string]func(*world, browser, access.Token){
		"idle": func(w *world, _ browser, _ access.Token) { w.now = w.now.Add(access.ConsoleIdle + 2*time.Minute) },
		"day": func(w *world, b browser, _ access.Token) {
			for range 8*6 - 1 {
				w.now = w.now.Add(10 * time.Minute)
				if res, _ := b.get("/admin/"); res.StatusCode != http.StatusOK {
					t.Fatalf("in use: got %s", res.Status)
				}
			}
			w.now = w.now.Add(10 * time.Minute)
		},
		"revoked": func(w *world, _ browser, token access.Token) {
			if err := w.access.RevokeToken(t.Context(), journal.Worker("test"), token.ID); err != nil {
				t.Fatal(err)
			}
		},
		"disabled": func(w *world, _ browser, token access.Token) {
			u, err := w.users.User(t.Context(), token.User)
			if err != nil {
				t.Fatal(err)
			}
			u.Disabled = true
			if _, err := w.users.Change(t.Context(), journal.Worker("test"), u); err != nil {
				t.Fatal(err)
			}
		},
		"signed out": func(w *world, b browser, _ access.Token) {
			at, _ := url.Parse(w.url)
			before := b.http.Jar.Cookies(at)
			if res, _ := b.post("/admin/sign-out", nil); res.StatusCode != http.StatusSeeOther {
				t.Fatalf("signing out: got %s", res.Status)
			}
			if len(b.http.Jar.Cookies(at)) != 0 {
				t.Error("the browser keeps its cookie")
			}
			b.http.Jar.SetCookies(at, before)
		},
	} {
		w := newWorld(t)
		b, token := w.signedIn(access.Approver, "bob")
		end(w, b, token)
		for _, path := range []string{"/admin/", "/admin/approvals", "/admin/approvals/r-1"} {
			if res, page := b.get(path); res.StatusCode != http.StatusUnauthorized || !strings.Contains(page, "Sign in to the console") {
				t.Errorf("%s: %s: got %s", name, path, res.Status)
			}
		}
		if res, _ := b.post("/admin/approvals/r-1/approve", nil); res.StatusCode != http.StatusUnauthorized || len(w.issuing.done) != 0 {
			t.Errorf("%s: approving: got %s, done %q", name, res.Status, w.issuing.done)
		}
	}
}

// Names change nothing but letters, also where they are searched for.
func TestNames(t *testing.T) {
	w := newWorld(t)
	b, _ := w.signedIn(access.Admin, "")
	if _, err := w.users.Add(t.Context(), journal.Worker("test"), subject.User{Mail: "n@example.com", UPN: "n@example.com", Name: `<script>alert(1)</script>`}); err != nil {
		t.Fatal(err)
	}
	u, err := w.users.User(t.Context(), "n@example.com")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/admin/", "/admin/users", "/admin/users?" + url.Values{"q": {"<script>"}}.Encode(), "/admin/users/" + string(u.ID),
		"/admin/audit", "/admin/authorities", "/admin/audit?" + url.Values{"user": {nasty}}.Encode(), "/admin/certificates", w.certificate(), w.certificate() + "/revoke", "/admin/quarantine", "/admin/quarantine/q-1", "/admin/users/" + string(u.ID) + "/keys/" + keyCert, "/admin/approvals", "/admin/approvals/r-1",
		"/admin/certificates?" + url.Values{"user": {nasty}, "state": {"good"}}.Encode()} {
		_, page := b.get(path)
		if strings.Contains(page, "<script>") || len(page) < 500 || strings.Contains(page, "<img") || strings.Count(page, "<script ") != 1 {
			t.Errorf("%s: a name became markup:\n%s", path, page)
		}
	}
}

// A certificate is found by what programs print of it.
func TestFind(t *testing.T) {
	w := newWorld(t)
	b, _ := w.signedIn(access.Auditor, "")
	sha := w.issuing.record.Fingerprint.String()
	var colons strings.Builder
	for i := 0; i < len(sha); i += 2 {
		colons.WriteString(strings.ToUpper(sha[i:i+2]) + ":")
	}
	for _, q := range []string{sha, " " + sha, strings.TrimSuffix(colons.String(), ":")} {
		if res, _ := b.get("/admin/certificates?" + url.Values{"q": {q}}.Encode()); res.Header.Get("Location") != "/admin/certificates/"+sha {
			t.Errorf("%q: got %s to %q", q, res.Status, res.Header.Get("Location"))
		}
	}
	for path, want := range map[string]int{"/admin/certificates?q=nobody": 303, "/admin/certificates/" + strings.Repeat("0", 64): 404,
		"/admin/certificates?state=nonsense": 400, "/admin/certificates?after=nonsense": 400, "/admin": 301, "/admin/none": 404} {
		if res, _ := b.get(path); res.StatusCode != want {
			t.Errorf("%s: got %s, want %d", path, res.Status, want)
		}
	}
}
