package plan

import (
	"slices"
	"time"

	"github.com/signet-mdm/signet/internal/cert"
)

// enough is how many repetitions that fail are enough to draw a conclusion.
const enough = 2

// sealedLife is how long sealed bytes may lie around.
const sealedLife = 24 * time.Hour

// match tells how a parcel compares with what is wanted.
type match int

const (
	same     match = iota // it is what is wanted
	other                 // something else of that identifier is wanted
	unwanted              // nothing of that identifier is wanted
)

// rule says what to do about a parcel. The first that fits counts.
type rule struct {
	match match
	state State // "" is any
	when  func(*view, Parcel, Item) bool
	do    Do
	why   string
}

// rules is the life of a parcel.
var rules = []rule{
	{same, Queued, nil, Wait, "The keeper is to seal it."},
	{same, Parked, (*view).late, Wait, late},
	{same, Parked, (*view).spokeSince, Reseal, "The device spoke again, so it is sealed anew."},
	{same, Parked, nil, Wait, "The device was silent for a day; it is sealed anew when the device speaks."},
	{same, Ready, (*view).newIdentity, Reseal, "The device renewed its identity."},
	{same, Ready, (*view).aged, Drop, "Sealed bytes are kept for a day only."},
	{same, Ready, nil, Wait, "The device fetches it when it next speaks."},
	{same, Sent, (*view).newIdentity, Reseal, "The device renewed its identity."},
	{same, Sent, (*view).aged, Drop, "Sealed bytes are kept for a day only."},
	{same, Sent, nil, Wait, "The device has fetched it and has not answered."},
	{same, Arrived, (*view).hasBytes, Drop, "The device took it."},
	{same, Arrived, nil, Wait, "The device took it; it is asked to show it."},
	{same, Installed, (*view).renews, Replace, "The signing certificate is to be renewed."},
	{same, Installed, (*view).hasBytes, Drop, "The device has it."},
	{same, Installed, nil, Wait, "The device has it."},
	{same, Failed, (*view).late, Wait, late},
	{same, Failed, (*view).givenUp, Wait, "It failed too often and rests until the device is refreshed."},
	{same, Failed, (*view).patient, Wait, "It failed and is tried again later."},
	{same, Failed, nil, Again, "It failed and is tried again."},
	{same, "", (*view).held, Wait, "It was taken away."},
	{same, "", (*view).late, Wait, late},
	{same, "", nil, Replace, "It was taken away and is wanted again."},

	{other, "", (*view).late, Wait, late},
	{other, "", nil, Replace, "What is wanted has changed."},

	{unwanted, "", (*view).renewing, Wait, "The device renewed its identity and is about to say so."},
	{unwanted, "", (*view).enrolls, End, "The device renewed its identity."}, // and never is told to remove its enrollment

	{unwanted, Gone, nil, End, "The device does not have it any more."},
	{unwanted, Removing, nil, Wait, "The device is to remove it."},
	{unwanted, Lingering, (*view).patient, Wait, "The device still has it and is told again later."},
	{unwanted, Lingering, nil, Withdraw, "The device still has it."},
	{unwanted, "", (*view).untouched, End, "The device never had it."},
	{unwanted, "", nil, Withdraw, "It is not wanted any more."},
}

// late is why nothing but a renewal is sealed to a device.
const late = "The device's identity has expired; it must first renew that."

// apply finds the rule for a parcel. One that holds an identity which the device
// must first have from elsewhere lives on as it is.
func (v *view) apply(p Parcel, i Item, m match) Step {
	if m != same && v.needed(p, i) {
		i.Hold, i.Why = true, "It holds a certificate that another profile is to bring first; until then it stays as it is."
		m = same
	}
	s := Step{Parcel: p, Item: i, State: v.State(p)}
	for _, r := range rules {
		if r.match == m && (r.state == "" || r.state == s.State) && (r.when == nil || r.when(v, p, i)) {
			s.Do, s.Why = r.do, r.why
			if i.Hold && r.do == Wait {
				s.Why += " " + i.Why
			}
			return s
		}
	}
	panic("plan: no rule for state " + string(s.State))
}

func (v *view) enrolls(p Parcel, _ Item) bool { return p.Kind == Enrollment }

func (v *view) renewing(p Parcel, _ Item) bool {
	return p.Kind == Enrollment && p.Command.open() && !p.Command.SentAt.IsZero()
}

func (v *view) late(p Parcel, _ Item) bool { return v.expired && p.Kind != Enrollment }

func (v *view) held(_ Parcel, i Item) bool { return i.Hold }

func (v *view) hasBytes(p Parcel, _ Item) bool { return p.Sealed }

// aged tells whether the bytes are too old, and else when they will be.
func (v *view) aged(p Parcel, _ Item) bool {
	return p.Profile && v.clock.passed(p.SealedAt.Add(sealedLife))
}

func (v *view) spokeSince(p Parcel, _ Item) bool {
	return v.Seen.After(p.SealedAt.Add(sealedLife))
}

// newIdentity: bytes sealed to an older identity may not open.
func (v *view) newIdentity(p Parcel, _ Item) bool {
	return p.NeedsKey && v.IdentityAt.After(p.SealedAt)
}

// renews tells whether the signing key of the device is due for another.
func (v *view) renews(p Parcel, i Item) bool {
	if !p.Signs || i.Hold || v.expired {
		return false
	}
	list := v.signing()
	return len(list) == 0 || list[0].Revoked() || v.clock.passed(v.renewal(list[0]))
}

// pauses are how long to wait after the first, second … failure, and the last
// one after all others.
var pauses = []time.Duration{time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour, 4 * time.Hour, 12 * time.Hour, 24 * time.Hour}

// patient tells whether it is too early to try again.
func (v *view) patient(p Parcel, _ Item) bool { return !v.clock.passed(v.NextTry(p)) }

// NextTry is when p, which failed, is tried again.
func (f Facts) NextTry(p Parcel) time.Time {
	since := p.Command.DoneAt
	switch {
	case p.Removal.UUID != "":
		since = p.Removal.DoneAt
	case !p.FailedAt.IsZero():
		since = p.FailedAt
	}
	if f.refusedOften(p) {
		return since.Add(rest)
	}
	return since.Add(pauses[min(p.Attempts, len(pauses)-1)])
}

// maxTries is how often a device may refuse something until that rests: four
// days, with the pauses. What renews a certificate rests for a week only, for
// ever again: who comes to his end unseen is not helped by silence.
const (
	maxTries = 10
	rest     = 7 * 24 * time.Hour
)

// GivenUp tells whether p rests until somebody asks for it. Only what the device
// refused does: what the keeper could not seal heals by itself, a device must
// not get lost, and a key that is to go has to go.
func (f Facts) GivenUp(p Parcel) bool {
	return f.refusedOften(p) && !(p.Signs && len(f.signing()) > 0)
}

func (f Facts) refusedOften(p Parcel) bool {
	if f.State(p) != Failed || !p.FailedAt.IsZero() || p.Kind == Enrollment {
		return false
	}
	return p.Attempts >= maxTries-1 || p.Command.Odd && p.Attempts > 0
}

func (v *view) givenUp(p Parcel, _ Item) bool { return v.GivenUp(p) }

// untouched tells whether nothing of p ever went to the device.
func (v *view) untouched(p Parcel, _ Item) bool { return !p.OnDevice && p.Command.SentAt.IsZero() }

// needed tells whether the device would lose an identity with p that it is to
// keep: one that is wanted elsewhere and not there yet. When elsewhere keeps
// failing, what is new goes first.
func (v *view) needed(p Parcel, i Item) bool {
	if v.untouched(p, i) || v.State(p) == Gone {
		return false
	}
	return slices.ContainsFunc(p.Certs, func(c cert.Fingerprint) bool {
		if slices.Contains(i.Certs, c) {
			return false
		}
		for _, w := range v.wanted {
			if w.Identifier != p.Identifier && w.Kind != Roots && slices.Contains(w.Certs, c) {
				return !v.arrived(w, c)
			}
		}
		return false
	})
}

// arrived tells whether the device has c by what w wants, or whether there is
// no use in waiting for it.
func (v *view) arrived(w Item, c cert.Fingerprint) bool {
	p := v.parcels[w.Identifier]
	if !slices.Contains(p.Certs, c) {
		return false
	}
	return v.State(p) == Installed || v.State(p) == Failed && p.Attempts >= enough
}
