package httpd

import (
	"errors"
	"io"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/signet-mdm/signet/internal/access"
	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/logx"
)

// run authorises the caller, bounds the body and calls the handler.
func (s *Site) run(rt bound, w http.ResponseWriter, r *http.Request) error {
	by := access.Stranger(Remote(r))
	if rt.Permission != Anyone {
		var err error
		if by, err = rt.area.Guard(r, Remote(r)); err != nil {
			return err
		}
		if err := by.Authorize(rt.Permission); err != nil {
			return err
		}
	}
	limit := max(rt.MaxBody, 0)
	if r.ContentLength > limit {
		w.Header().Set("Connection", "close") // nobody wants to read it
		return ErrTooLarge
	}
	b := &body{ReadCloser: http.MaxBytesReader(w, r.Body, limit), all: &s.bodies, each: s.each, key: sharer(Remote(r))}
	defer b.release()
	r.Body = b
	return rt.Handle(w, r, by)
}

// body counts what is read, and tells the sender's failures from ours.
type body struct {
	io.ReadCloser
	all  *atomic.Int64 // of all requests of the site
	each *shares
	key  string // of the sender's share
	mine int64
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if !b.each.take(b.key, int64(n)) {
		return 0, ErrBusy
	}
	b.mine += int64(n)
	if b.all.Add(int64(n)) > maxBodies {
		return n, ErrBusy
	}
	if err == nil || err == io.EOF {
		return n, err
	}
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return n, ErrTooLarge.With(err)
	}
	return n, ErrBody.With(err)
}

// release gives back what the request held.
func (b *body) release() {
	b.all.Add(-b.mine)
	b.each.give(b.key, b.mine)
}

// Remote is the peer's address without port; empty on a Unix socket.
func Remote(r *http.Request) string { return hostOf(r.RemoteAddr) }

// report writes the one record of a request.
func (s *Site) report(r *http.Request, w *recorder, route string, took time.Duration, err error) {
	level := slog.LevelInfo
	attrs := []slog.Attr{
		slog.String(logx.Method, r.Method), slog.String(logx.Route, route), slog.Int(logx.Status, w.status),
		slog.Duration(logx.Duration, took), slog.Int64(logx.Bytes, w.bytes), slog.String(logx.Remote, Remote(r)),
	}
	if err != nil {
		attrs = append(attrs, slog.String(logx.Code, FaultOf(err).Code), slog.Any(logx.Err, err))
		if FaultOf(err).Kind == fault.Internal && r.Context().Err() == nil {
			level = slog.LevelError
		}
	}
	s.log.LogAttrs(r.Context(), level, "request", attrs...)
	if s.observe != nil {
		code := ""
		if err != nil {
			code = FaultOf(err).Code
		}
		s.observe(r.Method, route, w.status, code, took)
	}
}

// recorder remembers what was answered.
type recorder struct {
	http.ResponseWriter
	status int
	bytes  int64
	broken bool // the handler died while writing
}

func (w *recorder) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *recorder) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	n, err := w.ResponseWriter.Write(b)
	w.bytes += int64(n)
	return n, err
}

// Unwrap lets [http.ResponseController] reach the connection.
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }
