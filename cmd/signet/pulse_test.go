package main

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestPulse(t *testing.T) {
	start := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	bad := errors.New("no")
	for name, c := range map[string]struct {
		beats []error // one a minute, of the step "seal"
		then  time.Duration
		want  string
	}{
		"just started":    {nil, time.Minute, ""},
		"never ended":     {nil, 16 * time.Minute, "seal has not ended a run for 16m0s"},
		"well":            {[]error{nil, nil}, time.Minute, ""},
		"takes long":      {[]error{nil, nil}, 10 * time.Minute, ""},
		"hangs":           {[]error{nil, nil}, 16 * time.Minute, "seal has not ended a run for 16m0s"},
		"failed once":     {[]error{nil, bad}, 0, ""},
		"fails for long":  {[]error{nil, bad, bad}, 0, "seal has failed for 2m0s"},
		"has recovered":   {[]error{bad, bad, bad, nil}, time.Minute, ""},
		"failed at first": {[]error{bad, bad}, 0, "seal has failed for 2m0s"},
	} {
		var p pulse
		p.expect(step{name: "seal", every: time.Second}, start)
		now := start
		for _, err := range c.beats {
			now = now.Add(time.Minute)
			p.beat("seal", err, now)
		}
		got := ""
		if err := p.check(now.Add(c.then)); err != nil {
			got = err.Error()
		}
		if got != c.want || strings.Contains(got, "no") && c.want == "" {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}
