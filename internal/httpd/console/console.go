// Package console has the administrators' pages: certificates and their
// revocation, the import of keys and which of a user's is current, requests that wait for approval, users, devices, CAs and the
// journal.
//
// It has no rules of its own. Whoever signs in does so with an API token, and
// each page and each button is a call of the admin API in the name of that
// token: what the API refuses, the page refuses with the same sentence, and the
// journal shows the same entry. A page changes nothing when it is only looked
// at, and works without a script.
//
// Start reading at [Area].
package console

import (
	"embed"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/gorilla/mux"

	"github.com/signet-mdm/signet/internal/access"
	"github.com/signet-mdm/signet/internal/directory"
	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/httpd"
	"github.com/signet-mdm/signet/internal/httpd/admin"
)

//go:embed web
var web embed.FS

// Path is where the console begins.
const Path = "/admin/"

// maxForm bounds forms; what files come in may be as large as a few of them.
const (
	maxForm  = 4 << 10
	fewFiles = 4
)

// API is what everything is done by. [admin.API] is it.
type API interface {
	// Permission gives what an operation needs; it panics when there is none of
	// that id.
	Permission(operation string) httpd.Permission
}

// Config is what the console is about. All but PKI and House is
// required.
type Config struct {
	API         API
	Inside      admin.Inside // the way into API
	Tokens      httpd.Tokens // by which people sign in
	Sessions    Sessions
	Credentials Credentials
	PKI         string // address below which what CAs publish is fetched, no slash at its end
	MaxFile     int64  // bytes of an imported file
	House       httpd.House
}

// console is the pages.
type console struct {
	Config
	html *httpd.Pages
}

// Area gives the pages. It panics on a missing dependency.
func Area(c Config) httpd.Area {
	if c.API == nil || c.Inside == (admin.Inside{}) || c.Tokens == nil || c.Sessions == nil || c.Credentials == nil || c.MaxFile <= 0 {
		panic("console: nil dependency")
	}
	c.Tokens = httpd.Bounded(c.Tokens)
	p := console{c, httpd.NewPages(web, c.House)}
	return httpd.Area{Guard: p.guard, Render: p.fail, Routes: []httpd.Route{
		{Method: http.MethodGet, Path: "/admin", Permission: httpd.Anyone, MaxBody: httpd.NoBody, Handle: toHome},
		p.get("", "overview", visit.home),
		{Method: http.MethodGet, Path: signInPath, Permission: httpd.Anyone, MaxBody: httpd.NoBody, Handle: p.askSignIn},
		{Method: http.MethodPost, Path: signInPath, Permission: httpd.Anyone, MaxBody: maxForm, Handle: p.signIn},
		{Method: http.MethodGet, Path: ApproverPath + "{link}", Permission: httpd.Anyone, MaxBody: httpd.NoBody, Handle: p.askCredential},
		{Method: http.MethodPost, Path: ApproverPath + "{link}", Permission: httpd.Anyone, MaxBody: maxForm, Handle: p.credential},
		p.get("certificates", "listCertificates", visit.certificates),
		p.get("certificates/{cert}", "showCertificate", visit.certificate),
		p.get("certificates/{cert}/revoke", "revoke", visit.askRevoke),
		p.post("certificates/{cert}/revoke", "revoke", visit.revoke),
		p.get("approvals", "listRequests", visit.approvals),
		p.get("approvals/{request}", "getRequest", visit.approval),
		p.post("approvals/{request}/approve", "approveRequest", visit.approve),
		p.post("approvals/{request}/deny", "denyRequest", visit.deny),
		p.get("consents/{consent}", "getConsent", visit.consent),
		p.post("consents/{consent}/approve", "approveConsent", visit.agree),
		p.post("consents/{consent}/deny", "denyConsent", visit.disagree),
		p.post("consents/{consent}/cancel", "cancelConsent", visit.cancel),
		p.get("users", "listUsers", visit.users),
		p.get("users/{user}", "getUser", visit.user),
		p.get("users/{user}/keys/{cert}", "listKeys", visit.key),
		p.post("users/{user}/keys/{cert}/pin", "pinKey", visit.pin),
		p.post("users/{user}/keys/{cert}/unpin", "unpinKeys", visit.unpin),
		p.post("users/{user}/keys/{cert}/purpose", "repurposeKey", visit.repurpose),
		p.get("import", "import", visit.askImport),
		p.upload("import", "import", visit.takeImport),
		p.get("quarantine", "listQuarantine", visit.quarantine),
		p.get("quarantine/{id}", "showQuarantine", visit.waiting),
		p.post("quarantine/{id}/assign", "assignKey", visit.assign),
		p.post("quarantine/{id}/discard", "discardKey", visit.discard),
		p.get("devices/{device}", "getDevice", visit.device),
		p.get("authorities", "listAuthorities", visit.authorities),
		p.get("audit", "journal", visit.audit),
		{Method: http.MethodPost, Path: signOutPath, Permission: access.ConsoleUse, MaxBody: maxForm, Handle: p.signOut},
	}}
}

// toHome is for who leaves the slash out.
func toHome(w http.ResponseWriter, r *http.Request, _ httpd.Caller) error {
	http.Redirect(w, r, Path, http.StatusMovedPermanently)
	return nil
}

// get is the route of a page that shows what an operation gives.
func (p console) get(path, operation string, show func(visit) error) httpd.Route {
	return httpd.Route{Method: http.MethodGet, Path: Path + path, Permission: p.API.Permission(operation), MaxBody: httpd.NoBody, Handle: p.with(show)}
}

// post is the route of a button that an operation is behind.
func (p console) post(path, operation string, do func(visit) error) httpd.Route {
	return httpd.Route{Method: http.MethodPost, Path: Path + path, Permission: p.API.Permission(operation), MaxBody: maxForm, Handle: p.with(do)}
}

// upload is post for a form with files.
func (p console) upload(path, operation string, do func(visit) error) httpd.Route {
	rt := p.post(path, operation, do)
	rt.MaxBody = fewFiles*p.MaxFile + 8*maxForm
	return rt
}

// visit is one request of somebody who is signed in.
type visit struct {
	console
	w   http.ResponseWriter
	r   *http.Request
	by  httpd.Caller
	api *admin.Client // that calls in his name
}

// with makes a visit of a request, and what the API refused a failure of ours.
func (p console) with(f func(visit) error) httpd.Handler {
	return func(w http.ResponseWriter, r *http.Request, by httpd.Caller) error {
		if err := r.ParseForm(); err != nil {
			return httpd.ErrBody.With(err)
		}
		return told(f(visit{p, w, r, by, p.Inside.As(by)}))
	}
}

// told gives what the API refused as the failure that it is.
func told(err error) error {
	if f, ok := errors.AsType[*admin.Failure](err); ok {
		return f.Fault()
	}
	return err
}

// may tells whether the caller may do what an operation does.
func (v visit) may(operation string) bool {
	return v.by.Authorize(v.API.Permission(operation)) == nil
}

// named gives a part of the address.
func (v visit) named(name string) string { return mux.Vars(v.r)[name] }

// asked gives a field of the form or of the address, without blanks around.
func (v visit) asked(name string) string { return trimmed(v.r.Form.Get(name)) }

func trimmed(s string) string { return strings.TrimSpace(s) }

// page writes a page under the heading that the menu has for it.
func (v visit) page(name, title, here string, data any) error {
	return v.html.Write(v.w, http.StatusOK, name, httpd.View{Title: title, Nav: v.menu(here), Data: data})
}

// who gives the user of an id, to show his name; without one to a caller who may
// not see users, and of one who is not there.
func (v visit) who(id string) (admin.User, error) {
	none := admin.User{ID: id}
	if id == "" || !v.may("getUser") {
		return none, nil
	}
	u, err := v.api.User(v.r.Context(), id)
	if f, ok := errors.AsType[*admin.Failure](err); ok && f.Code == directory.ErrUserUnknown.Code {
		return none, nil
	}
	return u.User, err
}

// to leads on to another page, after something was done.
func (v visit) to(path string) error {
	http.Redirect(v.w, v.r, Path+path, http.StatusSeeOther)
	return nil
}

// next is the address of the next part of the list that is shown; empty at the
// end.
func (v visit) next(after string) string {
	if after == "" {
		return ""
	}
	q := url.Values{}
	for name, values := range v.r.URL.Query() {
		q[name] = values
	}
	q.Set("after", after)
	return v.r.URL.Path + "?" + q.Encode()
}

// entry is a line of the menu.
type entry struct {
	Title, Path string
	Here        bool
}

// menu has what the caller may see.
type menu struct {
	Entries []entry
	Role    string
	SignOut string
}

func (v visit) menu(here string) menu {
	m := menu{Entries: []entry{{"Home", Path, here == ""}}, Role: string(v.by.Role), SignOut: signOutPath}
	for _, e := range []struct{ title, path, operation string }{
		{"Users", "users", "listUsers"},
		{"Import", "import", "import"},
		{"Quarantine", "quarantine", "listQuarantine"},
		{"Certificates", "certificates", "listCertificates"},
		{"Approvals", "approvals", "listRequests"},
		{"CAs", "authorities", "listAuthorities"},
		{"Audit", "audit", "journal"},
	} {
		if v.may(e.operation) {
			m.Entries = append(m.Entries, entry{e.title, Path + e.path, here == e.path})
		}
	}
	return m
}

// fail lets who is not signed in do so, and says anything else on a page.
func (p console) fail(w http.ResponseWriter, r *http.Request, status int, f *fault.Error) {
	if f.Code == access.ErrConsole.Code && p.writeSignIn(w, status, "") == nil {
		return
	}
	p.html.Fail(w, r, status, f)
}
