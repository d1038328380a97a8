package plan_test

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-mdm/signet/appconfig"
	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/delivery/plan"
)

var (
	old     = imported("2019", 2019, 2022)
	older   = imported("2016", 2016, 2019)
	current = imported("2024", 2024, 2028)
)

// rightly checks that the device has what it should have and nothing else, and
// that the server knows.
func (w *world) rightly() {
	w.t.Helper()
	f := w.look()
	want, got := map[string]string{}, map[string]string{}
	for _, i := range plan.Desire(f) {
		if i.Kind != plan.Outlook && !i.Hold {
			want[i.Identifier] = i.Digest
		}
	}
	for id, h := range w.device.profiles {
		got[id] = h.digest
	}
	if diff := cmp.Diff(want, got); diff != "" {
		w.fail("profiles on the device:\n%s", diff)
	}
	if w.device.app.Configured != f.Policy.Outlook() {
		w.fail("Outlook configured: got %v, want %v", w.device.app.Configured, f.Policy.Outlook())
	}
	for _, p := range f.Parcels {
		if s := f.State(p); s != plan.Installed || p.Sealed {
			w.fail("%s is %s, sealed bytes %v; want installed without", p.Identifier, s, p.Sealed)
		}
	}
	for _, r := range f.Records {
		if r.Use != cert.Signing {
			continue
		}
		if over := r.Revoked() || w.now.After(r.NotAfter); over == w.has(r.Fingerprint) {
			w.fail("signing certificate of %s: revoked %v, on the device %v", r.CreatedAt, r.Revoked(), w.has(r.Fingerprint))
		}
	}
}

func TestFirstDelivery(t *testing.T) {
	w := newWorld(t, 1, everything, older, current, old)
	w.settleDown()
	w.rightly()
	var order []string
	for _, c := range w.queue {
		if c.kind == "Install" {
			order = append(order, string(c.payload.Kind))
		}
	}
	if want := []string{"roots", "mail", "history", "history", "outlook"}; !slices.Equal(order, want) {
		t.Errorf("order: got %v, want %v", order, want)
	}
	if got := w.queue[3].payload.Certs[0]; w.queue[0].kind != string(plan.Information) || got != old.Fingerprint {
		t.Error("the question does not come first, or not the newest history")
	}
	if w.plan() {
		w.fail("what is there is planned again")
	}
}

// What the server does about one event, on a device that has everything.
func TestEvents(t *testing.T) {
	for name, c := range map[string]struct {
		event func(*world)
		sent  []plan.Kind
		gone  []string
	}{
		"nothing":       {func(*world) {}, nil, nil},
		"a week passes": {func(w *world) { w.tick(8 * 24 * time.Hour) }, nil, nil},
		"one more for the history": {func(w *world) {
			w.facts.Records = append(w.facts.Records, imported("2013", 2013, 2016))
		}, []plan.Kind{plan.History}, nil},
		"a new current one": {func(w *world) {
			w.facts.Records = append(w.facts.Records, imported("2026", 2026, 2030))
		}, []plan.Kind{plan.History, plan.Mail}, nil},
		"one of the history is removed": {func(w *world) { w.forget(old) }, nil,
			[]string{prefix + ".history." + old.Fingerprint.String()}},
		"the current one is removed": {func(w *world) { w.forget(current) }, []plan.Kind{plan.Mail}, nil},
		"another switch": {func(w *world) { w.policies[0].Settings["mail.apple.sign.user_change"] = true },
			[]plan.Kind{plan.Mail}, nil},
		"a setting that holds by default already": {func(w *world) { w.policies[0].Settings["mail.apple.ssl"] = true }, nil, nil},
		"another setting of Outlook": {func(w *world) { w.policies[0].Settings["mail.outlook.sign_all"] = false },
			[]plan.Kind{plan.Outlook}, nil},
		"its certificates come to their end":  {func(w *world) { w.tick(340 * 24 * time.Hour) }, []plan.Kind{plan.Enrollment, plan.Mail}, nil},
		"the signing certificate was revoked": {func(w *world) { w.signing().RevokedAt = w.now }, []plan.Kind{plan.Mail}, nil},
		"another root": {func(w *world) { w.facts.Roots = append(w.facts.Roots, cert.FingerprintOf([]byte("r2"))) },
			[]plan.Kind{plan.Roots}, nil},
		"the address changed": {func(w *world) { w.facts.User.Mail = "alicia@example.com" },
			[]plan.Kind{plan.History, plan.Outlook, plan.Mail}, nil},
		"the user's template has no value any more": {func(w *world) { w.facts.User.UPN = "" }, nil, nil},
		"no policy": {func(w *world) { w.policies = nil }, nil, []string{
			prefix + ".history." + older.Fingerprint.String(), prefix + ".history." + old.Fingerprint.String(),
			prefix + ".mail", prefix + ".roots", appconfig.OutlookBundle}},
		"the user is disabled": {func(w *world) { w.facts.User.Disabled = true }, nil, []string{
			prefix + ".history." + older.Fingerprint.String(), prefix + ".history." + old.Fingerprint.String(),
			prefix + ".mail", prefix + ".roots", appconfig.OutlookBundle}},
		"someone deletes a history profile": {func(w *world) {
			delete(w.device.profiles, prefix+".history."+old.Fingerprint.String())
			w.tick(8 * 24 * time.Hour)
		}, []plan.Kind{plan.History}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 1, everything, older, old, current)
			w.settleDown()
			before := len(w.queue)
			c.event(w)
			w.settleDown()
			var sent []plan.Kind
			var gone []string
			for _, c := range w.queue[before:] {
				switch c.kind {
				case "Install":
					sent = append(sent, c.payload.Kind)
				case "Remove":
					gone = append(gone, c.removes)
				}
			}
			slices.Sort(gone)
			slices.Sort(c.gone)
			if !slices.Equal(sent, c.sent) || !slices.Equal(gone, c.gone) {
				w.fail("sent %v, removed %v; want %v, %v", sent, gone, c.sent, c.gone)
			}
			if name != "the user's template has no value any more" {
				w.rightly()
			}
		})
	}
}

func (w *world) forget(r cert.Record) {
	w.facts.Records = slices.DeleteFunc(w.facts.Records, func(o cert.Record) bool { return o.Fingerprint == r.Fingerprint })
}

func (w *world) signing() *cert.Record {
	for i := range w.facts.Records {
		if w.facts.Records[i].Use == cert.Signing && !w.facts.Records[i].Revoked() {
			return &w.facts.Records[i]
		}
	}
	w.fail("there is no signing certificate")
	return nil
}

// Each failure ends well in the end, and none is tried again at once.
func TestFailures(t *testing.T) {
	for name, a := range map[string]answer{"refused": fails, "not now": notNow, "reply lost": losesReply} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 1, everything, old, current)
			for range 10 {
				w.plan()
				w.seal(false)
				w.poll(a)
			}
			w.settleDown()
			w.rightly()
		})
	}
}

// What a device refuses is tried again after longer and longer pauses, and given
// up after some days, until it is refreshed.
func TestBackOff(t *testing.T) {
	w := newWorld(t, 1, everything, current)
	var tries []time.Duration
	begin := w.now
	for w.now.Sub(begin) < 30*24*time.Hour {
		for w.plan() || w.seal(false) {
		}
		before := w.command(w.mail().Command.UUID).DoneAt
		for w.poll(fails) {
			w.plan()
		}
		if after := w.command(w.mail().Command.UUID).DoneAt; after != before && !after.IsZero() {
			tries = append(tries, w.now.Sub(begin).Round(time.Minute))
		}
		w.now = plan.Make(w.look()).Next
	}
	if n := len(tries); n != 10 || tries[1]-tries[0] > 6*time.Minute || tries[9]-tries[8] < 23*time.Hour || tries[9]-tries[8] > 25*time.Hour {
		t.Errorf("tries came after %v", tries)
	}
	if f := w.look(); !f.GivenUp(w.mail()) || f.State(w.mail()) != plan.Failed {
		w.fail("the mail profile is %s", f.State(w.mail()))
	}
	for i := range w.facts.Parcels { // refreshed
		w.facts.Parcels[i].Attempts = 0
	}
	w.settleDown()
	w.rightly()
}

// A command that the device cannot read is tried once more, in case that was an
// accident.
func TestOddCommand(t *testing.T) {
	w := newWorld(t, 1, everything, current)
	tries := 0
	for begin := w.now; w.now.Sub(begin) < 30*24*time.Hour; {
		for w.plan() || w.seal(false) {
		}
		for w.poll(fails) {
			for _, c := range w.queue {
				if c.payload.Kind == plan.Mail && c.State == plan.CommandFailed && !c.Odd {
					c.Odd, tries = true, tries+1
				}
			}
		}
		w.now = plan.Make(w.look()).Next
	}
	if tries != 2 || !w.look().GivenUp(w.mail()) {
		t.Errorf("it was tried %d times, want 2", tries)
	}
}

func (w *world) mail() plan.Parcel {
	for _, p := range w.look().Parcels {
		if p.Kind == plan.Mail {
			return p
		}
	}
	w.fail("there is no mail parcel")
	return plan.Parcel{}
}

// Sealed bytes do not lie around: a silent device costs one sealing, and gets
// its bytes when it speaks again.
func TestSilence(t *testing.T) {
	w := newWorld(t, 1, everything, current)
	for w.plan() || w.seal(false) {
	}
	w.tick(25 * time.Hour)
	w.plan()
	for range 5 {
		if w.tick(24 * time.Hour); w.plan() || w.seal(false) {
			w.fail("the device is silent, and things are sealed for it")
		}
	}
	for _, p := range w.facts.Parcels {
		if p.Sealed {
			t.Errorf("%s is still sealed", p.Identifier)
		}
	}
	w.facts.Seen = w.now
	w.settleDown()
	w.rightly()
}

// An identity that comes to its end is renewed by the enrollment profile, which
// is never taken away again.
func TestIdentityRenewal(t *testing.T) {
	w := newWorld(t, 1, everything, current)
	w.settleDown()
	first := w.facts.Identity
	w.tick(340 * 24 * time.Hour)
	w.settleDown() // less than a tenth of its year is left
	w.rightly()
	if w.facts.Identity == first {
		w.fail("the identity was not renewed")
	}
	w.facts.Renews = false
	w.tick(340 * 24 * time.Hour)
	second := w.facts.Identity
	w.settleDown()
	if w.facts.Identity != second {
		w.fail("the identity was renewed where that is not possible")
	}
}

func TestIdentityRenewalFails(t *testing.T) {
	w := newWorld(t, 1, everything, current)
	w.settleDown()
	first := w.facts.Identity
	w.tick(340 * 24 * time.Hour)
	for range 6 {
		w.plan()
		w.seal(false)
		w.poll(fails)
	}
	if w.facts.Identity != first {
		w.fail("a device that refuses has a new identity")
	}
	w.settleDown()
	if w.facts.Identity == first {
		w.fail("it is not tried again")
	}
	w.rightly()
}

func TestRenewedIdentity(t *testing.T) {
	w := newWorld(t, 1, everything, current)
	for w.plan() || w.seal(false) {
	}
	w.tick(time.Minute)
	w.identify()
	w.plan()
	for _, p := range w.facts.Parcels {
		if p.NeedsKey != p.WantsSeal {
			t.Errorf("%s: to be sealed again %v, want %v", p.Kind, p.WantsSeal, p.NeedsKey)
		}
	}
}

// The identity before counts for a day more; one that was never used goes with
// it, one that is younger stays.
func TestOutgrownIdentities(t *testing.T) {
	w := newWorld(t, 1, everything, current)
	first := w.facts.Identity
	w.tick(time.Hour)
	issue := func(name string) cert.Fingerprint {
		r := cert.Record{Fingerprint: cert.FingerprintOf([]byte(name)), Source: cert.Issued, Use: cert.Identity,
			Holder: cert.Holder{User: alice.ID, Device: "d-1"}, CreatedAt: w.now, NotBefore: w.now, NotAfter: w.now.AddDate(1, 0, 0)}
		w.facts.Records = append(w.facts.Records, r)
		return r.Fingerprint
	}
	unused := issue("unused")
	w.tick(time.Minute)
	w.identify()
	w.tick(time.Minute)
	younger := issue("younger")
	gone := func() (list []cert.Fingerprint) {
		for _, r := range w.facts.Records {
			if r.Revoked() && r.Use == cert.Identity {
				list = append(list, r.Fingerprint)
			}
		}
		return list
	}
	for w.plan() || w.seal(false) || w.poll(takes) {
	}
	w.tick(23 * time.Hour)
	w.plan()
	if got := gone(); len(got) != 0 {
		t.Errorf("within the day: revoked %v", got)
	}
	if p := plan.Make(w.look()); p.Next.After(w.facts.IdentityAt.Add(24 * time.Hour)) {
		t.Errorf("looked at again at %v", p.Next)
	}
	w.tick(time.Hour)
	w.plan()
	if got := gone(); !slices.Equal(got, []cert.Fingerprint{first, unused}) {
		t.Errorf("after it: revoked %v; want the first and the unused one, not %s", got, younger)
	}
}

// A phone that comes out of a drawer gets its renewal first, and then all that
// it missed.
func TestLateDevice(t *testing.T) {
	w := newWorld(t, 1, everything, old, current)
	w.settleDown()
	w.facts.Records = append(w.facts.Records, imported("2020", 2020, 2021)) // meanwhile
	w.tick(400 * 24 * time.Hour)
	for w.plan() || w.seal(false) {
	}
	for _, p := range w.facts.Parcels {
		if !p.CreatedAt.Before(w.facts.IdentityAt.AddDate(1, 0, 0)) && p.Kind != plan.Enrollment {
			w.fail("%s is made for a device whose identity has expired", p.Identifier)
		}
	}
	if list := plan.Explain(w.look()); !strings.Contains(list[0].Thing, ".enroll") || list[len(list)-2].Do != plan.Wait {
		t.Errorf("explained: %+v", list)
	}
	first := w.facts.Identity
	w.tick(48 * time.Hour) // the renewal's bytes are too old by now
	w.plan()
	w.facts.Seen = w.now
	w.settleDown()
	w.rightly()
	if w.facts.Identity == first {
		w.fail("the identity was not renewed")
	}
}

// What a key is packed into depends on the iOS version.
func TestVersionFirst(t *testing.T) {
	w := newWorld(t, 1, everything, current)
	w.facts.Device.OSVersion = ""
	w.plan()
	for _, p := range w.facts.Parcels {
		if p.NeedsKey {
			t.Errorf("%s is sent to a device whose iOS version is not known", p.Kind)
		}
	}
	if w.queue[0].kind != string(plan.Information) {
		w.fail("the device is not asked")
	}
	w.settleDown() // it answers without a version
	w.rightly()
}

// What a lost device has is revoked as compromised, what a removed one has is
// not.
func TestLostDevice(t *testing.T) {
	for lost, want := range map[bool]string{true: plan.Compromise, false: plan.Cessation} {
		w := newWorld(t, 1, everything, current)
		w.settleDown()
		w.facts.Enrolled, w.facts.Removed, w.facts.Lost = false, true, lost
		list := plan.Make(w.look()).Revoke
		if len(list) == 0 {
			t.Errorf("lost %v: nothing is revoked", lost)
		}
		for _, r := range list {
			if r.Reason != want {
				t.Errorf("lost %v: got %s, want %s", lost, r.Reason, want)
			}
		}
	}
}

// Whoever is disabled signs nothing from now on, though his phone may be off;
// but his phone is still to take what it has away.
func TestDisabledUserSigns(t *testing.T) {
	w := newWorld(t, 1, everything, current)
	w.settleDown()
	w.facts.User.Disabled = true
	list := plan.Make(w.look()).Revoke
	if len(list) != 1 || list[0].Reason != plan.Leaving || list[0].Cert != w.signing().Fingerprint {
		t.Errorf("got %v", list)
	}
}

func TestRemovedDevice(t *testing.T) {
	w := newWorld(t, 1, everything, old, current)
	w.settleDown()
	identity := cert.FingerprintOf([]byte("id"))
	w.facts.Records = append(w.facts.Records, cert.Record{Fingerprint: identity, Source: cert.Issued,
		Use: cert.Identity, Holder: cert.Holder{User: alice.ID, Device: "d-1"}, NotAfter: w.now.AddDate(1, 0, 0)})
	w.facts.Enrolled, w.facts.Removed = false, true
	farewell := &command{kind: "Remove", removes: prefix + ".enroll"}
	w.add(farewell)
	commands := len(w.queue)
	for w.plan() {
	}
	if len(w.queue) != commands || len(w.facts.Parcels) != 0 {
		w.fail("a removed device gets commands or keeps parcels")
	}
	revoked := func() map[cert.Use]bool {
		m := map[cert.Use]bool{}
		for _, r := range w.facts.Records {
			if r.Source == cert.Issued {
				m[r.Use] = r.Revoked()
			}
		}
		return m
	}
	if diff := cmp.Diff(map[cert.Use]bool{cert.Signing: true, cert.Identity: false}, revoked()); diff != "" {
		t.Errorf("before the farewell: %s", diff)
	}
	farewell.State, farewell.DoneAt = plan.CommandAcknowledged, w.now
	for w.plan() {
	}
	if diff := cmp.Diff(map[cert.Use]bool{cert.Signing: true, cert.Identity: true}, revoked()); diff != "" {
		t.Errorf("after it: %s", diff)
	}
}

// The user says no to Outlook, and later yes.
func TestOutlookDeclined(t *testing.T) {
	w := newWorld(t, 1, everything, current)
	for w.plan() || w.seal(false) || w.poll(takes) {
	}
	w.device.app = plan.App{State: "UserRejected"}
	w.tick(8 * 24 * time.Hour) // the weekly look
	for w.plan() || w.seal(false) || w.poll(takes) {
		if w.facts.App.State == "UserRejected" {
			break
		}
	}
	f := w.look()
	for _, p := range f.Parcels {
		if p.Kind == plan.Outlook && f.Reason(p) != "You declined to install Outlook." {
			t.Errorf("got %s %q", f.State(p), f.Reason(p))
		}
	}
	w.settleDown()
	w.rightly()
}

func TestNotEnrolled(t *testing.T) {
	w := newWorld(t, 1, everything, current)
	w.facts.Enrolled = false
	if w.plan() {
		t.Error("something is planned for a device that is not enrolled")
	}
}

func TestExplainNamesEverything(t *testing.T) {
	w := newWorld(t, 1, everything, old, current)
	seen := map[string]bool{}
	for _, l := range plan.Explain(w.look()) {
		if l.Thing == "" || l.Label == "" || l.Do == "" || l.Why == "" {
			t.Errorf("a line says too little: %+v", l)
		}
		seen[l.Thing] = true
	}
	for _, want := range []string{prefix + ".roots", prefix + ".mail", prefix + ".history." + old.Fingerprint.String(), appconfig.OutlookBundle, "DeviceInformation"} {
		if !seen[want] {
			t.Errorf("nothing is said about %s: %v", want, slices.Sorted(maps.Keys(seen)))
		}
	}
}
