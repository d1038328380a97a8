package scep

import (
	"crypto/x509"
	"fmt"
	"slices"
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
	known := authorities{}
	for _, a := range list {
		if ra := a.RA.Certificate; ra != nil && !a.Issuer.Made(ra) {
			return fmt.Errorf("the RA's certificate is not of issuer %s", a.Issuer.Name())
		}
		known[a.Issuer.Name()] = a
	}
	s.authorities.Store(&known)
	return nil
}

// authorities are the CAs that are known, by their names.
type authorities map[string]Authority

// generations gives the CAs that an authority has had, and the next.
func (m authorities) generations(authority string) (list []Authority) {
	for name, a := range m {
		if a.of(name) == authority {
			list = append(list, a)
		}
	}
	return list
}

// standing finds the CA of an authority that stands there.
func (m authorities) standing(authority string, where Standing) (Authority, bool) {
	for _, a := range m.generations(authority) {
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
func (m authorities) desks(authority string, now time.Time) (list []desk) {
	for _, a := range m.generations(authority) {
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

// made tells whether a CA that an authority has, or had, issued c.
func (m authorities) made(authority string, c *x509.Certificate) bool {
	return slices.ContainsFunc(m.generations(authority), func(a Authority) bool { return a.Issuer.Made(c) })
}

// addressed gives the desk that an envelope is encrypted to, which everybody
// can see; the usual one when it is none of them.
func addressed(list []desk, envelope []byte) desk {
	if len(list) < 2 {
		return list[0]
	}
	certs := make([]*x509.Certificate, len(list))
	for i, d := range list {
		certs[i] = d.ra.Certificate
	}
	return list[max(0, cms.Addressee(envelope, MaxMessage, certs...))]
}

func (r RA) complete() bool { return r.Certificate != nil && r.Signer != nil && r.Decrypter != nil }

// to is the line as the sender of an envelope knows it: with the RA that it is
// encrypted to, which answers as well.
func (l *line) to(envelope []byte) *line {
	if len(l.desks) < 2 {
		return l
	}
	other, d := *l, addressed(l.desks, envelope)
	other.issuer, other.ra = d.issuer, d.ra
	return &other
}

// Seat is a CA with its key, and its place. With its RAs the keeper opens
// renewals for itself; without, none is given.
type Seat struct {
	*ca.Issuer
	RA     RA
	Former []Former
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

// known are the CAs as the other half knows them.
func (v *Certifier) known() authorities {
	known := authorities{}
	for name, s := range *v.seats.Load() {
		known[name] = Authority{Issuer: s.Public, RA: s.RA, Former: s.Former, Place: s.Place}
	}
	return known
}
