package pfx_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/pfxconnector/pfx"
	"github.com/signet-mdm/signet/testdata"
)

// seen is what a sample's row says of a reading.
type seen struct {
	Outcome                                 string
	Identities, UnpairedKeys, UnpairedCerts int
	Problems, Notes                         []string
}

func see(res *pfx.Result, err error) seen {
	if err != nil {
		return seen{Outcome: fault.Code(err)}
	}
	s := seen{Outcome: "ok", Identities: len(res.Identities), UnpairedKeys: res.UnpairedKeys, UnpairedCerts: len(res.Unpaired)}
	for _, p := range res.Problems {
		s.Problems = append(s.Problems, p.Err.Code)
	}
	for _, n := range res.Notes {
		s.Notes = append(s.Notes, string(n))
	}
	slices.Sort(s.Problems)
	slices.Sort(s.Notes)
	return s
}

// patient is for files that are slow by right: the race detector on a busy
// machine makes them slower still.
func patient() pfx.Limits {
	l := pfx.Default
	l.Time = 10 * time.Minute
	return l
}

func TestCorpus(t *testing.T) {
	samples := testdata.PFXCorpus()
	if len(samples) < 100 {
		t.Fatalf("got %d samples, want at least 100", len(samples))
	}
	for _, s := range samples {
		t.Run(s.Name+"/"+s.Outcome, func(t *testing.T) {
			t.Parallel()
			res, err := pfx.Read(t.Context(), s.Data, seal.SecretString(s.Password), patient())
			if s.Outcome == "pfx_mac_missing" {
				if got := fault.Code(err); got != s.Outcome {
					t.Fatalf("without permission: got %q, want %q", got, s.Outcome)
				}
				if s.Identities == 0 {
					return
				}
				loose := patient()
				loose.AllowNoMAC = true
				res, err = pfx.Read(t.Context(), s.Data, seal.SecretString(s.Password), loose)
				s.Outcome = "ok"
			}
			want := seen{s.Outcome, s.Identities, s.UnpairedKeys, s.UnpairedCerts, nil, nil}
			want.Problems = append(want.Problems, s.Problems...)
			want.Notes = append(want.Notes, s.Notes...)
			if diff := cmp.Diff(want, see(res, err)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}
