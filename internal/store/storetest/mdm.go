package storetest

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/delivery"
	"github.com/signet-mdm/signet/internal/delivery/plan"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/internal/store"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/mdm"
)

func testMDM(t *testing.T, open Open) {
	t.Run("an invitation is found by link and by device", func(t *testing.T) {
		f := facet(t, open(t))
		inv := f.invite("alice@example.com")
		for name, find := range map[string]func() (mdm.Invitation, error){
			"link":   func() (mdm.Invitation, error) { return f.Invitation(t.Context(), inv.Token) },
			"device": func() (mdm.Invitation, error) { return f.InvitationOf(t.Context(), inv.Device.ID) },
		} {
			got, err := find()
			if diff := cmp.Diff(inv, got); err != nil || diff != "" {
				t.Errorf("%s: %v\n%s", name, err, diff)
			}
		}
		if _, err := f.Invitation(t.Context(), seal.Random().Hash()); !errors.Is(err, mdm.ErrInvitation) {
			t.Errorf("unknown: got %v, want ErrInvitation", err)
		}
	})

	t.Run("an invitation tells how far it has come", func(t *testing.T) {
		f := facet(t, open(t))
		inv, enrolled := f.invite("alice@example.com"), f.enrolled("bob@example.com", "U-1")
		e := entry(journal.ProfileDownloaded)
		f.must(f.ProfileDownloaded(t.Context(), inv.Device.ID, e))
		e.At = at.Add(time.Minute)
		f.must(f.ProfileDownloaded(t.Context(), inv.Device.ID, e))
		if got, err := f.Invitation(t.Context(), inv.Token); err != nil || !got.DownloadedAt.Equal(e.At) {
			t.Errorf("downloaded: got %v, %v; want the last time", got.DownloadedAt, err)
		}
		got, err := f.Stages(t.Context(), []subject.DeviceID{inv.Device.ID, enrolled, subject.NewDeviceID()})
		want := map[subject.DeviceID]mdm.Stage{inv.Device.ID: {State: mdm.Invited, DownloadedAt: e.At}, enrolled: {State: mdm.Enrolled}}
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%v\n%s", err, diff)
		}
		if got, err := f.Stages(t.Context(), nil); err != nil || len(got) != 0 {
			t.Errorf("of none: got %v, %v", got, err)
		}
	})

	t.Run("a code is tried so often and taken once", func(t *testing.T) {
		f := facet(t, open(t))
		inv := f.invite("alice@example.com")
		right := mdm.Try{Token: inv.Token, Code: inv.Code, MaxTries: 2, At: at, Accepted: entry(journal.InvitationRedeemed), Failed: entry(journal.InvitationRefused)}
		wrong := right
		wrong.Code = seal.Random().Hash()
		try := func(x mdm.Try, want bool) {
			t.Helper()
			if got, err := f.CodeTried(t.Context(), x); err != nil || got != want {
				t.Errorf("got %v, %v; want %v", got, err, want)
			}
		}
		late := right
		late.At = inv.ExpiresAt.Add(time.Second)
		try(wrong, false)
		try(late, false)
		try(right, false) // it was the third

		other := f.invite("bob@example.com")
		right.Token, right.Code = other.Token, other.Code
		try(right, true)
		try(right, false)
		if got, err := f.Invitation(t.Context(), other.Token); err != nil || !got.RedeemedAt.Equal(at) || got.Tries != 0 {
			t.Errorf("redeemed: got %+v, %v", got, err)
		}
	})

	t.Run("authenticate binds and keeps what is not told again", func(t *testing.T) {
		f := facet(t, open(t))
		d := f.invite("alice@example.com").Device
		b := f.bind(d.ID, "U-1", mdm.Information{Name: "n", Model: "m", OSVersion: "18", Serial: "s", IMEI: "1", MEID: "2", WiFiMAC: "02:"})
		f.bindAgain(b, mdm.Information{OSVersion: "18.1"})
		got := f.device(d.ID)
		want := mdm.Device{Device: subject.Device{ID: d.ID, User: d.User, UDID: "U-1", Name: "n", Model: "m", OSVersion: "18.1", Serial: "s",
			IMEI: "1", MEID: "2", WiFiMAC: "02:"},
			Owner: "alice@example.com", State: mdm.Enrolling, Identity: b.Identity, IdentityAt: at, CreatedAt: at, SeenAt: at}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		byUDID, err := f.DeviceByUDID(t.Context(), "U-1")
		if err != nil || byUDID.ID != d.ID {
			t.Errorf("by UDID: got %s, %v", byUDID.ID, err)
		}
	})

	t.Run("a device has one UDID and a UDID one device", func(t *testing.T) {
		f := facet(t, open(t))
		a, b := f.invite("alice@example.com").Device, f.invite("bob@example.com").Device
		first := f.bind(a.ID, "U-1", mdm.Information{})
		for name, c := range map[string]struct {
			binding mdm.Binding
			want    error
		}{
			"another UDID":  {mdm.Binding{Device: a.ID, UDID: "U-2", At: at}, mdm.ErrIdentity},
			"another's":     {mdm.Binding{Device: b.ID, UDID: "U-1", At: at}, mdm.ErrDeviceTaken},
			"nobody's":      {mdm.Binding{Device: subject.NewDeviceID(), UDID: "U-3", At: at}, mdm.ErrIdentity},
			"wrong forsake": {mdm.Binding{Device: b.ID, UDID: "U-1", Supersedes: b.ID, At: at}, mdm.ErrDeviceTaken},
		} {
			if err := f.Authenticated(t.Context(), c.binding, entry(journal.DeviceUpdated)); !errors.Is(err, c.want) {
				t.Errorf("%s: got %v, want %v", name, err, c.want)
			}
		}
		if got := f.device(a.ID); got.UDID != "U-1" || got.Identity != first.Identity {
			t.Errorf("a refusal changed the device: %+v", got)
		}
	})

	t.Run("a superseded device gives its UDID up", func(t *testing.T) {
		f := facet(t, open(t))
		a, b := f.invite("alice@example.com").Device, f.invite("bob@example.com").Device
		f.bind(a.ID, "U-1", mdm.Information{})
		c := f.queue(a.ID, "X")[0]
		err := f.Authenticated(t.Context(), mdm.Binding{Device: b.ID, UDID: "U-1", Supersedes: a.ID, At: at}, entry(journal.DeviceUpdated), entry(journal.DeviceRemoved))
		if err != nil {
			t.Fatal(err)
		}
		if got := f.device(a.ID); got.State != mdm.Removed || got.UDID != "" {
			t.Errorf("old: got %s, UDID %q", got.State, got.UDID)
		}
		if got := f.device(b.ID); got.State != mdm.Enrolling || got.UDID != "U-1" {
			t.Errorf("new: got %s, UDID %q", got.State, got.UDID)
		}
		if got, err := f.Command(t.Context(), c.UUID); err != nil || got.State != mdm.Cancelled {
			t.Errorf("its command: got %s, %v; want cancelled", got.State, err)
		}
	})

	t.Run("a token is for who authenticated", func(t *testing.T) {
		f := facet(t, open(t))
		d := f.invite("alice@example.com").Device
		tokens := mdm.Tokens{Device: d.ID, Topic: "t", Token: seal.Random(), PushMagic: seal.Random(), At: at}
		if err := f.TokensUpdated(t.Context(), tokens, entry(journal.DeviceEnrolled)); !errors.Is(err, mdm.ErrNotEnrolled) {
			t.Errorf("before Authenticate: got %v, want ErrNotEnrolled", err)
		}
		f.bind(d.ID, "U-1", mdm.Information{})
		tokens.UnlockToken = seal.Random()
		f.must(f.TokensUpdated(t.Context(), tokens, entry(journal.DeviceEnrolled)))
		if got := f.device(d.ID); got.State != mdm.Enrolled || !got.EnrolledAt.Equal(at) {
			t.Errorf("got %s at %v", got.State, got.EnrolledAt)
		}
		f.must(f.DeviceRemoved(t.Context(), d.ID, nil, entry(journal.DeviceRemoved)))
		if err := f.TokensUpdated(t.Context(), tokens, entry(journal.DeviceEnrolled)); !errors.Is(err, mdm.ErrNotEnrolled) {
			t.Errorf("after removal: got %v, want ErrNotEnrolled", err)
		}
	})

	t.Run("a command is reported once", func(t *testing.T) {
		f := facet(t, open(t))
		d := f.enrolled("alice@example.com", "U-1")
		c := f.queue(d, "CertificateList")[0]
		o := mdm.Outcome{Device: d, Command: c.UUID, State: mdm.Acknowledged, At: at, Listed: true,
			Certificates: []mdm.Held{{Fingerprint: cert.FingerprintOf([]byte("x")), Identity: true}}}
		stranger := o
		stranger.Device = f.enrolled("bob@example.com", "U-2")
		late := o
		late.Certificates = nil
		for _, step := range []struct {
			name string
			o    mdm.Outcome
			want bool
		}{{"another device", stranger, false}, {"first", o, true}, {"again", late, false},
			{"NotNow, late", mdm.Outcome{Device: d, Command: c.UUID, State: mdm.Queued, At: at}, false}} {
			if got, err := f.Reported(t.Context(), step.o, entry(journal.DeviceReported)); err != nil || got != step.want {
				t.Errorf("%s: got %v, %v; want %v", step.name, got, err, step.want)
			}
		}
		got, err := f.Detail(t.Context(), "U-1")
		if err != nil || !cmp.Equal(got.Certificates, o.Certificates) || !got.ListedAt.Equal(at) {
			t.Errorf("inventory: got %+v, %v", got.Certificates, err)
		}
		if got.Commands[0].State != mdm.Acknowledged || !got.Commands[0].DoneAt.Equal(at) {
			t.Errorf("command: got %+v", got.Commands[0])
		}
	})

	t.Run("a lease is one poll's", func(t *testing.T) {
		f := facet(t, open(t))
		d := f.enrolled("alice@example.com", "U-1")
		f.queue(d, "A", "B", "C", "D", "E")
		var given sync.Map
		var none atomic.Int32
		var wg sync.WaitGroup
		for range 12 {
			wg.Go(func() {
				c, found, err := f.Next(t.Context(), mdm.Poll{Device: d, Refused: mdm.RefusedToo, At: at, Until: at.Add(time.Minute)})
				if err != nil {
					t.Error(err)
				}
				if !found {
					none.Add(1)
				} else if _, twice := given.LoadOrStore(c.UUID, true); twice {
					t.Errorf("%s was given twice", c.RequestType)
				}
			})
		}
		wg.Wait()
		if none.Load() != 7 {
			t.Errorf("%d polls got nothing, want 7", none.Load())
		}
	})

	t.Run("refused commands wait, come last or come at once", func(t *testing.T) {
		f := facet(t, open(t))
		d := f.enrolled("alice@example.com", "U-1")
		list := f.queue(d, "A", "B")
		ahead := at.Add(time.Minute)
		if _, err := f.Reported(t.Context(), mdm.Outcome{Device: d, Command: list[0].UUID, State: mdm.Queued, NotBefore: ahead, At: at}, journal.Entry{}); err != nil {
			t.Fatal(err)
		}
		next := func(r mdm.Refused, want string) {
			t.Helper()
			c, _, err := f.Next(t.Context(), mdm.Poll{Device: d, Refused: r, At: at, Until: at}) // a lease of no length
			if err != nil || c.RequestType != want {
				t.Errorf("got %q, %v; want %q", c.RequestType, err, want)
			}
		}
		next(mdm.RefusedToo, "A")
		next(mdm.SkipRefused, "B")
		next(mdm.RefusedLast, "B")
		if _, err := f.Reported(t.Context(), mdm.Outcome{Device: d, Command: list[1].UUID, State: mdm.Failed, At: at}, entry(journal.DeviceReported)); err != nil {
			t.Fatal(err)
		}
		next(mdm.SkipRefused, "")
		next(mdm.RefusedLast, "A")
		if got := f.device(d).WakeAt; !got.Equal(ahead) {
			t.Errorf("wake wanted at %v, want %v", got, ahead)
		}
	})

	t.Run("a profile is handed out once it is sealed", func(t *testing.T) {
		f := facet(t, open(t))
		d := f.enrolled("alice@example.com", "U-1")
		c := f.parcel(d, "p-1")
		poll := mdm.Poll{Device: d, Refused: mdm.RefusedToo, At: at, Until: at.Add(time.Minute)}
		if _, found, err := f.Next(t.Context(), poll); err != nil || found {
			t.Errorf("before: found %v, %v", found, err)
		}
		f.sealed([]byte("sealed"))
		if got := f.device(d).WakeAt; !got.Equal(at) {
			t.Errorf("wake wanted at %v, want %v", got, at)
		}
		got, found, err := f.Next(t.Context(), poll)
		if err != nil || !found || got.UUID != c.UUID || string(got.Payload) != "sealed" {
			t.Errorf("got %+v, found %v, %v", got, found, err)
		}
	})

	t.Run("a lost device is removed, and known to be lost", func(t *testing.T) {
		db := open(t)
		f := facet(t, db)
		lost, removed := f.enrolled("alice@example.com", "U-1"), f.enrolled("bob@example.com", "U-2")
		f.queue(lost, "A")
		farewell := mdm.RemoveProfile(lost, "org.example.enroll")
		farewell.CreatedAt = at
		f.must(f.DeviceLost(t.Context(), lost, &farewell, entry(journal.DeviceLost)))
		f.must(f.DeviceRemoved(t.Context(), removed, nil, entry(journal.DeviceRemoved)))
		f.must(f.DeviceLost(t.Context(), removed, nil, entry(journal.DeviceLost))) // too late: no entry
		for id, want := range map[subject.DeviceID]bool{lost: true, removed: false} {
			facts, err := db.Delivery().Facts(t.Context(), []subject.DeviceID{id})
			if err != nil || !facts[0].Removed || facts[0].Lost != want {
				t.Errorf("got %+v, %v; want lost %v", facts, err, want)
			}
		}
		if got := f.device(lost); got.State != mdm.Removed || got.Open != 1 {
			t.Errorf("got %s with %d commands", got.State, got.Open)
		}
		log, err := db.Journal().Latest(t.Context(), 100)
		f.must(err)
		n := 0
		for _, e := range log {
			if e.Action == journal.DeviceLost {
				n++
			}
		}
		if n != 1 {
			t.Errorf("%d entries, want 1", n)
		}
	})

	t.Run("a removed device keeps its last command only", func(t *testing.T) {
		f := facet(t, open(t))
		d := f.enrolled("alice@example.com", "U-1")
		f.queue(d, "A")
		farewell := mdm.RemoveProfile(d, "org.example.enroll")
		farewell.CreatedAt = at
		for range 2 {
			f.must(f.DeviceDismissed(t.Context(), mdm.Dismissal{Device: d, Farewell: farewell}, entry(journal.DeviceRemoved)))
		}
		c, found, err := f.Next(t.Context(), mdm.Poll{Device: d, At: at, Until: at.Add(time.Minute)})
		if err != nil || !found || c.UUID != farewell.UUID || c.Fields["Identifier"] != "org.example.enroll" {
			t.Errorf("got %+v, %v, %v", c, found, err)
		}
		f.must(f.DeviceRemoved(t.Context(), d, nil, entry(journal.DeviceRemoved)))
		if got := f.device(d); got.Open != 0 || got.State != mdm.Removed {
			t.Errorf("got %s with %d commands", got.State, got.Open)
		}
	})

	t.Run("people remove so many at a time", func(t *testing.T) {
		for name, c := range map[string]struct {
			fleet, percent, want int
		}{
			"five at most":          {30, 100, 5},
			"two of thirty":         {30, 7, 2},
			"a small fleet is free": {10, 7, 5},
		} {
			t.Run(name, func(t *testing.T) {
				f := facet(t, open(t))
				var ids []subject.DeviceID
				for n := range c.fleet {
					ids = append(ids, f.enrolled(fmt.Sprintf("u%d@example.com", n), fmt.Sprint("U-", n)))
				}
				never, itself := f.invite("x@example.com").Device.ID, f.enrolled("y@example.com", "U-y")
				f.must(f.DeviceRemoved(t.Context(), never, nil, by(journal.Admin, never))) // was never enrolled
				f.must(f.DeviceRemoved(t.Context(), itself, nil, by(journal.Device, itself)))
				dismiss := func(id subject.DeviceID, now time.Time, most int) error {
					x := mdm.Dismissal{Device: id, Farewell: mdm.RemoveProfile(id, "x"), Since: now.Add(-time.Hour), Most: most, Percent: c.percent, Fleet: 20}
					x.Farewell.CreatedAt = now
					e := by(journal.Admin, id)
					e.At = now
					return f.DeviceDismissed(t.Context(), x, e)
				}
				var done atomic.Int32
				var wg sync.WaitGroup
				for _, id := range ids[:8] {
					wg.Go(func() {
						switch err := dismiss(id, at, 5); {
						case err == nil:
							done.Add(1)
						case !errors.Is(err, mdm.ErrManyRemoved):
							t.Error(err)
						}
					})
				}
				wg.Wait()
				if int(done.Load()) != c.want {
					t.Errorf("%d were removed, want %d", done.Load(), c.want)
				}
				if err := dismiss(ids[9], at, 0); err != nil {
					t.Errorf("confirmed: %v", err)
				}
				if err := dismiss(ids[8], at.Add(time.Hour+time.Second), 5); err != nil {
					t.Errorf("an hour later: %v", err)
				}
			})
		}
	})

	t.Run("devices are listed with their last failure", func(t *testing.T) {
		f := facet(t, open(t))
		if list, err := f.DevicePage(t.Context(), mdm.Query{Limit: 100}); err != nil || list == nil || len(list) != 0 {
			t.Errorf("empty: got %v, %v", list, err)
		}
		d := f.enrolled("alice@example.com", "U-1")
		list := f.queue(d, "A", "B")
		for i, c := range list {
			o := mdm.Outcome{Device: d, Command: c.UUID, State: mdm.Failed, At: at.Add(time.Duration(i)), Errors: []mdm.ErrorItem{{Code: int64(i), Domain: "D", Description: "x"}}}
			o.At = at.Add(time.Duration(i) * time.Second)
			if _, err := f.Reported(t.Context(), o, entry(journal.DeviceReported)); err != nil {
				t.Fatal(err)
			}
		}
		got, err := f.DevicePage(t.Context(), mdm.Query{Limit: 100})
		if err != nil || len(got) != 1 || got[0].LastError == nil || got[0].LastError.UUID != list[1].UUID {
			t.Fatalf("got %+v, %v", got, err)
		}
		if want := []mdm.ErrorItem{{Code: 1, Domain: "D", Description: "x"}}; !cmp.Equal(got[0].LastError.Errors, want) {
			t.Errorf("got %v, want %v", got[0].LastError.Errors, want)
		}
		if _, err := f.Detail(t.Context(), ""); !errors.Is(err, mdm.ErrDeviceUnknown) {
			t.Errorf("empty key: got %v, want ErrDeviceUnknown", err)
		}
	})

	t.Run("no device stands in the place of another", func(t *testing.T) {
		f := facet(t, open(t))
		alice := f.enrolled("alice@example.com", "U-1")
		for i, says := range []struct{ udid, serial string }{{string(alice), "S-1"}, {"U-2", string(alice)}, {"U-3", "U-1"}} {
			bob := addUser(t, f.db, fmt.Sprintf("bob%d@example.com", i))
			inv := mdm.Invitation{Token: seal.Random().Hash(), Code: seal.Random().Hash(), User: bob, State: mdm.Invited,
				Device: subject.Device{ID: subject.NewDeviceID(), User: bob.ID}, CreatedAt: at.Add(time.Hour), ExpiresAt: at.Add(2 * time.Hour)}
			f.must(f.Invited(t.Context(), inv, entry(journal.DeviceInvited)))
			f.bind(inv.Device.ID, says.udid, mdm.Information{Serial: says.serial})
		}
		for _, key := range []string{string(alice), "U-1"} {
			if got, err := f.Detail(t.Context(), key); err != nil || got.ID != alice {
				t.Errorf("%s: got device %s, %v; want %s", key, got.ID, err, alice)
			}
		}
	})
}

// by is the removal of a device by such an actor.
func by(kind journal.ActorKind, id subject.DeviceID) journal.Entry {
	e := entry(journal.DeviceRemoved)
	e.Actor.Kind, e.Device = kind, id
	return e
}

// mdmFacet is the facet with what tests do over and over.
type mdmFacet struct {
	store.MDM
	t  *testing.T
	db *store.DB
}

func facet(t *testing.T, db *store.DB) mdmFacet {
	t.Helper()
	box, err := seal.NewBox(seal.RandomRoot(), "enrollment")
	if err != nil {
		t.Fatal(err)
	}
	return mdmFacet{db.MDM(box), t, db}
}

func (f mdmFacet) must(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

func (f mdmFacet) invite(mail string) mdm.Invitation {
	f.t.Helper()
	return f.inviteUser(addUser(f.t, f.db, mail))
}

func (f mdmFacet) inviteUser(u subject.User) mdm.Invitation {
	f.t.Helper()
	inv := mdm.Invitation{Token: seal.Random().Hash(), Code: seal.Random().Hash(), User: u, State: mdm.Invited,
		Device: subject.Device{ID: subject.NewDeviceID(), User: u.ID}, CreatedAt: at, ExpiresAt: at.Add(time.Hour)}
	f.must(f.Invited(f.t.Context(), inv, entry(journal.DeviceInvited)))
	return inv
}

func (f mdmFacet) bind(id subject.DeviceID, udid string, told mdm.Information) mdm.Binding {
	f.t.Helper()
	b := mdm.Binding{Device: id, UDID: udid, Identity: cert.FingerprintOf([]byte(id)), Topic: "t", At: at}
	f.bindAgain(b, told)
	return b
}

func (f mdmFacet) bindAgain(b mdm.Binding, told mdm.Information) {
	f.t.Helper()
	b.Told = told
	f.must(f.Authenticated(f.t.Context(), b, entry(journal.DeviceUpdated)))
}

func (f mdmFacet) enrolled(mail, udid string) subject.DeviceID {
	f.t.Helper()
	d := f.invite(mail).Device
	f.bind(d.ID, udid, mdm.Information{})
	f.must(f.TokensUpdated(f.t.Context(), mdm.Tokens{Device: d.ID, Topic: "t", Token: seal.Random(), PushMagic: seal.Random(), At: at}, entry(journal.DeviceEnrolled)))
	return d.ID
}

func (f mdmFacet) queue(d subject.DeviceID, kinds ...string) []mdm.Command {
	f.t.Helper()
	var list []mdm.Command
	for _, k := range kinds {
		c := mdm.NewCommand(d, k, nil)
		c.CreatedAt = at
		list = append(list, c)
	}
	f.must(f.Queued(f.t.Context(), list, entry(journal.DeviceRefresh)))
	return list
}

// parcel makes a parcel that waits to be sealed, with its command.
func (f mdmFacet) parcel(d subject.DeviceID, id string) mdm.Command {
	f.t.Helper()
	f.must(f.db.Journal().Record(f.t.Context(), journal.Entry{At: at, Action: journal.DeviceUpdated, Due: subject.OfDevice(d)}))
	leases, err := f.db.Delivery().DevicesLeased(f.t.Context(), at, at.Add(time.Minute), 1)
	f.must(err)
	c := mdm.InstallProfile(d, id)
	c.CreatedAt = at
	p := delivery.Parcel{Parcel: plan.Parcel{ID: id, WantsSeal: true, Command: plan.Command{UUID: c.UUID}, CreatedAt: at}, Device: d, Frame: []byte("{}")}
	f.must(f.db.Delivery().Planned(f.t.Context(), delivery.Decision{Lease: leases[0], Moves: []delivery.Move{{Do: plan.Send, New: &p, Command: &c}}},
		entry(journal.PlanStored)))
	return c
}

// sealed gives the one waiting parcel its bytes.
func (f mdmFacet) sealed(b []byte) {
	f.t.Helper()
	list, err := f.db.Delivery().ParcelsLeased(f.t.Context(), at, at.Add(time.Minute), 1)
	f.must(err)
	s := delivery.SealedParcel{ID: list[0].ID, Device: list[0].Device.ID, Until: list[0].Until, Bytes: b, At: at}
	if stored, err := f.db.Delivery().ParcelSealed(f.t.Context(), s, entry(journal.ParcelSealed)); err != nil || !stored {
		f.t.Fatalf("storing the bytes: %v, %v", stored, err)
	}
}

func (f mdmFacet) device(id subject.DeviceID) mdm.Device {
	f.t.Helper()
	d, err := f.Device(f.t.Context(), id)
	f.must(err)
	return d
}
