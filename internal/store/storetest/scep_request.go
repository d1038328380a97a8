package storetest

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/scep"
)

func testSCEPRequests(t *testing.T, open Open) {
	t.Run("a request comes back whole", func(t *testing.T) {
		s := scepFacetOf(t, open(t))
		want := s.request(s.challenge(s.holder("alice@example.com"), "p"))
		got, err := s.Request(t.Context(), want.ID)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("by id: %v\n%s", err, diff)
		}
		got, err = s.RequestOf(t.Context(), "p", want.Transaction, want.Signer)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("by transaction: %v\n%s", err, diff)
		}
		s.decided(want, scep.RequestDenied, "no such laptop")
		want.State, want.Decided, want.Decider, want.By, want.Reason = scep.RequestDenied, at, "approver",
			journal.Actor{Kind: journal.Admin, ID: "token"}, "no such laptop"
		got, err = s.Request(t.Context(), want.ID)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("denied: %v\n%s", err, diff)
		}
	})

	t.Run("a request is found by all of profile, transaction and key", func(t *testing.T) {
		s := scepFacetOf(t, open(t))
		r := s.request(s.challenge(s.holder("alice@example.com"), "p"))
		for name, c := range map[string]struct {
			profile, transaction string
			signer               cert.Fingerprint
		}{
			"other profile":     {"q", r.Transaction, r.Signer},
			"other transaction": {"p", r.Transaction + "x", r.Signer},
			"other key":         {"p", r.Transaction, r.SPKI},
		} {
			if _, err := s.RequestOf(t.Context(), c.profile, c.transaction, c.signer); !errors.Is(err, scep.ErrTransaction) {
				t.Errorf("%s: got %v, want ErrTransaction", name, err)
			}
		}
		if _, err := s.Request(t.Context(), "x"); !errors.Is(err, scep.ErrRequestUnknown) {
			t.Errorf("unknown: got %v, want ErrRequestUnknown", err)
		}
		newer := s.newRequest(s.challenge(s.holder("bob@example.com"), "p"))
		newer.Transaction, newer.Signer, newer.Created = r.Transaction, r.Signer, r.Created.Add(time.Second)
		s.must(s.RequestMade(t.Context(), newer, entry(journal.RequestPending)))
		if got, err := s.RequestOf(t.Context(), "p", r.Transaction, r.Signer); err != nil || got.ID != newer.ID {
			t.Errorf("got %s, %v, want the newest", got.ID, err)
		}
	})

	t.Run("a challenge is reserved by one request, and not spent", func(t *testing.T) {
		s := scepFacetOf(t, open(t))
		h := s.holder("alice@example.com")
		c, used, void := s.challenge(h, "p"), s.challenge(h, "q"), s.challenge(h, "r")
		s.issue(s.by(used))
		s.challenge(h, "r")
		s.request(c)
		if !s.ticket(c.Hash).Used.IsZero() {
			t.Error("the challenge was spent")
		}
		for name, challenge := range map[string]scep.Ticket{"reserved": c, "used": used, "void": void} {
			if err := s.RequestMade(t.Context(), s.newRequest(challenge), entry(journal.RequestPending)); !errors.Is(err, scep.ErrChallengeUsed) {
				t.Errorf("%s: got %v, want ErrChallengeUsed", name, err)
			}
		}
	})

	t.Run("of many requests with one challenge at once one waits", func(t *testing.T) {
		s := scepFacetOf(t, open(t))
		c := s.challenge(s.holder("alice@example.com"), "p")
		var requests []scep.Request
		for range 12 {
			requests = append(requests, s.newRequest(c))
		}
		made := race(s.t, len(requests), scep.ErrChallengeUsed, func(n int) error {
			return s.RequestMade(t.Context(), requests[n], entry(journal.RequestPending))
		})
		if made != 1 {
			t.Errorf("%d were stored, want 1", made)
		}
	})

	t.Run("an approval gives one certificate", func(t *testing.T) {
		s := scepFacetOf(t, open(t))
		r := s.request(s.challenge(s.holder("alice@example.com"), "p"))
		s.refused(s.approved(r), scep.ErrRequestDecided)
		s.decided(r, scep.RequestApproved, "")
		var polls []scep.Issuance
		for range 8 {
			polls = append(polls, s.approved(r))
			s.must(s.SerialReserved(t.Context(), polls[len(polls)-1]))
		}
		issued := race(s.t, len(polls), scep.ErrChallengeUsed, func(n int) error {
			return s.CertificateIssued(t.Context(), polls[n], recordOf(polls[n]), entry(journal.CertificateIssued))
		})
		if issued != 1 {
			t.Errorf("%d certificates, want 1", issued)
		}
		got, err := s.Request(t.Context(), r.ID)
		if err != nil || got.State != scep.RequestIssued || got.Cert.IsZero() {
			t.Errorf("got %s with %s, %v", got.State, got.Cert, err)
		}
		s.undecided(r, scep.RequestDenied)
	})

	t.Run("a request waits at another CA", func(t *testing.T) {
		s := scepFacetOf(t, open(t))
		handOn := func(r scep.Request) error {
			return s.RequestHandedOn(t.Context(), r.ID, entry(journal.RequestPending))
		}
		r, denied, given := s.request(s.challenge(s.holder("alice@example.com"), "p")), s.elsewhere("bob@example.com"), s.elsewhere("carol@example.com")
		if err := handOn(r); !errors.Is(err, scep.ErrRequestDecided) {
			t.Errorf("before the approval: got %v, want ErrRequestDecided", err)
		}
		s.decided(r, scep.RequestApproved, "")
		s.must(handOn(r))
		if err := handOn(r); !errors.Is(err, scep.ErrRequestDecided) {
			t.Errorf("twice: got %v, want ErrRequestDecided", err)
		}
		s.undecided(r, scep.RequestApproved)
		s.decided(denied, scep.RequestDenied, "refused there")
		i := s.approved(given)
		s.issue(i)
		for _, c := range []struct {
			scep.Request
			want scep.RequestState
		}{{r, scep.RequestUpstream}, {denied, scep.RequestDenied}, {given, scep.RequestIssued}} {
			if got, err := s.Request(t.Context(), c.ID); err != nil || got.State != c.want {
				t.Errorf("%s: got %s, %v; want %s", c.ID, got.State, err, c.want)
			}
		}
		if got, err := s.Request(t.Context(), r.ID); err != nil || got.Decider != "approver" {
			t.Errorf("who approved is %q, %v", got.Decider, err)
		}
		for now, want := range map[time.Time]scep.RequestState{at: scep.RequestUpstream, r.Expires: scep.RequestExpired} {
			if list, err := s.Requests(t.Context(), scep.RequestQuery{State: want, Now: now, Limit: 9}); err != nil || len(list) != 1 || list[0].ID != r.ID {
				t.Errorf("%s: got %d, %v", want, len(list), err)
			}
		}
		s.challenge(r.Holder, "p") // a newer one
		if got, err := s.Request(t.Context(), r.ID); err != nil || got.State != scep.RequestVoid {
			t.Errorf("challenged anew: got %s, %v", got.State, err)
		}
	})

	t.Run("a reservation is found until it is completed", func(t *testing.T) {
		s := scepFacetOf(t, open(t))
		i, other := s.by(s.challenge(s.holder("alice@example.com"), "p")), s.by(s.challenge(s.holder("bob@example.com"), "p"))
		is := func(what string, want bool) {
			t.Helper()
			if got, err := s.Reserved(t.Context(), i); err != nil || got != want {
				t.Errorf("%s: got %v, %v; want %v", what, got, err, want)
			}
		}
		s.must(s.SerialReserved(t.Context(), other))
		is("another's", false)
		s.must(s.SerialReserved(t.Context(), i))
		is("its own", true)
		s.must(s.CertificateIssued(t.Context(), i, recordOf(i), entry(journal.CertificateIssued)))
		is("completed", false)
	})

	t.Run("of approving and denying at once one counts", func(t *testing.T) {
		s := scepFacetOf(t, open(t))
		for range 4 {
			r := s.request(s.challenge(s.holder(string(subject.NewUserID())+"@example.com"), "p"))
			race(s.t, 6, scep.ErrRequestDecided, func(n int) error {
				state := []scep.RequestState{scep.RequestApproved, scep.RequestDenied}[n%2]
				return s.RequestDecided(t.Context(), s.decision(r, state, ""), entry(journal.RequestApproved))
			})
			got, err := s.Request(t.Context(), r.ID)
			s.must(err)
			if got.State != scep.RequestDenied { // it withdraws an approval, and nothing takes it back
				t.Errorf("got %s", got.State)
			}
			i := s.approved(r)
			s.must(s.SerialReserved(t.Context(), i))
			if err := s.CertificateIssued(t.Context(), i, recordOf(i), entry(journal.CertificateIssued)); err == nil {
				t.Error("a certificate was issued after all")
			}
		}
	})

	t.Run("a denied challenge is good for nothing", func(t *testing.T) {
		s := scepFacetOf(t, open(t))
		c := s.challenge(s.holder("alice@example.com"), "p")
		s.decided(s.request(c), scep.RequestDenied, "")
		if s.ticket(c.Hash).Voided.IsZero() {
			t.Error("it is not void")
		}
		s.refused(s.by(c), scep.ErrChallengeUsed)
	})

	t.Run("a newer challenge ends what waits by an older one", func(t *testing.T) {
		s := scepFacetOf(t, open(t))
		h := s.holder("alice@example.com")
		open, approved, other := s.request(s.challenge(h, "p")), scep.Request{}, s.request(s.challenge(h, "q"))
		approved = s.request(s.challenge(h, "p"))
		s.decided(approved, scep.RequestApproved, "")
		s.challenge(h, "p")
		for name, c := range map[string]struct {
			r    scep.Request
			want scep.RequestState
		}{"open": {open, scep.RequestVoid}, "approved": {approved, scep.RequestVoid}, "other profile": {other, scep.RequestOpen}} {
			if got, err := s.Request(t.Context(), c.r.ID); err != nil || got.State != c.want {
				t.Errorf("%s: got %s, %v, want %s", name, got.State, err, c.want)
			}
		}
		s.undecided(open, scep.RequestApproved)
	})

	t.Run("a renewal waits and is given once", func(t *testing.T) {
		s := scepFacetOf(t, open(t))
		first := s.issue(s.by(s.challenge(s.holder("alice@example.com"), "p")))
		r := s.newRequest(scep.Ticket{Grant: scep.Grant{Profile: first.Profile, Holder: first.Holder}})
		r.Challenge, r.Renews = [32]byte{}, first.Fingerprint
		s.must(s.RequestMade(t.Context(), r, entry(journal.RequestPending)))
		again := s.newRequest(scep.Ticket{Grant: r.Grant})
		again.Challenge, again.Renews = r.Challenge, r.Renews
		if err := s.RequestMade(t.Context(), again, entry(journal.RequestPending)); !errors.Is(err, scep.ErrRenewalOver) {
			t.Errorf("got %v, want ErrRenewalOver", err)
		}
		s.decided(r, scep.RequestApproved, "")
		i := s.after(first)
		i.Request = r.ID
		s.issue(i)
		again.Created, again.Expires = r.Expires.Add(time.Hour), r.Expires.Add(2*time.Hour)
		if err := s.RequestMade(t.Context(), again, entry(journal.RequestPending)); !errors.Is(err, scep.ErrRenewalOver) {
			t.Errorf("renewed before: got %v, want ErrRenewalOver", err)
		}
	})

	t.Run("nobody decides on what expired", func(t *testing.T) {
		s := scepFacetOf(t, open(t))
		r := s.request(s.challenge(s.holder("alice@example.com"), "p"))
		d := s.decision(r, scep.RequestApproved, "")
		d.At = r.Expires
		if err := s.RequestDecided(t.Context(), d, entry(journal.RequestApproved)); !errors.Is(err, scep.ErrRequestDecided) {
			t.Errorf("got %v, want ErrRequestDecided", err)
		}
		late := s.newRequest(s.challenge(s.holder("bob@example.com"), "p"))
		late.Created = r.Expires.AddDate(0, 0, 31)
		late.Expires = late.Created.Add(time.Hour)
		s.must(s.RequestMade(t.Context(), late, entry(journal.RequestPending)))
		if _, err := s.Request(t.Context(), r.ID); !errors.Is(err, scep.ErrRequestUnknown) {
			t.Errorf("long after: got %v, want ErrRequestUnknown", err)
		}
	})

	t.Run("what is open is counted", func(t *testing.T) {
		db := open(t)
		s := scepFacetOf(t, db)
		r := s.request(s.challenge(s.holder("alice@example.com"), "p"))
		s.decided(s.request(s.challenge(s.holder("bob@example.com"), "p")), scep.RequestApproved, "")
		if f, err := db.Operations().Figures(t.Context()); err != nil || f.Requests != 1 {
			t.Errorf("%d requests, %v; want 1", f.Requests, err)
		}
		later := entry(journal.UserAdded)
		later.At = r.Expires
		s.must(db.Journal().Record(t.Context(), later))
		if f, err := db.Operations().Figures(t.Context()); err != nil || f.Requests != 0 {
			t.Errorf("expired: %d requests, %v; want 0", f.Requests, err)
		}
	})

	t.Run("requests are listed", func(t *testing.T) {
		s := scepFacetOf(t, open(t))
		alice, bob := s.holder("alice@example.com"), s.holder("bob@example.com")
		var ids []string
		for n, h := range []cert.Holder{alice, alice, bob, bob} {
			r := s.newRequest(s.challenge(h, fmt.Sprint("p", n)))
			r.Created, r.Expires = at.Add(time.Duration(n)*time.Second), at.Add(time.Duration(n+1)*time.Hour)
			s.must(s.RequestMade(t.Context(), r, entry(journal.RequestPending)))
			ids = append(ids, r.ID)
			switch n {
			case 1:
				s.decided(r, scep.RequestApproved, "")
			case 2:
				s.decided(r, scep.RequestDenied, "")
			}
		}
		for name, c := range map[string]struct {
			q    scep.RequestQuery
			want []string
		}{
			"all":           {scep.RequestQuery{}, []string{ids[3], ids[2], ids[1], ids[0]}},
			"the first two": {scep.RequestQuery{Limit: 2}, []string{ids[3], ids[2]}},
			"the next":      {scep.RequestQuery{Limit: 1, Before: at.Add(2 * time.Second), ID: ids[2]}, []string{ids[1]}},
			"of a user":     {scep.RequestQuery{User: alice.User}, []string{ids[1], ids[0]}},
			"open":          {scep.RequestQuery{State: scep.RequestOpen, Now: at}, []string{ids[3], ids[0]}},
			"open later":    {scep.RequestQuery{State: scep.RequestOpen, Now: at.Add(3 * time.Hour)}, []string{ids[3]}},
			"approved":      {scep.RequestQuery{State: scep.RequestApproved, Now: at}, []string{ids[1]}},
			"denied":        {scep.RequestQuery{State: scep.RequestDenied, Now: at}, []string{ids[2]}},
			"expired":       {scep.RequestQuery{State: scep.RequestExpired, Now: at.Add(3 * time.Hour)}, []string{ids[1], ids[0]}},
		} {
			if c.q.Limit == 0 {
				c.q.Limit = 10
			}
			list, err := s.Requests(t.Context(), c.q)
			var got []string
			for _, r := range list {
				got = append(got, r.ID)
			}
			if err != nil || !slices.Equal(got, c.want) {
				t.Errorf("%s: got %v, %v, want %v", name, got, err, c.want)
			}
		}
	})
}

// newRequest is one by that challenge, with a transaction and a key of its own.
func (s *scepFacet) newRequest(t scep.Ticket) scep.Request {
	s.serial++
	name := fmt.Sprint("request ", s.serial)
	return scep.Request{Grant: t.Grant, ID: fmt.Sprintf("%08d", s.serial), Challenge: t.Hash, Transaction: name,
		Signer: cert.FingerprintOf([]byte("signer " + name)), SPKI: cert.FingerprintOf([]byte(name)), CSR: []byte{0, 1, 0xff},
		Remote: "192.0.2.1", State: scep.RequestOpen, Created: at, Expires: at.Add(24 * time.Hour)}
}

// elsewhere stores one that waits at another CA.
func (s *scepFacet) elsewhere(mail string) scep.Request {
	s.t.Helper()
	r := s.newRequest(s.challenge(s.holder(mail), "p"))
	r.State = scep.RequestUpstream
	s.must(s.RequestMade(s.t.Context(), r, entry(journal.RequestPending)))
	return r
}

// request stores one.
func (s *scepFacet) request(t scep.Ticket) scep.Request {
	s.t.Helper()
	r := s.newRequest(t)
	s.must(s.RequestMade(s.t.Context(), r, entry(journal.RequestPending)))
	return r
}

func (s *scepFacet) decision(r scep.Request, state scep.RequestState, reason string) scep.Decision {
	return scep.Decision{ID: r.ID, State: state, Person: "approver", By: journal.Actor{Kind: journal.Admin, ID: "token"}, Reason: reason, At: at}
}

func (s *scepFacet) decided(r scep.Request, state scep.RequestState, reason string) {
	s.t.Helper()
	s.must(s.RequestDecided(s.t.Context(), s.decision(r, state, reason), entry(journal.RequestApproved)))
}

func (s *scepFacet) undecided(r scep.Request, state scep.RequestState) {
	s.t.Helper()
	if err := s.RequestDecided(s.t.Context(), s.decision(r, state, ""), entry(journal.RequestApproved)); !errors.Is(err, scep.ErrRequestDecided) {
		s.t.Errorf("got %v, want ErrRequestDecided", err)
	}
}

// approved is the issuance of an approved request.
func (s *scepFacet) approved(r scep.Request) scep.Issuance {
	i := s.by(scep.Ticket{Grant: r.Grant, Hash: r.Challenge})
	i.Request, i.Transaction = r.ID, r.Transaction
	return i
}

// race does f that often at once, and gives how many went well; the others must
// fail with lost.
func race(t *testing.T, times int, lost error, f func(n int) error) (won int) {
	t.Helper()
	errs := make([]error, times)
	var wg sync.WaitGroup
	for n := range times {
		wg.Go(func() { errs[n] = f(n) })
	}
	wg.Wait()
	for _, err := range errs {
		switch {
		case err == nil:
			won++
		case !errors.Is(err, lost):
			t.Errorf("got %v, want %v", err, lost)
		}
	}
	return won
}
