package httpd

import (
	"errors"
	"net/http"
	"time"
)

// Heartbeat is how often something must be sent on a stream, so that proxies
// see life and the client's time does not run out.
const Heartbeat = 15 * time.Second

const streamWrite = Heartbeat + 10*time.Second // from one write to the end of the next

// Stream is an answer of server-sent events, which goes on.
//
// Spec: HTML Living Standard section 9.2 (server-sent events)
type Stream struct {
	w  http.ResponseWriter
	rc *http.ResponseController
}

// BeginStream begins one on a route that is a Stream. It lifts the limit on the
// request, which would end the answer as well.
func BeginStream(w http.ResponseWriter) (Stream, error) {
	s := Stream{w, http.NewResponseController(w)}
	if err := s.rc.SetReadDeadline(time.Time{}); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return s, err
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no") // proxies that would wait for the end
	return s, nil
}

// Send writes, and gives the client its time to take it. HTTP/2 counts that time
// between writes as well.
func (s Stream) Send(text string) error {
	if err := s.rc.SetWriteDeadline(time.Now().Add(streamWrite)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	if _, err := s.w.Write([]byte(text)); err != nil {
		return err
	}
	return s.rc.Flush()
}
