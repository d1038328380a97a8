package admin

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"

	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/httpd"
)

// Inside lets another edge of this process use the API: each call by a client
// of it is authorised, carried out and logged as one from outside is, in the
// name of a caller whom that edge knows.
type Inside struct{ site http.Handler }

// Inside gives the way in. It panics on a nil log.
func (a *API) Inside(log *slog.Logger) Inside {
	guard := func(r *http.Request, _ string) (httpd.Caller, error) {
		return r.Context().Value(insideKey{}).(httpd.Caller), nil
	}
	return Inside{httpd.NewSite(log, nil, a.Area(guard))}
}

// As gives a client that calls in the caller's name.
func (i Inside) As(by httpd.Caller) *Client {
	return &Client{base: "http://signet", http: &http.Client{Timeout: patience, Transport: inward{i.site, by}}}
}

type insideKey struct{}

// inward is a connection that never leaves the process.
type inward struct {
	site http.Handler
	by   httpd.Caller
}

// RoundTrip implements [http.RoundTripper].
func (i inward) RoundTrip(r *http.Request) (*http.Response, error) {
	in := r.Clone(context.WithValue(r.Context(), insideKey{}, i.by))
	in.RemoteAddr = net.JoinHostPort(i.by.Actor.Remote, "0")
	if in.Body == nil {
		in.Body = http.NoBody
	}
	w := &kept{header: http.Header{}}
	i.site.ServeHTTP(w, in)
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return &http.Response{StatusCode: w.status, Header: w.header, Body: io.NopCloser(&w.body), Request: r,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1}, nil
}

// kept is an answer that is read after it is whole.
type kept struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (k *kept) Header() http.Header { return k.header }

func (k *kept) WriteHeader(status int) {
	if k.status == 0 {
		k.status = status
	}
}

func (k *kept) Write(b []byte) (int, error) { k.WriteHeader(http.StatusOK); return k.body.Write(b) }

// Permission gives what the operation of that id needs, so that who leads to it
// says the same. It panics when there is none.
func (a *API) Permission(id string) httpd.Permission {
	p, known := a.needs[id]
	if !known {
		panic("admin: no operation " + id)
	}
	return p
}

// Fault gives what was answered as the failure that it tells of.
func (f *Failure) Fault() *fault.Error {
	kind, known := httpd.KindOf(f.Status)
	if !known && f.Status < http.StatusInternalServerError {
		kind = fault.Invalid
	}
	return &fault.Error{Kind: kind, Code: f.Code, Msg: f.Detail, Hint: f.Hint}
}
