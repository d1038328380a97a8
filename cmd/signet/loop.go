package main

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/signet-mdm/signet/internal/logx"
)

// step is one piece of background work. It does what is there to do and says
// how much that was; it may be killed anywhere and run again.
type step struct {
	name  string
	every time.Duration // pause when there was nothing to do
	run   func(context.Context) (n int, err error)
}

// backOff bounds the pause after failures.
const backOff = 30 * time.Second

// loop runs s until the context ends: again at once while there is work, after
// a pause or a nudge when there is none, later and later while it fails.
func loop(ctx context.Context, log *slog.Logger, s step, nudge <-chan struct{}) {
	failures := 0
	for ctx.Err() == nil {
		n, err := s.safely(ctx)
		pause := s.every
		switch {
		case err != nil && ctx.Err() == nil: // at the end everything may fail
			failures++
			pause = min(backOff, s.every<<min(failures, 10))
			log.ErrorContext(ctx, "background work failed", logx.Role, s.name, logx.Err, err)
		case n > 0:
			failures, pause = 0, 0
		default:
			failures = 0
		}
		select {
		case <-ctx.Done():
		case <-nudge:
		case <-time.After(pause):
		}
	}
}

// safely makes a panic an error: one piece of work that cannot be done must
// not end the server. The value is not printed: its String may panic again.
func (s step) safely(ctx context.Context) (n int, err error) {
	defer func() {
		if p := recover(); p != nil {
			n, err = 0, fmt.Errorf("panic of type %T: %s", p, debug.Stack())
		}
	}()
	return s.run(ctx)
}

// nudger wakes sleeping steps when something happened that may be work.
type nudger []chan struct{}

// add gives a new channel that every nudge reaches.
func (n *nudger) add() <-chan struct{} {
	c := make(chan struct{}, 1)
	*n = append(*n, c)
	return c
}

// nudge never blocks: a step that is busy looks again anyway.
func (n nudger) nudge() {
	for _, c := range n {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}
