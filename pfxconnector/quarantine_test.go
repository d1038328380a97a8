package pfxconnector_test

import (
	"crypto/x509"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/mdm"
	"github.com/signet-mdm/signet/pfxconnector"
	"github.com/signet-mdm/signet/pfxconnector/escrow"
)

// naming is a certificate that names these addresses.
func (h *house) naming(t *testing.T, addresses ...string) pfxconnector.File {
	t.Helper()
	return made(t, x509.Certificate{KeyUsage: ke, EmailAddresses: addresses}, sharedRSA)
}

func (h *house) waiting(t *testing.T) []pfxconnector.Waiting {
	t.Helper()
	list, err := h.Waiting(t.Context(), "", 100)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// aside imports what is nobody's and gives where it is.
func (h *house) aside(t *testing.T, f pfxconnector.File) string {
	t.Helper()
	r := h.take(t, f)
	if r.Status != pfxconnector.Quarantined || r.Identities[0].Quarantine == nil {
		t.Fatalf("got %+v, want it in quarantine", r)
	}
	return r.Identities[0].Quarantine.ID
}

func TestUnknownUserGoesIntoQuarantine(t *testing.T) {
	h := newHouse(t)
	alice, bob := h.user(t, "alice@example.com"), h.user(t, "bob@example.com", "team@example.com")
	nobodys, several := h.naming(t, "dave@example.com"), h.naming(t, "alice@example.com", "bob@example.com")

	dry := nobodys
	dry.DryRun = true
	if r := h.take(t, dry); r.Status != pfxconnector.WouldQuarantine || r.Aside() != 1 || r.Rejects() != 0 || len(h.waiting(t)) != 0 {
		t.Errorf("dry run: got %+v", r)
	}
	for range 2 { // again changes nothing
		r := h.take(t, nobodys)
		i := r.Identities[0]
		if r.Status != pfxconnector.Quarantined || r.Code != nil || i.Code != nil || i.User != "" || i.UserID != "" || r.Rejects() != 0 || r.Aside() != 1 ||
			i.Quarantine.Code != "pfx_no_user_match" || len(i.Quarantine.Named) != 0 || !escrow.InQuarantine(subject.UserID(i.Quarantine.ID)) {
			t.Errorf("got %+v, %+v", r, i.Quarantine)
		}
	}
	r := h.take(t, several)
	if q := r.Identities[0].Quarantine; r.Status != pfxconnector.Quarantined || q.Code != "pfx_ambiguous_user" || !cmp.Equal(q.Named, []string{alice.Mail, bob.Mail}) {
		t.Errorf("got %+v", r)
	}
	list := h.waiting(t)
	if len(list) != 2 {
		t.Fatalf("got %d in quarantine, want 2", len(list))
	}
	if w := list[0]; w.Code != "pfx_no_user_match" || w.Reason == "" || len(w.Candidates) != 0 || w.State != "waiting" || w.File != "made.p12" ||
		w.ImportedBy != "local:test" || w.Purpose != "encryption" || w.Cert == "" || !cmp.Equal(w.Addresses, []string{"dave@example.com"}) {
		t.Errorf("got %+v", w)
	}
	if w := list[1]; !cmp.Equal(w.Candidates, []string{alice.Mail, bob.Mail}) {
		t.Errorf("got %+v", w)
	}
	if part, err := h.Waiting(t.Context(), list[0].ID, 1); err != nil || len(part) != 1 || part[0].ID != list[1].ID {
		t.Errorf("what follows the first: got %+v, %v", part, err)
	}
	for _, u := range []subject.User{alice, bob} {
		if got := h.list(t, u); len(got) != 0 {
			t.Errorf("%s has %+v", u.Mail, got)
		}
	}
	if p, err := h.Publications(t.Context(), []subject.User{alice, bob}); err != nil || p[0].Current != nil || len(p[0].Valid)+len(p[1].Valid) != 0 {
		t.Errorf("it would be published: %+v, %v", p, err)
	}

	// A user comes; the same file is his. What is in quarantine stays, and says so.
	dave := h.user(t, "dave@example.com")
	if r := h.take(t, nobodys); r.Status != pfxconnector.Imported || r.Identities[0].User != dave.Mail {
		t.Errorf("got %+v", r)
	}
	if w := h.waiting(t)[0]; !cmp.Equal(w.Candidates, []string{dave.Mail}) || !cmp.Equal(w.Holders, []string{string(dave.ID)}) {
		t.Errorf("got %+v", w)
	}
	if err := h.Assign(t.Context(), by, list[0].ID, dave); !errors.Is(err, pfxconnector.ErrHeld) {
		t.Errorf("got %v, want ErrHeld", err)
	}
}

// What somebody has is not set aside for nobody.
func TestHeldIsNotQuarantined(t *testing.T) {
	h := newHouse(t)
	alice := h.user(t, "alice@example.com")
	f := h.naming(t, "dave@example.com")
	f.User = &alice
	h.take(t, f)
	f.User = nil
	if r := h.take(t, f); r.Status != pfxconnector.Refused || *r.Code != "pfx_other_user" || len(h.waiting(t)) != 0 {
		t.Errorf("got %+v", r)
	}
}

// What would be refused is not set aside either.
func TestRefusedIsNotQuarantined(t *testing.T) {
	h := newHouse(t)
	r := h.take(t, made(t, x509.Certificate{KeyUsage: ds, EmailAddresses: []string{"dave@example.com"}}, sharedRSA))
	if r.Status != pfxconnector.Refused || *r.Code != "pfx_not_encryption" || len(h.waiting(t)) != 0 {
		t.Errorf("got %+v", r)
	}
}

func TestAssign(t *testing.T) {
	other := journal.Actor{Kind: journal.Admin, ID: "another"}
	for name, c := range map[string]struct {
		names []string
		by    journal.Actor
		to    func(h *house, before subject.User) subject.User
		want  error
	}{
		"who imported it": {[]string{"dave@example.com"}, by, func(h *house, before subject.User) subject.User { return before }, nil},
		"another, to whom it does not name": {[]string{"dave@example.com"}, other, func(h *house, before subject.User) subject.User { return before },
			pfxconnector.ErrAssign},
		"the same id, another way in": {[]string{"dave@example.com"}, journal.Actor{Kind: journal.Admin, ID: by.ID},
			func(h *house, before subject.User) subject.User { return before }, pfxconnector.ErrAssign},
		"another, to one of those it named": {[]string{"mallory@example.com", "victim@example.com"}, other,
			func(h *house, before subject.User) subject.User { return before }, nil},
		"another, to a newcomer": {[]string{"dave@example.com"}, other,
			func(h *house, _ subject.User) subject.User { return h.user(t, "dave@example.com") }, nil},
		"another, to who got the address as an alias": {[]string{"dave@example.com"}, other, func(h *house, before subject.User) subject.User {
			before.Aliases = []string{"dave@example.com"}
			return h.change(t, before)
		}, pfxconnector.ErrAssign},
		"another, to who got the address and has a phone": {[]string{"dave@example.com"}, other, func(h *house, before subject.User) subject.User {
			h.phone(t, before)
			before.Mail = "dave@example.com"
			return h.change(t, before)
		}, pfxconnector.ErrAssign},
		"another, to a newcomer under an alias": {[]string{"dave@example.com"}, other,
			func(h *house, _ subject.User) subject.User { return h.user(t, "new@example.com", "dave@example.com") }, pfxconnector.ErrAssign},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			before := h.user(t, "mallory@example.com")
			h.user(t, "victim@example.com")
			id := h.aside(t, h.naming(t, c.names...))
			to := c.to(h, before)
			err := h.Assign(t.Context(), c.by, id, to)
			if !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
			w, err := h.WaitingOne(t.Context(), id)
			if err != nil || (w.State == "assigning") != (c.want == nil) || (w.To == string(to.ID)) != (c.want == nil) {
				t.Errorf("got %+v, %v", w, err)
			}
			if len(h.list(t, to)) != 0 {
				t.Error("he has it before the keeper sealed it to him")
			}
		})
	}
	h := newHouse(t)
	for _, id := range []string{"", "q-", string(h.user(t, "alice@example.com").ID)} {
		if err := h.Assign(t.Context(), by, id, subject.User{}); !errors.Is(err, pfxconnector.ErrQuarantineUnknown) {
			t.Errorf("%q: got %v, want ErrQuarantineUnknown", id, err)
		}
	}
}

func (h *house) change(t *testing.T, u subject.User) subject.User {
	t.Helper()
	was, err := h.people.User(t.Context(), string(u.ID))
	if err != nil {
		t.Fatal(err)
	}
	if err := h.db.Directory().UserChanged(t.Context(), was, u, journal.Entry{At: at, Actor: by, Action: journal.UserChanged, User: u.ID}); err != nil {
		t.Fatal(err)
	}
	return u
}

// phone invites a phone of the user.
func (h *house) phone(t *testing.T, u subject.User) {
	t.Helper()
	i := mdm.Invitation{Token: seal.Random().Hash(), Code: seal.Random().Hash(), User: u, State: mdm.Invited,
		Device: subject.Device{ID: subject.NewDeviceID(), User: u.ID}, CreatedAt: at, ExpiresAt: at.AddDate(0, 0, 1)}
	box, err := seal.NewBox(seal.RandomRoot(), "enrollment")
	if err != nil {
		t.Fatal(err)
	}
	e := journal.Entry{At: at, Actor: by, Action: journal.DeviceInvited, User: u.ID, Device: i.Device.ID}
	if err := h.db.MDM(box).Invited(t.Context(), i, e); err != nil {
		t.Fatal(err)
	}
}

func TestDiscard(t *testing.T) {
	h := newHouse(t)
	f := h.naming(t, "dave@example.com")
	id := h.aside(t, f)
	if err := h.Discard(t.Context(), by, id); err != nil {
		t.Fatal(err)
	}
	if err := h.Discard(t.Context(), by, id); !errors.Is(err, pfxconnector.ErrQuarantineUnknown) || len(h.waiting(t)) != 0 {
		t.Errorf("got %v, want ErrQuarantineUnknown", err)
	}
	lines, err := h.db.Journal().Lines(t.Context(), journal.Query{Limit: 2})
	if err != nil || lines[0].Action != journal.KeyDiscarded || lines[1].Action != journal.KeyQuarantined || lines[0].Cert != lines[1].Cert ||
		lines[1].Detail["quarantine"] != id || !strings.HasPrefix(lines[1].Detail["code"], "pfx_") {
		t.Errorf("journal: %+v, %v", lines, err)
	}
	if again := h.aside(t, f); again == id {
		t.Error("the place is used again")
	}
}
