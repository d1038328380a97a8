package httpd

import (
	"net"
	"net/http"
)

// On makes a Listener of one that a test brings.
func On(l net.Listener, h http.Handler) *Listener { return &Listener{"test", l, h} }

// Crowded limits the connections of a Listener that a test brings.
func Crowded(l net.Listener, total, each int64) net.Listener { return newCrowd(l, total, each) }

// Limits and keys, opened to tests.
const (
	InFlightEach = maxInFlightEach
	BodiesEach   = maxBodiesEach
	Streams      = maxStreams
	ConnsEach    = maxConnsEach
)

var Sharer = sharer
