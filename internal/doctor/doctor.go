// Package doctor looks at an installation and says what ails it: numbered
// checks in groups, each OK, WARN or FAIL with its cause and a command that
// helps. It works beside a running server and without one, and changes
// nothing.
//
// Start at [Run] and [Checks].
package doctor

import (
	"context"
	"time"
)

// Status is how a check ended.
type Status string

// The statuses. A warning is about what will go wrong, or is poorer than it
// could be; a failure about what is wrong.
const (
	OK   Status = "OK"
	Warn Status = "WARN"
	Fail Status = "FAIL"
)

// Finding is what a check found.
type Finding struct {
	Status Status
	Cause  string // in words for people
	Try    string // a command to run, or what to do; empty when all is well
}

func ok(cause string) Finding         { return Finding{OK, cause, ""} }
func warn(cause, try string) Finding  { return Finding{Warn, cause, try} }
func fails(cause, try string) Finding { return Finding{Fail, cause, try} }

// Check is one thing to look at.
type Check struct {
	Group string
	Name  string
	Look  func(context.Context) Finding
}

// Result is a check that was made.
type Result struct {
	Number  int    `json:"number"`
	Group   string `json:"group"`
	Name    string `json:"name"`
	Status  Status `json:"status"`
	Cause   string `json:"cause"`
	Command string `json:"command,omitempty"`
}

// patience bounds one check.
const patience = 15 * time.Second

// Run makes the checks in order and hands each result to show as it comes.
func Run(ctx context.Context, checks []Check, show func(Result)) {
	for i, c := range checks {
		show(c.result(ctx, i+1))
	}
}

func (c Check) result(ctx context.Context, number int) Result {
	ctx, stop := context.WithTimeout(ctx, patience)
	defer stop()
	f := c.Look(ctx)
	return Result{number, c.Group, c.Name, f.Status, f.Cause, f.Try}
}
