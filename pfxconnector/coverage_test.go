package pfxconnector_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/pfxconnector"
)

func TestGaps(t *testing.T) {
	day := func(n int) time.Time { return at.AddDate(0, 0, n) }
	span := func(from, to int) pfxconnector.Span { return pfxconnector.Span{From: day(from), To: day(to)} }
	type spans = []pfxconnector.Span
	for name, c := range map[string]struct{ in, want spans }{
		"nothing":           {nil, spans{}},
		"one that is valid": {spans{span(-9, 9)}, spans{}},
		"one that expired":  {spans{span(-9, -3)}, spans{span(-3, 0)}},
		"one after another": {spans{span(-5, 9), span(-9, -5)}, spans{}},
		"a day between":     {spans{span(-9, -5), span(-4, 9)}, spans{}},
		"two days between":  {spans{span(-9, -5), span(-3, 9)}, spans{span(-5, -3)}},
		"inside another":    {spans{span(-90, -5), span(-80, -70), span(-3, 9)}, spans{span(-5, -3)}},
		"two gaps":          {spans{span(-3, -2), span(-90, -80), span(-70, -3)}, spans{span(-80, -70), span(-2, 0)}},
		"now in between":    {spans{span(-9, -2), span(5, 9)}, spans{span(-2, 5)}},
		"one to come":       {spans{span(5, 9)}, spans{}},
	} {
		if diff := cmp.Diff(c.want, pfxconnector.Gaps(c.in, at)); diff != "" {
			t.Errorf("%s: want -, got +\n%s", name, diff)
		}
	}
}

func TestCoverages(t *testing.T) {
	record := func(name string, from, to int, use cert.Use) cert.Record {
		return cert.Record{Fingerprint: cert.FingerprintOf([]byte(name)), Source: cert.Imported, Use: use,
			Addresses: []string{"a@x"}, NotBefore: at.AddDate(0, 0, from), NotAfter: at.AddDate(0, 0, to)}
	}
	h := openHouse(t, t.TempDir())
	config := h.Config
	config.Store = &shelf{of: map[subject.UserID][]cert.Record{
		"a": {record("new", -1, 9, cert.Encryption), record("old", -9, -5, cert.Both), record("signs", -5, -1, cert.Signing)},
		"b": {record("past", -9, -5, cert.Encryption)},
	}}
	users := []subject.User{{ID: "a", Mail: "a@x"}, {ID: "b", Mail: "a@x"}, {ID: "c", Mail: "c@x"}}
	list, err := pfxconnector.New(config).Coverages(t.Context(), users)
	if err != nil || len(list) != 3 {
		t.Fatalf("got %d, %v", len(list), err)
	}
	if a := list[0]; a.User.ID != "a" || !a.Current || len(a.Spans) != 2 {
		t.Errorf("got %+v", a)
	}
	if b, c := list[1], list[2]; b.Current || len(b.Spans) != 1 || c.Current || c.Spans == nil || len(c.Spans) != 0 {
		t.Errorf("got %+v and %+v", b, c)
	}
}
