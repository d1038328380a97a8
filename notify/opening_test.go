package notify_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/internal/store"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/mdm"
	"github.com/signet-mdm/signet/notify"
)

func (w *postOffice) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// record writes an entry about Alice's device.
func (w *postOffice) record(a journal.Action, d subject.DeviceID, code string) {
	w.t.Helper()
	w.must(w.db.Journal().Record(w.t.Context(), journal.Entry{At: w.now, Actor: journal.Worker("opener"), Action: a,
		User: w.alice.ID, Device: d, Cert: cert.FingerprintOf([]byte("c")), Detail: map[string]string{"code": code}}))
}

func (w *postOffice) device() subject.DeviceID {
	w.t.Helper()
	box, err := seal.NewBox(seal.RandomRoot(), "enrollment")
	w.must(err)
	d := subject.Device{ID: subject.NewDeviceID(), User: w.alice.ID}
	w.must(w.db.MDM(box).Invited(w.t.Context(), mdm.Invitation{Token: seal.Random().Hash(), Code: seal.Random().Hash(), User: w.alice,
		State: mdm.Invited, Device: d, CreatedAt: w.now, ExpiresAt: w.now.Add(time.Hour)}, journal.Entry{At: w.now, Action: journal.DeviceInvited}))
	return d.ID
}

func (w *postOffice) openings(openings store.Mail, want int) {
	w.t.Helper()
	if n, err := w.outbox.TellOpenings(w.t.Context(), openings); err != nil || n != want {
		w.t.Fatalf("told %d, %v; want %d", n, err, want)
	}
	w.send()
}

// A user hears of each opening within a day, in one mail a day at most.
func TestTellOpenings(t *testing.T) {
	w := newPostOffice(t)
	openings := w.outbox.Store.(store.Mail)
	one, two := w.device(), w.device()
	w.record(journal.KeyOpened, one, "")
	w.record(journal.KeyOpened, one, "")
	w.record(journal.KeyOpened, two, "")
	w.now = w.now.Add(59 * time.Minute)
	w.openings(openings, 0)
	w.now = w.now.Add(time.Minute)
	w.openings(openings, 1)
	w.openings(openings, 0)
	text := w.server.got[0].Text
	for _, want := range []string{"a device of yours: 2 keys, the last on 24 November 2026 at", "a device of yours: one key", "help", "+49 30 1234"} {
		if !strings.Contains(text, want) {
			t.Errorf("the mail lacks %q:\n%s", want, text)
		}
	}
	for range 23 {
		w.record(journal.KeyOpened, one, "")
		w.openings(openings, 0)
		w.now = w.now.Add(time.Hour)
	}
	w.now = w.now.Add(time.Hour)
	w.openings(openings, 1)
	if len(w.server.got) != 2 || !strings.Contains(w.server.got[1].Text, "23 keys") {
		t.Errorf("%d mails, the last says:\n%s", len(w.server.got), w.server.got[len(w.server.got)-1].Text)
	}
}

// Alarms are told once, an hour apart, and kept until they can be told.
func TestAlarmer(t *testing.T) {
	w := newPostOffice(t)
	a := &notify.Alarmer{Book: w.db.Journal(), Outbox: w.outbox, To: "ops@example.com"}
	step := func(want int) {
		t.Helper()
		if n, err := a.Step(t.Context()); err != nil || n != want {
			t.Errorf("told %d, %v; want %d", n, err, want)
		}
	}
	step(0)
	for range 25 {
		w.record(journal.KeyAlarm, "d-1", "escrow_tampered")
	}
	w.now = w.now.Add(3 * time.Minute)
	w.server.away = errors.New("connection refused")
	if n, err := a.Step(t.Context()); err == nil || n != 0 {
		t.Errorf("without a mail server: told %d, %v", n, err)
	}
	w.server.away = nil
	step(20)
	step(0)
	l := w.server.got[0]
	for _, want := range []string{"escrow_tampered", string(w.alice.ID), "d-1", cert.FingerprintOf([]byte("c")).String(), "There are more."} {
		if !strings.Contains(l.Text, want) || !strings.Contains(l.HTML, want) {
			t.Errorf("the mail lacks %q:\n%s", want, l.Text)
		}
	}
	if l.To != "ops@example.com" || l.Subject != "Alarm: keys were not opened" {
		t.Errorf("got %q to %s", l.Subject, l.To)
	}
	w.record(journal.KeyAlarm, "d-2", "escrow_limit")
	w.now = w.now.Add(59 * time.Minute)
	step(0)
	w.now = w.now.Add(time.Minute)
	step(1)
	if text := w.server.got[1].Text; strings.Contains(text, "d-1") || strings.Contains(text, "more.") {
		t.Errorf("told again:\n%s", text)
	}
}
