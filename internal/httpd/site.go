package httpd

import (
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/gorilla/mux"

	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/logx"
)

// RequestIDHeader carries the id by which the log finds a request.
const RequestIDHeader = "X-Request-Id"

// Bounds of what one site works on at a time; more is told to come back.
const (
	maxInFlight = 1024      // requests
	maxOpen     = 1024      // streams
	maxBodies   = 128 << 20 // bytes of their bodies, so that many large ones cannot fill the memory
)

// Site answers on one listener: everything that is the same for all areas
// happens here, then the route's handler runs.
type Site struct {
	log      *slog.Logger
	hosts    []string
	router   *mux.Router
	renders  map[string]Render // by first path segment
	encoded  map[string]bool   // by first path segment
	requests Places
	streams  Places
	bodies   atomic.Int64 // bytes
	each     *shares      // of them
	origin   *http.CrossOriginProtection
	observe  Observer // nil for none
}

// Observer is told of each request that was answered: by the template of the
// route that took it, empty for none, and the code of what was wrong with it,
// empty for nothing.
type Observer func(method, route string, status int, code string, took time.Duration)

// Observed tells o of every request from now on; before the site serves.
func (s *Site) Observed(o Observer) *Site {
	s.observe = o
	return s
}

// NewSite mounts the areas. Hosts are the names (without port) it answers to;
// none means any, which is right only for the socket and for the plain
// listener. It panics when a route is incomplete.
func NewSite(log *slog.Logger, hosts []string, areas ...Area) *Site {
	if log == nil {
		panic("httpd: nil log")
	}
	s := &Site{log: log, hosts: hosts, router: mux.NewRouter().SkipClean(true), renders: map[string]Render{}, encoded: map[string]bool{},
		requests: NewPlaces(maxInFlight, maxInFlightEach), streams: NewPlaces(maxOpen, maxOpenEach),
		each: newShares(maxBodiesEach), origin: http.NewCrossOriginProtection()}
	for _, a := range areas {
		a.check()
		for _, rt := range a.Routes {
			s.mount(a, rt)
		}
	}
	return s
}

// bound is a route with the area it belongs to.
type bound struct {
	Route
	area Area
}

// ServeHTTP is never called: the site takes the match and runs it.
func (bound) ServeHTTP(http.ResponseWriter, *http.Request) {}

func (s *Site) mount(a Area, rt Route) {
	methods := []string{rt.Method}
	if rt.Method == http.MethodGet {
		methods = append(methods, http.MethodHead)
	}
	s.router.Handle(rt.Path, bound{rt, a}).Methods(methods...)
	s.renders[segment(rt.Path)] = a.Render
	if rt.Encoded {
		s.encoded[segment(rt.Path)] = true
	}
}

// segment is the first part of a path: "/scep/x" → "scep".
func segment(path string) string {
	first, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	return first
}

// ServeHTTP implements [http.Handler].
func (s *Site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start, id := time.Now(), rand.Text()
	rec := &recorder{ResponseWriter: w}
	r = r.WithContext(logx.With(r.Context(), slog.String(logx.RequestID, id)))
	secureHeaders(rec.Header(), id)
	route, err := s.answer(rec, r)
	if rec.status == 0 {
		rec.status = http.StatusOK // nothing written is an empty 200
	}
	s.report(r, rec, route, time.Since(start), err)
	if err != nil && rec.broken {
		panic(http.ErrAbortHandler) // half an answer must not look whole
	}
}

func secureHeaders(h http.Header, id string) {
	h.Set(RequestIDHeader, id)
	h.Set("X-Content-Type-Options", "nosniff")
	// Not "no-referrer": with that, a browser sends "Origin: null" with our own
	// forms, and those without Sec-Fetch-Site (Safari before 16.4) would be
	// taken for another site.
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
}

// answer finds the route, runs it and renders what went wrong. It gives the
// route's template, for the log.
func (s *Site) answer(w *recorder, r *http.Request) (route string, err error) {
	render := s.renderFor(r.URL.Path)
	defer func() {
		if p := recover(); p != nil {
			if cut, ok := p.(Cut); ok {
				err = cut.Err
			} else {
				err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
			}
			w.broken = w.status != 0
		}
		if err != nil && w.status == 0 {
			f := FaultOf(err)
			retryAfter(w.Header(), f)
			render(w, r, Status(f), f)
		}
	}()
	leave := s.requests.Enter(r)
	if leave == nil {
		w.Header().Set("Connection", "close") // and the body unread
		return "", ErrBusy
	}
	defer func() { leave() }()
	if err := s.admit(r); err != nil {
		return "", err
	}
	rt, r, err := s.match(w, r)
	if err != nil {
		return "", err
	}
	if rt.Stream {
		among := s.streams.Enter(r)
		if among == nil {
			return rt.Path, ErrBusy
		}
		leave()
		leave = among
	}
	return rt.Path, s.run(rt, w, r)
}

// retryAfter says when it may be tried again.
//
// Spec: RFC 9110 section 10.2.3
func retryAfter(h http.Header, f *fault.Error) {
	if w, ok := errors.AsType[waiting](f); ok {
		h.Set("Retry-After", strconv.Itoa(int(w.Seconds())+1))
		h.Set("RateLimit-Policy", fmt.Sprintf(`"invalid tokens";q=%d;w=%d`, triesBurst, int((triesBurst*triesEvery).Seconds())))
		h.Set("RateLimit", fmt.Sprintf(`"invalid tokens";r=0;t=%d`, int(w.Seconds())+1))
	} else if f.Kind == fault.Unavailable {
		h.Set("Retry-After", "5")
	}
}

// renderFor picks how failures look where no route matched.
func (s *Site) renderFor(path string) Render {
	if render := s.renders[segment(path)]; render != nil {
		return render
	}
	return Bare
}

// admit refuses what no route should see.
func (s *Site) admit(r *http.Request) error {
	if len(s.hosts) > 0 && !slices.Contains(s.hosts, hostname(r.Host)) {
		return ErrHost
	}
	if oddPath(r, s.encoded[segment(r.URL.Path)]) {
		return ErrPath
	}
	if err := s.origin.Check(r); err != nil {
		return ErrOrigin.With(err)
	}
	return nil
}

// hostname gives a Host header without port and brackets, in lower case.
func hostname(host string) string {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	return strings.ToLower(strings.Trim(host, "[]"))
}

// match finds the route, with its variables in the request.
func (s *Site) match(w http.ResponseWriter, r *http.Request) (bound, *http.Request, error) {
	var m mux.RouteMatch
	if s.router.Match(r, &m) && m.MatchErr == nil {
		return m.Handler.(bound), mux.SetURLVars(r, m.Vars), nil
	}
	if m.MatchErr != mux.ErrMethodMismatch {
		return bound{}, r, ErrNotFound
	}
	w.Header().Set("Allow", strings.Join(s.allowed(r), ", "))
	return bound{}, r, ErrMethod
}

// allowed lists the methods that the path would take.
func (s *Site) allowed(r *http.Request) []string {
	list := []string{}
	for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"} {
		other := *r
		other.Method = method
		var m mux.RouteMatch
		if s.router.Match(&other, &m) && m.MatchErr == nil {
			list = append(list, method)
		}
	}
	return list
}
