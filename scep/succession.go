package scep

import (
	"crypto/x509"
	"fmt"
	"time"

	"github.com/signet-mdm/signet/internal/cms"
	"github.com/signet-mdm/signet/scep/ca"
)

// Standing is where a CA stands among those that follow one another.
type Standing int

// The standings.
const (
	Current Standing = iota // issues
	Next                    // published, issues nothing yet
	Past                    // issues nothing more; what it issued is good
)

// Place says whose CA one is. The zero place is that of a CA which profiles
// know by its own name and which no other follows.
type Place struct {
	Authority string // that profiles name; empty: the CA's own name
	Standing  Standing
	Since     time.Time // of the standing
}

// of gives the name by which profiles know the CA.
func (p Place) of(issuer string) string {
	if p.Authority == "" {
		return issuer
	}
	return p.Authority
}

// raGrace is how long an RA that was replaced, or whose CA was, still opens
// requests: for clients that asked for its certificate before.
const raGrace = 24 * time.Hour

// Former is an RA that was replaced.
type Former struct {
	RA
	Since time.Time
}

// Succeed replaces the CAs and RAs that are known. When it fails, those of
// before stay.
func (s *Service) Succeed(list []Authority) error {
	known := map[string]Authority{}
	for _, a := range list {
		if ra := a.RA.Certificate; ra != nil && !a.Issuer.Made(ra) {
			return fmt.Errorf("the RA's certificate is not of issuer %s", a.Issuer.Name())
		}
		known[a.Issuer.Name()] = a
	}
	s.authorities.Store(&known)
	return nil
}

// generations gives the CAs that an authority has had, and the next.
func (s *Service) generations(authority string) (list []Authority) {
	for name, a := range *s.authorities.Load() {
		if a.of(name) == authority {
			list = append(list, a)
		}
	}
	return list
}

// standing finds the CA of an authority that stands there.
func (s *Service) standing(authority string, where Standing) (Authority, bool) {
	for _, a := range s.generations(authority) {
		if a.Standing == where {
			return a, true
		}
	}
	return Authority{}, false
}

// desk is an RA with the CA that it speaks for.
type desk struct {
	issuer *ca.Public
	ra     RA
}

// desks gives those where requests to an authority are opened at a time, the
// usual one first.
func (s *Service) desks(authority string, now time.Time) (list []desk) {
	for _, a := range s.generations(authority) {
		late := a.Standing == Past && !now.Before(a.Since.Add(raGrace))
		if a.Standing == Next || late || !a.RA.complete() {
			continue
		}
		d := desk{a.Issuer, a.RA}
		if a.Standing == Current {
			list = append([]desk{d}, list...)
		} else {
			list = append(list, d)
		}
		for _, f := range a.Former {
			if f.complete() && now.Before(f.Since.Add(raGrace)) {
				list = append(list, desk{a.Issuer, f.RA})
			}
		}
	}
	return list
}

func (r RA) complete() bool { return r.Certificate != nil && r.Signer != nil && r.Decrypter != nil }

// to is the line as the sender of an envelope knows it: with the RA that it is
// encrypted to, which answers as well. Which one that is everybody can see.
func (l *line) to(envelope []byte) *line {
	if len(l.desks) < 2 {
		return l
	}
	certs := make([]*x509.Certificate, len(l.desks))
	for i, d := range l.desks {
		certs[i] = d.ra.Certificate
	}
	i := cms.Addressee(envelope, MaxMessage, certs...)
	if i <= 0 {
		return l
	}
	other := *l
	other.issuer, other.ra = l.desks[i].issuer, l.desks[i].ra
	return &other
}

// Seat is a CA with its key, and its place.
type Seat struct {
	*ca.Issuer
	Place
}

// Succeed replaces the CAs that are known.
func (v *Certifier) Succeed(list []Seat) {
	known := map[string]Seat{}
	for _, s := range list {
		known[s.Name()] = s
	}
	v.seats.Store(&known)
}

// current finds the CA of an authority that issues.
func (v *Certifier) current(authority string) (*ca.Issuer, error) {
	for name, s := range *v.seats.Load() {
		if s.Standing == Current && s.of(name) == authority {
			return s.Issuer, nil
		}
	}
	return nil, ErrIssuerUnknown
}

// made tells whether a CA that an authority has, or had, issued c.
func (v *Certifier) made(authority string, c *x509.Certificate) bool {
	for name, s := range *v.seats.Load() {
		if s.of(name) == authority && s.Made(c) {
			return true
		}
	}
	return false
}
