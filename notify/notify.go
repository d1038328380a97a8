// Package notify tells devices and people that there is something for them.
//
// A device is told by a push through Apple. Its wish to be woken is a row that
// outlives any restart; the rules for acting on it are here, apart from what
// speaks to Apple ([Pusher]) and what keeps the rows ([Wishes]): at most one
// push a device a minute, none to a token that is dead, later and later when
// nothing comes of it. Start at [Waker] and, for the certificate that Apple
// knows us by, at [Certificates].
package notify
