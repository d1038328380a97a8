package storetest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"math/big"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/internal/store"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/mdm"
	"github.com/signet-mdm/signet/notify"
)

func testPush(t *testing.T, open Open) {
	t.Run("a wish is one server's until its lease ends", func(t *testing.T) {
		f := pushFacet(t, open(t))
		want := map[subject.DeviceID]bool{}
		for _, name := range []string{"a", "b", "c", "d", "e", "f", "g"} {
			d := f.enrolled(name+"@example.com", name)
			f.queue(d, "DeviceInformation")
			want[d] = true
		}
		got := map[subject.DeviceID]int{}
		var mu sync.Mutex
		var wg sync.WaitGroup
		for range 6 { // servers
			wg.Go(func() {
				for range 4 {
					for _, w := range f.leased(at, 2) {
						mu.Lock()
						got[w.Device]++
						mu.Unlock()
					}
				}
			})
		}
		wg.Wait()
		for d := range want {
			if got[d] != 1 {
				t.Errorf("device %s was leased %d times", d, got[d])
			}
		}
		if again := f.leased(at.Add(leaseLife-time.Second), 10); len(again) != 0 {
			t.Errorf("before the end %d were leased again", len(again))
		}
		if again := f.leased(at.Add(leaseLife), 10); len(again) != len(want) {
			t.Errorf("after the end %d were leased again, want %d", len(again), len(want))
		}
	})

	t.Run("a wish has all that a push needs", func(t *testing.T) {
		f := pushFacet(t, open(t))
		d := f.enrolled("alice@example.com", "U-1")
		token, magic := seal.Random(), seal.Random()
		f.must(f.TokensUpdated(t.Context(), mdm.Tokens{Device: d, Topic: "t", Token: token, PushMagic: magic, At: at.Add(time.Second)}, entry(journal.DeviceUpdated)))
		f.queue(d, "DeviceInformation")
		w := f.one(at)
		if !w.Token.Equal(token) || !w.Magic.Equal(magic) || w.Topic != "t" || w.User == "" ||
			!w.TokenAt.Equal(at.Add(time.Second)) || !w.WantedAt.Equal(at) || !w.Until.Equal(at.Add(leaseLife)) {
			t.Errorf("got %+v", w)
		}
		f.push = pushFacet(t, f.db).push // with another key
		if w := f.one(at.Add(leaseLife)); w.Device != d || !w.Token.Empty() || !w.Magic.Empty() {
			t.Errorf("with another key: got %+v", w)
		}
	})

	t.Run("what is not due, not of the topic or without token is not leased", func(t *testing.T) {
		f := pushFacet(t, open(t))
		quiet := f.enrolled("quiet@example.com", "U-1")
		later := f.enrolled("later@example.com", "U-2")
		c := mdm.NewCommand(later, "DeviceInformation", nil)
		c.CreatedAt = at.Add(time.Second)
		f.must(f.Queued(t.Context(), []mdm.Command{c}, entry(journal.DeviceRefresh)))
		silent := f.invite("silent@example.com").Device.ID
		f.bind(silent, "U-3", mdm.Information{})
		f.queue(silent, "DeviceInformation")
		if got := f.leased(at, 10); len(got) != 0 {
			t.Errorf("got %+v", got)
		}
		got, err := f.push.WishesLeased(t.Context(), notify.Lease{Topics: []string{"x", "y"}, At: at.Add(time.Hour), Made: at.Add(time.Hour), Until: at.Add(2 * time.Hour), Limit: 10})
		if err != nil || len(got) != 0 {
			t.Errorf("another topic: got %+v, %v", got, err)
		}
		if got := f.one(at.Add(time.Second)); got.Device != later {
			t.Errorf("got %s, want %s, not %s", got.Device, later, quiet)
		}
	})

	t.Run("between two pushes to a device there is a gap", func(t *testing.T) {
		f := pushFacet(t, open(t))
		d := f.enrolled("alice@example.com", "U-1")
		f.queue(d, "DeviceInformation")
		w := f.one(at)
		f.pushed(w, notify.Result{At: at, Sent: true, Reason: "taken", Next: at.Add(time.Hour), Pushes: 1})
		f.queueAt(d, at.Add(10*time.Second))
		if got := f.leased(at.Add(gap-time.Microsecond), 10); len(got) != 0 {
			t.Errorf("got %+v", got)
		}
		if got := f.device(d).WakeAt; !got.Equal(at.Add(gap)) {
			t.Errorf("wake wanted at %v, want %v", got, at.Add(gap))
		}
		w = f.one(at.Add(gap))
		if w.Pushes != 1 || !w.SentAt.Equal(at) || !w.TriedAt.Equal(at) {
			t.Errorf("got %+v", w)
		}
	})

	t.Run("those that are put off are in nobody's way", func(t *testing.T) {
		f := pushFacet(t, open(t))
		for _, name := range []string{"a", "b", "c", "d"} {
			d := f.enrolled(name+"@example.com", name)
			f.queue(d, "DeviceInformation")
			f.pushed(f.one(at), notify.Result{At: at, Sent: true, Reason: "taken", Next: at.Add(time.Hour)})
			f.queueAt(d, at.Add(time.Second))
		}
		last := f.enrolled("last@example.com", "U-5")
		f.queueAt(last, at.Add(2*time.Second))
		if got := f.leased(at.Add(2*time.Second), 2); len(got) != 1 || got[0].Device != last {
			t.Errorf("got %+v, want the last", got)
		}
	})

	t.Run("a result moves the wish unless there is news", func(t *testing.T) {
		f := pushFacet(t, open(t))
		next := at.Add(time.Hour)
		for name, c := range map[string]struct {
			news func(d subject.DeviceID)
			want time.Time
		}{
			"nothing":         {func(subject.DeviceID) {}, next},
			"another command": {func(d subject.DeviceID) { f.queueAt(d, at.Add(time.Second)) }, at.Add(time.Second)},
			"the device came": {func(d subject.DeviceID) {
				_, _, err := f.Next(t.Context(), mdm.Poll{Device: d, At: at, Until: at.Add(30 * time.Second)})
				f.must(err)
			}, at.Add(30 * time.Second)},
		} {
			d := f.enrolled(name[:4]+"@example.com", name)
			f.queue(d, "DeviceInformation")
			w := f.one(at)
			c.news(d)
			f.pushed(w, notify.Result{At: at, Sent: true, Reason: "taken", Next: next, Pushes: 1})
			if got := f.device(d).WakeAt; !got.Equal(c.want) {
				t.Errorf("%s: wake wanted at %v, want %v", name, got, c.want)
			}
			f.must(f.DeviceRemoved(t.Context(), d, nil, entry(journal.DeviceRemoved)))
		}
	})

	t.Run("a refused token is left alone until there is another", func(t *testing.T) {
		f := pushFacet(t, open(t))
		d := f.enrolled("alice@example.com", "U-1")
		f.queue(d, "DeviceInformation")
		w := f.one(at)
		r := notify.Result{At: at, Refused: true, Reason: "Unregistered", Failures: 1}
		f.pushed(w, r)
		f.pushed(w, r)
		f.queueAt(d, at.Add(time.Hour))
		if got := f.leased(at.Add(time.Hour), 10); len(got) != 0 {
			t.Errorf("got %+v", got)
		}
		st, err := f.push.PushState(t.Context(), d)
		want := notify.PushState{Topic: "t", TokenAt: at, TriedAt: at, Reason: "Unregistered", RefusedAt: at, Failures: 1}
		if diff := cmp.Diff(want, st); err != nil || diff != "" {
			t.Errorf("%v\n%s", err, diff)
		}
		list, err := f.db.Journal().Latest(t.Context(), 100)
		n := 0
		for _, e := range list {
			if e.Action == journal.PushTokenRefused {
				n++
			}
		}
		if err != nil || n != 1 {
			t.Errorf("%d entries, %v; want 1", n, err)
		}

		renewed := at.Add(2 * time.Hour)
		f.must(f.TokensUpdated(t.Context(), mdm.Tokens{Device: d, Topic: "t", Token: seal.Random(), PushMagic: seal.Random(), At: renewed}, entry(journal.DeviceUpdated)))
		f.pushed(w, r) // late: of the old token
		if got := f.one(renewed); got.Failures != 0 || got.Pushes != 0 {
			t.Errorf("got %+v", got)
		}
	})

	t.Run("a new token is a wish only when there is something to fetch", func(t *testing.T) {
		f := pushFacet(t, open(t))
		d := f.enrolled("alice@example.com", "U-1")
		f.must(f.TokensUpdated(t.Context(), mdm.Tokens{Device: d, Topic: "t", Token: seal.Random(), PushMagic: seal.Random(), At: at}, entry(journal.DeviceUpdated)))
		if got := f.device(d).WakeAt; !got.IsZero() {
			t.Errorf("wake wanted at %v", got)
		}
		f.parcel(d, "p-1")
		if got := f.device(d).WakeAt; !got.IsZero() {
			t.Errorf("not sealed: wake wanted at %v", got)
		}
		f.sealed([]byte("sealed"))
		if got := f.device(d).WakeAt; !got.Equal(at) {
			t.Errorf("wake wanted at %v, want %v", got, at)
		}
	})

	t.Run("a wish that nobody tried is as it was", func(t *testing.T) {
		f := pushFacet(t, open(t))
		d := f.enrolled("alice@example.com", "U-1")
		f.queue(d, "DeviceInformation")
		w := f.one(at)
		f.must(f.push.Released(t.Context(), w))
		if again := f.one(at); !again.WantedAt.Equal(w.WantedAt) || !again.TriedAt.IsZero() {
			t.Errorf("got %+v", again)
		}
		f.queueAt(d, at.Add(time.Second))
		f.must(f.push.Released(t.Context(), w))
		if got := f.device(d).WakeAt; !got.Equal(at.Add(time.Second)) {
			t.Errorf("wake wanted at %v, want what was wished meanwhile", got)
		}
	})

	t.Run("a topic has one certificate, one topic enrolls", func(t *testing.T) {
		f := pushFacet(t, open(t))
		if list, err := f.push.PushCertificates(t.Context()); err != nil || list == nil || len(list) != 0 {
			t.Errorf("none: got %v, %v", list, err)
		}
		first, renewed, second := pushCertificate(t, "t"), pushCertificate(t, "t"), pushCertificate(t, "u")
		first.Enrolls, renewed.Enrolls = true, true
		for _, c := range []notify.Certificate{first, renewed, second} {
			f.must(f.push.PushCertificateImported(t.Context(), c, entry(journal.PushImported)))
		}
		f.certificates(renewed, second)
		for _, reason := range []string{"BadCertificate", "Forbidden"} {
			f.must(f.push.PushTroubled(t.Context(), "t", reason, at.Add(time.Duration(len(reason))*time.Second)))
		}
		troubled := renewed
		troubled.Trouble, troubled.TroubledAt = "Forbidden", at.Add(14*time.Second)
		f.certificates(troubled, second)
		second.Enrolls, troubled.Enrolls = true, false
		f.must(f.push.PushCertificateImported(t.Context(), second, entry(journal.PushImported)))
		f.certificates(second, troubled)
		f.must(f.push.PushTroubled(t.Context(), "t", "", at))
		troubled.Trouble, troubled.TroubledAt = "", time.Time{}
		f.certificates(second, troubled)
	})

	t.Run("devices are counted by topic", func(t *testing.T) {
		f := pushFacet(t, open(t))
		dead, gone := f.enrolled("dead@example.com", "U-1"), f.enrolled("gone@example.com", "U-2")
		f.enrolled("alice@example.com", "U-3")
		f.queue(dead, "DeviceInformation")
		f.pushed(f.one(at), notify.Result{At: at, Refused: true, Reason: "Unregistered"})
		f.must(f.DeviceRemoved(t.Context(), gone, nil, entry(journal.DeviceRemoved)))
		got, err := f.push.PushTopics(t.Context())
		want := map[string]notify.Devices{"t": {Enrolled: 2, Reachable: 1}}
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%v\n%s", err, diff)
		}
	})
}

const (
	gap       = time.Minute
	leaseLife = 2 * time.Minute
)

// pusher is the facet with that of the devices.
type pusher struct {
	mdmFacet
	push store.Push
}

func pushFacet(t *testing.T, db *store.DB) pusher {
	t.Helper()
	b, err := seal.NewBox(seal.RandomRoot(), "enrollment")
	if err != nil {
		t.Fatal(err)
	}
	return pusher{mdmFacet{db.MDM(b), t, db}, db.Push(b)}
}

func (f pusher) leased(now time.Time, limit int) []notify.Wish {
	f.t.Helper()
	list, err := f.push.WishesLeased(f.t.Context(), notify.Lease{Topics: []string{"t", "u"}, At: now, Made: now, Gap: gap, Until: now.Add(leaseLife), Limit: limit})
	if err != nil {
		f.t.Error(err)
	}
	return list
}

// one leases the one wish that is due.
func (f pusher) one(now time.Time) notify.Wish {
	f.t.Helper()
	list := f.leased(now, 10)
	if len(list) != 1 {
		f.t.Fatalf("%d wishes are due, want 1", len(list))
	}
	return list[0]
}

func (f pusher) pushed(w notify.Wish, r notify.Result) {
	f.t.Helper()
	r.Device, r.TokenAt, r.Until = w.Device, w.TokenAt, w.Until
	e := entry(journal.PushTokenRefused)
	e.Device = w.Device
	f.must(f.push.Pushed(f.t.Context(), r, e))
}

func (f pusher) queueAt(d subject.DeviceID, when time.Time) {
	f.t.Helper()
	c := mdm.NewCommand(d, "DeviceInformation", nil)
	c.CreatedAt = when
	f.must(f.Queued(f.t.Context(), []mdm.Command{c}, entry(journal.DeviceRefresh)))
}

func (f pusher) certificates(want ...notify.Certificate) {
	f.t.Helper()
	got, err := f.push.PushCertificates(f.t.Context())
	if diff := cmp.Diff(want, got, cmp.Comparer((*x509.Certificate).Equal)); err != nil || diff != "" {
		f.t.Errorf("%v\n%s", err, diff)
	}
}

// pushCertificate makes one; what it says matters to notify only.
func pushCertificate(t *testing.T, topic string) notify.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: at.AddDate(1, 0, 0)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return notify.Certificate{Topic: topic, Certificate: c, Account: topic + "@example.com", ImportedAt: at}
}
