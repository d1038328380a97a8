// Package landing has the pages on which a user sees what becomes of his
// devices: which certificates have arrived, which are on their way, what needs
// him. They work without scripts.
//
// It promises that a page changes nothing when it is only looked at, that it
// never says more than a device has shown, and that it shows a user his own
// devices only. Start reading at [Area].
package landing

import (
	"context"
	"embed"
	"fmt"
	"net/http"
	"time"

	"github.com/gorilla/mux"

	"github.com/signet-mdm/signet/internal/access"
	"github.com/signet-mdm/signet/internal/delivery"
	"github.com/signet-mdm/signet/internal/httpd"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/internal/subject"
)

//go:embed web
var web embed.FS

// Path is the user's page.
const Path = "/me"

// linkPath leads to it, once.
const linkPath = "/me/link/{link}"

// refresh is how often an unfinished page asks again by itself.
const refresh = 5 * time.Second

// Sessions are the stays of people on our pages.
type Sessions interface {
	httpd.Sessions
	// OpenLink uses up a link and opens the session of its user.
	// access.ErrSession when it is unknown, used or expired.
	OpenLink(ctx context.Context, link, remote string) (seal.Secret, error)
}

// Deliveries knows what becomes of devices.
type Deliveries interface {
	// User tells of each enrolled device of the user what it has and what is on
	// its way; never nil.
	User(ctx context.Context, id subject.UserID) ([]delivery.Progress, error)
}

// Config is what the pages are about.
type Config struct {
	Sessions     Sessions
	Deliveries   Deliveries
	Organization string // shown at the head of pages; may be empty
	Notice       string // stands above every page; may be empty
}

// pages are the user's.
type pages struct {
	Config
	html *httpd.Pages
}

// Area gives the pages. It panics on a missing dependency.
func Area(c Config) httpd.Area {
	if c.Sessions == nil || c.Deliveries == nil {
		panic("landing: nil dependency")
	}
	p := pages{c, httpd.NewPages(web, c.Organization, c.Notice)}
	return httpd.Area{Guard: httpd.Cookie(c.Sessions), Render: p.html.Fail, Routes: []httpd.Route{
		{Method: http.MethodGet, Path: Path, Permission: httpd.OwnPage, MaxBody: httpd.NoBody, Handle: p.show},
		{Method: http.MethodGet, Path: linkPath, Permission: httpd.Anyone, MaxBody: httpd.NoBody, Handle: p.greet},
		{Method: http.MethodPost, Path: linkPath, Permission: httpd.Anyone, MaxBody: 4 << 10, Handle: p.enter},
	}}
}

// greet asks who follows a link to go on. Only that uses the link up: mail
// scanners open links, but press no buttons.
func (p pages) greet(w http.ResponseWriter, _ *http.Request, _ httpd.Caller) error {
	return p.html.Write(w, http.StatusOK, "link", httpd.View{Title: "Your secure mail"})
}

// enter uses the link up and begins the session.
func (p pages) enter(w http.ResponseWriter, r *http.Request, by httpd.Caller) error {
	session, err := p.Sessions.OpenLink(r.Context(), mux.Vars(r)["link"], by.Actor.Remote)
	if err != nil {
		return err
	}
	httpd.SetSession(w, session.RevealString(), access.PageLife)
	http.Redirect(w, r, Path, http.StatusSeeOther)
	return nil
}

// show is the user's page.
func (p pages) show(w http.ResponseWriter, r *http.Request, by httpd.Caller) error {
	progress, err := p.Deliveries.User(r.Context(), subject.UserID(by.User))
	if err != nil {
		return fmt.Errorf("progress of user %s: %w", by.User, err)
	}
	view := httpd.View{Title: "Your secure mail", Data: devicesOf(progress)}
	if unfinished(progress) {
		view.Refresh = refresh
	}
	return p.html.Write(w, http.StatusOK, "me", view)
}
