package rollover

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/logx"
	"github.com/signet-mdm/signet/internal/subject"
)

const (
	// makeLease is how long one process has for making a key.
	makeLease = 30 * time.Second
	// Grace is how long a part that was replaced, or whose CA was, still does
	// its work: for who asked just before.
	Grace = 24 * time.Hour
	// keepLists is how long the revocations of an issuer are published beyond
	// the end of its last certificate.
	keepLists = 7 * 24 * time.Hour
)

var keeper = journal.Worker("keeper")

// Step makes what is wanted, wants what is to be renewed, and ends what has
// served its time. It is run where the keys are, again and again.
func (s *Service) Step(ctx context.Context) (n int, err error) {
	all, err := s.Store.Generations(ctx)
	if err != nil {
		return 0, err
	}
	for _, f := range []func(context.Context, []Generation) (int, error){s.renew, s.make, s.end} {
		did, failed := f(ctx, all)
		n, err = n+did, errors.Join(err, failed)
	}
	return n, err
}

// make makes what is wanted. What certifies another comes first.
func (s *Service) make(ctx context.Context, all []Generation) (n int, err error) {
	for i, g := range all {
		if g.State != Wanted || !s.ready(all, g) {
			continue
		}
		did, failed := s.one(ctx, g)
		if did {
			n++
			all[i].State = Next // its parts can be made
		}
		err = errors.Join(err, failed)
	}
	return n, err
}

// ready tells whether what certifies g is there.
func (s *Service) ready(all []Generation, g Generation) bool {
	for _, above := range all {
		if above.Name == g.Above {
			return above.Made()
		}
	}
	return g.Above == ""
}

func (s *Service) one(ctx context.Context, g Generation) (bool, error) {
	now := s.Now()
	ours, err := s.Store.GenerationLeased(ctx, g.Name, now, now.Add(makeLease))
	if err != nil || !ours {
		return false, err
	}
	if g.Certs, err = s.Make(ctx, g); errors.Is(err, ErrAway) {
		s.Log.WarnContext(ctx, "a key waits for its certificate", logx.Kind, g.Name)
		return false, nil
	} else if err != nil {
		return false, fmt.Errorf("making %s: %w", g.Name, err)
	}
	e := s.entry(keeper, journal.RolloverMade, g)
	e.Cert = cert.FingerprintOf(g.Certs[0].Raw)
	g.State, g.Since = Next, e.At
	if s.renews(g.Line) {
		g.State = Current
	}
	if g.Above == "" {
		e.Due = subject.Scope{All: true} // all devices get the new root
	}
	if err := s.Store.GenerationMade(ctx, g, e); err != nil {
		return false, fmt.Errorf("storing %s: %w", g.Name, err)
	}
	s.Log.InfoContext(ctx, "a key was made", logx.Kind, g.Name, logx.State, string(g.State), logx.Cert, e.Cert.String())
	return true, nil
}

// renews tells whether a line is renewed by itself.
func (s *Service) renews(line string) bool {
	l, named := s.line(line)
	return !named || l.Notice > 0
}

func (s *Service) notice(line string) time.Duration {
	if l, named := s.line(line); named {
		return l.Notice
	}
	return PartNotice
}

// renew wants what follows a key that ends soon, or that a replaced root
// certified.
func (s *Service) renew(ctx context.Context, all []Generation) (n int, err error) {
	for _, g := range all {
		if g.State != Current || !s.renews(g.Line) || g.Certificate() == nil || open(all, g.Line) {
			continue
		}
		above, use, err := s.above(ctx, all, g)
		if err != nil {
			return n, err
		}
		ends := g.Certificate().NotAfter.Add(-s.notice(g.Line))
		if !use || s.Now().Before(ends) && above == g.Above {
			continue
		}
		next := after(all, g.Line, above, s.Now())
		err = s.Store.GenerationsWanted(ctx, []Generation{next}, s.entry(keeper, journal.RolloverStarted, next))
		if err == nil {
			n++
		} else if !errors.Is(err, ErrUnderWay) {
			return n, err
		}
	}
	return n, nil
}

// open tells whether a generation of a line is on its way.
func open(all []Generation, line string) bool {
	_, wanted := In(all, line, Wanted)
	_, next := In(all, line, Next)
	return wanted || next
}

// above gives what certifies the next generation of g's line, and whether one
// is of any use: a part ends with its CA. What devices know the server by stays
// below its root until all of them have the new one, however that was activated.
func (s *Service) above(ctx context.Context, all []Generation, g Generation) (string, bool, error) {
	if l, named := s.line(g.Line); named {
		current, is := In(all, l.Above, Current)
		if !is || current.Name == g.Above || current.Root().Equal(g.Root()) {
			return current.Name, is, nil
		}
		n, err := s.Store.DevicesWithout(ctx, cert.FingerprintOf(current.Root().Raw))
		if n > 0 {
			return g.Above, true, err
		}
		return current.Name, true, err
	}
	for _, other := range all {
		if other.Name == g.Above {
			return g.Above, other.State == Next || other.State == Current, nil
		}
	}
	return "", false, nil
}

// end ends what has served its time.
func (s *Service) end(ctx context.Context, all []Generation) (int, error) {
	var names []string
	for _, g := range all {
		over, err := s.over(ctx, all, g)
		if err != nil {
			return 0, err
		}
		if over {
			names = append(names, g.Name)
		}
	}
	if len(names) == 0 {
		return 0, nil
	}
	e := journal.Entry{At: s.Now(), Actor: keeper, Action: journal.RolloverEnded, Detail: map[string]string{"names": fmt.Sprint(names)},
		Due: subject.Scope{All: true}}
	return len(names), s.Store.GenerationsOver(ctx, names, e)
}

// over tells whether a past generation is of no use any more: a part after a
// day, a CA when all that it made has ended.
func (s *Service) over(ctx context.Context, all []Generation, g Generation) (bool, error) {
	now := s.Now()
	if g.State != Past || now.Before(g.Since.Add(Grace)) {
		return false, nil
	}
	for _, below := range all {
		if below.Above == g.Name && (below.State == Wanted || below.Made()) && s.stands(below) {
			return false, nil
		}
	}
	if s.renews(g.Line) {
		return true, nil
	}
	last, err := s.Store.LastEnd(ctx, g.Name)
	return err == nil && !now.Before(last.Add(keepLists)), err
}

// stands tells whether a generation keeps what certified it from ending: parts
// do not.
func (s *Service) stands(below Generation) bool {
	_, named := s.line(below.Line)
	return named
}
