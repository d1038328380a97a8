// Package notify tells devices and people that there is something for them. A
// device is told by a push through Apple ([Pusher]).
package notify
