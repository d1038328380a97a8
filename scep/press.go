package scep

import (
	"context"
	"sync"
	"time"

	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/scep/ca"
)

// ErrPublishing is returned when a CA's key has not signed in time.
var ErrPublishing = fault.New(fault.Unavailable, "scep_publishing",
	"What is to be published is not signed yet: the key of the CA is slow, or does not answer.", "It is tried again by itself. Check the security module that has the key.")

const (
	readTime    = 3 * time.Second  // a reader waits so long for a newer list or answer
	publishTime = 20 * time.Second // and so long who revokes
	refreshTime = 5 * time.Minute
)

// press publishes for one issuer, one at a time. A key in a security module may
// hang, and nothing ends such a call: it goes on behind those who asked, who
// give up, and no second call follows it into the module meanwhile.
type press struct {
	turn chan struct{} // holds one while something is published

	mu        sync.Mutex
	responder *ca.Responder // nil before the first question
}

// presses are those of all issuers.
type presses struct {
	mu sync.Mutex
	of map[string]*press
}

func (p *presses) press(issuer string) *press {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.of == nil {
		p.of = map[string]*press{}
	}
	if p.of[issuer] == nil {
		p.of[issuer] = &press{turn: make(chan struct{}, 1)}
	}
	return p.of[issuer]
}

// inTime publishes what is due of an issuer and tells how much that was, unless
// it takes longer than most, or ctx ends: ErrPublishing.
func (v *Certifier) inTime(ctx context.Context, i *ca.Issuer, most time.Duration) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	p := v.presses.press(i.Name())
	select {
	case p.turn <- struct{}{}:
	case <-ctx.Done():
		return 0, ErrPublishing.With(ctx.Err())
	}
	type result struct {
		n   int
		err error
	}
	done := make(chan result, 1)
	go func() {
		defer func() { <-p.turn }()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), refreshTime)
		defer cancel()
		n, err := v.refreshSafely(ctx, p, i)
		done <- result{n, err}
	}()
	select {
	case r := <-done:
		return r.n, r.err
	case <-ctx.Done():
		return 0, ErrPublishing.With(ctx.Err())
	}
}

func (v *Certifier) refreshSafely(ctx context.Context, p *press, i *ca.Issuer) (n int, err error) {
	defer func() {
		if r := recover(); r != nil {
			n, err = 0, panicked(r)
		}
	}()
	return v.refresh(ctx, p, i)
}

// current gives the OCSP signer there is, and forgets one that is due.
func (p *press) current(now time.Time) *ca.Responder {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.responder != nil && p.responder.Due(now) {
		p.responder = nil
	}
	return p.responder
}

// follow takes the next one.
func (p *press) follow(r *ca.Responder) { p.mu.Lock(); defer p.mu.Unlock(); p.responder = r }
