package storetest

import (
	"testing"
	"time"

	"github.com/signet-mdm/signet/internal/delivery"
	"github.com/signet-mdm/signet/internal/delivery/plan"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/mdm"
	"github.com/signet-mdm/signet/notify"
	"github.com/signet-mdm/signet/scep"
)

func testOperations(t *testing.T, open Open) {
	t.Run("nothing is counted as nothing", func(t *testing.T) {
		f, err := open(t).Operations().Figures(t.Context())
		if err != nil || f.Users != 0 || f.DatabaseBytes == 0 || !f.ParcelWaits.IsZero() || !f.CommandWaits.IsZero() {
			t.Errorf("got %+v, %v", f, err)
		}
		if n, there := f.Parcels["queued"]; !there || n != 0 {
			t.Errorf("parcels: %v, want each state with 0", f.Parcels)
		}
	})
	t.Run("a parcel is counted where it stands", func(t *testing.T) {
		db := open(t)
		d := deliver(t, db)
		shown := func(want plan.State, waits time.Time) {
			t.Helper()
			f, err := db.Operations().Figures(t.Context())
			if err != nil || f.Parcels[string(want)] != 1 || !f.ParcelWaits.Equal(waits) {
				t.Errorf("want one %s, waiting since %v; got %v since %v, %v", want, waits, f.Parcels, f.ParcelWaits, err)
			}
		}
		p := d.post(parcelOf("one"))
		shown(plan.Queued, at)
		d.seal(d.leaseParcel(at), true)
		shown(plan.Ready, time.Time{})
		d.fetch()
		shown(plan.Sent, time.Time{})
		d.report(mdm.Outcome{State: mdm.Acknowledged})
		shown(plan.Arrived, time.Time{})
		c := mdm.RemoveProfile(d.id, "p")
		c.CreatedAt = at
		d.move(delivery.Move{Do: plan.Withdraw, Parcel: p.ID, Command: &c})
		shown(plan.Removing, time.Time{})
		d.fetch()
		d.report(mdm.Outcome{State: mdm.Acknowledged})
		d.move(delivery.Move{Do: plan.End, Parcel: p.ID})
		f, err := db.Operations().Figures(t.Context())
		if err != nil || f.Parcels["removing"] != 0 {
			t.Errorf("after its end: %v, %v", f.Parcels, err)
		}
	})
	t.Run("bytes that grew too old are counted as parked", func(t *testing.T) {
		db := open(t)
		d := deliver(t, db)
		p := d.send(parcelOf("one"))
		d.fetch()
		d.move(delivery.Move{Do: plan.Drop, Parcel: p.ID})
		if f, err := db.Operations().Figures(t.Context()); err != nil || f.Parcels["parked"] != 1 {
			t.Errorf("got %v, %v", f.Parcels, err)
		}
	})
	t.Run("a failed parcel is counted as failed", func(t *testing.T) {
		db := open(t)
		d := deliver(t, db)
		d.post(parcelOf("one"))
		d.fail(d.leaseParcel(at), true)
		if f, err := db.Operations().Figures(t.Context()); err != nil || f.Parcels["failed"] != 1 {
			t.Errorf("got %v, %v", f.Parcels, err)
		}
	})
	t.Run("devices, users and what waits", func(t *testing.T) {
		db := open(t)
		facet := facet(t, db)
		id := facet.enrolled("alice@example.com", "udid")
		facet.invite("bob@example.com")
		settle(t, db)
		facet.queue(id, "DeviceInformation", "CertificateList")
		f, err := db.Operations().Figures(t.Context())
		if err != nil || f.Users != 2 || f.Devices["enrolled"] != 1 || f.Devices["invited"] != 1 || f.Devices["removed"] != 0 {
			t.Errorf("got %+v, %v", f, err)
		}
		if f.Commands["queued"] != 2 || f.CommandWaits.IsZero() || f.DevicesDue != 0 {
			t.Errorf("got %+v", f)
		}
		(&delivered{t: t, db: db, id: id}).touch()
		if f, err := db.Operations().Figures(t.Context()); err != nil || f.DevicesDue != 1 {
			t.Errorf("%d due, want 1; %v", f.DevicesDue, err)
		}
	})
	t.Run("mails that wait", func(t *testing.T) {
		db := open(t)
		u := addUser(t, db, "alice@example.com")
		if _, err := queue(t, outbox(t, db), u.ID, notify.Ready, at); err != nil {
			t.Fatal(err)
		}
		f, err := db.Operations().Figures(t.Context())
		if err != nil || f.Mails["waiting"] != 1 || f.Mails["failed"] != 0 || !f.MailWaits.Equal(at) {
			t.Errorf("got %v since %v, %v", f.Mails, f.MailWaits, err)
		}
	})
	t.Run("the last backup, unless it is long ago", func(t *testing.T) {
		db := open(t)
		record := func(a journal.Action, when time.Time) {
			t.Helper()
			if err := db.Journal().Record(t.Context(), journal.Entry{At: when, Actor: journal.Worker("test"), Action: a}); err != nil {
				t.Fatal(err)
			}
		}
		made := func(want time.Time) {
			t.Helper()
			if f, err := db.Operations().Figures(t.Context()); err != nil || !f.BackedUp.Equal(want) {
				t.Errorf("got %v, %v; want %v", f.BackedUp, err, want)
			}
		}
		made(time.Time{})
		record(journal.BackupMade, at)
		record(journal.BackupMade, at.Add(time.Hour))
		record(journal.UserAdded, at.Add(48*time.Hour))
		made(at.Add(time.Hour))
		record(journal.UserAdded, at.Add(60*24*time.Hour))
		made(time.Time{})
	})
	t.Run("a published list is known", func(t *testing.T) {
		db := open(t)
		if err := db.SCEP().CRLPublished(t.Context(), scep.CRL{Issuer: "smime", Number: 1, ThisUpdate: at, DER: []byte{1}}, 0); err != nil {
			t.Fatal(err)
		}
		if err := db.SCEP().CRLPublished(t.Context(), scep.CRL{Issuer: "smime", Shard: "0a", Number: 1, ThisUpdate: at.Add(time.Hour), DER: []byte{1}}, 0); err != nil {
			t.Fatal(err)
		}
		if f, err := db.Operations().Figures(t.Context()); err != nil || !f.CRLs["smime"].Equal(at) { // of several, the oldest
			t.Errorf("got %v, %v", f.CRLs, err)
		}
	})
	t.Run("the last backup", func(t *testing.T) {
		db := open(t)
		if last, err := db.Operations().LastBackup(t.Context()); err != nil || !last.IsZero() {
			t.Errorf("of nothing: got %v, %v", last, err)
		}
		for n, action := range []journal.Action{journal.BackupMade, journal.BackupMade, journal.KeyOpened} {
			e := entry(action)
			e.At = at.Add(time.Duration(n) * time.Hour)
			if err := db.Journal().Record(t.Context(), e); err != nil {
				t.Fatal(err)
			}
		}
		if last, err := db.Operations().LastBackup(t.Context()); err != nil || !last.Equal(at.Add(time.Hour)) {
			t.Errorf("got %v, %v; want %v", last, err, at.Add(time.Hour))
		}
	})
	t.Run("the newest entry and no damage", func(t *testing.T) {
		db := open(t)
		if newest, err := db.Operations().Newest(t.Context()); err != nil || !newest.IsZero() {
			t.Errorf("of nothing: got %v, %v", newest, err)
		}
		addUser(t, db, "alice@example.com")
		if newest, err := db.Operations().Newest(t.Context()); err != nil || !newest.Equal(at) {
			t.Errorf("got %v, %v; want %v", newest, err, at)
		}
		if damage, err := db.Operations().Damage(t.Context()); err != nil || damage != "" {
			t.Errorf("got %q, %v", damage, err)
		}
	})
	t.Run("the schema is this program's", func(t *testing.T) {
		have, want, err := open(t).Operations().Schema(t.Context())
		if err != nil || have != want || have < 7 {
			t.Errorf("got %d of %d, %v", have, want, err)
		}
	})
}
