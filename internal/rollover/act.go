package rollover

import (
	"context"
	"fmt"
	"strconv"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/subject"
)

// Status is one authority as people see it.
type Status struct {
	Line        string
	Generations []Generation // that are not over and not cancelled, by number
	Ready       bool         // the next one can be activated
	Waiting     int          // devices that do not have its root
}

// Status lists the authorities that a person can replace.
func (s *Service) Status(ctx context.Context) (list []Status, err error) {
	all, err := s.Store.Generations(ctx)
	if err != nil {
		return nil, err
	}
	for _, l := range s.Lines {
		if !l.replaceable() {
			continue
		}
		st := Status{Line: l.Name}
		for _, g := range all {
			if g.Line == l.Name && (g.Made() || g.State == Wanted) {
				st.Generations = append(st.Generations, g)
			}
		}
		st.Ready = l.ready(all)
		if st.Waiting, err = s.waiting(ctx, all, l.Name); err != nil {
			return nil, err
		}
		list = append(list, st)
	}
	return list, nil
}

// ready tells whether the next generation is there with its parts.
func (l Line) ready(all []Generation) bool {
	g, is := In(all, l.Name, Next)
	for _, part := range l.parts(g) {
		_, made := In(all, part.Line, Current)
		is = is && made
	}
	return is
}

// waiting counts the devices that cannot judge what the next generation of a
// line signs.
func (s *Service) waiting(ctx context.Context, all []Generation, line string) (int, error) {
	next, is := In(all, line, Next)
	current, was := In(all, line, Current)
	if !is || was && current.Root().Equal(next.Root()) {
		return 0, nil
	}
	return s.Store.DevicesWithout(ctx, cert.FingerprintOf(next.Root().Raw))
}

// Start wants the next generation of an authority; the keeper makes it within
// seconds. ErrLine, ErrUnderWay.
func (s *Service) Start(ctx context.Context, by journal.Actor, authority string) (Generation, error) {
	l, all, err := s.find(ctx, authority)
	if err != nil {
		return Generation{}, err
	}
	above := ""
	if l.Above != "" {
		top, is := In(all, l.Above, Current)
		if !is {
			return Generation{}, fmt.Errorf("authority %s: nothing of %s is in use", authority, l.Above)
		}
		above = top.Name
	}
	g := after(all, l.Name, above, s.Now())
	return g, s.Store.GenerationsWanted(ctx, append([]Generation{g}, l.parts(g)...), s.entry(by, journal.RolloverStarted, g))
}

// Activate has the next generation of an authority issue from now on. ErrLine,
// ErrNotNext; ErrDevices when devices do not have its root, unless forced.
func (s *Service) Activate(ctx context.Context, by journal.Actor, authority string, force bool) (Generation, error) {
	l, all, err := s.find(ctx, authority)
	if err != nil {
		return Generation{}, err
	}
	if !l.ready(all) {
		return Generation{}, ErrNotNext
	}
	g, _ := In(all, l.Name, Next)
	n, err := s.waiting(ctx, all, l.Name)
	if err != nil {
		return g, err
	}
	if n > 0 && !force {
		return g, ErrDevices.Saying("The new root certificate is not on every device yet: " + strconv.Itoa(n) + " without it.")
	}
	e := s.entry(by, journal.RolloverActivated, g)
	e.Detail["devices_without_root"] = strconv.Itoa(n)
	e.Due = subject.Scope{All: true}
	g.State, g.Since = Current, e.At
	return g, s.Store.GenerationActivated(ctx, g.Line, g.Name, e)
}

// Cancel gives up the next generation of an authority; its name is never used
// again. ErrLine, ErrNotNext.
func (s *Service) Cancel(ctx context.Context, by journal.Actor, authority string) (Generation, error) {
	l, all, err := s.find(ctx, authority)
	if err != nil {
		return Generation{}, err
	}
	g, is := In(all, l.Name, Next)
	if !is {
		g, is = In(all, l.Name, Wanted)
	}
	if !is {
		return g, ErrNotNext
	}
	e := s.entry(by, journal.RolloverCancelled, g)
	if l.Above == "" {
		e.Due = subject.Scope{All: true} // devices are to forget it
	}
	g.State, g.Since = Cancelled, e.At
	return g, s.Store.GenerationCancelled(ctx, g.Name, e)
}

// find gives a line that a person replaces, and what there is.
func (s *Service) find(ctx context.Context, authority string) (Line, []Generation, error) {
	l, known := s.line(authority)
	if !known || !l.replaceable() {
		return l, nil, ErrLine
	}
	all, err := s.Store.Generations(ctx)
	return l, all, err
}

func (s *Service) entry(by journal.Actor, a journal.Action, g Generation) journal.Entry {
	return journal.Entry{At: s.Now(), Actor: by, Action: a, Detail: map[string]string{"authority": g.Line, "name": g.Name}}
}
