package main

import (
	"fmt"
	"strings"
	"time"
)

// progress shows to a person how far something has come; to others it shows
// nothing.
type progress struct {
	*app
	total int
	on    bool
	began time.Time
	drawn time.Time
	shown bool
}

func (a *app) newProgress(total int) *progress {
	return &progress{app: a, total: total, on: a.terminal(a.stderr), began: time.Now()}
}

// redraw is how often the line changes at most.
const redraw = 100 * time.Millisecond

// show draws the line, unless it was drawn just now.
func (p *progress) show(t tally) {
	now := time.Now()
	if !p.on || p.shown && now.Sub(p.drawn) < redraw {
		return
	}
	p.drawn, p.shown = now, true
	fmt.Fprint(p.stderr, "\r\x1b[K", progressLine(t, now.Sub(p.began)))
}

// clear takes the line away when something else is to be written there.
func (p *progress) clear() {
	if p.shown {
		fmt.Fprint(p.stderr, "\r\x1b[K")
		p.shown = false
	}
}

const barWidth = 24

// progressLine is a bar with rate and the time that is left.
func progressLine(t tally, took time.Duration) string {
	all := max(t.files, t.seen, 1)
	full := barWidth * t.seen / all
	line := fmt.Sprintf("[%s%s] %d of %d files, %d %%", strings.Repeat("=", full), strings.Repeat(" ", barWidth-full), t.seen, t.files, 100*t.seen/all)
	if t.seen > 0 && took > 0 {
		left := time.Duration(float64(took) / float64(t.seen) * float64(all-t.seen))
		line += fmt.Sprintf(", %.0f a second, %s left", float64(t.seen)/took.Seconds(), left.Round(time.Second))
	}
	if t.refused > 0 {
		line += fmt.Sprintf(", %d refused", t.refused)
	}
	return line
}
