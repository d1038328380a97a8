package httpd

import (
	"net"
	"net/http"
)

// On makes a Listener of one that a test brings.
func On(l net.Listener, h http.Handler) *Listener { return &Listener{"test", l, h} }
