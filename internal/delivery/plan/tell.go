package plan

import (
	"slices"
	"time"

	"github.com/signet-mdm/signet/internal/cert"
)

// Told is what the user has heard of a device.
type Told struct {
	Certs []cert.Fingerprint // that read mail
	Signs bool               // a key to sign mail with
}

// Notice is something that the user is to be told of a device.
type Notice struct {
	News
	History int  // certificates that read mail, with Complete
	Signs   bool // with Complete
	Again   bool // he was told of others before
}

// News is what a notice is about.
type News string

// The news.
const (
	NewDevice News = "enrolled"
	Complete  News = "ready" // every certificate that it should have is there
)

const (
	// fresh is how long after its enrollment a device is news. What was there
	// before there was mail is not.
	fresh = 7 * 24 * time.Hour
	// quiet is how long nothing more must have come before the user is told
	// again: certificates that are imported one by one are one message.
	quiet = 10 * time.Minute
)

// tell gives what the user is to be told, and what he then knows; nil when he
// knows it.
func (v *view) tell(steps []Step) ([]Notice, *Told) {
	if !v.Tells || v.User.Disabled {
		return nil, nil
	}
	has, complete, last := v.present(steps)
	switch {
	case v.Told == nil && v.Now.Sub(v.EnrolledAt) >= fresh:
		return nil, &has
	case v.Told == nil:
		return []Notice{{News: NewDevice}}, &Told{}
	case !complete || !has.beyond(*v.Told):
		return nil, nil
	}
	again := len(v.Told.Certs) > 0 || v.Told.Signs
	if again && !v.clock.passed(last.Add(quiet)) {
		return nil, nil
	}
	return []Notice{{News: Complete, History: len(has.Certs), Signs: has.Signs, Again: again}}, &has
}

// present tells which certificates the device has of those that it should
// have, whether that is all of them, and when the last came.
func (v *view) present(steps []Step) (has Told, complete bool, last time.Time) {
	complete = true
	for _, s := range steps {
		switch i := s.Item; {
		case i.Kind != Roots && i.Kind != Mail && i.Kind != History:
		case s.Parcel.ID == "" && i.Hold: // nothing is to come
		case s.State != Installed || s.Do != Wait:
			complete = false
		case i.Kind != Roots:
			if !i.Encryption.IsZero() && !slices.Contains(has.Certs, i.Encryption) {
				has.Certs = append(has.Certs, i.Encryption)
			}
			has.Signs = has.Signs || i.Signs || !i.Signing.IsZero()
			if s.Parcel.Command.DoneAt.After(last) {
				last = s.Parcel.Command.DoneAt
			}
		}
	}
	return has, complete, last
}

// beyond tells whether there is something in t that the other has not.
func (t Told) beyond(o Told) bool {
	return t.Signs && !o.Signs ||
		slices.ContainsFunc(t.Certs, func(c cert.Fingerprint) bool { return !slices.Contains(o.Certs, c) })
}
