package storetest

import (
	"crypto"
	"errors"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/delivery"
	"github.com/signet-mdm/signet/internal/delivery/plan"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/store"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/mdm"
	"github.com/signet-mdm/signet/scep"
)

func testRevocation(t *testing.T, open Open) {
	t.Run("a revocation makes its shard due, and the whole list", func(t *testing.T) {
		s := scepFacetOf(t, open(t))
		h := s.holder("alice@example.com")
		a, b := s.onShard(h, "0a"), s.onShard(h, "0b")
		s.published("", "0a", "0b")
		s.listsDue() // nothing
		s.must(s.CertificateRevoked(t.Context(), a.Fingerprint, "superseded", entry(journal.CertificateRevoked)))
		s.listsDue("0a", "")
		s.published("", "0a")
		s.must(s.CertificateRevoked(t.Context(), b.Fingerprint, "superseded", entry(journal.CertificateRevoked)))
		s.listsDue("0b", "")
		s.published("", "0b")
		s.must(s.CertificateRevoked(t.Context(), a.Fingerprint, "affiliationChanged", entry(journal.CertificateRevoked)))
		s.listsDue()
		s.must(s.CertificateRevoked(t.Context(), a.Fingerprint, scep.KeyCompromise, entry(journal.CertificateRevoked)))
		s.listsDue("0a", "")
		for shard, want := range map[string][]cert.Serial{"0a": {a.Serial}, "0b": {b.Serial}, "": {a.Serial, b.Serial}} {
			s.holds(shard, many, shard != "", want...)
		}
		if list, err := s.CRLsDue(t.Context(), "ca", at, at.Add(-time.Second)); err != nil || len(list) != 3 {
			t.Errorf("when the clock was set back: %v, %v are due", list, err)
		}
	})

	t.Run("with too many the whole list is one of several", func(t *testing.T) {
		s := scepFacetOf(t, open(t))
		h := s.holder("alice@example.com")
		old, a, b := s.onShard(h, ""), s.onShard(h, "0a"), s.onShard(h, "0b")
		for _, r := range []cert.Record{old, a, b} {
			s.must(s.CertificateRevoked(t.Context(), r.Fingerprint, "superseded", entry(journal.CertificateRevoked)))
		}
		s.holds("", 3, false, old.Serial, a.Serial, b.Serial)
		s.holds("", 2, true, old.Serial)
	})

	t.Run("a list that nobody names is unknown", func(t *testing.T) {
		s := scepFacetOf(t, open(t))
		s.onShard(s.holder("alice@example.com"), "0a")
		if c, err := s.CRL(t.Context(), "ca", "0a"); err != nil || c.Number != 0 || len(c.DER) != 0 {
			t.Errorf("named, and not published: got %+v, %v", c, err)
		}
		for _, shard := range []string{"0b", ""} {
			if _, err := s.CRL(t.Context(), "ca", shard); !errors.Is(err, scep.ErrCRLUnknown) {
				t.Errorf("%q: got %v, want ErrCRLUnknown", shard, err)
			}
		}
		s.listsDue("0a", "")
	})

	t.Run("an entry is forgotten long after its end", func(t *testing.T) {
		s := scepFacetOf(t, open(t))
		r := s.onShard(s.holder("alice@example.com"), "0a")
		s.must(s.CertificateRevoked(t.Context(), r.Fingerprint, "superseded", entry(journal.CertificateRevoked)))
		for n, c := range []struct {
			after time.Duration // the end of the certificate
			holds int           // the next list
		}{{0, 1}, {time.Hour, 0}, {40 * 24 * time.Hour, 0}} {
			update := r.NotAfter.Add(c.after)
			s.must(s.CRLPublished(t.Context(), scep.CRL{Issuer: "ca", Shard: "0a", Number: int64(n + 1), ThisUpdate: update, DER: []byte{1}}, int64(n)))
			if _, list, err := s.Revocations(t.Context(), "ca", "0a", many); err != nil || len(list) != c.holds {
				t.Errorf("%v after its end: %v, %v", c.after, list, err)
			}
		}
	})

	t.Run("answers are wanted, signed and wanted again", func(t *testing.T) {
		s := scepFacetOf(t, open(t))
		r := s.onShard(s.holder("alice@example.com"), "0a")
		q := scep.Question{Serial: r.Serial, Hash: crypto.SHA1}
		if a, err := s.Answer(t.Context(), "ca", q); err != nil || len(a.DER) != 0 || a.Outdated {
			t.Errorf("before: got %+v, %v", a, err)
		}
		for range 3 { // who asks meanwhile changes nothing
			s.must(s.AnswerWanted(t.Context(), "ca", q, at))
		}
		wanted := s.wanted(1)[0]
		if wanted.Question != q || !wanted.Revocation.At.IsZero() {
			t.Errorf("wanted: %+v", wanted)
		}
		s.must(s.AnswerWanted(t.Context(), "ca", q, at))
		s.must(s.AnswersSigned(t.Context(), "ca", []scep.Signed{{Wanted: wanted, DER: []byte("good")}}, at))
		s.wanted(0)
		want := scep.Answer{DER: []byte("good"), ThisUpdate: at}
		if a, err := s.Answer(t.Context(), "ca", q); err != nil || cmp.Diff(want, a) != "" {
			t.Errorf("signed: got %+v, %v", a, err)
		}
		s.must(s.CertificateRevoked(t.Context(), r.Fingerprint, "keyCompromise", entry(journal.CertificateRevoked)))
		if a, err := s.Answer(t.Context(), "ca", q); err != nil || !a.Outdated {
			t.Errorf("revoked: got %+v, %v", a, err)
		}
		again := s.wanted(1)[0]
		if again.Revocation != (scep.Revocation{Serial: r.Serial, At: at, Reason: "keyCompromise"}) {
			t.Errorf("wanted again: %+v", again)
		}
		s.must(s.AnswersSigned(t.Context(), "ca", []scep.Signed{{Wanted: wanted, DER: []byte("too late")}}, at))
		s.wanted(1)
		s.must(s.AnswersSigned(t.Context(), "ca", []scep.Signed{{Wanted: again, DER: []byte("revoked")}}, at.Add(time.Hour)))
		s.must(s.AnswersForgotten(t.Context(), at.Add(time.Hour)))
		if a, err := s.Answer(t.Context(), "ca", q); err != nil || string(a.DER) != "revoked" || a.Outdated {
			t.Errorf("signed again: got %+v, %v", a, err)
		}
		s.must(s.AnswersForgotten(t.Context(), at.Add(2*time.Hour)))
		if a, err := s.Answer(t.Context(), "ca", q); err != nil || len(a.DER) != 0 {
			t.Errorf("forgotten: got %+v, %v", a, err)
		}
	})

	t.Run("only what was issued is answered for", func(t *testing.T) {
		s := scepFacetOf(t, open(t))
		h := s.holder("alice@example.com")
		r := s.onShard(h, "")
		left := s.by(s.challenge(h, "p"))
		s.must(s.SerialReserved(t.Context(), left))
		for name, c := range map[string]struct {
			serial cert.Serial
			issuer string
			at     time.Time
		}{"stranger": {"7fff", "ca", at}, "another issuer": {r.Serial, "other", at}, "expired": {r.Serial, "ca", r.NotAfter.Add(time.Second)}, "not issued yet": {left.Serial, "ca", at}} {
			err := s.AnswerWanted(t.Context(), c.issuer, scep.Question{Serial: c.serial, Hash: crypto.SHA1}, c.at)
			if !errors.Is(err, scep.ErrCertificateUnknown) {
				t.Errorf("%s: got %v, want ErrCertificateUnknown", name, err)
			}
		}
		s.must(s.ReservationsAbandoned(t.Context(), "ca", at.Add(time.Second)))
		s.must(s.AnswerWanted(t.Context(), "ca", scep.Question{Serial: left.Serial, Hash: crypto.SHA256}, at))
		if got := s.wanted(1)[0]; got.Hash != crypto.SHA256 || got.Revocation.Reason != scep.Abandoned {
			t.Errorf("abandoned: %+v", got)
		}
	})

	t.Run("what was issued is listed, newest first", func(t *testing.T) {
		s := scepFacetOf(t, open(t))
		alice, bob := s.holder("alice@example.com"), s.holder("bob@example.com")
		var all []cert.Record
		for n, h := range []cert.Holder{alice, alice, bob, alice} {
			i := s.by(s.challenge(h, []string{"p", "q"}[n%2]))
			r := recordOf(i)
			r.CreatedAt = at.Add(time.Duration(n/2) * time.Hour) // two at once
			if n == 1 {
				r.NotAfter = at.Add(time.Minute)
			}
			e := entry(journal.CertificateIssued)
			e.At = r.CreatedAt
			s.must(s.SerialReserved(t.Context(), i))
			s.must(s.CertificateIssued(t.Context(), i, r, e))
			all = append(all, r)
		}
		s.must(s.CertificateRevoked(t.Context(), all[0].Fingerprint, "superseded", entry(journal.CertificateRevoked)))
		for name, c := range map[string]struct {
			q    scep.IssuedQuery
			want []int
		}{
			"all": {scep.IssuedQuery{}, []int{0, 1, 2, 3}}, "of Alice": {scep.IssuedQuery{User: alice.User}, []int{0, 1, 3}},
			"of Bob's device": {scep.IssuedQuery{Device: bob.Device}, []int{2}}, "by q": {scep.IssuedQuery{Profile: "q"}, []int{1, 3}},
			"revoked": {scep.IssuedQuery{State: scep.Revoked}, []int{0}}, "expired": {scep.IssuedQuery{State: scep.Expired}, []int{1}},
			"good": {scep.IssuedQuery{State: scep.Good}, []int{2, 3}}, "good, of Alice": {scep.IssuedQuery{State: scep.Good, User: alice.User}, []int{3}},
		} {
			c.q.Now, c.q.Limit = at.Add(time.Hour), 1
			var got, want []cert.Fingerprint
			for range len(all) + 1 { // part by part
				list, err := s.IssuedPage(t.Context(), c.q)
				s.must(err)
				if len(list) == 0 {
					break
				}
				if len(got) > 0 && list[0].CreatedAt.After(c.q.Before) {
					t.Errorf("%s: an older one came first", name)
				}
				got = append(got, list[0].Fingerprint)
				c.q.Before, c.q.ID = list[0].CreatedAt, list[0].Fingerprint
			}
			for _, n := range c.want {
				want = append(want, all[n].Fingerprint)
			}
			less := func(a, b cert.Fingerprint) int { return slices.Compare(a[:], b[:]) }
			slices.SortFunc(got, less)
			slices.SortFunc(want, less)
			if !slices.Equal(got, want) {
				t.Errorf("%s: got %d, want %d", name, len(got), len(want))
			}
		}
		if f, err := s.IssuedAs(t.Context(), all[2].Serial); err != nil || f != all[2].Fingerprint {
			t.Errorf("by serial number: got %v, %v", f, err)
		}
		if _, err := s.IssuedAs(t.Context(), "7fff"); !errors.Is(err, scep.ErrCertificateUnknown) {
			t.Errorf("got %v, want ErrCertificateUnknown", err)
		}
	})

	t.Run("of disabled users what is on no device of ours is forsaken", func(t *testing.T) {
		db := open(t)
		s := scepFacetOf(t, db)
		h := s.holder("alice@example.com")
		s.issue(s.by(s.challenge(h, "p")))
		h.Device = "elsewhere"
		r := s.issue(s.by(s.challenge(h, "p")))
		forsaken := func(now time.Time, want ...cert.Fingerprint) {
			t.Helper()
			if got, err := s.Forsaken(t.Context(), now); err != nil || !slices.Equal(got, want) {
				t.Errorf("got %v, %v; want %v", got, err, want)
			}
		}
		forsaken(at)
		u, err := db.Directory().User(t.Context(), string(h.User))
		s.must(err)
		u.Disabled = true
		s.must(db.Directory().UserSaved(t.Context(), u, entry(journal.UserChanged)))
		forsaken(at, r.Fingerprint)
		forsaken(r.NotAfter.Add(time.Second))
		s.must(s.CertificateRevoked(t.Context(), r.Fingerprint, "affiliationChanged", entry(journal.CertificateRevoked)))
		forsaken(at)
	})
}

// What happens to a device or to its user is the reason with which the next plan
// revokes what the device has.
func testAutomaticRevocation(t *testing.T, open Open) {
	type reasons struct{ Signing, Identity, Other string }
	for name, c := range map[string]struct {
		happens func(mdmFacet, *store.DB, mdm.Device) error
		want    reasons
	}{
		"removed": {func(f mdmFacet, _ *store.DB, d mdm.Device) error {
			return f.DeviceRemoved(t.Context(), d.ID, nil, due(journal.DeviceRemoved, d))
		}, reasons{plan.Cessation, plan.Cessation, plan.Cessation}},
		"lost": {func(f mdmFacet, _ *store.DB, d mdm.Device) error {
			return f.DeviceLost(t.Context(), d.ID, nil, due(journal.DeviceLost, d))
		}, reasons{plan.Compromise, plan.Compromise, plan.Compromise}},
		"wiped, and enrolled again": {func(f mdmFacet, _ *store.DB, d mdm.Device) error {
			next := mdm.Binding{Device: f.invite("bob@example.com").Device.ID, UDID: "U-1", Supersedes: d.ID, At: at}
			return f.Authenticated(t.Context(), next, entry(journal.DeviceUpdated), due(journal.DeviceRemoved, d))
		}, reasons{plan.Cessation, plan.Cessation, plan.Cessation}},
		"removed, with a last command": {func(f mdmFacet, _ *store.DB, d mdm.Device) error {
			farewell := f.queue(d.ID, "RemoveProfile")[0]
			farewell.UUID = "farewell"
			return f.DeviceRemoved(t.Context(), d.ID, &farewell, due(journal.DeviceRemoved, d))
		}, reasons{plan.Cessation, "", plan.Cessation}},
		"disabled": {func(f mdmFacet, db *store.DB, d mdm.Device) error {
			u, err := db.Directory().User(t.Context(), string(d.User))
			if err != nil {
				return err
			}
			u.Disabled = true
			return db.Directory().UserSaved(t.Context(), u, due(journal.UserChanged, d))
		}, reasons{plan.Leaving, "", plan.Leaving}},
		"taken from the policy": {func(f mdmFacet, _ *store.DB, d mdm.Device) error {
			return f.Record(t.Context(), due(journal.PolicyApplied, d))
		}, reasons{plan.Cessation, "", ""}},
	} {
		t.Run(name, func(t *testing.T) {
			db := open(t)
			s, f := scepFacetOf(t, db), facet(t, db)
			id := f.enrolled("alice@example.com", "U-1")
			d := f.device(id)
			h := cert.Holder{User: d.User, Device: id}
			signing, identity := s.by(s.challenge(h, plan.SigningProfile)), s.by(s.challenge(h, "device-identity"))
			s.issue(signing)
			other := s.issue(s.by(s.challenge(h, "laptops")))
			r := recordOf(identity)
			r.Use = cert.Identity
			s.must(s.SerialReserved(t.Context(), identity))
			s.must(s.CertificateIssued(t.Context(), identity, r, entry(journal.CertificateIssued)))
			if err := c.happens(f, db, d); err != nil {
				t.Fatal(err)
			}
			reconcile(t, db)
			got := reasons{s.issued(recordOf(signing).Fingerprint).Record.Reason, s.issued(r.Fingerprint).Record.Reason,
				s.issued(other.Fingerprint).Record.Reason}
			if got != c.want {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}

// due is an entry after which a device is planned for.
func due(a journal.Action, d mdm.Device) journal.Entry {
	e := entry(a)
	e.Due = subject.OfDevice(d.ID)
	return e
}

// reconcile plans until there is nothing to plan.
func reconcile(t *testing.T, db *store.DB) {
	t.Helper()
	s := delivery.New(delivery.Config{Store: db.Delivery(), Policies: db.AppConfig(), Identifier: "org.example.signet",
		Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return at }})
	for range 20 {
		n, err := s.Reconcile(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			return
		}
	}
	t.Fatal("planning does not end")
}

// onShard issues a certificate that names that list.
func (s *scepFacet) onShard(h cert.Holder, shard string) cert.Record {
	s.t.Helper()
	i := s.by(s.challenge(h, "p"))
	i.Shard = shard
	return s.issue(i)
}

// published replaces lists by ones that hold everything.
func (s *scepFacet) published(shards ...string) {
	s.t.Helper()
	for _, shard := range shards {
		c, _, err := s.Revocations(s.t.Context(), "ca", shard, many)
		s.must(err)
		s.must(s.CRLPublished(s.t.Context(), scep.CRL{Issuer: "ca", Shard: shard, Number: c.Number + 1, ThisUpdate: at,
			DER: []byte{1}, Published: c.Revision}, c.Number))
	}
}

// listsDue wants those lists to be due, in that order.
func (s *scepFacet) listsDue(want ...string) {
	s.t.Helper()
	if got, err := s.CRLsDue(s.t.Context(), "ca", at.Add(-time.Hour), at.Add(time.Hour)); err != nil || !slices.Equal(got, want) {
		s.t.Errorf("due are %q, %v; want %q", got, err, want)
	}
}

// holds wants the next list to hold those certificates.
func (s *scepFacet) holds(shard string, most int, partial bool, want ...cert.Serial) {
	s.t.Helper()
	c, list, err := s.Revocations(s.t.Context(), "ca", shard, most)
	var got []cert.Serial
	for _, r := range list {
		got = append(got, r.Serial)
	}
	slices.Sort(got)
	slices.Sort(want)
	if err != nil || !slices.Equal(got, want) || c.Partial != partial || c.Shard != shard {
		s.t.Errorf("list %q holds %v, partial %v, %v; want %v, %v", shard, got, c.Partial, err, want, partial)
	}
}

func (s *scepFacet) wanted(want int) []scep.Wanted {
	s.t.Helper()
	list, err := s.AnswersWanted(s.t.Context(), "ca", many)
	if err != nil || len(list) != want {
		s.t.Fatalf("wanted are %v, %v; want %d", list, err, want)
	}
	return list
}
