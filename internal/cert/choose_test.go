package cert_test

import (
	"crypto/x509"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-mdm/signet/internal/cert"
)

const primary = "alice@example.com"

// rec makes a record that is fit in every way, named by its first byte.
func rec(name byte, change ...func(*cert.Record)) cert.Record {
	r := cert.Record{
		Fingerprint: cert.Fingerprint{name}, Source: cert.Imported, Use: cert.Both, Addresses: []string{primary},
		NotBefore: now.AddDate(-1, 0, 0), NotAfter: now.AddDate(1, 0, 0), CreatedAt: now,
	}
	for _, c := range change {
		c(&r)
	}
	return r
}

func from(t time.Time) func(*cert.Record)    { return func(r *cert.Record) { r.NotBefore = t } }
func until(t time.Time) func(*cert.Record)   { return func(r *cert.Record) { r.NotAfter = t } }
func use(u cert.Use) func(*cert.Record)      { return func(r *cert.Record) { r.Use = u } }
func of(addr ...string) func(*cert.Record)   { return func(r *cert.Record) { r.Addresses = addr } }
func revoked(r *cert.Record)                 { r.RevokedAt = now.Add(-time.Hour) }
func pinned(r *cert.Record)                  { r.Pinned = true }
func issued(r *cert.Record)                  { r.Source = cert.Issued }
func stuck(r *cert.Record)                   { r.Deliverable = "iOS cannot." }
func created(t time.Time) func(*cert.Record) { return func(r *cert.Record) { r.CreatedAt = t } }

func names(rs ...cert.Record) string {
	var b strings.Builder
	for _, r := range rs {
		b.WriteByte(r.Fingerprint[0])
	}
	return b.String()
}

func TestChoose(t *testing.T) {
	expired := until(now.Add(-time.Second))
	for name, c := range map[string]struct {
		records          []cert.Record
		current, history string
	}{
		"nothing":             {nil, "", ""},
		"one":                 {[]cert.Record{rec('a')}, "a", ""},
		"the newest":          {[]cert.Record{rec('a', from(now.AddDate(-3, 0, 0))), rec('b'), rec('c', from(now.AddDate(-2, 0, 0)))}, "b", "ca"},
		"the longer":          {[]cert.Record{rec('a'), rec('b', until(now.AddDate(2, 0, 0)))}, "b", "a"},
		"the later import":    {[]cert.Record{rec('a'), rec('b', created(now.Add(time.Hour)))}, "b", "a"},
		"equal in all":        {[]cert.Record{rec('b'), rec('a')}, "a", "b"},
		"expired":             {[]cert.Record{rec('a', expired)}, "", "a"},
		"on its last second":  {[]cert.Record{rec('a', until(now))}, "a", ""},
		"not yet valid":       {[]cert.Record{rec('a'), rec('b', from(now.Add(6*time.Minute)))}, "a", "b"},
		"five minutes ahead":  {[]cert.Record{rec('b', from(now.Add(5*time.Minute)))}, "b", ""},
		"revoked":             {[]cert.Record{rec('a', revoked)}, "", "a"},
		"an old address":      {[]cert.Record{rec('a', of("old@example.com"))}, "", "a"},
		"no address":          {[]cert.Record{rec('a', of())}, "", "a"},
		"signing only":        {[]cert.Record{rec('a', use(cert.Signing))}, "", ""},
		"encryption only":     {[]cert.Record{rec('a', use(cert.Encryption))}, "a", ""},
		"undeliverable":       {[]cert.Record{rec('a', stuck), rec('b')}, "b", ""},
		"issued here":         {[]cert.Record{rec('a', issued)}, "", ""},
		"pinned":              {[]cert.Record{rec('a', from(now.AddDate(-2, 0, 0)), pinned), rec('b')}, "a", "b"},
		"pinned, old address": {[]cert.Record{rec('a', of("old@example.com"), pinned), rec('b')}, "a", "b"},
		"pinned, but expired": {[]cert.Record{rec('a', expired, pinned), rec('b')}, "b", "a"},
		"pinned, but revoked": {[]cert.Record{rec('a', revoked, pinned), rec('b')}, "b", "a"},
		"pinned, undelivered": {[]cert.Record{rec('a', stuck, pinned), rec('b')}, "b", ""},
		"none fits, all stay": {[]cert.Record{rec('a', expired), rec('b', revoked, from(now.AddDate(-2, 0, 0)))}, "", "ab"},
	} {
		t.Run(name, func(t *testing.T) {
			given := append([]cert.Record(nil), c.records...)
			got := cert.Choose(c.records, primary, now)
			current := ""
			if got.Current != nil {
				current = names(*got.Current)
			}
			if current != c.current || names(got.History...) != c.history {
				t.Errorf("got %q and %q, want %q and %q", current, names(got.History...), c.current, c.history)
			}
			for _, r := range c.records {
				place, reason := got.Place(r.Fingerprint), got.Reasons[r.Fingerprint]
				if want := wantPlace(c.current, c.history, r); place != want || (reason == "") != (r.Source == cert.Issued) {
					t.Errorf("%c: %s because %q, want %s", r.Fingerprint[0], place, reason, want)
				}
			}
			if diff := cmp.Diff(given, c.records); diff != "" {
				t.Errorf("the given list was changed:\n%s", diff)
			}
		})
	}
}

func wantPlace(current, history string, r cert.Record) cert.Place {
	switch name := names(r); {
	case name == current:
		return cert.Current
	case strings.Contains(history, name):
		return cert.Past
	}
	return cert.Kept
}

// A short RSA key reads old mail, but nothing new is encrypted to it.
func TestShortKeyIsHistory(t *testing.T) {
	short := rec('a', func(r *cert.Record) { r.DER = certificateFor(t, x509.Certificate{}, rsaPublic(1024)).Raw })
	long := rec('b', from(now.AddDate(-2, 0, 0)), func(r *cert.Record) { r.DER = certificateFor(t, x509.Certificate{}, rsa2048).Raw })
	got := cert.Choose([]cert.Record{short, long}, primary, now)
	if got.Current == nil || names(*got.Current) != "b" || names(got.History...) != "a" {
		t.Errorf("got current %v, history %q", got.Current, names(got.History...))
	}
	if reason := got.Reasons[short.Fingerprint]; !strings.Contains(reason, "1024 bits") {
		t.Errorf("reason: got %q", reason)
	}
}

func TestChooseSigning(t *testing.T) {
	for name, c := range map[string]struct {
		records []cert.Record
		want    string
	}{
		"nothing":         {nil, ""},
		"the newest":      {[]cert.Record{rec('a', from(now.AddDate(-3, 0, 0))), rec('b', use(cert.Signing))}, "b"},
		"encryption only": {[]cert.Record{rec('a', use(cert.Encryption))}, ""},
		"expired":         {[]cert.Record{rec('a', until(now.Add(-time.Second)))}, ""},
		"revoked":         {[]cert.Record{rec('a', revoked)}, ""},
		"an old address":  {[]cert.Record{rec('a', of("old@example.com"))}, ""},
		"undeliverable":   {[]cert.Record{rec('a', stuck)}, ""},
		"issued here":     {[]cert.Record{rec('a', issued)}, ""},
		"pinned":          {[]cert.Record{rec('a', pinned, from(now.AddDate(-2, 0, 0))), rec('b')}, "a"},
	} {
		best, reasons := cert.ChooseSigning(c.records, primary, now)
		got := ""
		if best != nil {
			got = names(*best)
		}
		if got != c.want {
			t.Errorf("%s: got %q, want %q; %v", name, got, c.want, reasons)
		}
		for _, r := range c.records {
			if r.Source == cert.Imported && reasons[r.Fingerprint] == "" {
				t.Errorf("%s: %c has no reason", name, r.Fingerprint[0])
			}
		}
	}
}

func TestUnfit(t *testing.T) {
	for name, c := range map[string]struct {
		record cert.Record
		want   string // in the reason; "" for none
	}{
		"fit":              {rec('a'), ""},
		"another address":  {rec('a', of("old@example.com")), ""},
		"a short key":      {rec('a', func(r *cert.Record) { r.DER = certificateFor(t, x509.Certificate{}, rsaPublic(1024)).Raw }), ""},
		"made here":        {rec('a', issued, use(cert.Encryption)), ""},
		"over SCEP":        {rec('a', issued), "not in escrow"},
		"signing only":     {rec('a', use(cert.Signing)), "not for encryption"},
		"undeliverable":    {rec('a', stuck), "iOS cannot"},
		"expired":          {rec('a', until(now.Add(-time.Second))), "expired"},
		"not yet valid":    {rec('a', from(now.Add(time.Hour))), "not valid before"},
		"revoked":          {rec('a', revoked), "revoked"},
		"pinned and stale": {rec('a', until(now.Add(-time.Second)), pinned), "expired"},
	} {
		if got := cert.Unfit(c.record, now); (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}
