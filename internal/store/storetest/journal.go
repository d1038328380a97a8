package storetest

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/journal"
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
	for name, list := range map[string]func() ([]journal.Entry, error){
		"user":   func() ([]journal.Entry, error) { return db.Journal().OfUser(t.Context(), u.ID, 10) },
		"device": func() ([]journal.Entry, error) { return db.Journal().OfDevice(t.Context(), "d-1", 10) },
		"latest": func() ([]journal.Entry, error) { return db.Journal().Latest(t.Context(), 1) },
	} {
		got, err := list()
		if diff := cmp.Diff([]journal.Entry{e}, got); err != nil || diff != "" {
			t.Errorf("%s: %v\n%s", name, err, diff)
		}
	}
}
