package main

import (
	"net/http"
	"time"
)

func (s *server) wireDelivery() error { return nil }

// steps is all background work of this process.
func (s *server) steps() []step {
	return []step{
		{"crl", time.Minute, s.scep.Refresh},
	}
}

// wakes nudges the background work after each request that may have left some.
func (s *server) wakes(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.ServeHTTP(w, r)
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			s.wake.nudge()
		}
	})
}
