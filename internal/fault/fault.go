// Package fault is the one vocabulary for failures that a caller may need to
// tell apart: a kind, a stable code, a safe message and a hint. Everything
// that is not a [Error] is internal and only the log sees it.
//
// Domains declare their failures as package variables; only the edges
// (httpd, cmd) render them. Start reading at [Error].
package fault

import "errors"

// Kind says what sort of failure it is; the edge maps it to a status.
type Kind int

// The kinds, from "our bug" to "come back later".
const (
	Internal        Kind = iota // ours; an operator should look
	Invalid                     // the input is wrong
	Unauthenticated             // who are you
	Denied                      // you may not
	NotFound                    // no such thing
	Conflict                    // not in this state, or already there
	TooLarge                    // over a limit
	Unavailable                 // not now
)

// Error is a failure with a stable code.
type Error struct {
	Kind Kind
	Code string // stable, listed in docs/errors.md
	Msg  string // shown to the caller; no secrets, no internals
	Hint string // what to do next; may be empty
	err  error  // cause, for the log only
}

// New declares a failure. Call it for package variables only, so that every
// code stands once in the source and docs/errors.md can list it.
func New(kind Kind, code, msg, hint string) *Error {
	return &Error{Kind: kind, Code: code, Msg: msg, Hint: hint}
}

// With returns a copy of e that wraps cause. The cause is for the log only.
func (e *Error) With(cause error) *Error { c := *e; c.err = cause; return &c }

// Saying returns a copy of e with another message, for failures whose
// sentence names the thing that is wrong. The message must hold no secret.
func (e *Error) Saying(msg string) *Error { c := *e; c.Msg = msg; return &c }

// Error gives code, message and cause, for logs.
func (e *Error) Error() string {
	s := e.Code + ": " + e.Msg
	if e.err != nil {
		s += " (" + e.err.Error() + ")"
	}
	return s
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.err }

// Is matches by code, so a wrapped copy equals its declaration.
func (e *Error) Is(target error) bool {
	t, ok := errors.AsType[*Error](target)
	return ok && t.Code == e.Code
}

// Of finds the failure in err's chain, nil if there is none.
func Of(err error) *Error {
	e, _ := errors.AsType[*Error](err)
	return e
}

// Code gives the stable code in err's chain: "" for nil, "internal" for an
// error that nobody declared.
func Code(err error) string {
	if err == nil {
		return ""
	}
	if e := Of(err); e != nil {
		return e.Code
	}
	return "internal"
}
