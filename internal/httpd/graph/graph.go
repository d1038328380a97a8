// Package graph takes encryption histories in as Microsoft Graph would: the part
// of its API that Intune's PFX import tools speak, so that they can be pointed
// here. What they send is opened, checked and sealed to the escrow key at once;
// neither file nor password is kept, and answers have none.
//
// It promises the habits that those tools rely on: all forms of a key, enum
// names in any case or as numbers, one answer without pages, 204 after a
// deletion, failures as Graph's JSON, and never 429. Start at [Area].
package graph

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"

	"github.com/signet-mdm/signet/internal/access"
	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/httpd"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/pfxconnector"
	"github.com/signet-mdm/signet/pfxconnector/transport"
)

// Prefix is what a tool is given as the address of Graph, below our own.
const Prefix = "/graph"

const (
	usersPath = Prefix + "/beta/users"
	pfxPath   = Prefix + "/beta/deviceManagement/userPfxCertificates"
)

// Keys takes encryption keys into escrow.
type Keys interface {
	// Import takes one PKCS#12 file; what is wrong with it is in the report.
	Import(ctx context.Context, by journal.Actor, f pfxconnector.File) (pfxconnector.FileReport, error)
	// Held gives the imported certificates of many users, newest first; who has
	// none is left out.
	Held(ctx context.Context, ids []subject.UserID) (map[subject.UserID][]cert.Record, error)
	// Repurpose says what a user's imported certificate is for, by the rules of
	// an import, and gives that.
	Repurpose(ctx context.Context, by journal.Actor, u subject.User, f cert.Fingerprint, d pfxconnector.Decision) (cert.Use, error)
	// Remove destroys a user's imported key for ever.
	Remove(ctx context.Context, by journal.Actor, u subject.User, f cert.Fingerprint) error
}

// Users finds people.
type Users interface {
	// User gives the user with that id, address or UPN; a fault of kind
	// NotFound when there is none.
	User(ctx context.Context, key string) (subject.User, error)
	// Users lists at most limit users in the order of their addresses, from
	// after on.
	Users(ctx context.Context, after string, limit int) ([]subject.User, error)
}

// Passwords opens what importers encrypted.
type Passwords interface {
	// Open decrypts with the transport key of that provider and name.
	Open(ctx context.Context, provider, name string, p transport.Padding, sealed []byte) (seal.Secret, error)
}

// Config is what the API is about; all of it is required.
type Config struct {
	Keys      Keys
	Users     Users
	Passwords Passwords
	MaxFile   int64 // bytes of an imported file
}

type api struct{ Config }

// Area gives the routes, for callers that the guard knows. It panics on a
// missing service.
func Area(c Config, guard httpd.Guard) httpd.Area {
	if c.Keys == nil || c.Users == nil || c.Passwords == nil || c.MaxFile <= 0 {
		panic("graph: nil dependency")
	}
	a := api{c}
	area := httpd.Area{Guard: guard, Render: render}
	add := func(method, path string, p httpd.Permission, body int64, h httpd.Handler) {
		area.Routes = append(area.Routes, httpd.Route{Method: method, Path: path, Permission: p, MaxBody: body, Handle: identified(h)})
	}
	// Base64 is a third longer; the rest is names and the password.
	object := c.MaxFile/3*4 + 64<<10
	for _, slash := range []string{"", "/"} {
		add(http.MethodGet, usersPath+slash, access.UserRead, httpd.NoBody, a.users)
		add(http.MethodGet, pfxPath+slash, access.KeyRead, httpd.NoBody, a.list)
		add(http.MethodPost, pfxPath+slash, access.KeyImport, object, a.create)
		for _, key := range []string{"({id})", "/{id}"} {
			add(http.MethodGet, pfxPath+key+slash, access.KeyRead, httpd.NoBody, a.get)
			add(http.MethodPatch, pfxPath+key+slash, access.KeyImport, object, a.update)
			add(http.MethodDelete, pfxPath+key+slash, access.KeyImport, httpd.NoBody, a.remove)
		}
	}
	return area
}

// requestID is what Graph calls the id of a request; its clients show it.
const requestID = "request-id"

func identified(h httpd.Handler) httpd.Handler {
	return func(w http.ResponseWriter, r *http.Request, by httpd.Caller) error {
		w.Header().Set(requestID, w.Header().Get(httpd.RequestIDHeader))
		return h(w, r, by)
	}
}

// failure is how Graph tells what went wrong.
type failure struct {
	Error struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	} `json:"error"`
}

// render answers with Graph's JSON.
//
// Quirk: told 429, Intune's module waits and then sends a request that it has
// sent before, so it is told 503.
func render(w http.ResponseWriter, _ *http.Request, status int, f *fault.Error) {
	switch status {
	case http.StatusTooManyRequests:
		status = http.StatusServiceUnavailable
	case http.StatusUnauthorized:
		w.Header().Set("WWW-Authenticate", `Bearer realm="signet"`)
	}
	w.Header().Set(requestID, w.Header().Get(httpd.RequestIDHeader))
	var body failure
	body.Error.Code, body.Error.Message = f.Code, strings.TrimSpace(f.Msg+" "+f.Hint)
	answer(w, status, body)
}

const jsonType = "application/json; charset=utf-8"

func answer(w http.ResponseWriter, status int, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", jsonType)
	w.Header().Set("Content-Length", strconv.Itoa(len(b)))
	w.WriteHeader(status)
	w.Write(b) // who is gone cannot be told
	return nil
}
