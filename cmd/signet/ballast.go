package main

import "runtime"

// ballastSize is how much more may be allocated between two collections than
// with nothing but what serves: a small server has 5 MB in use, and collected
// them anew after each 35 certificates, for 3 % of its processor time.
const ballastSize = 32 << 20

// ballast makes the collector believe in ballastSize bytes more, which nobody
// ever touches, so that they take no memory themselves. What is left to collect
// grows by as much, whatever is in use; a higher GOGC would multiply that. It
// lasts until it is dropped.
func ballast() (drop func()) {
	b := make([]byte, ballastSize)
	return func() { runtime.KeepAlive(b) }
}
