// Package httpd is the toolbox of every listener: routes that say who may call
// them and how much they may send, one adapter that bounds, renders and logs,
// the shared look of the pages, and a server with timeouts that drains. It
// mounts nothing by itself.
//
// Start at [Route]; areas of them make a [Site], which [Serve] puts on a
// listener.
package httpd

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/signet-mdm/signet/internal/access"
)

// Caller and Permission are the words of package access, for rooms that see
// only this one.
type (
	Caller     = access.Caller
	Permission = access.Permission
)

// Permissions of routes outside the admin API.
const (
	// Anyone may call; the handler proves the caller by itself, or the answer
	// is public.
	Anyone = access.Anyone
	// OwnEnroll needs the session of somebody who redeemed an invitation.
	OwnEnroll = access.OwnEnroll
	// OwnPage needs the session of a user.
	OwnPage = access.OwnPage
	// AskKeeper needs another role of the installation.
	AskKeeper = access.AskKeeper
)

// NoBody is the MaxBody of a route that takes none.
const NoBody int64 = -1

// Handler answers a request, or returns what kept it from doing so. It returns
// an error only while it has written nothing: the area renders it. By is the
// caller as the area's guard found him; by.Actor.Remote is always set.
type Handler func(w http.ResponseWriter, r *http.Request, by Caller) error

// Cut is what a handler panics with that cannot finish an answer which it has
// begun: the connection is cut off, so that the answer does not look whole.
type Cut struct{ Err error }

// Route is one row of an area's table. Every field but Stream is required: a
// route that does not say who may call it or how much it reads does not start.
type Route struct {
	Method     string // GET answers HEAD as well
	Path       string // gorilla/mux template, such as /scep/{profile}
	Permission Permission
	MaxBody    int64 // bytes, or NoBody
	Handle     Handler
	Encoded    bool // the path ends in base64, which may have slashes in it, as they are or escaped
	Stream     bool // the answer goes on for minutes: it takes a place among the streams, not the requests
}

// Area is a set of routes with one kind of caller.
type Area struct {
	// Guard finds out who calls. It is asked only for routes that need more
	// than Anyone; nil when there is none.
	Guard Guard
	// Render writes a failure in the way that the area's callers understand.
	Render Render
	Routes []Route
}

// Guard gives the caller of a request that came from remote, or
// access.ErrUnauthenticated.
type Guard func(r *http.Request, remote string) (Caller, error)

// check panics on an incomplete area: a programmer's mistake found at start.
func (a Area) check() {
	if a.Render == nil {
		panic("httpd: area without Render")
	}
	for _, rt := range a.Routes {
		if problem := rt.problem(a.Guard); problem != "" {
			panic(fmt.Sprintf("httpd: route %s %s: %s", rt.Method, rt.Path, problem))
		}
	}
}

func (rt Route) problem(guard Guard) string {
	switch {
	case !slices.Contains([]string{"GET", "POST", "PUT", "PATCH", "DELETE"}, rt.Method):
		return "no usable method"
	case !strings.HasPrefix(rt.Path, "/"):
		return "path does not start with /"
	case rt.Permission == "":
		return "no permission: say who may call it"
	case !slices.Contains(access.Permissions(), rt.Permission):
		return "unknown permission " + string(rt.Permission)
	case rt.MaxBody <= 0 && rt.MaxBody != NoBody:
		return "no body limit: say how much it may read"
	case rt.Handle == nil:
		return "no handler"
	case rt.Permission != Anyone && guard == nil:
		return "needs a permission, but its area has no guard"
	}
	return ""
}
