package main

import (
	"context"
	"iter"
	"runtime"
)

// inOrder runs work on all items, as many at a time as there are cores, and
// hands the results on in the order of the items, of which it holds no more than
// it works on. The first error ends it.
func inOrder[I, T any](ctx context.Context, items iter.Seq[I], work func(context.Context, I) (T, error), done func(T) error) error {
	type result struct {
		value T
		err   error
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	running := make(chan chan result, runtime.GOMAXPROCS(0))
	go func() {
		defer close(running)
		for item := range items {
			one := make(chan result, 1)
			select {
			case <-ctx.Done():
				return
			case running <- one:
			}
			go func() {
				v, err := work(ctx, item)
				one <- result{v, err}
			}()
		}
	}()
	for one := range running {
		r := <-one
		if r.err != nil {
			return r.err
		}
		if err := done(r.value); err != nil {
			return err
		}
	}
	return ctx.Err()
}
