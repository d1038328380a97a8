package main

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"
)

// pulse knows which background steps are alive.
type pulse struct {
	mu    sync.Mutex
	steps map[string]beat
}

// beat is one step's sign of life.
type beat struct {
	every time.Duration
	ended time.Time // of the last run, or when it was first expected
	good  time.Time // the last that ended well, or when it was first expected
	err   error     // of the last run
}

// How long a step may be silent beyond its pause, and fail: no run takes longer
// than its lease, the longest of which, of mails, is ten minutes; and a database
// that was restarted is no reason to send people away.
const (
	maxSilence = 15 * time.Minute
	maxFailing = time.Minute
)

// expect says that w will run from now on.
func (p *pulse) expect(w step, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.steps == nil {
		p.steps = map[string]beat{}
	}
	p.steps[w.name] = beat{w.every, now, now, nil}
}

// beat says that a run of a step has ended.
func (p *pulse) beat(name string, err error, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	b := p.steps[name]
	b.ended, b.err = now, err
	if err == nil {
		b.good = now
	}
	p.steps[name] = b
}

// check says which step is not well, nil when all are.
func (p *pulse) check(now time.Time) error {
	if err := p.silent(now); err != nil {
		return err
	}
	return p.first(func(b beat) error {
		if failing := now.Sub(b.good); b.err != nil && failing > b.every+maxFailing {
			return fmt.Errorf("has failed for %s", failing.Round(time.Second))
		}
		return nil
	})
}

// silent says which step hangs, nil when none does.
func (p *pulse) silent(now time.Time) error {
	return p.first(func(b beat) error {
		if silent := now.Sub(b.ended); silent > b.every+maxSilence {
			return fmt.Errorf("has not ended a run for %s", silent.Round(time.Second))
		}
		return nil
	})
}

// first gives what ails the first step, by name, that something ails.
func (p *pulse) first(ails func(beat) error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(p.steps)) {
		if err := ails(p.steps[name]); err != nil {
			return fmt.Errorf("%s %w", name, err)
		}
	}
	return nil
}
