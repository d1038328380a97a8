package main

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/signet-mdm/signet/internal/httpd"
	"github.com/signet-mdm/signet/internal/logx"
)

// readyTime bounds one round of checks.
const readyTime = 5 * time.Second

// operations is the area for those who watch the server: alive, and ready to
// work. It says nothing about people, and is off unless ops_listen is set.
func (s *server) operations() httpd.Area {
	return httpd.Area{Render: httpd.Problem, Routes: []httpd.Route{
		{Method: http.MethodGet, Path: "/healthz", Permission: httpd.Anyone, MaxBody: httpd.NoBody, Handle: alive},
		{Method: http.MethodGet, Path: "/readyz", Permission: httpd.Anyone, MaxBody: httpd.NoBody, Handle: s.ready},
	}}
}

func alive(w http.ResponseWriter, _ *http.Request, _ httpd.Caller) error {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, err := w.Write([]byte("ok\n"))
	return err
}

// ready answers 200 when every check passes, else 503, with each check by name.
func (s *server) ready(w http.ResponseWriter, r *http.Request, _ httpd.Caller) error {
	ctx, stop := context.WithTimeout(r.Context(), readyTime)
	defer stop()
	checks, status := map[string]string{}, http.StatusOK
	for name, check := range map[string]func() error{
		"database":    func() error { return s.db.Ping(ctx) },
		"escrow keys": s.ring.SelfTest,
	} {
		checks[name] = "ok"
		if err := check(); err != nil {
			checks[name], status = "failed", http.StatusServiceUnavailable
			s.log.ErrorContext(ctx, "not ready", logx.Kind, name, logx.Err, err)
		}
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	return json.NewEncoder(w).Encode(checks)
}
