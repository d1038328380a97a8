package storetest

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/internal/store"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/scep"
)

// many is more revocations than there are here.
const many = 1000

func testSCEP(t *testing.T, open Open) {
	t.Run("a challenge comes back whole", func(t *testing.T) {
		s := scepFacetOf(t, open(t))
		want := s.challenge(s.holder("alice@example.com"), "p")
		if diff := cmp.Diff(want, s.ticket(want.Hash)); diff != "" {
			t.Error(diff)
		}
		if _, err := s.Ticket(t.Context(), seal.Random().Hash()); !errors.Is(err, scep.ErrChallengeUnknown) {
			t.Errorf("unknown: got %v, want ErrChallengeUnknown", err)
		}
	})

	t.Run("a newer challenge voids the unused of its kind", func(t *testing.T) {
		s := scepFacetOf(t, open(t))
		alice, bob := s.holder("alice@example.com"), s.holder("bob@example.com")
		used := s.challenge(alice, "p")
		s.issue(s.by(used))
		older, other, bobs := s.challenge(alice, "p"), s.challenge(alice, "q"), s.challenge(bob, "p")
		newer := s.challenge(alice, "p")
		for name, c := range map[string]struct {
			hash seal.Hash
			void bool
		}{"used": {used.Hash, false}, "older": {older.Hash, true}, "other profile": {other.Hash, false}, "other device": {bobs.Hash, false}, "newer": {newer.Hash, false}} {
			if got := !s.ticket(c.hash).Voided.IsZero(); got != c.void {
				t.Errorf("%s: void is %v, want %v", name, got, c.void)
			}
		}
		s.refused(s.by(older), scep.ErrChallengeUsed)
	})

	t.Run("a challenge survives only so many tries", func(t *testing.T) {
		db := open(t)
		s := scepFacetOf(t, db)
		c := s.challenge(s.holder("alice@example.com"), "p")
		before := entries(t, db)
		for n := range scep.MaxAttempts + 2 {
			if got := !s.ticket(c.Hash).Voided.IsZero(); got != (n >= scep.MaxAttempts) {
				t.Errorf("after %d tries: void is %v", n, got)
			}
			s.must(s.ChallengeRefused(t.Context(), c.Hash, "why", entry(journal.ChallengeRefused)))
		}
		s.must(s.ChallengeRefused(t.Context(), seal.Random().Hash(), "why", entry(journal.ChallengeRefused)))
		if got := entries(t, db) - before; got != scep.MaxAttempts {
			t.Errorf("%d journal entries, want %d", got, scep.MaxAttempts)
		}
	})

	t.Run("who is gone gets nothing", func(t *testing.T) {
		for name, leave := range map[string]func(*store.DB, *testing.T, cert.Holder){
			"device removed": func(db *store.DB, t *testing.T, h cert.Holder) {
				if err := facet(t, db).DeviceRemoved(t.Context(), h.Device, nil, entry(journal.DeviceRemoved)); err != nil {
					t.Fatal(err)
				}
			},
			"user disabled": func(db *store.DB, t *testing.T, h cert.Holder) {
				u, err := db.Directory().User(t.Context(), string(h.User))
				if err != nil {
					t.Fatal(err)
				}
				u.Disabled = true
				if err := db.Directory().UserSaved(t.Context(), u, entry(journal.UserChanged)); err != nil {
					t.Fatal(err)
				}
			},
		} {
			t.Run(name, func(t *testing.T) {
				db := open(t)
				s := scepFacetOf(t, db)
				h := s.holder("alice@example.com")
				first := s.issue(s.by(s.challenge(h, "p")))
				c := s.challenge(h, "p")
				leave(db, t, h)
				if !s.ticket(c.Hash).Gone || !s.issued(first.Fingerprint).Gone {
					t.Error("the holder is there still")
				}
				s.refused(s.by(c), scep.ErrHolder)
				if !s.ticket(c.Hash).Used.IsZero() {
					t.Error("the challenge was spent")
				}
			})
		}
		t.Run("no managed device", func(t *testing.T) {
			s := scepFacetOf(t, open(t))
			h := s.holder("alice@example.com")
			h.Device = subject.NewDeviceID() // of a SCEP client that nobody enrolls
			c := s.challenge(h, "p")
			if s.ticket(c.Hash).Gone {
				t.Error("its challenge is not good")
			}
			if r := s.issue(s.by(c)); s.issued(r.Fingerprint).Gone {
				t.Error("its certificate is not good")
			}
		})
		t.Run("another's device", func(t *testing.T) {
			s := scepFacetOf(t, open(t))
			alice, bob := s.holder("alice@example.com"), s.holder("bob@example.com")
			c := s.challenge(cert.Holder{User: alice.User, Device: bob.Device}, "p")
			if !s.ticket(c.Hash).Gone {
				t.Error("Alice's challenge for Bob's device is good")
			}
			s.refused(s.by(c), scep.ErrHolder)
		})
	})

	t.Run("another CA says the serial number", func(t *testing.T) {
		s := scepFacetOf(t, open(t))
		i := s.by(s.challenge(s.holder("alice@example.com"), "p"))
		s.must(s.SerialReserved(t.Context(), i))
		r := recordOf(i)
		r.Serial, r.NotAfter = "0abc", i.NotAfter.Add(-time.Hour)
		s.must(s.CertificateIssued(t.Context(), i, r, entry(journal.CertificateIssued)))
		if got := s.issued(r.Fingerprint).Record; got.Serial != r.Serial || !got.NotAfter.Equal(r.NotAfter) {
			t.Errorf("got serial %s until %v, want %s until %v", got.Serial, got.NotAfter, r.Serial, r.NotAfter)
		}
	})

	t.Run("so many in an hour", func(t *testing.T) {
		s := scepFacetOf(t, open(t))
		alice, bob := s.holder("alice@example.com"), s.holder("bob@example.com")
		tablet := cert.Holder{User: alice.User, Device: subject.NewDeviceID()}
		reserve := func(h cert.Holder, at time.Time, rate scep.Rate) error {
			i := s.by(scep.Ticket{Grant: scep.Grant{Profile: "p", Holder: h}, Hash: seal.Random().Hash()})
			i.At, i.Rate = at, rate
			return s.SerialReserved(t.Context(), i)
		}
		few := scep.Rate{PerDevice: 2, PerUser: 3}
		for _, step := range []struct {
			name  string
			who   cert.Holder
			after time.Duration
			rate  scep.Rate
			want  error
		}{
			{"first", alice, 0, few, nil},
			{"second", alice, time.Minute, few, nil},
			{"third of the device", alice, time.Minute, few, scep.ErrCertificatesMany},
			{"third of the user", tablet, time.Minute, few, nil},
			{"fourth of the user", tablet, time.Minute, few, scep.ErrCertificatesMany},
			{"another's", bob, time.Minute, few, nil},
			{"without a rate", alice, -time.Hour, scep.Rate{}, nil},
			{"within the hour", alice, time.Hour - time.Microsecond, few, scep.ErrCertificatesMany},
			{"the first is an hour old", alice, time.Hour, few, nil},
			{"but not the second", tablet, time.Hour, few, scep.ErrCertificatesMany},
		} {
			if err := reserve(step.who, at.Add(step.after), step.rate); !errors.Is(err, step.want) {
				t.Errorf("%s: got %v, want %v", step.name, err, step.want)
			}
		}
	})

	t.Run("so many at once", func(t *testing.T) {
		s := scepFacetOf(t, open(t))
		h := s.holder("alice@example.com")
		requests := make([]scep.Issuance, 12)
		for n := range requests {
			requests[n] = s.by(scep.Ticket{Grant: scep.Grant{Profile: "p", Holder: h}})
			requests[n].Rate = scep.Rate{PerDevice: 5, PerUser: 12}
		}
		var wg sync.WaitGroup
		var given atomic.Int32
		for _, i := range requests {
			wg.Go(func() {
				if err := s.SerialReserved(t.Context(), i); err == nil {
					given.Add(1)
				} else if !errors.Is(err, scep.ErrCertificatesMany) {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if given.Load() != 5 {
			t.Errorf("%d of 12 were given, want 5", given.Load())
		}
	})

	t.Run("a challenge gives one certificate", func(t *testing.T) {
		db := open(t)
		s := scepFacetOf(t, db)
		h := s.holder("alice@example.com")
		c := s.challenge(h, "p")
		first, second := s.by(c), s.by(c)
		r := s.issue(first)
		got := s.issued(r.Fingerprint)
		want := scep.Issued{Grant: c.Grant, Issuer: "ca", Record: r, Current: true}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		s.refused(second, scep.ErrChallengeUsed)
		if list, err := db.Certificates().OfDevice(t.Context(), h.Device); err != nil || len(list) != 1 {
			t.Errorf("%d certificates, %v; want 1", len(list), err)
		}
		if !s.ticket(c.Hash).Used.Equal(at) {
			t.Error("the challenge is not used")
		}
	})

	t.Run("of many requests at once one is served", func(t *testing.T) {
		db := open(t)
		s := scepFacetOf(t, db)
		h := s.holder("alice@example.com")
		c := s.challenge(h, "p")
		requests := make([]scep.Issuance, 16)
		for n := range requests {
			requests[n] = s.by(c)
		}
		won := race(t, len(requests), scep.ErrChallengeUsed, func(n int) error {
			i := requests[n]
			if err := s.SerialReserved(t.Context(), i); err != nil {
				return err
			}
			return s.CertificateIssued(t.Context(), i, recordOf(i), entry(journal.CertificateIssued))
		})
		if list, err := db.Certificates().OfDevice(t.Context(), h.Device); err != nil || won != 1 || len(list) != 1 {
			t.Errorf("%d served, %d certificates, %v; want 1 of each", won, len(list), err)
		}
	})

	t.Run("a serial number is taken once", func(t *testing.T) {
		s := scepFacetOf(t, open(t))
		i := s.by(s.challenge(s.holder("alice@example.com"), "p"))
		s.must(s.SerialReserved(t.Context(), i))
		if err := s.SerialReserved(t.Context(), i); err == nil {
			t.Error("it was taken twice")
		}
		r := recordOf(i)
		s.must(s.CertificateIssued(t.Context(), i, r, entry(journal.CertificateIssued)))
		if err := s.CertificateIssued(t.Context(), i, r, entry(journal.CertificateIssued)); err == nil {
			t.Error("it was completed twice")
		}
	})

	t.Run("a key that is known elsewhere is refused", func(t *testing.T) {
		db := open(t)
		s := scepFacetOf(t, db)
		alice, bob := s.holder("alice@example.com"), s.holder("bob@example.com")
		u, err := db.Directory().User(t.Context(), string(alice.User))
		s.must(err)
		d := deposit(u, "imported")
		keep(t, db, d, true)
		bobs := s.issue(s.by(s.challenge(bob, "p")))
		own := s.issue(s.by(s.challenge(alice, "p")))
		revoked := s.issue(s.by(s.challenge(alice, "p")))
		s.must(s.CertificateRevoked(t.Context(), revoked.Fingerprint, "keyCompromise", entry(journal.CertificateRevoked)))
		for name, c := range map[string]struct {
			spki cert.Fingerprint
			want error
		}{"imported": {d.Key.SPKI, scep.ErrKeyKnown}, "another's": {bobs.SPKI, scep.ErrKeyKnown}, "revoked": {revoked.SPKI, scep.ErrKeyKnown}, "own": {own.SPKI, nil}} {
			i := s.by(s.challenge(alice, "p"))
			i.SPKI = c.spki
			if err := s.SerialReserved(t.Context(), i); !errors.Is(err, c.want) {
				t.Errorf("%s: got %v, want %v", name, err, c.want)
			}
		}
	})

	t.Run("the same request finds its certificate", func(t *testing.T) {
		s := scepFacetOf(t, open(t))
		c := s.challenge(s.holder("alice@example.com"), "p")
		i := s.by(c)
		if _, found, err := s.Repeated(t.Context(), i, at); found || err != nil {
			t.Errorf("before: found %v, %v", found, err)
		}
		r := s.issue(i)
		got, found, err := s.Repeated(t.Context(), i, at)
		if diff := cmp.Diff(r, got); !found || err != nil || diff != "" {
			t.Errorf("found %v, %v\n%s", found, err, diff)
		}
		for name, change := range map[string]func(*scep.Issuance){
			"other transaction": func(i *scep.Issuance) { i.Transaction = "x" },
			"other key":         func(i *scep.Issuance) { i.SPKI = cert.FingerprintOf([]byte("x")) },
			"other challenge":   func(i *scep.Issuance) { i.Challenge = seal.Random().Hash() },
			"renewal":           func(i *scep.Issuance) { i.Challenge, i.Renews = seal.Hash{}, r.Fingerprint },
		} {
			other := i
			change(&other)
			if _, found, err := s.Repeated(t.Context(), other, at); found || err != nil {
				t.Errorf("%s: found %v, %v", name, found, err)
			}
		}
		if _, found, err := s.Repeated(t.Context(), i, at.Add(time.Second)); found || err != nil {
			t.Errorf("too late: found %v, %v", found, err)
		}
	})

	t.Run("a revoked certificate is not renewed", func(t *testing.T) {
		s := scepFacetOf(t, open(t))
		first := s.issue(s.by(s.challenge(s.holder("alice@example.com"), "p")))
		s.must(s.CertificateRevoked(t.Context(), first.Fingerprint, "keyCompromise", entry(journal.CertificateRevoked)))
		s.refused(s.after(first), scep.ErrRenewalOver)
	})

	t.Run("the addresses of a user", func(t *testing.T) {
		db := open(t)
		u := subject.User{ID: subject.NewUserID(), Mail: "a@example.com", UPN: "b@example.com", Aliases: []string{"c@example.com", "d@example.com"},
			OnPremises: subject.OnPremises{OnPremisesUPN: "e@example.com"}, CreatedAt: at}
		if err := db.Directory().UserSaved(t.Context(), u, entry(journal.UserAdded)); err != nil {
			t.Fatal(err)
		}
		got, err := db.SCEP().Addresses(t.Context(), u.ID)
		slices.Sort(got)
		if want := []string{"a@example.com", "b@example.com", "c@example.com", "d@example.com", "e@example.com"}; err != nil || !slices.Equal(got, want) {
			t.Errorf("got %v, %v, want %v", got, err, want)
		}
		if got, err := db.SCEP().Addresses(t.Context(), "nobody"); err != nil || len(got) != 0 {
			t.Errorf("nobody: got %v, %v", got, err)
		}
	})

	t.Run("the current certificate is renewed once", func(t *testing.T) {
		s := scepFacetOf(t, open(t))
		h := s.holder("alice@example.com")
		first := s.issue(s.by(s.challenge(h, "p")))
		otherProfile := s.issue(s.by(s.challenge(h, "q")))
		second := s.issue(s.after(first))
		s.refused(s.after(first), scep.ErrRenewalOver)
		third := s.issue(s.by(s.challenge(h, "p")))
		s.refused(s.after(second), scep.ErrRenewalOver)
		for name, c := range map[string]struct {
			r    cert.Record
			want bool
		}{"first": {first, false}, "second": {second, false}, "third": {third, true}, "other profile": {otherProfile, true}} {
			if got := s.issued(c.r.Fingerprint).Current; got != c.want {
				t.Errorf("%s: current is %v, want %v", name, got, c.want)
			}
		}
		if _, err := s.Issued(t.Context(), cert.FingerprintOf([]byte("x"))); !errors.Is(err, scep.ErrCertificateUnknown) {
			t.Errorf("unknown: got %v, want ErrCertificateUnknown", err)
		}
	})

	t.Run("a list has what was revoked, until it expired", func(t *testing.T) {
		db := open(t)
		s := scepFacetOf(t, db)
		h := s.holder("alice@example.com")
		a, b := s.issue(s.by(s.challenge(h, "p"))), s.issue(s.by(s.challenge(h, "p")))
		s.must(s.CertificateRevoked(t.Context(), a.Fingerprint, "superseded", entry(journal.CertificateRevoked)))
		before := entries(t, db)
		s.must(s.CertificateRevoked(t.Context(), a.Fingerprint, "affiliationChanged", entry(journal.CertificateRevoked)))
		if got := entries(t, db); got != before {
			t.Errorf("revoking twice wrote %d entries", got-before)
		}
		if r := s.issued(a.Fingerprint).Record; !r.RevokedAt.Equal(at) || r.Reason != "superseded" || s.issued(b.Fingerprint).Record.Revoked() {
			t.Errorf("revoked at %v for %q", r.RevokedAt, r.Reason)
		}
		c, list, err := s.Revocations(t.Context(), "ca", "", many)
		want := []scep.Revocation{{Serial: a.Serial, At: at, Reason: "superseded"}}
		if diff := cmp.Diff(want, list); err != nil || diff != "" || c.Revision == c.Published {
			t.Errorf("list %+v, %v\n%s", c, err, diff)
		}
		if _, list, err := s.Revocations(t.Context(), "other", "", many); err != nil || len(list) != 0 {
			t.Errorf("another issuer has %v, %v", list, err)
		}
		for n, update := range []time.Time{a.NotAfter, a.NotAfter.Add(time.Second)} { // the first may still hold it
			s.must(s.CRLPublished(t.Context(), scep.CRL{Issuer: "ca", Number: int64(n + 1), ThisUpdate: update, DER: []byte{1}, Published: c.Revision}, int64(n)))
			if _, list, err := s.Revocations(t.Context(), "ca", "", many); err != nil || len(list) != 1-n {
				t.Errorf("list after %d publications: %v, %v", n+1, list, err)
			}
		}
	})

	t.Run("of two lists at once one is published", func(t *testing.T) {
		s := scepFacetOf(t, open(t))
		if _, err := s.CRL(t.Context(), "ca", ""); !errors.Is(err, scep.ErrCRLUnknown) {
			t.Errorf("before: got %v, want ErrCRLUnknown", err)
		}
		c, _, err := s.Revocations(t.Context(), "ca", "", many)
		s.must(err)
		mine := scep.CRL{Issuer: "ca", Number: 7, ThisUpdate: at, DER: []byte("mine"), Published: c.Revision}
		s.must(s.CRLPublished(t.Context(), mine, c.Number))
		other := mine
		other.DER = []byte("other")
		if err := s.CRLPublished(t.Context(), other, c.Number); !errors.Is(err, scep.ErrCRLRaced) {
			t.Errorf("got %v, want ErrCRLRaced", err)
		}
		got, err := s.CRL(t.Context(), "ca", "")
		if diff := cmp.Diff(mine, got); err != nil || diff != "" {
			t.Errorf("%v\n%s", err, diff)
		}
	})

	t.Run("a reservation left behind is revoked and never completed", func(t *testing.T) {
		s := scepFacetOf(t, open(t))
		h := s.holder("alice@example.com")
		c := s.challenge(h, "p")
		left := s.by(c)
		s.must(s.SerialReserved(t.Context(), left))
		s.must(s.ReservationsAbandoned(t.Context(), "ca", at))
		if _, list, err := s.Revocations(t.Context(), "ca", "", many); err != nil || len(list) != 0 {
			t.Errorf("at once: got %v, %v", list, err)
		}
		for range 2 {
			s.must(s.ReservationsAbandoned(t.Context(), "ca", at.Add(time.Second)))
		}
		_, list, err := s.Revocations(t.Context(), "ca", "", many)
		want := []scep.Revocation{{Serial: left.Serial, At: at, Reason: "cessationOfOperation"}}
		if diff := cmp.Diff(want, list); err != nil || diff != "" {
			t.Errorf("later: %v\n%s", err, diff)
		}
		if err := s.CertificateIssued(t.Context(), left, recordOf(left), entry(journal.CertificateIssued)); err == nil {
			t.Error("it was completed")
		}
		s.issue(s.by(c)) // the challenge is as good as before
	})
}

type scepFacet struct {
	store.SCEP
	t      *testing.T
	db     *store.DB
	serial int
}

func scepFacetOf(t *testing.T, db *store.DB) *scepFacet {
	return &scepFacet{SCEP: db.SCEP(), t: t, db: db}
}

func (s *scepFacet) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// holder makes a user with an invited device.
func (s *scepFacet) holder(mail string) cert.Holder {
	s.t.Helper()
	inv := facet(s.t, s.db).invite(mail)
	return cert.Holder{User: inv.User.ID, Device: inv.Device.ID}
}

// challenge stores one.
func (s *scepFacet) challenge(h cert.Holder, profile string) scep.Ticket {
	s.t.Helper()
	t := scep.Ticket{Grant: scep.Grant{Profile: profile, Holder: h}, Hash: seal.Random().Hash(), Created: at, Expires: at.Add(time.Hour)}
	t.Names.CommonName, t.Names.Mail = "Alice", []string{"alice@example.com"}
	s.must(s.ChallengeMade(s.t.Context(), t, entry(journal.ChallengeIssued)))
	return t
}

func (s *scepFacet) ticket(hash seal.Hash) scep.Ticket {
	s.t.Helper()
	t, err := s.Ticket(s.t.Context(), hash)
	s.must(err)
	return t
}

func (s *scepFacet) issued(f cert.Fingerprint) scep.Issued {
	s.t.Helper()
	i, err := s.Issued(s.t.Context(), f)
	s.must(err)
	return i
}

// by is a request with a challenge and a key of its own.
func (s *scepFacet) by(t scep.Ticket) scep.Issuance {
	s.serial++
	name := fmt.Sprint("key ", s.serial)
	return scep.Issuance{Grant: t.Grant, Issuer: "ca", Serial: cert.Serial(fmt.Sprint("7f", s.serial)), Challenge: t.Hash,
		Transaction: name, SPKI: cert.FingerprintOf([]byte(name)), TBS: []byte{1}, NotAfter: at.AddDate(1, 0, 0), At: at}
}

// after is a renewal.
func (s *scepFacet) after(r cert.Record) scep.Issuance {
	i := s.by(scep.Ticket{Grant: scep.Grant{Profile: r.Profile, Holder: r.Holder}})
	i.Challenge, i.Renews = seal.Hash{}, r.Fingerprint
	return i
}

// issue takes both steps.
func (s *scepFacet) issue(i scep.Issuance) cert.Record {
	s.t.Helper()
	r := recordOf(i)
	s.must(s.SerialReserved(s.t.Context(), i))
	s.must(s.CertificateIssued(s.t.Context(), i, r, entry(journal.CertificateIssued)))
	return r
}

// refused takes both steps, and the second must fail.
func (s *scepFacet) refused(i scep.Issuance, want error) {
	s.t.Helper()
	s.must(s.SerialReserved(s.t.Context(), i))
	if err := s.CertificateIssued(s.t.Context(), i, recordOf(i), entry(journal.CertificateIssued)); !errors.Is(err, want) {
		s.t.Errorf("got %v, want %v", err, want)
	}
}

// recordOf is a certificate with stand-in bytes.
func recordOf(i scep.Issuance) cert.Record {
	der := []byte("certificate " + string(i.Serial))
	return cert.Record{Fingerprint: cert.FingerprintOf(der), SPKI: i.SPKI, Holder: i.Holder, Source: cert.Issued, Use: cert.Signing,
		Profile: i.Profile, Serial: i.Serial, Subject: "CN=x", Issuer: "CN=y", Addresses: []string{}, NotBefore: at, NotAfter: i.NotAfter,
		DER: der, CreatedAt: at}
}
