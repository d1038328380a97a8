package pfxconnector

import (
	"context"
	"slices"
	"time"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/subject"
)

// Coverage is when a user had encryption certificates whose keys are in escrow.
type Coverage struct {
	User    subject.User
	Current bool   // others can encrypt to him now
	Spans   []Span // of each encryption certificate
}

// Span is a time, both ends in it.
type Span struct {
	From time.Time `json:"from" doc:"Begin"`
	To   time.Time `json:"to" doc:"End"`
}

// Coverages tells it for each of the users.
func (s *Service) Coverages(ctx context.Context, users []subject.User) ([]Coverage, error) {
	return ofEach(ctx, s.Store, users, s.coverage)
}

func (s *Service) coverage(u subject.User, records []cert.Record) Coverage {
	c := Coverage{User: u, Current: cert.Choose(records, u.Mail, s.Now()).Current != nil, Spans: []Span{}}
	for _, r := range records {
		if r.Use.Has(cert.Encryption) {
			c.Spans = append(c.Spans, Span{r.NotBefore, r.NotAfter})
		}
	}
	return c
}

// seam is how much may lie between two certificates that follow each other.
const seam = 24 * time.Hour

// Gaps gives the times, in order, between the first of the spans and now, or the
// end of the last if that is later, which none of them covers: mail from then
// was encrypted to a key that is not there. Never nil.
func Gaps(spans []Span, now time.Time) []Span {
	gaps := []Span{}
	sorted := slices.SortedFunc(slices.Values(spans), func(a, b Span) int { return a.From.Compare(b.From) })
	var end time.Time
	for i, s := range append(sorted, Span{From: now, To: now}) {
		if i > 0 && i <= len(spans) && len(spans) > 0 && s.From.Sub(end) > seam {
			gaps = append(gaps, Span{end, s.From})
		}
		if s.To.After(end) {
			end = s.To
		}
	}
	return gaps
}

// Outlook is, in a dry run, what an identity would be to its user.
type Outlook struct {
	Span
	Current bool `json:"current" doc:"Others could encrypt to it now"`
}

// outlook looks at a certificate that has found its user.
func (s *Service) outlook(r cert.Record, u subject.User) *Outlook {
	return &Outlook{Span{r.NotBefore, r.NotAfter}, cert.Choose([]cert.Record{r}, u.Mail, s.Now()).Current != nil}
}
