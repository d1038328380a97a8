// Package landing has the pages of the people whose devices are enrolled: what
// is on their devices and on its way, live; what their organisation can see;
// and what to do when a device is lost.
//
// It promises that a page changes nothing when it is only looked at, because
// mail scanners open links; that nobody sees or removes another's device; and
// that every page works without a script.
//
// Start reading at [Area].
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
	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/httpd"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/internal/subject"
)

//go:embed web
var web embed.FS

// Addresses of the pages. That of a device has its id behind [DevicePath].
const (
	Path        = "/me"
	DevicePath  = "/me/devices/"
	onePath     = DevicePath + "{device}"
	lostPath    = onePath + "/lost"
	eventsPath  = "/me/events"
	privacyPath = "/me/privacy"
	askPath     = "/me/ask"
	LinkPath    = "/me/link/" // a link behind it leads to the page, once
	linkPath    = LinkPath + "{link}"
)

// maxForm bounds forms, which are buttons only.
const maxForm = 4 << 10

// ErrDevice is returned for a device that the user does not have.
var ErrDevice = fault.New(fault.NotFound, "page_device_unknown",
	"This device is not among yours.", "It may have been removed. Your page shows those that you have.")

// Sessions are the stays of people on our pages.
type Sessions interface {
	httpd.Sessions
	// OpenLink uses up a link and opens the session of its user.
	// access.ErrSession when it is unknown, used or expired.
	OpenLink(ctx context.Context, link, remote string) (seal.Secret, error)
	// EndOthers ends the user's sessions but the caller's own, and the links to
	// his page.
	EndOthers(ctx context.Context, by httpd.Caller) error
}

// Deliveries knows what becomes of devices.
type Deliveries interface {
	// Users tells of each enrolled device of these users what it has and what is
	// on its way, newest first. Users without one may be left out.
	Users(ctx context.Context, ids []subject.UserID) (map[subject.UserID][]delivery.Progress, error)
}

// Devices ends the management of devices.
type Devices interface {
	// Lost removes a device of that user and has all that was issued to it
	// revoked. One that was removed before stays as it is.
	Lost(ctx context.Context, by journal.Actor, user subject.UserID, id subject.DeviceID) error
}

// Links brings people back to their page.
type Links interface {
	// MailLink mails a link to the user of that address, if there is one and he
	// was not sent too many. Remote is who asks. It does not tell whether it did.
	MailLink(ctx context.Context, remote, address string) error
}

// Config is what the pages are about.
type Config struct {
	Sessions   Sessions
	Links      Links // nil: people ask the help desk
	Deliveries Deliveries
	Devices    Devices
	Live       *httpd.Live // that keeps the pages up to date
	House      httpd.House
	Powers     httpd.Powers // of the profile that enrolls devices
	Now        func() time.Time
}

// pages are the user's.
type pages struct {
	Config
	html   *httpd.Pages
	events *httpd.Source
	asking httpd.Places // who ask for links now
}

// Area gives the pages. It panics on a missing dependency.
func Area(c Config) httpd.Area {
	if c.Sessions == nil || c.Deliveries == nil || c.Devices == nil || c.Live == nil || c.Now == nil {
		panic("landing: nil dependency")
	}
	p := pages{Config: c, html: httpd.NewPages(web, c.House), asking: httpd.NewPlaces(askers, askersEach)}
	p.events = c.Live.Source(p.versions)
	return httpd.Area{Guard: httpd.Cookie(c.Sessions), Render: p.fail, Routes: []httpd.Route{
		{Method: http.MethodGet, Path: Path, Permission: httpd.OwnPage, MaxBody: httpd.NoBody, Handle: p.home},
		{Method: http.MethodGet, Path: eventsPath, Permission: httpd.OwnPage, MaxBody: httpd.NoBody, Handle: p.listen, Stream: true},
		{Method: http.MethodGet, Path: onePath, Permission: httpd.OwnPage, MaxBody: httpd.NoBody, Handle: p.device},
		{Method: http.MethodGet, Path: lostPath, Permission: httpd.OwnPage, MaxBody: httpd.NoBody, Handle: p.askLost},
		{Method: http.MethodPost, Path: lostPath, Permission: httpd.OwnPage, MaxBody: maxForm, Handle: p.lost},
		{Method: http.MethodGet, Path: privacyPath, Permission: httpd.Anyone, MaxBody: httpd.NoBody, Handle: p.privacy},
		{Method: http.MethodPost, Path: askPath, Permission: httpd.Anyone, MaxBody: maxForm, Handle: p.ask},
		{Method: http.MethodGet, Path: linkPath, Permission: httpd.Anyone, MaxBody: httpd.NoBody, Handle: p.greet},
		{Method: http.MethodPost, Path: linkPath, Permission: httpd.Anyone, MaxBody: maxForm, Handle: p.enter},
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

// devices gives the caller's own.
func (p pages) devices(ctx context.Context, by httpd.Caller) ([]device, error) {
	user := subject.UserID(by.User)
	of, err := p.Deliveries.Users(ctx, []subject.UserID{user})
	if err != nil {
		return nil, fmt.Errorf("progress of user %s: %w", user, err)
	}
	return devicesOf(of[user], p.Now()), nil
}

// one gives the caller's own device that the address names.
func (p pages) one(r *http.Request, by httpd.Caller) (device, []device, error) {
	list, err := p.devices(r.Context(), by)
	if err != nil {
		return device{}, nil, err
	}
	for _, d := range list {
		if d.ID == mux.Vars(r)["device"] {
			return d, list, nil
		}
	}
	return device{}, nil, ErrDevice
}

// home is the user's page.
func (p pages) home(w http.ResponseWriter, r *http.Request, by httpd.Caller) error {
	list, err := p.devices(r.Context(), by)
	if err != nil {
		return err
	}
	view := httpd.View{Title: "Your secure mail", Data: homeOf(list, by.Device, p.House)}
	for _, d := range list {
		if d.Working {
			view.Live = httpd.Address(eventsPath, version(list))
		}
	}
	return p.html.Write(w, http.StatusOK, "home", view)
}

// device shows one device fill up.
func (p pages) device(w http.ResponseWriter, r *http.Request, by httpd.Caller) error {
	d, list, err := p.one(r, by)
	if err != nil {
		return err
	}
	view := httpd.View{Title: d.Title, Data: d}
	if d.Working {
		view.Live = httpd.Address(eventsPath, version(list))
	}
	return p.html.Write(w, http.StatusOK, "device", view)
}

// listen tells the pages of a user when they have changed.
func (p pages) listen(w http.ResponseWriter, r *http.Request, by httpd.Caller) error {
	return p.events.Serve(w, r, by.User)
}

func (p pages) versions(ctx context.Context, users []string) (map[string]string, error) {
	ids := make([]subject.UserID, len(users))
	for i, u := range users {
		ids[i] = subject.UserID(u)
	}
	of, err := p.Deliveries.Users(ctx, ids)
	if err != nil {
		return nil, err
	}
	now, list := p.Now(), make(map[string]string, len(ids))
	for _, id := range ids {
		list[string(id)] = version(devicesOf(of[id], now))
	}
	return list, nil
}

// askLost says what comes of it before anything does.
func (p pages) askLost(w http.ResponseWriter, r *http.Request, by httpd.Caller) error {
	d, _, err := p.one(r, by)
	if err != nil {
		return err
	}
	return p.html.Write(w, http.StatusOK, "lost", httpd.View{Title: "Remove a device", Data: map[string]any{"Device": d, "Here": d.ID == by.Device}})
}

// lost removes a device. Who has it may have the user's mail, and be in his page
// elsewhere: that ends first.
func (p pages) lost(w http.ResponseWriter, r *http.Request, by httpd.Caller) error {
	d, _, err := p.one(r, by)
	if err != nil {
		return err
	}
	if err := p.Sessions.EndOthers(r.Context(), by); err != nil {
		return err
	}
	if err := p.Devices.Lost(r.Context(), by.Actor, subject.UserID(by.User), subject.DeviceID(d.ID)); err != nil {
		return fmt.Errorf("removing lost device %s: %w", d.ID, err)
	}
	return p.html.Write(w, http.StatusOK, "gone", httpd.View{Title: "The device is removed", Data: map[string]any{"Device": d, "Here": d.ID == by.Device}})
}

// privacy shows what the organisation can see.
func (p pages) privacy(w http.ResponseWriter, _ *http.Request, _ httpd.Caller) error {
	return p.html.Write(w, http.StatusOK, "privacy", httpd.View{Title: "What your organisation can and cannot do",
		Data: map[string]any{"Organization": p.House.Organization, "Powers": p.Powers}})
}
