package plan

import (
	"slices"
	"time"

	"github.com/signet-mdm/signet/internal/cert"
)

// view is Facts with what is worked out once.
type view struct {
	Facts
	wanted  []Item
	parcels map[string]Parcel // by identifier
	expired bool              // the identity, which is not renewed yet
	clock   clock
}

func look(f Facts) *view {
	v := &view{Facts: f, wanted: Desire(f), parcels: map[string]Parcel{}, clock: clock{now: f.Now}}
	if r, known := f.identity(); known {
		v.expired = v.clock.passed(r.NotAfter.Add(time.Second))
	}
	for _, p := range f.Parcels {
		v.parcels[p.Identifier] = p
	}
	return v
}

// clock tells what is over, and remembers the next thing that will be.
type clock struct{ now, next time.Time }

func (c *clock) passed(t time.Time) bool {
	if !c.now.Before(t) {
		return true
	}
	if c.next.IsZero() || t.Before(c.next) {
		c.next = t
	}
	return false
}

// steps goes through what is wanted, in its order, and then through what is
// there and not wanted.
func (v *view) steps() (steps []Step) {
	seen := map[string]bool{}
	for _, i := range v.wanted {
		p, there := v.parcels[i.Identifier]
		seen[p.ID] = there
		if there {
			steps = append(steps, v.apply(p, i, compare(p, i)))
		} else {
			steps = append(steps, v.first(i))
		}
	}
	for _, p := range v.Parcels {
		switch {
		case seen[p.ID]:
		case v.parcels[p.Identifier].ID != p.ID: // cannot be, and must not take the newer one away
			steps = append(steps, Step{Do: End, Parcel: p, State: v.State(p), Why: "Another one took its place."})
		default:
			steps = append(steps, v.apply(p, Item{}, unwanted))
		}
	}
	v.turns()
	return v.hurry(steps)
}

func compare(p Parcel, i Item) match {
	if i.Hold || p.Digest == i.Digest {
		return same
	}
	return other
}

// first begins with something that the device never had. What a key is packed
// into depends on its iOS version, so that comes first.
func (v *view) first(i Item) Step {
	switch {
	case i.Hold:
		return Step{Do: Wait, Item: i, Why: i.Why}
	case v.expired && i.Kind != Enrollment:
		return Step{Do: Wait, Item: i, Why: late}
	case i.NeedsKey && v.Device.OSVersion == "" && v.asked(Information).DoneAt.IsZero():
		return Step{Do: Wait, Item: i, Why: "The device is first asked for its iOS version."}
	}
	return Step{Do: Send, Item: i, Why: i.Why}
}

// hurry puts the steps into the order of their commands: an identity that is
// about to leave the mail profile goes before it.
func (v *view) hurry(steps []Step) []Step {
	var leaving []cert.Fingerprint
	for _, s := range steps {
		if s.Item.Kind == Mail {
			leaving = s.Parcel.Certs
		}
	}
	ranks := map[Kind]int{Enrollment: -1, Roots: 0, Mail: 2, History: 3, Outlook: 4, "": 5}
	rank := func(s Step) int {
		if s.Item.Kind == History && slices.Contains(leaving, s.Item.Encryption) {
			return 1
		}
		return ranks[s.Item.Kind]
	}
	slices.SortStableFunc(steps, func(a, b Step) int { return rank(a) - rank(b) })
	return steps
}

// turns notes when certificates begin and end: then another may be current, or
// the identity is to be renewed.
func (v *view) turns() {
	if r, known := v.identity(); known && v.Renews {
		v.clock.passed(v.renewal(r))
	}
	if !v.Policy.Apple() {
		return
	}
	for _, r := range v.Records {
		v.clock.passed(r.NotBefore)
		v.clock.passed(r.NotAfter.Add(time.Second))
	}
}
