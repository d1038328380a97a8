package plan_test

import (
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/signet-mdm/signet/appconfig"
	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/delivery/plan"
	"github.com/signet-mdm/signet/internal/subject"
)

// Whatever happens in whatever order: in the end the device has what it should
// have, and on the way it never loses an identity that it is to keep.
func TestAnyOrderEndsTheSame(t *testing.T) {
	runs := 300
	if os.Getenv("SIGNET_TEST_SOAK") == "1" {
		runs = 20_000
	}
	for seed := range runs {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { anyOrder(t, uint64(seed)) })
	}
}

func anyOrder(t *testing.T, seed uint64) {
	w := newWorld(t, seed, everything, imported("0", 2010, 2013), imported("1", 2024, 2028))
	if seed%3 == 0 {
		w.facts.Device.OSVersion = ""
	}
	w.facts.Tells, w.facts.EnrolledAt = seed%2 == 0, w.now
	w.plan()
	events := 20 + w.rand.IntN(60)
	for n := range events {
		w.happens(n)
	}
	w.policies, w.facts.User.Disabled = policies(t, everything), false
	if w.rand.IntN(8) == 0 {
		w.policies = nil
	}
	w.settleDown()
	w.rightly()
	w.toldRightly()
	if w.plan() {
		w.fail("what is there is planned again")
	}
}

// wants tells whether the device is to have the identity c.
func (w *world) wants(c cert.Fingerprint) bool {
	return slices.ContainsFunc(plan.Desire(w.look()), func(i plan.Item) bool { return slices.Contains(i.Certs, c) })
}

// happens lets one thing happen.
func (w *world) happens(n int) {
	switch k := w.rand.IntN(40); {
	case k < 10:
		w.plan()
	case k < 17:
		w.seal(w.rand.IntN(6) == 0)
	case k < 29:
		w.poll(answer(w.rand.IntN(int(losesReply) + 1)))
	case k < 32:
		w.tick([]time.Duration{time.Minute, time.Hour, 25 * time.Hour, 9 * 24 * time.Hour}[w.rand.IntN(4)])
	case k == 32: // sealed and not stored, planned and not stored
		plan.Make(w.look())
	case k == 33:
		w.facts.Records = append(w.facts.Records, imported(fmt.Sprint("n", n), 2014+w.rand.IntN(13), 2028+w.rand.IntN(3)))
	case k == 34:
		w.remove()
	case k == 35:
		w.change()
	case k == 36:
		w.facts.User.Disabled = !w.facts.User.Disabled
	case k == 37:
		w.tick(340 * 24 * time.Hour) // signing certificates come to their end
	case k == 38:
		w.facts.Records = append(w.facts.Records, cert.Record{Fingerprint: cert.FingerprintOf(fmt.Append(nil, "id", n)), Source: cert.Issued,
			Use: cert.Identity, Holder: cert.Holder{User: alice.ID, Device: "d-1"}, CreatedAt: w.now, NotAfter: w.now.AddDate(1, 0, 0)})
	default:
		w.facts.User.Groups = append(w.facts.User.Groups, subject.NewGroupID())
	}
}

func (w *world) remove() {
	for _, r := range w.facts.Records {
		if r.Source == cert.Imported && w.rand.IntN(2) == 0 {
			w.forget(r)
			return
		}
	}
}

func (w *world) change() {
	w.policies = policies(w.t, []string{
		everything,
		"{kind: Policy, name: off, assign: {all: true}, priority: 3, mail: {apple: {account: none}}, encryption: {source: imported}}",
		"{kind: Policy, name: own, assign: {all: true}, mail: {apple: {account: exchange, host: h.example, sign: true}}, signing: {source: imported}, encryption: {source: imported}}",
		"{kind: Policy, name: outlook, assign: {all: true}, mail: {outlook: {smime: true}}, encryption: {source: imported}}",
		"{kind: Policy, name: broken, assign: {all: true}, mail: {apple: {account: exchange}}, encryption: {source: imported}}",
	}[w.rand.IntN(5)])
	if w.rand.IntN(6) == 0 {
		w.policies = nil
	}
	if w.rand.IntN(3) == 0 {
		w.policies = append(w.policies, appconfig.Policy{Name: "more", In: subject.Scope{All: true}, Priority: 9,
			Settings: appconfig.Settings{"mail.outlook.encrypt_all": w.rand.IntN(2) == 0}})
	}
}
