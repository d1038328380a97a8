package storetest

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/delivery"
	"github.com/signet-mdm/signet/internal/delivery/plan"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/store"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/mdm"
)

func testDelivery(t *testing.T, open Open) {
	t.Run("two workers share the due devices", func(t *testing.T) {
		db := open(t)
		f := facet(t, db)
		var ids []subject.DeviceID
		for n := range 20 {
			ids = append(ids, f.enrolled(fmt.Sprintf("u%d@example.com", n), fmt.Sprint(n)))
		}
		f.must(db.Journal().Record(t.Context(), journal.Entry{At: at, Action: journal.DeviceUpdated, Due: subject.Scope{Devices: ids}}))
		var wg sync.WaitGroup
		var mu sync.Mutex
		taken := map[subject.DeviceID]int{}
		for range 4 {
			wg.Go(func() {
				for range 10 {
					leases, err := db.Delivery().DevicesLeased(t.Context(), at, at.Add(time.Minute), 3)
					if err != nil {
						t.Error(err)
					}
					mu.Lock()
					for _, l := range leases {
						taken[l.Device]++
					}
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		if len(taken) != 20 {
			t.Errorf("%d devices were taken, want 20", len(taken))
		}
		for id, n := range taken {
			if n != 1 {
				t.Errorf("%s was taken %d times", id, n)
			}
		}
		again, err := db.Delivery().DevicesLeased(t.Context(), at.Add(time.Minute), at.Add(2*time.Minute), 50)
		if err != nil || len(again) != 20 {
			t.Errorf("after the leases: got %d, %v; want 20", len(again), err)
		}
	})

	t.Run("a plan counts only while nothing else happens", func(t *testing.T) {
		d := deliver(t, open(t))
		stale := d.lease()
		d.touch()
		d.store(delivery.Decision{Lease: stale}, delivery.ErrStale)
		lost := d.lease() // given back at once
		fresh := d.leaseAt(at.Add(time.Minute))
		d.store(delivery.Decision{Lease: lost}, delivery.ErrStale)
		d.store(delivery.Decision{Lease: fresh}, nil)
		d.store(delivery.Decision{Lease: fresh}, delivery.ErrStale)
		isDue(t, d.db, map[subject.DeviceID]bool{d.id: false})
	})

	t.Run("what was done leaves the device due", func(t *testing.T) {
		d := deliver(t, open(t))
		c := mdm.CertificateList(d.id)
		c.CreatedAt = at
		d.store(delivery.Decision{Lease: d.lease(), Moves: []delivery.Move{{Do: delivery.Ask, Command: &c}}}, nil)
		isDue(t, d.db, map[subject.DeviceID]bool{d.id: true})
	})

	t.Run("time alone makes due", func(t *testing.T) {
		d := deliver(t, open(t))
		d.store(delivery.Decision{Lease: d.lease(), Next: at.Add(time.Hour)}, nil)
		d.tick(at.Add(time.Hour-time.Second), 0)
		isDue(t, d.db, map[subject.DeviceID]bool{d.id: false})
		d.tick(at.Add(time.Hour), 1)
		isDue(t, d.db, map[subject.DeviceID]bool{d.id: true})
		d.tick(at.Add(2*time.Hour), 0)
	})

	t.Run("facts are whole", func(t *testing.T) {
		db := open(t)
		d := deliver(t, db)
		f := facet(t, db)
		user := f.device(d.id).User
		group, err := db.Directory().GroupSaved(t.Context(), "g", []subject.UserID{user}, entry(journal.GroupChanged))
		f.must(err)
		imported := deposit(subject.User{ID: user, Mail: "alice@example.com"}, "imported")
		keep(t, db, imported, true)
		keep(t, db, deposit(addUser(t, db, "bob@example.com"), "bob's"), true)
		s := scepFacetOf(t, db)
		issued := s.issue(s.by(s.challenge(cert.Holder{User: user, Device: d.id}, "p")))
		other := s.issue(s.by(s.challenge(cert.Holder{User: user, Device: subject.NewDeviceID()}, "p")))
		sent := d.send(parcelOf("sent"))
		d.fetch()
		d.report(mdm.Outcome{State: mdm.Failed, Errors: []mdm.ErrorItem{{Code: 4001, Domain: "MCInstallationErrorDomain", Description: "No"}}})
		list := d.ask(mdm.CertificateList(d.id))
		d.report(mdm.Outcome{State: mdm.Acknowledged, Listed: true, Certificates: []mdm.Held{{Fingerprint: issued.Fingerprint, Identity: true}}})
		d.ask(mdm.ManagedApplicationList(d.id))
		d.report(mdm.Outcome{State: mdm.Acknowledged, Configured: true, Apps: []mdm.App{{Bundle: "com.microsoft.Office.Outlook", State: "Managed", Configured: true}, {Bundle: "x", State: "Failed"}}})
		open := d.ask(mdm.DeviceInformation(d.id))

		got := d.facts()
		if !got.Enrolled || got.Removed || got.Open != 1 || !got.Seen.Equal(at) || got.User.ID != user || got.Device.UDID != "udid" ||
			got.Identity != cert.FingerprintOf([]byte(d.id)) ||
			!slices.Equal(got.User.Groups, []subject.GroupID{group}) {
			t.Errorf("device and user: %+v", got)
		}
		var records []cert.Fingerprint
		for _, r := range got.Records {
			records = append(records, r.Fingerprint)
		}
		if !slices.Contains(records, imported.Key.Cert) || !slices.Contains(records, issued.Fingerprint) || slices.Contains(records, other.Fingerprint) || len(records) != 2 {
			t.Errorf("records: %v", records)
		}
		want := sent.Parcel
		want.Profile, want.WantsSeal, want.Sealed, want.SealedAt = true, false, true, at
		want.Command = plan.Command{UUID: sent.Command.UUID, State: plan.CommandFailed, SentAt: at, DoneAt: at, Error: "No (MCInstallationErrorDomain 4001)"}
		if diff := cmp.Diff([]plan.Parcel{want}, got.Parcels); diff != "" {
			t.Errorf("parcels: %s", diff)
		}
		if diff := cmp.Diff([]plan.Held{{Fingerprint: issued.Fingerprint, Identity: true}}, got.Held); diff != "" {
			t.Errorf("held: %s", diff)
		}
		if !got.HeldAt.Equal(at) || !got.AppsAt.Equal(at) || !got.InformedAt.IsZero() || got.App != (plan.App{State: "Managed", Configured: true}) {
			t.Errorf("inventory: %v %v %v %v", got.HeldAt, got.AppsAt, got.InformedAt, got.App)
		}
		asked := []plan.Asked{{Question: plan.Certificates, DoneAt: at}, {Question: plan.Information, Open: true}, {Question: plan.Apps, DoneAt: at}}
		byQuestion := cmpopts.SortSlices(func(a, b plan.Asked) bool { return a.Question < b.Question })
		if diff := cmp.Diff(asked, got.Asked, byQuestion); diff != "" {
			t.Errorf("asked %s and %s: %s", list, open, diff)
		}
	})

	t.Run("bytes from before a renewal are not handed out", func(t *testing.T) {
		for name, c := range map[string]struct {
			change func(*plan.Parcel)
			want   bool
		}{
			"sealed to the old identity": {func(*plan.Parcel) {}, false},
			"sealed to nobody":           {func(p *plan.Parcel) { p.NeedsKey = false }, true},
			"the renewal itself":         {func(p *plan.Parcel) { p.Kind = plan.Enrollment }, true},
		} {
			d := deliver(t, open(t))
			p := parcelOf("x")
			c.change(&p)
			d.send(p)
			f, later := facet(t, d.db), at.Add(time.Minute)
			b := mdm.Binding{Device: d.id, UDID: "udid", Identity: cert.FingerprintOf([]byte("renewed")), Topic: "t", At: later}
			d.must(f.Authenticated(t.Context(), b, entry(journal.DeviceUpdated)))
			if _, found := d.poll(later); found != c.want {
				t.Errorf("%s: handed out %v, want %v", name, found, c.want)
			}
			if got := d.facts(); got.Identity != b.Identity || !got.IdentityAt.Equal(later) || got.Topic != "t" {
				t.Errorf("%s: facts %s at %v, topic %q", name, got.Identity, got.IdentityAt, got.Topic)
			}
		}
	})

	t.Run("what was refused too often is tried again when asked for", func(t *testing.T) {
		d := deliver(t, open(t))
		p := d.send(parcelOf("x"))
		d.fetch()
		d.report(mdm.Outcome{State: mdm.Failed, Errors: []mdm.ErrorItem{{Code: mdm.CodeFormat, Domain: mdm.OwnDomain, Description: "No"}}})
		for range 3 {
			c := mdm.InstallProfile(d.id, p.ID)
			c.CreatedAt = at
			d.move(delivery.Move{Do: plan.Again, Parcel: p.ID, Command: &c})
		}
		before := d.facts()
		if got := before.Parcels[0]; got.Attempts != 3 {
			t.Errorf("before: %d tries, want 3", got.Attempts)
		}
		c := mdm.ProfileList(d.id)
		c.CreatedAt = at
		e := entry(journal.DeviceRefresh)
		e.Due = subject.OfDevice(d.id)
		d.must(facet(t, d.db).Refreshed(t.Context(), mdm.Refreshment{Device: d.id, Commands: []mdm.Command{c}}, e))
		if got := d.facts(); got.Parcels[0].Attempts != 0 || got.Open != before.Open+1 {
			t.Errorf("after: %d tries, %d commands; want 0 and %d", got.Parcels[0].Attempts, got.Open, before.Open+1)
		}
		isDue(t, d.db, map[subject.DeviceID]bool{d.id: true})
	})

	t.Run("a command that cannot be read stands out", func(t *testing.T) {
		d := deliver(t, open(t))
		d.send(parcelOf("x"))
		d.fetch()
		d.report(mdm.Outcome{State: mdm.Failed, Errors: []mdm.ErrorItem{{Code: mdm.CodeFormat, Domain: mdm.OwnDomain, Description: "No"}}})
		if got := d.facts().Parcels[0].Command; !got.Odd || got.State != plan.CommandFailed {
			t.Errorf("got %+v", got)
		}
	})

	t.Run("profiles are those listed last", func(t *testing.T) {
		d := deliver(t, open(t))
		if got := d.facts(); len(got.Profiles) != 0 || !got.ProfilesAt.IsZero() {
			t.Errorf("never asked: got %v at %v", got.Profiles, got.ProfilesAt)
		}
		for _, list := range [][]string{{"org.example.a", "org.example.b"}, {}, {"org.example.b"}} {
			d.ask(mdm.ProfileList(d.id))
			d.report(mdm.Outcome{State: mdm.Acknowledged, Profiles: list, Shown: true})
			if got := d.facts(); !slices.Equal(got.Profiles, list) || !got.ProfilesAt.Equal(at) {
				t.Errorf("got %v at %v, want %v", got.Profiles, got.ProfilesAt, list)
			}
		}
		d.ask(mdm.ProfileList(d.id))
		d.report(mdm.Outcome{State: mdm.Failed})
		if got := d.facts(); len(got.Profiles) != 1 {
			t.Errorf("after a failure: got %v", got.Profiles)
		}
	})

	t.Run("only the renewal is handed out", func(t *testing.T) {
		d := deliver(t, open(t))
		d.send(parcelOf("x"))
		d.ask(mdm.CertificateList(d.id))
		p := parcelOf("renewal")
		p.Kind = plan.Enrollment
		want := d.send(p)
		next := func(r mdm.Refused, repeat bool, after string) string {
			t.Helper()
			c, _, err := facet(t, d.db).Next(t.Context(), mdm.Poll{Device: d.id, Refused: r, Renewal: true, Repeat: repeat, After: after, At: at, Until: at})
			d.must(err)
			if c.UUID != "" && (!c.Renews || string(c.Payload) != "sealed") {
				t.Errorf("got %+v", c)
			}
			return c.UUID
		}
		for _, r := range []mdm.Refused{mdm.RefusedToo, mdm.SkipRefused, mdm.RefusedLast} {
			if got := next(r, false, "c"); got != want.Command.UUID {
				t.Errorf("way %d: got %q, want the renewal", r, got)
			}
		}
		if got := next(mdm.RefusedToo, true, "c"); got != want.Command.UUID {
			t.Errorf("repeated: got %q, want the renewal", got)
		}
		d.last = want.Command.UUID
		d.report(mdm.Outcome{State: mdm.Acknowledged})
		if got := next(mdm.RefusedToo, false, ""); got != "" {
			t.Errorf("afterwards: got %q", got)
		}
		if c, found := d.poll(at); !found || c.Renews {
			t.Errorf("without that limit: got %+v, %v", c, found)
		}
	})

	t.Run("the identity that a device is bound to", func(t *testing.T) {
		db := open(t)
		f, s := facet(t, db), scepFacetOf(t, db)
		inv := f.invite("alice@example.com")
		h := cert.Holder{User: inv.User.ID, Device: inv.Device.ID}
		first, other := s.issue(s.by(s.challenge(h, "p"))), s.issue(s.by(s.challenge(h, "p")))
		bound := func(want cert.Fingerprint) {
			t.Helper()
			got, found, err := db.Certificates().Bound(t.Context(), h.Device)
			if err != nil || found != !want.IsZero() || got.Fingerprint != want {
				t.Errorf("got %s, %v, %v; want %s", got.Fingerprint, found, err, want)
			}
		}
		bound(cert.Fingerprint{})
		for _, r := range []cert.Record{first, other} {
			b := mdm.Binding{Device: h.Device, UDID: "U-1", Identity: r.Fingerprint, Topic: "t", At: at}
			f.must(f.Authenticated(t.Context(), b, entry(journal.DeviceUpdated)))
			bound(r.Fingerprint)
		}
	})

	t.Run("why a certificate was refused, while none was given since", func(t *testing.T) {
		db := open(t)
		f, s := facet(t, db), scepFacetOf(t, db)
		id := f.enrolled("alice@example.com", "udid")
		h := cert.Holder{User: f.device(id).User, Device: id}
		refusal := func(when, want string) {
			t.Helper()
			got, err := db.Delivery().Facts(t.Context(), []subject.DeviceID{id})
			if err != nil || len(got) != 1 || got[0].Refusal != want {
				t.Errorf("%s: got %+v, %v; want %q", when, got, err, want)
			}
		}
		c := s.challenge(h, "p")
		refusal("at first", "")
		s.must(s.ChallengeRefused(t.Context(), c.Hash, "The key is too weak.", entry(journal.ChallengeRefused)))
		s.must(s.ChallengeRefused(t.Context(), c.Hash, "Another reason.", entry(journal.ChallengeRefused)))
		refusal("refused", "Another reason.")
		s.issue(s.by(c))
		refusal("given", "")
		c = s.challenge(h, "p")
		s.must(s.ChallengeRefused(t.Context(), c.Hash, "A third.", entry(journal.ChallengeRefused)))
		s.challenge(h, "p")
		refusal("with a newer challenge", "")
	})

	t.Run("facts of many are each their own", func(t *testing.T) {
		db := open(t)
		f := facet(t, db)
		var ids []subject.DeviceID
		for n := range 3 {
			ids = append(ids, f.enrolled(fmt.Sprintf("u%d@example.com", n), fmt.Sprint(n)))
			keep(t, db, deposit(subject.User{ID: f.device(ids[n]).User, Mail: "x@example.com"}, fmt.Sprint(n)), true)
		}
		got, err := db.Delivery().Facts(t.Context(), ids)
		if err != nil || len(got) != 3 {
			t.Fatalf("got %d, %v; want 3", len(got), err)
		}
		for _, g := range got {
			if n := slices.Index(ids, g.Device.ID); len(g.Records) != 1 || g.Records[0].Fingerprint != cert.FingerprintOf([]byte(fmt.Sprint(n))) {
				t.Errorf("%d: %d records", n, len(g.Records))
			}
		}
		if none, err := db.Delivery().Facts(t.Context(), nil); err != nil || len(none) != 0 {
			t.Errorf("of nobody: got %v, %v", none, err)
		}
	})

	t.Run("a replaced parcel leaves its trace", func(t *testing.T) {
		for name, fetched := range map[string]bool{"fetched": true, "not fetched": false} {
			t.Run(name, func(t *testing.T) {
				d := deliver(t, open(t))
				old := d.send(parcelOf("old"))
				if fetched {
					d.fetch()
				}
				p, c := d.make(parcelOf("new"))
				d.move(delivery.Move{Do: plan.Replace, Parcel: old.ID, New: p, Command: c})
				got := d.facts()
				if len(got.Parcels) != 1 || got.Parcels[0].Digest != "new" || got.Parcels[0].OnDevice != fetched {
					t.Errorf("parcels: %+v", got.Parcels)
				}
				if c := d.command(old.Command.UUID); c.State != mdm.Cancelled {
					t.Errorf("the old command is %s", c.State)
				}
			})
		}
	})

	t.Run("a parcel that was fetched in that moment does not end", func(t *testing.T) {
		d := deliver(t, open(t))
		p := d.send(parcelOf("p"))
		l := d.lease()
		d.fetch()
		d.store(delivery.Decision{Lease: l, Moves: []delivery.Move{{Do: plan.End, Parcel: p.ID}}}, delivery.ErrStale)
		if len(d.facts().Parcels) != 1 {
			t.Error("the parcel is gone")
		}
	})

	t.Run("a failed parcel is made anew", func(t *testing.T) {
		d := deliver(t, open(t))
		p := d.send(parcelOf("p"))
		d.fetch()
		d.report(mdm.Outcome{State: mdm.Failed})
		c := mdm.InstallProfile(d.id, p.ID)
		c.CreatedAt = at
		d.move(delivery.Move{Do: plan.Again, Parcel: p.ID, Command: &c})
		got := d.facts().Parcels[0]
		if got.Attempts != 1 || !got.WantsSeal || got.Sealed || !got.OnDevice || got.Command.UUID != c.UUID || got.Command.State != plan.CommandQueued {
			t.Errorf("got %+v", got)
		}
	})

	t.Run("bytes are forgotten, with their age once they arrived", func(t *testing.T) {
		for name, done := range map[string]bool{"taken": true, "on the way": false} {
			t.Run(name, func(t *testing.T) {
				d := deliver(t, open(t))
				p := d.send(parcelOf("p"))
				d.fetch()
				if done {
					d.report(mdm.Outcome{State: mdm.Acknowledged})
				}
				d.move(delivery.Move{Do: plan.Drop, Parcel: p.ID})
				got := d.facts().Parcels[0]
				if got.Sealed || got.WantsSeal || got.SealedAt.IsZero() != done {
					t.Errorf("got %+v", got)
				}
				d.move(delivery.Move{Do: plan.Reseal, Parcel: p.ID})
				if !d.facts().Parcels[0].WantsSeal {
					t.Error("it is not sealed again")
				}
			})
		}
	})

	t.Run("a removal is counted and ends", func(t *testing.T) {
		d := deliver(t, open(t))
		p := d.send(parcelOf("p"))
		for n := range 2 {
			c := mdm.RemoveProfile(d.id, "p")
			c.CreatedAt = at
			d.move(delivery.Move{Do: plan.Withdraw, Parcel: p.ID, Command: &c})
			got := d.facts().Parcels[0]
			if got.Attempts != n || got.Removal.UUID != c.UUID || got.WantsSeal || got.Sealed || got.Command.State != plan.CommandCancelled {
				t.Errorf("withdrawn %d times: %+v", n+1, got)
			}
			d.fetch()
			d.report(mdm.Outcome{State: mdm.Acknowledged})
		}
		d.move(delivery.Move{Do: plan.End, Parcel: p.ID})
		if len(d.facts().Parcels) != 0 {
			t.Error("the parcel is still there")
		}
	})

	t.Run("a certificate is revoked with its trace", func(t *testing.T) {
		db := open(t)
		d := deliver(t, db)
		s := scepFacetOf(t, db)
		r := s.issue(s.by(s.challenge(cert.Holder{User: facet(t, db).device(d.id).User, Device: d.id}, "p")))
		for range 2 {
			d.store(delivery.Decision{Lease: d.lease(), Revoke: []plan.Revocation{{Cert: r.Fingerprint, Reason: plan.Superseded}}}, nil)
		}
		if got := d.facts().Records[0]; !got.RevokedAt.Equal(at) || got.Reason != plan.Superseded {
			t.Errorf("got revoked %v for %q", got.RevokedAt, got.Reason)
		}
		log, err := db.Journal().Latest(t.Context(), 100)
		n := 0
		for _, e := range log {
			if e.Action == journal.CertificateRevoked && e.Cert == r.Fingerprint && e.Detail["reason"] == plan.Superseded {
				n++
			}
		}
		if err != nil || n != 1 {
			t.Errorf("journal: %d entries, %v; want 1", n, err)
		}
	})

	t.Run("all of a plan is stored or nothing", func(t *testing.T) {
		d := deliver(t, open(t))
		p, c := d.make(parcelOf("p"))
		unknown := delivery.Move{Do: plan.Reseal, Parcel: "unknown"}
		d.store(delivery.Decision{Lease: d.lease(), Moves: []delivery.Move{{Do: plan.Send, New: p, Command: c}, unknown}}, delivery.ErrStale)
		if got := d.facts(); len(got.Parcels) != 0 || got.Open != 0 {
			t.Errorf("got %d parcels, %d commands", len(got.Parcels), got.Open)
		}
		isDue(t, d.db, map[subject.DeviceID]bool{d.id: true})
	})

	t.Run("two keepers share the parcels", func(t *testing.T) {
		d := deliver(t, open(t))
		for n := range 12 {
			d.post(parcelOf(fmt.Sprint(n)))
		}
		var wg sync.WaitGroup
		won := make(chan string, 100)
		for range 3 {
			wg.Go(func() {
				for range 10 {
					list, err := d.db.Delivery().ParcelsLeased(t.Context(), at, at.Add(time.Minute), 2)
					if err != nil {
						t.Error(err)
					}
					for _, u := range list {
						won <- u.ID
					}
				}
			})
		}
		wg.Wait()
		close(won)
		seen := map[string]bool{}
		for id := range won {
			if seen[id] {
				t.Errorf("%s was leased twice", id)
			}
			seen[id] = true
		}
		if len(seen) != 12 {
			t.Errorf("%d parcels were leased, want 12", len(seen))
		}
	})

	t.Run("what needs no key is sealed without", func(t *testing.T) {
		d := deliver(t, open(t))
		d.post(parcelOf("needs one"))
		needless := parcelOf("needs none")
		needless.NeedsKey = false
		want := d.post(needless)
		for _, n := range []int{1, 0} {
			list, err := d.db.Delivery().KeylessLeased(t.Context(), at, at.Add(time.Minute), 9)
			if err != nil || len(list) != n || n > 0 && list[0].ID != want.ID {
				t.Errorf("KeylessLeased: got %v, %v, want %d", list, err, n)
			}
		}
		if u := d.leaseParcel(at); !u.NeedsKey {
			t.Errorf("got %+v, want the other", u)
		}
	})

	t.Run("bytes count only under the lease", func(t *testing.T) {
		d := deliver(t, open(t))
		p := d.post(parcelOf("p"))
		first := d.leaseParcel(at)
		second := d.leaseParcel(at.Add(time.Minute))
		if first.ID != p.ID || string(first.Frame) != `{"digest":"p"}` || !first.NeedsKey || first.Device.ID != d.id || first.User.Mail != "alice@example.com" {
			t.Errorf("got %+v", first)
		}
		d.seal(first, false)
		d.fail(first, false)
		d.seal(second, true)
		d.seal(second, false)
		if got := d.facts().Parcels[0]; !got.Sealed || got.WantsSeal || !got.SealedAt.Equal(at) {
			t.Errorf("got %+v", got)
		}
		if dev := facet(t, d.db).device(d.id); dev.WakeAt.IsZero() {
			t.Error("nobody wakes the device")
		}
	})

	t.Run("a parcel that is over takes no bytes", func(t *testing.T) {
		d := deliver(t, open(t))
		p := d.post(parcelOf("p"))
		u := d.leaseParcel(at)
		d.move(delivery.Move{Do: plan.End, Parcel: p.ID})
		d.seal(u, false)
	})

	t.Run("a failure is noted and makes due", func(t *testing.T) {
		d := deliver(t, open(t))
		d.post(parcelOf("p"))
		u := d.leaseParcel(at)
		settle(t, d.db)
		d.fail(u, true)
		if got := d.facts().Parcels[0]; got.Failure != "No." || !got.FailedAt.Equal(at) || got.WantsSeal {
			t.Errorf("got %+v", got)
		}
		isDue(t, d.db, map[subject.DeviceID]bool{d.id: true})
	})

	t.Run("who speaks again becomes due", func(t *testing.T) {
		d := deliver(t, open(t))
		p := d.post(parcelOf("p"))
		d.seal(d.leaseParcel(at), true)
		d.move(delivery.Move{Do: plan.Drop, Parcel: p.ID})
		settle(t, d.db)
		day := at.Add(24 * time.Hour)
		d.tick(day.Add(time.Hour), 0)
		d.poll(day.Add(2 * time.Hour))
		d.tick(day.Add(2*time.Hour), 1)
		d.tick(day.Add(2*time.Hour), 0) // it is due already
	})

	t.Run("what is over is forgotten", func(t *testing.T) {
		d := deliver(t, open(t))
		p := d.post(parcelOf("p"))
		d.move(delivery.Move{Do: plan.End, Parcel: p.ID})
		for _, c := range []struct {
			forget time.Time
			free   bool
		}{{at.Add(-10 * time.Minute), false}, {at, true}} {
			if _, err := d.db.Delivery().Ticked(t.Context(), at, at, c.forget); err != nil {
				t.Fatal(err)
			}
			again, command := d.make(parcelOf("p"))
			again.ID = p.ID // free once it is forgotten
			l := d.leaseAt(c.forget.Add(time.Hour))
			err := d.db.Delivery().Planned(t.Context(), delivery.Decision{Lease: l, Moves: []delivery.Move{{Do: plan.Send, New: again, Command: command}}}, entry(journal.PlanStored))
			if (err == nil) != c.free {
				t.Errorf("after forgetting what ended until %s: %v", c.forget, err)
			}
		}
	})

	t.Run("a user's devices, newest first", func(t *testing.T) {
		db := open(t)
		f := facet(t, db)
		id := f.enrolled("alice@example.com", "1")
		f.invite("bob@example.com")
		got, err := db.Delivery().DevicesOf(t.Context(), f.device(id).User)
		if diff := cmp.Diff([]subject.DeviceID{id}, got); err != nil || diff != "" {
			t.Errorf("%v\n%s", err, diff)
		}
		for _, nobody := range [][]subject.UserID{{"nobody"}, nil} {
			if got, err := db.Delivery().DevicesOf(t.Context(), nobody...); err != nil || got == nil || len(got) != 0 {
				t.Errorf("of %q: got %v, %v; want an empty list", nobody, got, err)
			}
		}
		young := f.enrolled("carol@example.com", "2")
		got, err = db.Delivery().DevicesOf(t.Context(), f.device(id).User, f.device(young).User)
		if diff := cmp.Diff([]subject.DeviceID{young, id}, got); err != nil || diff != "" {
			t.Errorf("of two users: %v\n%s", err, diff)
		}
	})
}

// isDue compares which devices are due. It leases them for no time.
func isDue(t *testing.T, db *store.DB, want map[subject.DeviceID]bool) {
	t.Helper()
	leases, err := db.Delivery().DevicesLeased(t.Context(), at.Add(time.Hour), at.Add(time.Hour), 100)
	if err != nil {
		t.Fatal(err)
	}
	for id, due := range want {
		if got := slices.ContainsFunc(leases, func(l delivery.Lease) bool { return l.Device == id }); got != due {
			t.Errorf("device %s: due %v, want %v", id, got, due)
		}
	}
}

// settle leaves no device due.
func settle(t *testing.T, db *store.DB) {
	t.Helper()
	leases, err := db.Delivery().DevicesLeased(t.Context(), at.Add(time.Hour), at.Add(2*time.Hour), 100)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range leases {
		if err := db.Delivery().Planned(t.Context(), delivery.Decision{Lease: l}, entry(journal.PlanStored)); err != nil {
			t.Fatal(err)
		}
	}
}

// delivered is one enrolled device and what is done to it.
type delivered struct {
	t    *testing.T
	db   *store.DB
	id   subject.DeviceID
	last string // the command that was handed out last
}

func deliver(t *testing.T, db *store.DB) *delivered {
	t.Helper()
	d := &delivered{t: t, db: db, id: facet(t, db).enrolled("alice@example.com", "udid")}
	d.touch()
	return d
}

func (d *delivered) must(err error) {
	d.t.Helper()
	if err != nil {
		d.t.Fatal(err)
	}
}

func (d *delivered) lease() delivery.Lease { d.t.Helper(); return d.leaseAt(at) }

func (d *delivered) leaseAt(now time.Time) delivery.Lease {
	d.t.Helper()
	leases, err := d.db.Delivery().DevicesLeased(d.t.Context(), now, now.Add(time.Minute), 1)
	d.must(err)
	if len(leases) != 1 {
		d.t.Fatal("the device is not due")
	}
	return leases[0]
}

func (d *delivered) store(x delivery.Decision, want error) {
	d.t.Helper()
	e := entry(journal.PlanStored)
	e.Due = subject.OfDevice(x.Device)
	if err := d.db.Delivery().Planned(d.t.Context(), x, e); !errors.Is(err, want) {
		d.t.Fatalf("Planned: got %v, want %v", err, want)
	}
}

func (d *delivered) touch() {
	d.t.Helper()
	d.must(d.db.Journal().Record(d.t.Context(), journal.Entry{At: at, Action: journal.DeviceUpdated, Due: subject.OfDevice(d.id)}))
}

func (d *delivered) tick(now time.Time, want int) {
	d.t.Helper()
	n, err := d.db.Delivery().Ticked(d.t.Context(), now, now.Add(-24*time.Hour), at.Add(-time.Hour))
	if err != nil || n != want {
		d.t.Errorf("Ticked at %s: got %d, %v; want %d", now, n, err, want)
	}
}

func parcelOf(digest string) plan.Parcel {
	return plan.Parcel{Kind: plan.Mail, Identifier: "org.example.mail", Digest: digest, Label: "Your mail account",
		Certs: []cert.Fingerprint{cert.FingerprintOf([]byte(digest))}, Signs: true, NeedsKey: true, WantsSeal: true, CreatedAt: at}
}

func (d *delivered) make(p plan.Parcel) (*delivery.Parcel, *mdm.Command) {
	p.ID = "p-" + string(subject.NewDeviceID())
	c := mdm.InstallProfile(d.id, p.ID)
	c.CreatedAt, p.Command.UUID = at, c.UUID
	return &delivery.Parcel{Parcel: p, Device: d.id, Frame: fmt.Appendf(nil, `{"digest":%q}`, p.Digest)}, &c
}

// move carries out one move.
func (d *delivered) move(m delivery.Move) {
	d.t.Helper()
	d.touch()
	d.store(delivery.Decision{Lease: d.lease(), Moves: []delivery.Move{m}}, nil)
}

// post makes a parcel that is to be sealed.
func (d *delivered) post(p plan.Parcel) *delivery.Parcel {
	d.t.Helper()
	made, c := d.make(p)
	d.move(delivery.Move{Do: plan.Send, New: made, Command: c})
	return made
}

// send makes a parcel that can be fetched.
func (d *delivered) send(p plan.Parcel) *delivery.Parcel {
	d.t.Helper()
	made := d.post(p)
	d.seal(d.leaseParcel(at), true)
	return made
}

func (d *delivered) leaseParcel(now time.Time) delivery.Unsealed {
	d.t.Helper()
	list, err := d.db.Delivery().ParcelsLeased(d.t.Context(), now, now.Add(time.Minute), 1)
	d.must(err)
	if len(list) != 1 {
		d.t.Fatal("nothing is to be sealed")
	}
	return list[0]
}

func (d *delivered) seal(u delivery.Unsealed, want bool) {
	d.t.Helper()
	s := delivery.SealedParcel{ID: u.ID, Device: d.id, Bytes: []byte("sealed"), At: at, Until: u.Until}
	if stored, err := d.db.Delivery().ParcelSealed(d.t.Context(), s, entry(journal.ParcelSealed)); err != nil || stored != want {
		d.t.Errorf("ParcelSealed: got %v, %v; want %v", stored, err, want)
	}
}

func (d *delivered) fail(u delivery.Unsealed, want bool) {
	d.t.Helper()
	e := entry(journal.ParcelFailed)
	e.Due = subject.OfDevice(d.id)
	f := delivery.FailedParcel{ID: u.ID, Reason: "No.", At: at, Until: u.Until}
	if stored, err := d.db.Delivery().ParcelFailed(d.t.Context(), f, e); err != nil || stored != want {
		d.t.Errorf("ParcelFailed: got %v, %v; want %v", stored, err, want)
	}
}

func (d *delivered) ask(c mdm.Command) string {
	d.t.Helper()
	c.CreatedAt = at
	d.move(delivery.Move{Do: delivery.Ask, Command: &c})
	d.last = c.UUID
	return c.UUID
}

func (d *delivered) poll(now time.Time) (mdm.Command, bool) {
	d.t.Helper()
	c, found, err := facet(d.t, d.db).Next(d.t.Context(), mdm.Poll{Device: d.id, Refused: mdm.RefusedToo, At: now, Until: now.Add(time.Second)})
	d.must(err)
	return c, found
}

// fetch hands the next command to the device.
func (d *delivered) fetch() {
	d.t.Helper()
	c, found := d.poll(at)
	if !found {
		d.t.Fatal("there is nothing to fetch")
	}
	d.last = c.UUID
}

// report ends the last command.
func (d *delivered) report(o mdm.Outcome) {
	d.t.Helper()
	o.Device, o.Command, o.At = d.id, d.last, at
	_, err := facet(d.t, d.db).Reported(d.t.Context(), o, entry(journal.DeviceReported))
	d.must(err)
}

func (d *delivered) command(uuid string) mdm.Command {
	d.t.Helper()
	c, err := facet(d.t, d.db).Command(d.t.Context(), uuid)
	d.must(err)
	return c
}

func (d *delivered) facts() plan.Facts {
	d.t.Helper()
	list, err := d.db.Delivery().Facts(d.t.Context(), []subject.DeviceID{d.id})
	d.must(err)
	if len(list) != 1 {
		d.t.Fatalf("facts of %d devices, want 1", len(list))
	}
	return list[0]
}
