// Package plan decides what is to be done for one device, and nothing else: it
// turns [Facts] into a [Plan]. It knows no clock, no store and no context, so
// that the same facts give the same plan everywhere, and every rule can be
// read in one table (rules.go) and explained to people.
//
// It promises that a plan which was carried out leaves nothing to plan, that
// work is proportional to what changed, that something counts as installed
// only when the device shows it, and that a device never gives up an identity
// before it has it from elsewhere.
//
// Start at [Make].
package plan

import (
	"time"

	"github.com/signet-mdm/signet/internal/cert"
)

// Plan is what is to be done for a device.
type Plan struct {
	Steps  []Step // for each parcel and each wanted thing, in order
	Asks   []Ask
	Revoke []Revocation
	Tell   []Notice
	Told   *Told     // what the user knows then; nil: as before
	Next   time.Time // when the plan may be another though nothing happens; zero: never
}

// Step is what is to be done about one thing.
type Step struct {
	Do     Do
	Parcel Parcel // that is there; zero: none
	Item   Item   // that is wanted; zero: none
	State  State  // of the parcel; "" when there is none
	Why    string // a sentence
}

// Do is what a step does.
type Do string

// What can be done. A parcel that ends or is taken away is not brought any
// more: its command is cancelled.
const (
	Wait     Do = "wait"
	Send     Do = "send"     // make a parcel and its command
	Replace  Do = "replace"  // end the parcel, and make another
	Again    Do = "again"    // make it anew after a failure, with a new command if that one is done
	Reseal   Do = "reseal"   // make its bytes anew
	Drop     Do = "drop"     // forget its bytes
	Withdraw Do = "withdraw" // tell the device to remove it
	End      Do = "end"      // the device does not have it any more
)

// Ask is a question to the device.
type Ask struct {
	Question Question
	Why      string
}

// Revocation of a certificate that was issued to the device.
type Revocation struct {
	Cert   cert.Fingerprint
	Reason string // as in a CRL
}

// Reasons of revocation.
//
// Spec: RFC 5280 section 5.3.1
const (
	Superseded = "superseded"
	Cessation  = "cessationOfOperation"
	Compromise = "keyCompromise"
	Leaving    = "affiliationChanged" // the user is disabled
)

// Empty tells whether there is nothing to do now.
func (p Plan) Empty() bool {
	for _, s := range p.Steps {
		if s.Do != Wait {
			return false
		}
	}
	return len(p.Asks) == 0 && len(p.Revoke) == 0 && p.Told == nil
}

// Make makes the plan.
func Make(f Facts) Plan {
	v := look(f)
	switch {
	case f.Removed:
		p := Plan{Steps: v.abandon(), Revoke: v.revokeAll()}
		p.Next = v.clock.next
		return p
	case !f.Enrolled:
		return Plan{}
	}
	steps := v.steps()
	p := Plan{Steps: steps, Asks: v.asks(steps), Revoke: v.revoke()}
	p.Tell, p.Told = v.tell(steps)
	p.Next = v.clock.next
	return p
}

// abandon ends everything of a device that never comes back.
func (v *view) abandon() (steps []Step) {
	for _, p := range v.Parcels {
		steps = append(steps, Step{Do: End, Parcel: p, State: v.State(p), Why: "The device is not managed any more."})
	}
	return steps
}
