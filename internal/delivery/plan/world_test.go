package plan_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/signet-mdm/signet/appconfig"
	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/delivery/plan"
	"github.com/signet-mdm/signet/internal/subject"
)

const prefix = "org.example.mdm"

var start = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

var alice = subject.User{ID: "u-1", UPN: "alice@example.com", Mail: "alice@example.com", Name: "Alice"}

var root = cert.FingerprintOf([]byte("root"))

func policies(t testing.TB, yaml string) []appconfig.Policy {
	t.Helper()
	docs, err := appconfig.Parse([]byte(yaml))
	if err != nil {
		t.Fatal(err)
	}
	var list []appconfig.Policy
	for _, d := range docs.Policies {
		d.In.All = d.Assign.All
		list = append(list, d.Policy)
	}
	return list
}

const everything = `
kind: Policy
name: everybody
assign: {all: true}
signing: {source: scep}
encryption: {source: imported}
mail:
  apple: {account: exchange, host: mail.example.com, sign: true, encrypt: {value: true, user_change: true}}
  outlook: {smime: true}
`

// imported makes a record of an imported identity for a span of years.
func imported(name string, from, to int) cert.Record {
	return cert.Record{
		Fingerprint: cert.FingerprintOf([]byte(name)), Holder: cert.Holder{User: alice.ID}, Source: cert.Imported, Use: cert.Both,
		Addresses: []string{alice.Mail}, NotBefore: time.Date(from, 1, 1, 0, 0, 0, 0, time.UTC),
		NotAfter: time.Date(to, 1, 1, 0, 0, 0, 0, time.UTC), CreatedAt: start,
	}
}

// world is a server without a database and a device without a network: it
// carries plans out as the store does, and commands as a device does.
type world struct {
	t        testing.TB
	rand     *rand.Rand
	now      time.Time
	facts    plan.Facts // what the server knows
	policies []appconfig.Policy
	queue    []*command
	n        int
	log      []string
	refusals map[string]int // of a removal, in a row
	told     []plan.Notice

	device device // what is really there
}

// command is one in the queue.
type command struct {
	plan.Command
	kind    string
	parcel  string // that it brings
	removes string // the identifier that it removes
	payload plan.Parcel
	wanted  []cert.Fingerprint // what was wanted when it was planned
}

// device is the truth about what is on the device.
type device struct {
	profiles map[string]held
	app      plan.App
	last     *command // done, and the reply was lost
}

type held struct {
	digest string
	certs  []cert.Fingerprint
	scep   cert.Fingerprint
}

func newWorld(t testing.TB, seed uint64, yaml string, records ...cert.Record) *world {
	w := &world{t: t, rand: rand.New(rand.NewPCG(seed, 1)), now: start, policies: policies(t, yaml), refusals: map[string]int{},
		device: device{profiles: map[string]held{}}}
	w.facts = plan.Facts{
		Prefix: prefix, Device: subject.Device{ID: "d-1", User: alice.ID, UDID: "x", OSVersion: "18.2"}, Enrolled: true,
		Seen: start, User: alice, Roots: []cert.Fingerprint{root}, Records: records, Renews: true,
	}
	w.identify()
	return w
}

func (w *world) say(format string, args ...any) { w.log = append(w.log, fmt.Sprintf(format, args...)) }

func (w *world) fail(format string, args ...any) {
	w.t.Helper()
	w.t.Fatalf("%s\n%s", fmt.Sprintf(format, args...), strings.Join(w.log, "\n"))
}

// tick lets time pass.
func (w *world) tick(d time.Duration) { w.now = w.now.Add(d) }

func (w *world) look() plan.Facts {
	f := w.facts
	f.Now = w.now
	f.Policy = appconfig.Resolve(w.policies, f.User, f.Device)
	f.Open = 0
	for _, c := range w.queue {
		if c.open() {
			f.Open++
		}
	}
	f.Parcels = slices.Clone(f.Parcels)
	for i := range f.Parcels {
		p := &f.Parcels[i]
		p.Command, p.Removal = w.command(p.Command.UUID), w.command(p.Removal.UUID)
	}
	f.Asked = w.asked()
	return f
}

func (c *command) open() bool {
	return c.State == plan.CommandQueued || c.State == plan.CommandSent
}

func (w *world) command(uuid string) plan.Command {
	for _, c := range w.queue {
		if c.UUID == uuid {
			return c.Command
		}
	}
	return plan.Command{}
}

func (w *world) asked() (list []plan.Asked) {
	for _, q := range []plan.Question{plan.Information, plan.Certificates, plan.Profiles, plan.Apps} {
		a, found := plan.Asked{Question: q}, false
		for _, c := range w.queue {
			if c.kind != string(q) {
				continue
			}
			found, a.Open = true, a.Open || c.open()
			if c.DoneAt.After(a.DoneAt) {
				a.DoneAt = c.DoneAt
			}
		}
		if found {
			list = append(list, a)
		}
	}
	return list
}

// plan plans once and carries it out. It tells whether there was anything.
func (w *world) plan() bool {
	w.tick(time.Millisecond)
	f := w.look()
	p := plan.Make(f)
	w.ask(p, true)
	for _, s := range p.Steps {
		if s.Do != plan.Wait {
			w.say("%s %s %s%s: %s", w.now.Format(time.DateTime), s.Do, s.Parcel.Identifier, s.Item.Identifier, s.Why)
		}
		w.step(s)
	}
	w.ask(p, false)
	for _, r := range p.Revoke {
		i := slices.IndexFunc(w.facts.Records, func(c cert.Record) bool { return c.Fingerprint == r.Cert })
		w.facts.Records[i].RevokedAt, w.facts.Records[i].Reason = w.now, r.Reason
	}
	for _, n := range p.Tell {
		w.say("%s tell %+v", w.now.Format(time.DateTime), n)
		w.told = append(w.told, n)
	}
	if p.Told != nil {
		w.facts.Told = p.Told
	}
	return !p.Empty()
}

// ask puts the questions; the one that decides how keys are packed goes first.
func (w *world) ask(p plan.Plan, first bool) {
	for _, a := range p.Asks {
		if (a.Question == plan.Information) == first {
			w.say("%s ask %s: %s", w.now.Format(time.DateTime), a.Question, a.Why)
			w.add(&command{kind: string(a.Question)})
		}
	}
}

func (w *world) add(c *command) string {
	w.n++
	c.UUID, c.State = fmt.Sprint("c-", w.n), plan.CommandQueued
	for _, i := range plan.Desire(w.look()) {
		c.wanted = append(c.wanted, i.Certs...)
	}
	w.queue = append(w.queue, c)
	return c.UUID
}

func (w *world) parcel(id string) *plan.Parcel {
	i := slices.IndexFunc(w.facts.Parcels, func(p plan.Parcel) bool { return p.ID == id })
	if i < 0 {
		w.fail("there is no parcel %s", id)
	}
	return &w.facts.Parcels[i]
}

func (w *world) step(s plan.Step) {
	switch s.Do {
	case plan.Send:
		w.send(s.Item, false)
	case plan.Replace:
		old := w.parcel(s.Parcel.ID)
		touched := old.OnDevice || !w.command(old.Command.UUID).SentAt.IsZero()
		w.end(s.Parcel.ID)
		w.send(s.Item, touched)
	case plan.Again:
		p := w.parcel(s.Parcel.ID)
		c := w.command(p.Command.UUID)
		p.OnDevice = p.OnDevice || !c.SentAt.IsZero()
		p.Attempts, p.Failure, p.FailedAt, p.Sealed, p.WantsSeal = p.Attempts+1, "", time.Time{}, false, p.Profile
		if !c.DoneAt.IsZero() {
			p.Command.UUID = w.add(&command{kind: "Install", parcel: p.ID})
		}
	case plan.Reseal:
		p := w.parcel(s.Parcel.ID)
		p.Sealed, p.WantsSeal = false, true
	case plan.Drop:
		w.parcel(s.Parcel.ID).Sealed = false
	case plan.Withdraw:
		p := w.parcel(s.Parcel.ID)
		w.cancel(p.Command.UUID)
		w.cancel(p.Removal.UUID)
		p.Attempts++
		if p.Removal.UUID == "" {
			p.Attempts = 0
		}
		p.Sealed, p.WantsSeal, p.FailedAt = false, false, time.Time{}
		p.Removal.UUID = w.add(&command{kind: "Remove", removes: p.Identifier})
	case plan.End:
		w.end(s.Parcel.ID)
	}
}

func (w *world) send(i plan.Item, onDevice bool) {
	w.n++
	p := plan.Parcel{ID: fmt.Sprint("p-", w.n), Kind: i.Kind, Identifier: i.Identifier, Digest: i.Digest, Certs: i.Certs, Signs: i.Signs,
		Profile: i.Kind != plan.Outlook, NeedsKey: i.NeedsKey, WantsSeal: i.Kind != plan.Outlook, OnDevice: onDevice, CreatedAt: w.now}
	p.Command.UUID = w.add(&command{kind: "Install", parcel: p.ID})
	w.facts.Parcels = append(w.facts.Parcels, p)
}

func (w *world) end(id string) {
	p := *w.parcel(id)
	w.cancel(p.Command.UUID)
	w.cancel(p.Removal.UUID)
	w.facts.Parcels = slices.DeleteFunc(w.facts.Parcels, func(p plan.Parcel) bool { return p.ID == id })
}

func (w *world) cancel(uuid string) {
	for _, c := range w.queue {
		if c.UUID == uuid && c.open() {
			c.State, c.DoneAt = plan.CommandCancelled, w.now
		}
	}
}

// seal seals one parcel, or fails to.
func (w *world) seal(fails bool) bool {
	w.tick(time.Millisecond)
	for i := range w.facts.Parcels {
		p := &w.facts.Parcels[i]
		if !p.WantsSeal {
			continue
		}
		p.WantsSeal = false
		if fails {
			p.Failure, p.FailedAt = "The escrow key is not here.", w.now
		} else {
			p.Sealed, p.SealedAt = true, w.now
		}
		return true
	}
	return false
}

// next hands a command out as mdm does.
func (w *world) next() *command {
	for _, c := range w.queue {
		if !c.open() {
			continue
		}
		if c.parcel != "" {
			p := w.parcel(c.parcel)
			if p.Profile && (!p.Sealed || p.NeedsKey && p.Kind != plan.Enrollment && p.SealedAt.Before(w.facts.IdentityAt)) {
				continue
			}
			c.payload = *p
		}
		c.State, c.SentAt = plan.CommandSent, w.now
		return c
	}
	return nil
}

// answer is how the device takes a command.
type answer int

const (
	takes answer = iota
	fails
	notNow
	losesReply
)

// poll lets the device do one command. It tells whether there was one.
func (w *world) poll(a answer) bool {
	w.tick(time.Second)
	w.facts.Seen = w.now
	if c := w.device.last; c != nil { // a lost reply comes first
		w.device.last = nil
		w.settle(c, plan.CommandAcknowledged)
		return true
	}
	c := w.next()
	if c == nil {
		return false
	}
	w.say("%s device does %s %s%s: %d", w.now.Format(time.DateTime), c.kind, c.payload.Identifier, c.removes, a)
	switch {
	case a == notNow && c.kind != string(plan.Information):
		c.State, c.Refused = plan.CommandQueued, true
	case a == fails && w.refusals[c.removes] < 2:
		if c.removes != "" {
			w.refusals[c.removes]++ // a device refuses three times what it does not have, and nothing else
		}
		w.settle(c, plan.CommandFailed)
	case !w.obey(c):
		w.settle(c, plan.CommandFailed)
	case a == losesReply:
		w.device.last = c
	default:
		w.settle(c, plan.CommandAcknowledged)
	}
	return true
}

// obey changes the device. What was wanted when the command was planned, and
// is wanted now, must not get lost by it.
func (w *world) obey(c *command) bool {
	kept := slices.DeleteFunc(slices.Clone(c.wanted), func(f cert.Fingerprint) bool { return !w.has(f) || !w.wants(f) })
	defer func() {
		for _, f := range kept {
			if !w.has(f) {
				w.fail("the device lost an identity that it is to keep, by %s %s%s", c.kind, c.payload.Identifier, c.removes)
			}
		}
	}()
	p := c.payload
	switch {
	case c.kind == "Remove" && strings.HasSuffix(c.removes, ".enroll"):
		w.fail("the device is told to remove its enrollment")
	case c.kind == "Remove" && c.removes == appconfig.OutlookBundle:
		w.device.app.Configured = false
	case c.kind == "Remove":
		if _, there := w.device.profiles[c.removes]; !there {
			return false
		}
		delete(w.device.profiles, c.removes)
		w.refusals[c.removes] = 0
	case c.kind == "Install" && p.Kind == plan.Enrollment:
		w.identify()
	case c.kind == "Install" && p.Kind == plan.Outlook:
		w.device.app = plan.App{State: "Managed", Configured: true}
	case c.kind == "Install":
		h := held{digest: p.Digest, certs: p.Certs}
		if p.Signs {
			w.n++
			h.scep = cert.FingerprintOf([]byte(fmt.Sprint("scep", w.n)))
			w.facts.Records = append(w.facts.Records, cert.Record{
				Fingerprint: h.scep, Source: cert.Issued, Use: cert.Signing, Profile: "smime-signing", Holder: cert.Holder{User: alice.ID, Device: w.facts.Device.ID},
				NotBefore: w.now, NotAfter: w.now.AddDate(1, 0, 0), CreatedAt: w.now,
			})
		}
		w.device.profiles[p.Identifier] = h
	}
	return true
}

// identify gives the device an identity.
func (w *world) identify() {
	w.n++
	w.facts.Identity, w.facts.IdentityAt = cert.FingerprintOf([]byte(fmt.Sprint("identity", w.n))), w.now
	w.facts.Records = append(w.facts.Records, cert.Record{
		Fingerprint: w.facts.Identity, Source: cert.Issued, Use: cert.Identity, Profile: "device-identity", Holder: cert.Holder{User: alice.ID, Device: w.facts.Device.ID},
		NotBefore: w.now, NotAfter: w.now.AddDate(1, 0, 0), CreatedAt: w.now,
	})
}

// settle is the report of a command.
func (w *world) settle(c *command, s plan.CommandState) {
	if !c.open() {
		return
	}
	c.State, c.DoneAt, c.Refused = s, w.now, false
	if s == plan.CommandFailed {
		c.Error = "Profile Installation Failed"
		return
	}
	switch c.kind {
	case string(plan.Information):
		w.facts.InformedAt = w.now
	case string(plan.Certificates):
		w.facts.Held, w.facts.HeldAt = w.list(), w.now
	case string(plan.Profiles):
		w.facts.Profiles, w.facts.ProfilesAt = slices.Collect(maps.Keys(w.device.profiles)), w.now
	case string(plan.Apps):
		w.facts.App, w.facts.AppsAt = w.device.app, w.now
	}
}

func (w *world) list() (list []plan.Held) {
	for _, name := range slices.Sorted(maps.Keys(w.device.profiles)) {
		h := w.device.profiles[name]
		for _, c := range h.certs {
			list = append(list, plan.Held{Fingerprint: c, Identity: c != root})
		}
		if !h.scep.IsZero() {
			list = append(list, plan.Held{Fingerprint: h.scep, Identity: true})
		}
	}
	return list
}

// has tells whether the device really has the key of c.
func (w *world) has(c cert.Fingerprint) bool {
	return slices.ContainsFunc(w.list(), func(h plan.Held) bool { return h.Fingerprint == c })
}

// settleDown lets everything work until there is nothing left to do.
func (w *world) settleDown() {
	w.t.Helper()
	for range 2000 {
		switch {
		case w.plan():
		case w.seal(false):
		case w.poll(takes):
		default:
			p := plan.Make(w.look())
			switch soon := w.now.Add(24 * time.Hour); {
			case !p.Empty():
			case p.Next.IsZero() || p.Next.After(soon):
				return
			default:
				w.now = p.Next // what failed waits to be tried again
			}
		}
	}
	w.fail("it does not come to rest")
}
