package storetest

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/store"
	"github.com/signet-mdm/signet/internal/subject"
)

func testJournal(t *testing.T, open Open) {
	db := open(t)
	u := addUser(t, db, "alice@example.com")
	e := entry(journal.KeyOpened)
	e.User, e.Device, e.Cert = u.ID, "d-1", cert.FingerprintOf([]byte("x"))
	e.Actor.Remote = "192.0.2.1"
	e.Detail = map[string]string{"why": "delivery"}
	if err := db.Journal().Record(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	for name, q := range map[string]journal.Query{
		"user": {User: u.ID, Limit: 10}, "device": {Device: "d-1", Limit: 10}, "both": {User: u.ID, Device: "d-1", Limit: 10}, "latest": {Limit: 1},
	} {
		got, err := db.Journal().Lines(t.Context(), q)
		if err != nil || len(got) == 0 {
			t.Errorf("%s: got %v, %v", name, got, err)
			continue
		}
		if diff := cmp.Diff(e, got[0].Entry); diff != "" || got[0].ID == "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	for name, q := range map[string]journal.Query{"another user": {User: "u-2", Limit: 10}, "another device": {Device: "d-2", Limit: 10}} {
		if got, err := db.Journal().Lines(t.Context(), q); err != nil || got == nil || len(got) != 0 {
			t.Errorf("%s: got %v, %v; want an empty list", name, got, err)
		}
	}
	testOpened(t, db)
	testAlarms(t, open(t))
}

func testAlarms(t *testing.T, db *store.DB) {
	for i, action := range []journal.Action{journal.KeyAlarm, journal.KeyRefused, journal.KeyAlarm, journal.AlarmTold, journal.KeyAlarm} {
		e := entry(action)
		e.At, e.Detail = at.Add(time.Duration(i)*time.Second), map[string]string{"code": "escrow_tampered"}
		if err := db.Journal().Record(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	list, err := db.Journal().Alarms(t.Context(), at, at.Add(4*time.Second), 10)
	if err != nil || len(list) != 2 || !list[0].At.Equal(at.Add(2*time.Second)) || !list[1].At.Equal(at.Add(4*time.Second)) || list[0].Detail["code"] == "" {
		t.Errorf("alarms: got %+v, %v; want the second and the third", list, err)
	}
	if list, err := db.Journal().Alarms(t.Context(), time.Time{}, at.Add(time.Hour), 1); err != nil || len(list) != 1 || !list[0].At.Equal(at) {
		t.Errorf("the first alarm: got %+v, %v", list, err)
	}
	if told, err := db.Journal().AlarmsTold(t.Context()); err != nil || !told.Equal(at.Add(3*time.Second)) {
		t.Errorf("told: got %v, %v", told, err)
	}
	if n, last, err := db.Operations().Alarms(t.Context(), at); err != nil || n != 2 || !last.Equal(at.Add(4*time.Second)) {
		t.Errorf("counted: got %d, %v, %v", n, last, err)
	}
}

// testOpened counts after one key was opened for d-1.
func testOpened(t *testing.T, db *store.DB) {
	for _, e := range []journal.Entry{entry(journal.KeyOpened), entry(journal.KeyOpened), entry(journal.KeyRefused)} {
		e.Device = "d-2"
		if err := db.Journal().Record(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		device        subject.DeviceID
		since         time.Time
		ofDevice, all int
	}{
		"one":            {"d-1", at.Add(-time.Hour), 1, 3},
		"another":        {"d-2", at.Add(-time.Microsecond), 2, 3},
		"none":           {"d-3", at.Add(-time.Hour), 0, 3},
		"none since":     {"d-2", at, 0, 0},
		"letters differ": {"D-1", at.Add(-time.Hour), 0, 3},
	} {
		ofDevice, all, err := db.Journal().Opened(t.Context(), c.device, c.since)
		if err != nil || ofDevice != c.ofDevice || all != c.all {
			t.Errorf("%s: got %d of %d, %v; want %d of %d", name, ofDevice, all, err, c.ofDevice, c.all)
		}
	}
}
