package storetest

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/internal/store"
	"github.com/signet-mdm/signet/scep"
)

// reportsOf gives both facets, and what is owed for a challenge whose
// certificate is not made yet.
func reportsOf(t *testing.T, db *store.DB) (*scepFacet, store.Reports, scep.Issuance, scep.Report) {
	t.Helper()
	box, err := seal.NewBox(seal.RandomRoot(), "reports")
	if err != nil {
		t.Fatal(err)
	}
	s, reports := scepFacetOf(t, db), db.Reports(box)
	i := s.by(s.challenge(s.holder("alice@example.com"), "p"))
	r := scep.Report{Challenge: i.Challenge, Transaction: i.Transaction, SPKI: i.SPKI, CSR: []byte("a request with a challenge")}
	s.must(reports.ReportOwed(t.Context(), r, at, at.Add(time.Minute)))
	return s, reports, i, r
}

func testReports(t *testing.T, open Open) {
	due, until := at.Add(time.Minute), at.Add(time.Hour)

	t.Run("a report is due once there is a certificate", func(t *testing.T) {
		s, reports, i, want := reportsOf(t, open(t))
		leased := func(now, until time.Time) []scep.Report {
			t.Helper()
			list, err := reports.ReportsLeased(t.Context(), now, until, 10)
			s.must(err)
			return list
		}
		got, err := reports.Report(t.Context(), want.Challenge, want.Transaction, want.SPKI)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%v\n%s", err, diff)
		}
		if list := leased(due, until); len(list) > 0 {
			t.Errorf("without a certificate: %v", list)
		}
		c := s.issue(i)
		if list := leased(due.Add(-time.Second), until); len(list) > 0 {
			t.Errorf("before it is due: %v", list)
		}
		want.Certificate, want.Tries = c.Fingerprint, 1
		if diff := cmp.Diff([]scep.Report{want}, leased(due, until)); diff != "" {
			t.Error(diff)
		}
		if list := leased(until.Add(-time.Second), until.Add(time.Hour)); len(list) > 0 {
			t.Errorf("leased twice: %v", list)
		}
		s.must(reports.ReportPostponed(t.Context(), want, due))
		if list := leased(due, until); len(list) != 1 || list[0].Tries != 2 {
			t.Errorf("postponed: %v", list)
		}
		s.must(reports.ReportTold(t.Context(), want, until))
		s.must(reports.ReportTold(t.Context(), want, until.Add(time.Hour)))
		s.must(reports.ReportOwed(t.Context(), want, until, until))
		if list := leased(until.AddDate(1, 0, 0), until); len(list) > 0 {
			t.Errorf("after it was told: %v", list)
		}
		got, err = reports.Report(t.Context(), want.Challenge, want.Transaction, want.SPKI)
		if err != nil || !got.Told.Equal(until) || len(got.CSR) > 0 {
			t.Errorf("told: got %+v, %v", got, err)
		}
	})

	t.Run("what is written down anew counts", func(t *testing.T) {
		s, reports, _, r := reportsOf(t, open(t))
		r.CSR = []byte("another request with the same key")
		s.must(reports.ReportOwed(t.Context(), r, at, due))
		if got, err := reports.Report(t.Context(), r.Challenge, r.Transaction, r.SPKI); err != nil || string(got.CSR) != string(r.CSR) {
			t.Errorf("got %s, %v", got.CSR, err)
		}
		if got, err := reports.Report(t.Context(), r.Challenge, "another", r.SPKI); err != nil || len(got.CSR) > 0 {
			t.Errorf("another transaction: got %+v, %v", got, err)
		}
	})

	t.Run("only what came to nothing is forgotten", func(t *testing.T) {
		s, reports, i, r := reportsOf(t, open(t))
		c := s.issue(i)
		other := r
		other.Transaction = "lost the race"
		s.must(reports.ReportOwed(t.Context(), other, at, due))
		for n, before := range []time.Time{at, at.Add(time.Second)} {
			s.must(reports.ReportsForgotten(t.Context(), before))
			for which, gone := range map[*scep.Report]bool{&r: false, &other: n == 1} {
				if got, err := reports.Report(t.Context(), which.Challenge, which.Transaction, which.SPKI); err != nil || (len(got.CSR) == 0) != gone {
					t.Errorf("%s, before %v: got %+v, %v", which.Transaction, before, got, err)
				}
			}
		}
		foreign := s.issue(s.by(s.challenge(i.Holder, "q")))
		for name, f := range map[cert.Fingerprint]bool{c.Fingerprint: true, foreign.Fingerprint: false} {
			if is, err := reports.IsReported(t.Context(), name); err != nil || is != f {
				t.Errorf("got %v, %v, want %v", is, err, f)
			}
		}
	})

	t.Run("each report is one server's", func(t *testing.T) {
		s, reports, first, _ := reportsOf(t, open(t))
		s.issue(first)
		for n := range 5 {
			i := s.by(s.challenge(s.holder(fmt.Sprintf("user%d@example.com", n)), "p"))
			s.must(reports.ReportOwed(t.Context(), scep.Report{Challenge: i.Challenge, Transaction: i.Transaction, SPKI: i.SPKI, CSR: []byte{1}}, at, due))
			s.issue(i)
		}
		var mu sync.Mutex
		count := map[string]int{}
		var wait sync.WaitGroup
		for range 4 {
			wait.Go(func() {
				list, err := reports.ReportsLeased(t.Context(), due, until, 10)
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				for _, r := range list {
					count[r.Transaction]++
				}
			})
		}
		wait.Wait()
		for transaction, n := range count {
			if n != 1 {
				t.Errorf("%s: leased %d times", transaction, n)
			}
		}
		if len(count) != 6 {
			t.Errorf("%d were leased, want 6", len(count))
		}
	})
}
