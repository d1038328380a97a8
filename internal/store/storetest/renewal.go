package storetest

import (
	"maps"
	"testing"
	"time"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/delivery/plan"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/mdm"
)

const day = 24 * time.Hour

func testRenewal(t *testing.T, open Open) {
	t.Run("a wish to renew is a fact, and refreshing alone is none", func(t *testing.T) {
		d := deliver(t, open(t))
		refresh := func(renew bool) {
			t.Helper()
			e := entry(journal.DeviceRefresh)
			e.Due = subject.OfDevice(d.id)
			d.must(facet(t, d.db).Refreshed(t.Context(), mdm.Refreshment{Device: d.id, Renew: renew}, e))
		}
		if refresh(false); !d.facts().RenewAt.IsZero() {
			t.Error("refreshed: its certificates are to be renewed")
		}
		refresh(true)
		if refresh(false); !d.facts().RenewAt.Equal(at) {
			t.Errorf("to be renewed since %v, want %v", d.facts().RenewAt, at)
		}
	})

	t.Run("certificates in use that end", func(t *testing.T) {
		db := open(t)
		f, s := facet(t, db), scepFacetOf(t, db)
		// Each device has one certificate that ends, in that many days, of a
		// year's, or of the days before at.
		a := ending{t, f, s}
		soon := a.device("soon@example.com", 20*day)
		later := a.device("later@example.com", 40*day)
		over := a.device("over@example.com", -10*day)
		long := a.device("long@example.com", -100*day)
		newer := a.device("newer@example.com", 5*day)
		a.holds(newer, a.issue(newer, cert.Signing, at, 200*day))
		unproven := a.device("unproven@example.com", 6*day)
		a.issue(unproven, cert.Signing, at, 200*day)
		revoked := a.device("revoked@example.com", 300*day)
		s.must(s.CertificateRevoked(t.Context(), a.issue(revoked, cert.Signing, at.Add(-300*day), 7*day).Fingerprint, "superseded", entry(journal.CertificateRevoked)))
		gone := a.device("gone@example.com", 8*day)
		s.must(f.DeviceRemoved(t.Context(), gone, nil, entry(journal.DeviceRemoved)))
		bound := a.device("bound@example.com", 300*day)
		id := a.issue(bound, cert.Identity, at.Add(-360*day), 5*day)
		f.bindAgain(mdm.Binding{Device: bound, UDID: "bound@example.com", Identity: id.Fingerprint, Topic: "t", At: at}, mdm.Information{})
		a.issue(bound, cert.Identity, at.Add(-400*day), -35*day) // not the one it is bound to

		list, err := f.DevicePage(t.Context(), mdm.Query{Ending: at.Add(30 * day), Limit: 100})
		f.must(err)
		got := map[subject.DeviceID]time.Duration{}
		for _, d := range list {
			got[d.ID] = d.Ends.Sub(at)
		}
		want := map[subject.DeviceID]time.Duration{soon: 20 * day, over: -10 * day, long: -100 * day, unproven: 6 * day, bound: 5 * day}
		if !maps.Equal(got, want) {
			t.Errorf("within 30 days: got %v, want %v", got, want)
		}
		if d, err := f.Detail(t.Context(), string(later)); err != nil || !d.Ends.Equal(at.Add(40*day)) {
			t.Errorf("later: ends %v, %v", d.Ends, err)
		}

		for name, c := range map[string]struct {
			now   time.Time
			terms map[string]plan.Terms
			want  map[string]int
		}{
			"now":          {at, nil, map[string]int{"signing": 3, "identity": 1}}, // soon, over, unproven
			"in 12 days":   {at.Add(12 * day), nil, map[string]int{"signing": 4, "identity": 1}},
			"long over":    {at.Add(101 * day), nil, map[string]int{"signing": 2, "identity": 0}}, // soon, later
			"late renewal": {at, map[string]plan.Terms{"p": {Percent: 8}}, map[string]int{"signing": 2, "identity": 1}},
			"of others":    {at, map[string]plan.Terms{"q": {Percent: 1}}, map[string]int{"signing": 3, "identity": 1}},
		} {
			if n, err := db.Operations().Overdue(t.Context(), c.now, c.terms); err != nil || !maps.Equal(n, c.want) {
				t.Errorf("%s: got %v, %v; want %v", name, n, err, c.want)
			}
		}
	})
}

// ending makes certificates that come to their end.
type ending struct {
	t *testing.T
	f mdmFacet
	s *scepFacet
}

// device enrolls one with a signing certificate of a year that ends then.
func (e ending) device(mail string, end time.Duration) subject.DeviceID {
	e.t.Helper()
	id := e.f.enrolled(mail, mail)
	e.issue(id, cert.Signing, at.Add(end-365*day), end)
	return id
}

func (e ending) issue(id subject.DeviceID, use cert.Use, from time.Time, end time.Duration) cert.Record {
	e.t.Helper()
	i := e.s.by(e.s.challenge(cert.Holder{User: e.f.device(id).User, Device: id}, map[cert.Use]string{cert.Signing: "p", cert.Identity: "i"}[use]))
	i.NotAfter = at.Add(end)
	r := recordOf(i)
	r.Use, r.NotBefore, r.CreatedAt = use, from, from
	e.s.must(e.s.SerialReserved(e.t.Context(), i))
	e.s.must(e.s.CertificateIssued(e.t.Context(), i, r, entry(journal.CertificateIssued)))
	return r
}

// holds lets the device list a certificate with its key.
func (e ending) holds(id subject.DeviceID, r cert.Record) {
	e.t.Helper()
	c := e.f.queue(id, "CertificateList")[0]
	o := mdm.Outcome{Device: id, Command: c.UUID, State: mdm.Acknowledged, At: at, Listed: true,
		Certificates: []mdm.Held{{Fingerprint: r.Fingerprint, Identity: true}}}
	if taken, err := e.f.Reported(e.t.Context(), o, entry(journal.DeviceReported)); err != nil || !taken {
		e.t.Fatalf("taken %v, %v", taken, err)
	}
}
