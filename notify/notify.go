// Package notify tells devices and people that there is something for them. It
// knows nothing of policies, of SQL, of SMTP or of HTTP.
//
// A device is told by a push through Apple. Its wish to be woken is a row that
// outlives any restart; the rules for acting on it are here, apart from what
// speaks to Apple ([Pusher]) and what keeps the rows ([Wishes]): at most one
// push a device a minute, none to a token that is dead, later and later when
// nothing comes of it. Start at [Waker] and, for the certificate that Apple
// knows us by, at [Certificates].
//
// A person is told by mail. A mail that was queued is sent at least once, under
// one Message-ID however often; the single-use link in it is on no other way,
// and forgotten once it is sent; nobody gets more than a few mails on one topic
// a day; and what a mail server refuses for ever is kept for an administrator
// to see. Start at [Outbox.Queue] and [Outbox.Send].
package notify
