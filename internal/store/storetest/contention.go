package storetest

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/signet-mdm/signet/appconfig"
	"github.com/signet-mdm/signet/internal/delivery"
	"github.com/signet-mdm/signet/internal/delivery/plan"
	"github.com/signet-mdm/signet/internal/directory"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/store"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/mdm"
	"github.com/signet-mdm/signet/scep"
)

// Two gives one empty database twice, as two servers have it.
type Two func(t *testing.T) (a, b *store.DB)

// races is how often two servers do the same at once.
const races = 40

// Contention runs the part of the suite in which two servers are in each
// other's way.
func Contention(t *testing.T, two Two) {
	t.Run("a challenge gives one certificate", func(t *testing.T) {
		a, b := two(t)
		s, other := scepFacetOf(t, a), b.SCEP()
		h := s.holder("alice@example.com")
		for range races {
			c := s.challenge(h, "p")
			one, another := s.by(c), s.by(c)
			s.must(s.SerialReserved(t.Context(), one))
			s.must(other.SerialReserved(t.Context(), another))
			errs := atOnce(
				func() error {
					return s.CertificateIssued(t.Context(), one, recordOf(one), entry(journal.CertificateIssued))
				},
				func() error {
					return other.CertificateIssued(t.Context(), another, recordOf(another), entry(journal.CertificateIssued))
				})
			oneWins(t, errs, scep.ErrChallengeUsed)
		}
		if list, err := a.Certificates().OfDevice(t.Context(), h.Device); err != nil || len(list) != races {
			t.Errorf("%d certificates, %v; want %d", len(list), err, races)
		}
	})

	t.Run("a request is made, decided on and served once", func(t *testing.T) {
		a, b := two(t)
		s, other := scepFacetOf(t, a), b.SCEP()
		h := s.holder("alice@example.com")
		for range races {
			c := s.challenge(h, "p")
			requests := []scep.Request{s.newRequest(c), s.newRequest(c)}
			made := atOnce(both(a, b, func(i int, db *store.DB) error {
				return db.SCEP().RequestMade(t.Context(), requests[i], entry(journal.RequestPending))
			})...)
			r := requests[0]
			if made[0] != nil {
				r = requests[1]
			}
			oneWins(t, made, scep.ErrChallengeUsed)
			decided := atOnce(both(a, b, func(_ int, db *store.DB) error {
				return db.SCEP().RequestDecided(t.Context(), s.decision(r, scep.RequestApproved, ""), entry(journal.RequestApproved))
			})...)
			oneWins(t, decided, scep.ErrRequestDecided)
			polls := []scep.Issuance{s.approved(r), s.approved(r)}
			s.must(s.SerialReserved(t.Context(), polls[0]))
			s.must(other.SerialReserved(t.Context(), polls[1]))
			oneWins(t, atOnce(both(a, b, func(i int, db *store.DB) error {
				return db.SCEP().CertificateIssued(t.Context(), polls[i], recordOf(polls[i]), entry(journal.CertificateIssued))
			})...), scep.ErrChallengeUsed)
		}
	})

	t.Run("a request is denied or served, never both", func(t *testing.T) {
		a, b := two(t)
		s := scepFacetOf(t, a)
		h := s.holder("alice@example.com")
		for range races {
			r := s.request(s.challenge(h, "p"))
			s.decided(r, scep.RequestApproved, "")
			i := s.approved(r)
			s.must(s.SerialReserved(t.Context(), i))
			errs := atOnce(
				func() error {
					return s.CertificateIssued(t.Context(), i, recordOf(i), entry(journal.CertificateIssued))
				},
				func() error {
					return b.SCEP().RequestDecided(t.Context(), s.decision(r, scep.RequestDenied, ""), entry(journal.RequestDenied))
				})
			got, err := s.Request(t.Context(), r.ID)
			s.must(err)
			if (errs[0] == nil) == (errs[1] == nil) || (errs[0] == nil) != (got.State == scep.RequestIssued) {
				t.Errorf("issued: %v, denied: %v, and it is %s", errs[0], errs[1], got.State)
			}
			s.challenge(h, "p")
		}
	})

	t.Run("a file is imported once", func(t *testing.T) {
		a, b := two(t)
		u := addUser(t, a, "alice@example.com")
		for n := range races {
			var stored [2]bool
			errs := atOnce(both(a, b, func(i int, db *store.DB) (err error) {
				stored[i], err = imported(t, db, deposit(u, fmt.Sprint(n)))
				return err
			})...)
			if errs[0] != nil || errs[1] != nil || stored[0] == stored[1] {
				t.Errorf("stored: %v, %v", stored, errs)
			}
		}
	})

	t.Run("many files are imported side by side", func(t *testing.T) {
		a, b := two(t)
		u := addUser(t, a, "alice@example.com")
		var work []func() error
		for n := range races {
			db := []*store.DB{a, b}[n%2]
			work = append(work, func() error {
				_, err := imported(t, db, deposit(u, fmt.Sprint(n)))
				return err
			})
		}
		if err := errors.Join(atOnce(work...)...); err != nil {
			t.Error(err)
		}
		if list, err := b.PFX().Imported(t.Context(), u.ID); err != nil || len(list) != races {
			t.Errorf("%d certificates, %v; want %d", len(list), err, races)
		}
	})

	t.Run("an invitation lets one in, and every try counts", func(t *testing.T) {
		a, b := two(t)
		f := facet(t, a)
		for n := range races {
			inv := f.invite(fmt.Sprintf("u%d@example.com", n))
			right := mdm.Try{Token: inv.Token, Code: inv.Code, At: at, MaxTries: 4,
				Accepted: entry(journal.InvitationRedeemed), Failed: entry(journal.InvitationRefused)}
			wrong := right
			wrong.Code = inv.Token
			var in [8]bool
			var tries []func() error
			for i := range in {
				db, try := []*store.DB{a, b}[i%2], wrong
				if i > 5 {
					try = right
				}
				tries = append(tries, func() (err error) {
					in[i], err = facet(t, db).CodeTried(t.Context(), try)
					return err
				})
			}
			if err := errors.Join(atOnce(tries...)...); err != nil {
				t.Fatal(err)
			}
			got, err := f.InvitationOf(t.Context(), inv.Device.ID)
			accepted := in[6] || in[7]
			if err != nil || in[6] && in[7] || accepted != !got.RedeemedAt.IsZero() || accepted && got.Tries >= right.MaxTries || !accepted && got.Tries != 8 {
				t.Errorf("let in: %v; %d tries, redeemed at %v, %v", in, got.Tries, got.RedeemedAt, err)
			}
		}
	})

	t.Run("a command goes to one poll", func(t *testing.T) {
		a, b := two(t)
		f := facet(t, a)
		d := f.enrolled("alice@example.com", "U-1")
		for range races {
			f.queue(d, "A")
			var found [2]bool
			errs := atOnce(both(a, b, func(i int, db *store.DB) (err error) {
				_, found[i], err = facet(t, db).Next(t.Context(), mdm.Poll{Device: d, At: at, Until: at.Add(time.Minute)})
				return err
			})...)
			if errs[0] != nil || errs[1] != nil || found[0] == found[1] {
				t.Fatalf("given: %v, %v", found, errs)
			}
		}
	})

	t.Run("a device is woken for what comes while it polls", func(t *testing.T) {
		a, b := two(t)
		f := facet(t, a)
		d := f.enrolled("alice@example.com", "U-1")
		for n := range races {
			now := at.Add(time.Duration(n) * time.Hour)
			c := mdm.NewCommand(d, "A", nil)
			c.CreatedAt = now
			for _, err := range atOnce(
				func() error {
					for { // until the queue is empty
						last, found, err := facet(t, b).Next(t.Context(), mdm.Poll{Device: d, At: now, Until: now.Add(time.Minute)})
						if err != nil || !found {
							return err
						}
						_, err = facet(t, b).Reported(t.Context(), mdm.Outcome{Device: d, Command: last.UUID, State: mdm.Acknowledged, At: now}, entry(journal.DeviceReported))
						if err != nil {
							return err
						}
					}
				},
				func() error {
					return f.Queued(t.Context(), []mdm.Command{c}, entry(journal.DeviceRefresh))
				},
			) {
				f.must(err)
			}
			if got := f.device(d); got.Open > 0 && got.WakeAt.IsZero() {
				t.Fatalf("%d commands wait and nobody will wake the device", got.Open)
			}
		}
	})

	t.Run("due devices are shared", func(t *testing.T) {
		a, b := two(t)
		f := facet(t, a)
		for n := range 8 {
			f.enrolled(fmt.Sprintf("u%d@example.com", n), fmt.Sprint(n))
		}
		for n := range races {
			now := at.Add(time.Duration(n) * time.Hour)
			var mu sync.Mutex
			taken := map[subject.DeviceID]int{}
			f.must(a.Journal().Record(t.Context(), journal.Entry{At: now, Action: journal.DeviceUpdated, Due: subject.Scope{All: true}}))
			for _, err := range atOnce(both(a, b, func(_ int, db *store.DB) error {
				leases, err := db.Delivery().DevicesLeased(t.Context(), now, now.Add(time.Minute), 8)
				mu.Lock()
				defer mu.Unlock()
				for _, l := range leases {
					taken[l.Device]++
				}
				return err
			})...) {
				f.must(err)
			}
			for id, times := range taken {
				if times > 1 {
					t.Fatalf("%s was leased %d times", id, times)
				}
			}
			if len(taken) != 8 {
				t.Fatalf("%d devices were leased, want 8", len(taken))
			}
		}
	})

	t.Run("what a device fetches is not forgotten", func(t *testing.T) {
		a, b := two(t)
		d, other := deliver(t, a), facet(t, b)
		for n := range races {
			p := d.send(parcelOf(fmt.Sprint(n)))
			d.touch()
			end := delivery.Decision{Lease: d.lease(), Moves: []delivery.Move{{Do: plan.End, Parcel: p.ID}}}
			var fetched mdm.Command
			var found bool
			errs := atOnce(
				func() error { return a.Delivery().Planned(t.Context(), end, entry(journal.PlanStored)) },
				func() (err error) {
					fetched, found, err = other.Next(t.Context(), mdm.Poll{Device: d.id, At: at, Until: at.Add(time.Minute)})
					return err
				})
			if errs[1] != nil || errs[0] != nil && !errors.Is(errs[0], delivery.ErrStale) {
				t.Fatal(errs)
			}
			if found != (errs[0] != nil) {
				t.Fatalf("fetched: %v; ended as if it were not there: %v", found, errs[0] == nil)
			}
			if found {
				_, err := other.Reported(t.Context(), mdm.Outcome{Device: d.id, Command: fetched.UUID, State: mdm.Acknowledged, At: at}, entry(journal.DeviceReported))
				d.must(err)
				d.move(delivery.Move{Do: plan.End, Parcel: p.ID})
			}
		}
	})

	t.Run("an address is one user's, of whatever kind", func(t *testing.T) {
		a, b := two(t)
		for n := range races {
			contested := fmt.Sprintf("contested%d@example.com", n)
			main := subject.User{ID: subject.NewUserID(), UPN: contested, Mail: contested, Name: "A", CreatedAt: at}
			own := fmt.Sprintf("own%d@example.com", n)
			alias := subject.User{ID: subject.NewUserID(), UPN: own, Mail: own, Name: "B", CreatedAt: at, Aliases: []string{contested}}
			errs := atOnce(
				func() error { return a.Directory().UserSaved(t.Context(), main, entry(journal.UserAdded)) },
				func() error { return b.Directory().UserSaved(t.Context(), alias, entry(journal.UserAdded)) })
			oneWins(t, errs, directory.ErrUserExists)
		}
	})

	t.Run("a group has the members of one of two who set it", func(t *testing.T) {
		a, b := two(t)
		var sets [2][]subject.UserID
		for n := range 8 {
			u := addUser(t, a, fmt.Sprintf("u%d@example.com", n))
			sets[n%2] = append(sets[n%2], u.ID)
		}
		for range races {
			for _, err := range atOnce(both(a, b, func(i int, db *store.DB) error {
				_, err := db.Directory().GroupSaved(t.Context(), "g", sets[i], entry(journal.GroupChanged))
				return err
			})...) {
				if err != nil {
					t.Fatal(err)
				}
			}
			groups, err := a.AppConfig().Groups(t.Context())
			if got := groups["g"].Users; err != nil || !slices.Equal(got, sets[0]) && !slices.Equal(got, sets[1]) {
				t.Fatalf("members: %v, %v", got, err)
			}
		}
	})

	t.Run("who had a policy in between is due again", func(t *testing.T) {
		a, b := two(t)
		f := facet(t, a)
		devices := []subject.DeviceID{f.enrolled("u0@example.com", "0"), f.enrolled("u1@example.com", "1")}
		for n := range races {
			before := revisions(t, a)
			for _, err := range atOnce(both(a, b, func(i int, db *store.DB) error {
				p := appconfig.Policy{Name: fmt.Sprint(n), In: subject.Scope{Devices: devices[i : i+1]}, Settings: appconfig.Settings{}}
				return db.AppConfig().PoliciesApplied(t.Context(), "", []appconfig.Policy{p}, nil, entry(journal.PolicyApplied))
			})...) {
				f.must(err)
			}
			// Each for its own, and the later one for the earlier one's.
			if got := revisions(t, a) - before; got != 3 {
				t.Fatalf("devices became due %d times, want 3", got)
			}
		}
	})
}

// atOnce runs all at the same time.
func atOnce(work ...func() error) []error {
	errs := make([]error, len(work))
	var wg sync.WaitGroup
	start := make(chan struct{})
	for i, f := range work {
		wg.Go(func() {
			<-start
			errs[i] = f()
		})
	}
	close(start)
	wg.Wait()
	return errs
}

func both(a, b *store.DB, f func(i int, db *store.DB) error) []func() error {
	return []func() error{func() error { return f(0, a) }, func() error { return f(1, b) }}
}

// oneWins wants one success; the other must have failed so.
func oneWins(t *testing.T, errs []error, lost error) {
	t.Helper()
	if errs[0] != nil {
		errs[0], errs[1] = errs[1], errs[0]
	}
	if errs[0] != nil || !errors.Is(errs[1], lost) {
		t.Errorf("got %v; want one success and %v", errs, lost)
	}
}

// revisions sums up how often devices became due.
func revisions(t *testing.T, db *store.DB) (sum int64) {
	t.Helper()
	leases, err := db.Delivery().DevicesLeased(t.Context(), at, at, 1000) // leases that end at once
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range leases {
		sum += l.Rev
	}
	return sum
}
