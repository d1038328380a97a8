package plan_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-mdm/signet/internal/delivery/plan"
)

// telling is a world whose user is told of news.
func telling(t *testing.T) *world {
	w := newWorld(t, 1, everything, old, current)
	w.facts.Tells, w.facts.EnrolledAt = true, w.now
	return w
}

// toldRightly checks that the user knows of all that is on the device, of
// which he was told once: a new device first, then certificates.
func (w *world) toldRightly() {
	w.t.Helper()
	if !w.facts.Tells {
		if len(w.told) > 0 {
			w.fail("told although nobody tells: %v", w.told)
		}
		return
	}
	for i, n := range w.told {
		if (n.News == plan.NewDevice) != (i == 0) || n.News == plan.Complete && n.Again == (i == 1) {
			w.fail("message %d is %+v", i, n)
		}
	}
	for _, i := range plan.Desire(w.look()) {
		if !i.Encryption.IsZero() && (w.facts.Told == nil || !slices.Contains(w.facts.Told.Certs, i.Encryption)) {
			w.fail("the user does not know of %s", i.Label)
		}
	}
}

func TestTellsOfTheFirstDelivery(t *testing.T) {
	w := telling(t)
	w.plan()
	if want := []plan.Notice{{News: plan.NewDevice}}; !cmp.Equal(w.told, want) {
		t.Fatalf("at first: got %+v, want %+v", w.told, want)
	}
	w.settleDown()
	want := []plan.Notice{{News: plan.NewDevice}, {News: plan.Complete, History: 2, Signs: true}}
	if diff := cmp.Diff(want, w.told); diff != "" {
		t.Errorf("in the end:\n%s", diff)
	}
	if w.now.Sub(start) > time.Hour {
		t.Errorf("it took %s", w.now.Sub(start))
	}
}

// What the user hears of later, and what not.
func TestTellsAgain(t *testing.T) {
	for name, c := range map[string]struct {
		event func(*world)
		want  []plan.Notice
	}{
		"nothing":    {func(*world) {}, nil},
		"polls":      {func(w *world) { w.tick(time.Hour); w.poll(takes); w.tick(8 * 24 * time.Hour); w.plan(); w.poll(takes) }, nil},
		"a year":     {func(w *world) { w.tick(300 * 24 * time.Hour) }, nil},
		"one leaves": {func(w *world) { w.forget(old) }, nil},
		"a setting":  {func(w *world) { w.policies[0].Settings["mail.apple.sign.user_change"] = true }, nil},
		"one comes": {func(w *world) { w.facts.Records = append(w.facts.Records, older) },
			[]plan.Notice{{News: plan.Complete, History: 3, Signs: true, Again: true}}},
		"two come, one after the other": {func(w *world) {
			w.facts.Records = append(w.facts.Records, older)
			for w.plan() || w.seal(false) || w.poll(takes) {
			}
			w.facts.Records = append(w.facts.Records, imported("2013", 2013, 2016))
		}, []plan.Notice{{News: plan.Complete, History: 4, Signs: true, Again: true}}},
		"one comes and does not work": {func(w *world) {
			w.facts.Records = append(w.facts.Records, older)
			w.plan()
			w.seal(true)
			w.plan()
			w.tick(30 * time.Second)
			w.plan()
			w.forget(older)
		}, nil},
		"the user is disabled": {func(w *world) { w.facts.User.Disabled = true }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			w := telling(t)
			w.settleDown()
			w.told = nil
			w.tick(time.Minute)
			c.event(w)
			w.settleDown()
			if diff := cmp.Diff(c.want, w.told); diff != "" {
				w.fail("told:\n%s", diff)
			}
		})
	}
}

// Mail that is switched on later, or nothing to tell.
func TestTellsNothing(t *testing.T) {
	w := telling(t)
	w.facts.Tells = false
	w.settleDown()
	w.facts.Tells = true
	w.tick(8 * 24 * time.Hour)
	w.settleDown()
	if len(w.told) != 0 || w.facts.Told == nil || len(w.facts.Told.Certs) != 2 {
		t.Errorf("a device of before: told %+v, known %+v", w.told, w.facts.Told)
	}
	w.facts.Records = append(w.facts.Records, older)
	w.settleDown()
	if want := []plan.Notice{{News: plan.Complete, History: 3, Signs: true, Again: true}}; !cmp.Equal(w.told, want) {
		t.Errorf("then one comes: got %+v, want %+v", w.told, want)
	}

	w = telling(t)
	w.facts.Enrolled = false
	w.settleDown()
	if len(w.told) != 0 {
		t.Errorf("a device that is not enrolled: %+v", w.told)
	}

	w = telling(t)
	w.policies = policies(t, "{kind: Policy, name: outlook, assign: {all: true}, mail: {outlook: {smime: true}}, encryption: {source: imported}}")
	w.settleDown()
	if want := []plan.Notice{{News: plan.NewDevice}}; !cmp.Equal(w.told, want) {
		t.Errorf("Outlook's settings are no certificates: got %+v, want %+v", w.told, want)
	}
}
