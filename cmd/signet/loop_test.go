package main

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		var n nudger
		work, runs := 3, []time.Duration{}
		start := time.Now()
		var failing atomic.Bool
		s := step{"test", time.Minute, func(context.Context) (int, error) {
			fail := failing.Load() // first: it orders what follows after the test's reading
			runs = append(runs, time.Since(start))
			if fail {
				return 0, errors.New("no")
			}
			work--
			return max(work, 0), nil
		}}
		done := make(chan struct{})
		nudge := n.add()
		go func() { loop(ctx, slog.New(slog.DiscardHandler), s, nudge); close(done) }()

		synctest.Wait()
		if len(runs) != 3 {
			t.Errorf("while there was work: %d runs, want 3 at once", len(runs))
		}
		n.nudge()
		synctest.Wait()
		if len(runs) != 4 {
			t.Errorf("after a nudge: %d runs, want 4", len(runs))
		}
		failing.Store(true)
		time.Sleep(30 * time.Minute)
		stop()
		<-done
		if len(runs) < 10 || runs[len(runs)-1]-runs[len(runs)-2] > backOff {
			t.Errorf("while failing it ran at %v", runs)
		}
	})
}

// A panic in one step is an error of that step: it is logged with where it
// was, the step backs off and is tried again.
func TestLoopOutlivesAPanic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		var log bytes.Buffer
		runs, start := []time.Duration{}, time.Now()
		s := step{"test", time.Second, func(context.Context) (int, error) {
			runs = append(runs, time.Since(start))
			if len(runs) < 3 {
				var nothing map[string]int
				//lint:ignore SA5000 the step is to panic
				nothing["x"]++
			}
			return 0, nil
		}}
		done := make(chan struct{})
		go func() { loop(ctx, slog.New(slog.NewTextHandler(&log, nil)), s, nil); close(done) }()
		time.Sleep(10 * time.Second)
		stop()
		<-done
		if len(runs) < 4 || runs[1] != 2*time.Second || runs[2] != 6*time.Second {
			t.Errorf("it ran at %v, want again after 2 and 4 seconds", runs)
		}
		if n := strings.Count(log.String(), "loop_test.go"); n < 2 || !strings.Contains(log.String(), "panic of type") {
			t.Errorf("the log does not tell where: %s", &log)
		}
	})
}
