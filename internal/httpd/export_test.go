package httpd

import (
	"net"
	"net/http"
)

// On makes a Listener of one that a test brings.
func On(l net.Listener, h http.Handler) *Listener { return &Listener{"test", l, h, nil} }

// Crowded limits the connections of a Listener that a test brings.
func Crowded(l net.Listener, total, each int64) *Listener {
	c := newCrowd(l, total, each)
	return &Listener{"test", c, nil, c.turned}
}

// Limits and keys, opened to tests.
const (
	InFlightEach = maxInFlightEach
	BodiesEach   = maxBodiesEach
	Streams      = maxStreams
	ConnsEach    = maxConnsEach
)

var Sharer = sharer
