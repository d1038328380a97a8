package apnstest

import (
	"crypto/tls"
	"encoding/binary"
	"encoding/json"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"
)

// Scene is how one push ends. The zero value takes it.
type Scene struct {
	Status     int
	Reason     string
	RetryAfter string    // the header's text
	Since      time.Time // in the answer, when not zero
	Body       string    // in place of Apple's JSON

	Reset  bool    // the connection breaks
	Hang   bool    // nothing comes until the client gives up
	GoAway *GoAway // the service ends the connection
}

// GoAway is an HTTP/2 GOAWAY in place of an answer.
type GoAway struct {
	Reason    string
	Processed bool // the request was begun: the client must not repeat it by itself
}

func (s Scene) write(w http.ResponseWriter) {
	w.Header().Set("Apns-Id", strings.ToUpper(uuid.NewString()))
	if s.RetryAfter != "" {
		w.Header().Set("Retry-After", s.RetryAfter)
	}
	if s.Status == 0 || s.Status == http.StatusOK {
		return
	}
	w.WriteHeader(s.Status)
	if s.Body != "" {
		w.Write([]byte(s.Body)) // the client may be gone
		return
	}
	w.Write(reason(s.Reason, s.Since))
}

func reason(word string, since time.Time) []byte {
	said := map[string]any{"reason": word}
	if !since.IsZero() {
		said["timestamp"] = since.UnixMilli()
	}
	b, err := json.Marshal(said)
	if err != nil {
		panic(err)
	}
	return b
}

type connKey struct{}

// reset breaks the connection as a machine does that was switched off.
func reset(r *http.Request) {
	if tcp, ok := conn(r).NetConn().(*net.TCPConn); ok {
		tcp.SetLinger(0)
		tcp.Close()
	}
	panic(http.ErrAbortHandler)
}

// goAway writes the frame by hand: Go's server sends one only when it stops.
//
// Spec: RFC 9113 section 6.8
func goAway(r *http.Request, g GoAway) {
	last := uint32(0)
	if g.Processed {
		last = 1<<31 - 1
	}
	payload := binary.BigEndian.AppendUint32(nil, last)
	payload = binary.BigEndian.AppendUint32(payload, 0) // NO_ERROR
	payload = append(payload, reason(g.Reason, time.Time{})...)
	frame := []byte{0, byte(len(payload) >> 8), byte(len(payload)), 7, 0, 0, 0, 0, 0}
	c := conn(r)
	c.Write(append(frame, payload...))
	c.CloseWrite()
	panic(http.ErrAbortHandler)
}

func conn(r *http.Request) *tls.Conn { return r.Context().Value(connKey{}).(*tls.Conn) }
