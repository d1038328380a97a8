// Package apnstest is a double of Apple's push service for tests: an HTTP/2
// server on loopback that wants a push certificate of its own authority and
// refuses whatever the real one refuses. [Scene] makes it misbehave.
//
// Where it is stricter than the real service the code says "Stricter".
package apnstest

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"
)

// Push is a push that was taken.
type Push struct {
	Topic, Magic string
	Token        []byte
	Expires      time.Time
}

// Server is the running double.
type Server struct {
	Addr string // host:port

	*authority
	http    *http.Server
	stopped chan struct{}

	mu     sync.Mutex
	scenes []Scene
	gone   map[string]time.Time // tokens, hex
	owners map[string]string    // topic by token; a token that is not here is taken under any topic
	taken  []Push
	asked  int
	came   chan struct{} // closed when something was asked, then another
}

// Start runs a double until Close.
func Start() (*Server, error) {
	a, err := newAuthority()
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &Server{Addr: l.Addr().String(), authority: a, stopped: make(chan struct{}), gone: map[string]time.Time{},
		owners: map[string]string{}, came: make(chan struct{})}
	only := new(http.Protocols)
	only.SetHTTP2(true)
	s.http = &http.Server{
		Handler: http.HandlerFunc(s.serve), Protocols: only, ErrorLog: log.New(io.Discard, "", 0),
		ConnContext: func(ctx context.Context, c net.Conn) context.Context { return context.WithValue(ctx, connKey{}, c) },
		TLSConfig: &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{a.server},
			ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: a.pool},
	}
	go s.http.ServeTLS(l, "", "") // ends by Close
	return s, nil
}

// Close ends it with all connections.
func (s *Server) Close() error {
	close(s.stopped)
	return s.http.Close()
}

// Play makes the next pushes end in these scenes, one each, in this order.
func (s *Server) Play(scenes ...Scene) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.scenes = append(s.scenes, scenes...)
}

// Clear forgets the scenes that were not played.
func (s *Server) Clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.scenes = nil
}

// Unregister makes a token answer 410 from now on, as that of a device that
// was erased at that time. A zero time is not told.
func (s *Server) Unregister(token []byte, since time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gone[hex.EncodeToString(token)] = since
}

// Own makes a token belong to a topic.
func (s *Server) Own(token []byte, topic string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.owners[hex.EncodeToString(token)] = topic
}

// Taken gives what was taken so far.
func (s *Server) Taken() []Push {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.taken)
}

// Asked tells how many requests came, with those that were refused.
func (s *Server) Asked() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked
}

// Await waits for the first push from number n on that want likes, and gives
// it with the number of the one after it.
func (s *Server) Await(ctx context.Context, n int, want func(Push) bool) (Push, int, error) {
	for {
		s.mu.Lock()
		taken, came := s.taken, s.came
		s.mu.Unlock()
		for ; n < len(taken); n++ {
			if want(taken[n]) {
				return taken[n], n + 1, nil
			}
		}
		select {
		case <-ctx.Done():
			return Push{}, n, fmt.Errorf("no such push among %d: %w", n, ctx.Err())
		case <-came:
		}
	}
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	p, refusal := s.judge(r, bytes.TrimSpace(body))
	scene := s.next(refusal)
	switch {
	case scene.Hang:
		select {
		case <-r.Context().Done():
		case <-s.stopped:
		}
		panic(http.ErrAbortHandler)
	case scene.Reset:
		reset(r)
	case scene.GoAway != nil:
		goAway(r, *scene.GoAway)
	case scene.Status == 0 || scene.Status == http.StatusOK:
		s.take(p)
	}
	scene.write(w)
}

// next gives what is to be played: a refusal comes before any scene.
func (s *Server) next(refusal *Scene) Scene {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	if refusal != nil {
		return *refusal
	}
	if len(s.scenes) == 0 {
		return Scene{}
	}
	scene := s.scenes[0]
	s.scenes = s.scenes[1:]
	return scene
}

func (s *Server) take(p Push) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taken = append(s.taken, p)
	close(s.came)
	s.came = make(chan struct{})
}
