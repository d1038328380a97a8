package mdm_test

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/plist"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/internal/store"
	"github.com/signet-mdm/signet/internal/store/sqlitetest"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/mdm"
)

const topic = "com.apple.mgmt.External.6d1f8e4c-0000-4000-8000-000000000000"

var admin = journal.Actor{Kind: journal.Local, ID: "socket"}

// world is a service over a real database, with a clock that is moved by hand.
type world struct {
	*mdm.Service
	t    *testing.T
	db   *store.DB
	path string
	now  time.Time
}

func newWorld(t *testing.T, change ...func(*mdm.Config)) *world {
	t.Helper()
	w := &world{t: t, path: filepath.Join(t.TempDir(), "signet.db"), now: time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)}
	sqlitetest.Put(t, w.path)
	db, err := store.OpenSQLite(t.Context(), w.path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	w.db = db
	c := mdm.Config{Store: db.MDM(box(t)), BaseURL: "https://mdm.example.org", Organization: "Example", Topic: fixed(topic),
		Now: func() time.Time { return w.now }}
	for _, f := range change {
		f(&c)
	}
	w.Service = mdm.New(c)
	return w
}

func box(t *testing.T) *seal.Box {
	t.Helper()
	b, err := seal.NewBox(seal.RandomRoot(), "enrollment")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (w *world) user(mail string) subject.User {
	w.t.Helper()
	u := subject.User{ID: subject.NewUserID(), Mail: mail, UPN: mail, Name: mail, CreatedAt: w.now,
		Aliases: []string{}, Groups: []subject.GroupID{}}
	w.must(w.db.Directory().UserSaved(w.t.Context(), u, journal.Entry{At: w.now, Actor: admin, Action: journal.UserAdded}))
	return u
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// iphone is a device with the issuance record of its identity.
type iphone struct {
	w    *world
	id   cert.Record
	udid string
}

// invited gives a device of the user with a fresh identity.
func (w *world) invited(u subject.User, udid string) *iphone {
	w.t.Helper()
	inv, _, _, err := w.Invite(w.t.Context(), admin, u)
	w.must(err)
	return &iphone{w: w, id: w.identity(u.ID, inv.Device.ID), udid: udid}
}

func (w *world) enrolled(u subject.User, udid string) *iphone {
	w.t.Helper()
	p := w.invited(u, udid)
	w.must(p.checkIn("Authenticate", nil))
	w.must(p.checkIn("TokenUpdate", tokens))
	return p
}

// identity is a record as scep makes one; its bytes do not matter here.
func (w *world) identity(u subject.UserID, d subject.DeviceID) cert.Record {
	return cert.Record{Fingerprint: cert.FingerprintOf(seal.Random().Reveal()), Holder: cert.Holder{User: u, Device: d},
		Source: cert.Issued, Use: cert.Identity, CreatedAt: w.now,
		NotBefore: w.now.Add(-time.Hour), NotAfter: w.now.AddDate(1, 0, 0)}
}

var tokens = map[string]any{"Token": []byte("push-token-canary"), "PushMagic": "push-magic-canary"}

func (p *iphone) checkIn(kind string, more map[string]any) error {
	m := map[string]any{"MessageType": kind, "UDID": p.udid, "Topic": topic}
	for k, v := range more {
		m[k] = v
	}
	reply, err := p.w.CheckIn(p.w.t.Context(), p.id, "192.0.2.7", encode(p.w.t, m))
	if len(reply) > 0 {
		p.w.t.Errorf("%s: got a reply of %d bytes", kind, len(reply))
	}
	return err
}

// says sends a report and gives the command that came back; its UUID is empty
// when none did.
func (p *iphone) says(status, command string, more map[string]any) (order, error) {
	m := map[string]any{"Status": status, "UDID": p.udid}
	if command != "" {
		m["CommandUUID"] = command
	}
	for k, v := range more {
		m[k] = v
	}
	reply, err := p.w.Connect(p.w.t.Context(), p.id, "192.0.2.7", encode(p.w.t, m))
	var o order
	if len(reply) > 0 {
		if err := plist.Unmarshal(reply, &o, plist.Upload); err != nil {
			p.w.t.Error(err)
		}
	}
	return o, err
}

// order is what a device gets.
type order struct {
	CommandUUID string
	Command     map[string]any
}

func (o order) kind() string { s, _ := o.Command["RequestType"].(string); return s }

// ask is says where nothing may go wrong.
func (p *iphone) ask(status, command string, more map[string]any) order {
	p.w.t.Helper()
	o, err := p.says(status, command, more)
	if err != nil {
		p.w.t.Fatalf("%s %s: %v", status, command, err)
	}
	return o
}

// queue puts commands of these types into the device's queue.
func (p *iphone) queue(kinds ...string) []mdm.Command {
	p.w.t.Helper()
	var list []mdm.Command
	for _, k := range kinds {
		c := mdm.NewCommand(p.id.Holder.Device, k, nil)
		c.CreatedAt = p.w.now
		list = append(list, c)
	}
	p.w.must(p.w.Store.Queued(p.w.t.Context(), list, journal.Entry{At: p.w.now, Actor: admin, Action: journal.DeviceRefresh}))
	return list
}

func (p *iphone) stored() mdm.Detail {
	p.w.t.Helper()
	d, err := p.w.Device(p.w.t.Context(), string(p.id.Holder.Device))
	p.w.must(err)
	return d
}

func (p *iphone) command(uuid string) mdm.Command {
	p.w.t.Helper()
	c, err := p.w.Store.Command(p.w.t.Context(), uuid)
	p.w.must(err)
	return c
}

// refusals counts the journal's DeviceRefused entries with that code.
func (w *world) refusals(code string) int { return w.entries(journal.DeviceRefused, "code", code) }

func (w *world) entries(a journal.Action, key, value string) int {
	w.t.Helper()
	list, err := w.db.Journal().Latest(w.t.Context(), 1000)
	w.must(err)
	n := 0
	for _, e := range list {
		if e.Action == a && (key == "" || e.Detail[key] == value) {
			n++
		}
	}
	return n
}

func encode(t *testing.T, v any) []byte {
	t.Helper()
	b, err := plist.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// wants fails the test unless err has the code of want; nil wants nil.
func wants(t *testing.T, what string, err error, want *fault.Error) {
	t.Helper()
	code := ""
	if want != nil {
		code = want.Code
	}
	if got := fault.Code(err); got != code {
		t.Errorf("%s: got %q (%v), want %q", what, got, err, code)
	}
}

// fixed gives a topic as if there were a push certificate.
func fixed(topic string) func(context.Context) (string, error) {
	return func(context.Context) (string, error) { return topic, nil }
}
