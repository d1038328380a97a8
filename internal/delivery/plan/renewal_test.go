package plan_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/delivery/plan"
	"github.com/signet-mdm/signet/internal/subject"
)

const day = 24 * time.Hour

// made is a certificate of a device that is good from then on.
func made(device string, from time.Time, life time.Duration) cert.Record {
	return cert.Record{Source: cert.Issued, Use: cert.Signing, Profile: "smime-signing", Holder: cert.Holder{Device: subject.DeviceID(device)},
		NotBefore: from, NotAfter: from.Add(life), CreatedAt: from}
}

// When renewal may come, by what the certificate profile says.
func TestRenewalWindow(t *testing.T) {
	year := 365 * day
	for name, c := range map[string]struct {
		life        time.Duration
		terms       plan.Terms
		first, last time.Duration // after the issuance
	}{
		"usual":                  {year, plan.Terms{}, 292 * day, 365*day - 36*day - 12*time.Hour},
		"of a month":             {30 * day, plan.Terms{Percent: 20}, 24 * day, 27 * day},
		"half":                   {100 * day, plan.Terms{Percent: 50}, 50 * day, 75 * day},
		"nonsense":               {100 * day, plan.Terms{Percent: 100}, 80 * day, 90 * day},
		"another CA":             {year, plan.Terms{Since: start.Add(100 * day)}, 100 * day, 107 * day},
		"another CA before":      {year, plan.Terms{Since: start.Add(-day)}, 292 * day, 329 * day},
		"another CA at its end":  {year, plan.Terms{Since: start.Add(364 * day)}, 292 * day, 329 * day},
		"another CA soon over":   {10 * day, plan.Terms{Since: start.Add(4 * day)}, 4 * day, 7 * day},
		"another CA afterwards":  {year, plan.Terms{Since: start.Add(400 * day)}, 292 * day, 329 * day},
		"a moment, but no crash": {time.Second, plan.Terms{}, 0, time.Second},
	} {
		for n := range 500 {
			r := made(fmt.Sprint("d-", n), start, c.life)
			at := plan.Renewal(r, c.terms)
			if at.Before(start.Add(c.first)) || at.After(start.Add(c.last)) {
				t.Fatalf("%s: renewal after %v, want between %v and %v", name, at.Sub(start), c.first, c.last)
			}
			if again := plan.Renewal(r, c.terms); !again.Equal(at) {
				t.Fatalf("%s: %v, and then %v", name, at, again)
			}
		}
	}
}

// Ten thousand devices that enrolled within an hour, or are to follow to another
// CA, do not come at once: no hour has more than half a percent of a year's
// certificates, or one and a half of a week's.
func TestRenewalIsSpread(t *testing.T) {
	const devices = 10_000
	for name, c := range map[string]struct {
		terms plan.Terms
		most  int // in an hour
		hours int // that have any, at least
	}{
		"yearly":     {plan.Terms{}, devices * 5 / 1000, 870},
		"another CA": {plan.Terms{Since: start.Add(100 * day)}, devices * 15 / 1000, 168},
	} {
		hours := map[int64]int{}
		for n := range devices {
			r := made(string(subject.NewDeviceID()), start.Add(time.Duration(n)*time.Hour/devices), 365*day)
			hours[plan.Renewal(r, c.terms).Unix()/3600]++
		}
		for h, n := range hours {
			if n > c.most {
				t.Errorf("%s: %d of %d devices in hour %d, want at most %d", name, n, devices, h, c.most)
			}
		}
		if len(hours) < c.hours {
			t.Errorf("%s: renewals in %d hours, want %d", name, len(hours), c.hours)
		}
	}
}

// The two certificates of a device do not come together.
func TestRenewalByProfile(t *testing.T) {
	near := 0
	for n := range 1000 {
		a := made(fmt.Sprint("d-", n), start, 365*day)
		b := a
		b.Profile = "device-identity"
		if d := plan.Renewal(a, plan.Terms{}).Sub(plan.Renewal(b, plan.Terms{})).Abs(); d < day {
			near++
		}
	}
	if near > 100 {
		t.Errorf("%d of 1000 devices renew both on a day", near)
	}
}

// The signing certificate in use stays good until the device shows another,
// however often it refuses; and it is asked again and again, ever more rarely, to
// beyond the end.
func TestRenewalUntilConfirmed(t *testing.T) {
	w := newWorld(t, 1, everything, imported("long", 2024, 2036))
	w.settleDown()
	first := w.signing().Fingerprint
	w.tick(340 * day)
	begin := w.now
	var tries []time.Time
	for w.now.Sub(begin) < 200*day {
		for w.plan() || w.seal(false) || w.pollRefusing() {
		}
		if at := w.command(w.mail().Command.UUID).DoneAt; !at.IsZero() && (len(tries) == 0 || at.After(tries[len(tries)-1])) {
			tries = append(tries, at)
		}
		if r := w.record(first); r.Revoked() {
			w.fail("the certificate in use is revoked before there is another")
		}
		w.now = plan.Make(w.look()).Next
	}
	if n := len(tries); n < 15 || n > 40 {
		t.Errorf("asked %d times in 200 days", n)
	}
	if last := tries[len(tries)-1]; last.Before(begin.Add(190 * day)) {
		t.Errorf("asked last after %v", last.Sub(begin))
	}
	if f := w.look(); f.GivenUp(w.mail()) || len(f.Overdue()) != 1 || f.Overdue()[0].Use != cert.Signing {
		w.fail("given up %v, overdue %v", f.GivenUp(w.mail()), f.Overdue())
	}
	w.settleDown()
	w.now = w.now.Add(8 * day)
	w.settleDown()
	w.rightly()
	if now, _ := w.look().Signing(); now == first {
		w.fail("it was not renewed after its end")
	}
	if list := w.look().Overdue(); len(list) != 0 {
		t.Errorf("afterwards overdue: %v", list)
	}
}

// pollRefusing lets the device do one command, but no mail profile.
func (w *world) pollRefusing() bool {
	for _, c := range w.queue {
		if c.open() {
			if c.parcel != "" && w.parcel(c.parcel).Kind == plan.Mail {
				return w.poll(fails)
			}
			break
		}
	}
	return w.poll(takes)
}

func (w *world) record(c cert.Fingerprint) cert.Record {
	for _, r := range w.facts.Records {
		if r.Fingerprint == c {
			return r
		}
	}
	w.fail("no record of %s", c)
	return cert.Record{}
}

// The old one is revoked as superseded once the device shows the new one.
func TestRenewalSupersedes(t *testing.T) {
	w := newWorld(t, 1, everything, current)
	w.settleDown()
	first := w.signing().Fingerprint
	w.tick(340 * day)
	w.settleDown()
	if r := w.record(first); r.Reason != plan.Superseded {
		w.fail("the old one is revoked: %v %s", r.Revoked(), r.Reason)
	}
	w.rightly()
}

// A device that takes the profile and makes no key keeps what it has, and is not
// asked in a circle.
func TestRenewalWithoutKey(t *testing.T) {
	w := newWorld(t, 1, everything, current)
	w.settleDown()
	first := w.signing().Fingerprint
	w.facts.Renews = false
	w.tick(340 * day)
	begin, commands := w.now, len(w.queue)
	for w.now.Sub(begin) < 10*day {
		held := w.device.profiles[prefix+".mail"]
		for w.plan() || w.seal(false) || w.poll(takes) {
			if last := w.facts.Records[len(w.facts.Records)-1]; last.Use == cert.Signing && last.Fingerprint != first { // it never made it
				w.facts.Records = w.facts.Records[:len(w.facts.Records)-1]
				w.device.profiles[prefix+".mail"] = held
			}
		}
		w.now = plan.Make(w.look()).Next
	}
	if n := len(w.queue) - commands; n > 60 {
		w.fail("%d commands in ten days", n)
	}
	if r := w.record(first); r.Revoked() {
		w.fail("the certificate in use is revoked")
	}
	if s := w.look().State(w.mail()); s != plan.Failed {
		w.fail("the mail profile is %s", s)
	}
}

// Somebody wishes that all certificates be renewed: once, at once, and not again.
func TestRenewalWished(t *testing.T) {
	w := newWorld(t, 1, everything, current)
	w.settleDown()
	signing, identity := w.signing().Fingerprint, w.facts.Identity
	w.tick(time.Hour)
	w.facts.RenewAt = w.now
	w.settleDown()
	w.rightly()
	if w.signing().Fingerprint == signing || w.facts.Identity == identity {
		w.fail("not renewed")
	}
	signing, identity = w.signing().Fingerprint, w.facts.Identity
	w.tick(30 * day)
	w.settleDown()
	if w.signing().Fingerprint != signing || w.facts.Identity != identity {
		w.fail("renewed twice")
	}
}

// After a roll-over of the CA the certificates of before are replaced within the
// span, one time.
func TestRenewalAfterRollOver(t *testing.T) {
	w := newWorld(t, 1, everything, current)
	w.settleDown()
	signing := w.signing().Fingerprint
	w.tick(50 * day)
	w.facts.Terms = map[string]plan.Terms{"smime-signing": {Since: w.now}}
	next := plan.Make(w.look()).Next
	if !next.After(w.now) || next.After(w.now.Add(7*day)) {
		w.fail("looked at next at %v", next)
	}
	w.tick(7 * day)
	w.settleDown()
	renewed := w.signing().Fingerprint
	if renewed == signing {
		w.fail("not replaced")
	}
	w.tick(30 * day)
	w.settleDown()
	if w.signing().Fingerprint != renewed {
		w.fail("replaced twice")
	}
	w.rightly()
}

// A certificate that an administrator gave out for the device, by a profile of
// his own, is none of ours: it takes no other's place and is not revoked.
func TestAnothersSigningCertificate(t *testing.T) {
	f := plan.Facts{Device: subject.Device{ID: "d"}}
	other := cert.Record{Fingerprint: cert.FingerprintOf([]byte("other")), Source: cert.Issued, Use: cert.Signing, Profile: "laptops", Holder: cert.Holder{Device: "d"}}
	f.Records = []cert.Record{other}
	if got, there := f.Signing(); there {
		t.Errorf("it counts: %s", got)
	}
	ours := other
	ours.Fingerprint, ours.Profile = cert.FingerprintOf([]byte("ours")), plan.SigningProfile
	other.CreatedAt = ours.CreatedAt.Add(1)
	f.Records = []cert.Record{other, ours}
	if got, _ := f.Signing(); got != ours.Fingerprint {
		t.Errorf("got %s, want ours", got)
	}
	f.Terms = map[string]plan.Terms{"laptops": {Ours: true}} // a policy may name it
	if got, _ := f.Signing(); got != other.Fingerprint {
		t.Errorf("got %s, want the newer one of a profile that is delivered", got)
	}
}
