package httpd

import (
	"encoding/json"
	"net/http"

	"github.com/signet-mdm/signet/internal/fault"
)

// Failures that arise before or outside a handler.
var (
	ErrInternal = fault.New(fault.Internal, "internal",
		"Something went wrong on our side.", "Try again; if it stays, give the request id to the operator.")
	ErrTooLarge = fault.New(fault.TooLarge, "body_too_large",
		"The request is larger than this address accepts.", "")
	ErrBody = fault.New(fault.Invalid, "body_unreadable",
		"The request ended before it was whole.", "Send it again.")
	ErrNotFound = fault.New(fault.NotFound, "not_found",
		"There is nothing at this address.", "Check the address.")
	ErrMethod = fault.New(fault.Invalid, "method_not_allowed",
		"This address does not take that method.", "The Allow header lists those it takes.")
	ErrPrecondition = fault.New(fault.Conflict, "precondition_failed",
		"It was changed since you looked.", "Look again, and decide anew.")
	ErrMediaType = fault.New(fault.Invalid, "media_type_unsupported",
		"The body is of a kind that this address does not read.", "Set Content-Type to what the description names.")
	ErrPath = fault.New(fault.Invalid, "path_invalid",
		"The address is malformed.", "Check it for double slashes, dots and encoded characters.")
	ErrHost = fault.New(fault.Invalid, "host_unknown",
		"This server does not answer to that name.", "Use the address that the server was set up with.")
	ErrOrigin = fault.New(fault.Denied, "cross_origin",
		"The request came from another site.", "Open the page of this server and try again.")
	ErrBusy = fault.New(fault.Unavailable, "busy",
		"The server has too much to do right now.", "Try again in a few seconds.")
)

// statuses maps kinds of failure to HTTP.
var statuses = map[fault.Kind]int{
	fault.Internal:        http.StatusInternalServerError,
	fault.Invalid:         http.StatusBadRequest,
	fault.Unauthenticated: http.StatusUnauthorized,
	fault.Denied:          http.StatusForbidden,
	fault.NotFound:        http.StatusNotFound,
	fault.Conflict:        http.StatusConflict,
	fault.TooLarge:        http.StatusRequestEntityTooLarge,
	fault.Unavailable:     http.StatusServiceUnavailable,
}

// Status gives the HTTP status of a failure.
func Status(f *fault.Error) int {
	switch f.Code {
	case ErrMethod.Code:
		return http.StatusMethodNotAllowed
	case ErrPrecondition.Code:
		return http.StatusPreconditionFailed
	case ErrAttempts.Code:
		return http.StatusTooManyRequests
	case ErrMediaType.Code:
		return http.StatusUnsupportedMediaType
	case ErrHost.Code:
		return http.StatusMisdirectedRequest
	}
	return statuses[f.Kind]
}

// KindOf gives the kind of failure that a status of ours stands for; false for
// what went wrong on our side.
func KindOf(status int) (fault.Kind, bool) {
	for kind, s := range statuses {
		if s == status && kind != fault.Internal {
			return kind, true
		}
	}
	return fault.Internal, false
}

// FaultOf gives what may be told of err: its declared failure, or
// [ErrInternal] for anything else.
func FaultOf(err error) *fault.Error {
	if f := fault.Of(err); f != nil {
		return f
	}
	return ErrInternal.With(err)
}

// Render writes the failure f with the HTTP status.
type Render func(w http.ResponseWriter, r *http.Request, status int, f *fault.Error)

// Bare answers with the status and the code as plain text, for devices and
// protocol clients, which read neither JSON nor prose.
func Bare(w http.ResponseWriter, _ *http.Request, status int, f *fault.Error) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	w.Write([]byte(f.Code + "\n"))
}

// ProblemBody is a failure as the APIs send it.
//
// Spec: RFC 9457 section 3
type ProblemBody struct {
	Type      string `json:"type" doc:"Names the code as a URI"`
	Title     string `json:"title" doc:"Of the status"`
	Status    int    `json:"status" doc:"HTTP status"`
	Detail    string `json:"detail" doc:"What went wrong, for people"`
	Code      string `json:"code" doc:"Stable; docs/errors.md lists all"`
	Hint      string `json:"hint,omitempty" doc:"What to do"`
	RequestID string `json:"requestId,omitempty" doc:"By which the log finds the request"`
}

// ProblemOf describes f; requestID lets the log be searched for it.
func ProblemOf(f *fault.Error, requestID string) ProblemBody {
	status := Status(f)
	return ProblemBody{
		Type: "urn:signet:problem:" + f.Code, Title: http.StatusText(status), Status: status,
		Detail: f.Msg, Code: f.Code, Hint: f.Hint, RequestID: requestID,
	}
}

// Problem answers with application/problem+json.
func Problem(w http.ResponseWriter, _ *http.Request, status int, f *fault.Error) {
	w.Header().Set("Content-Type", "application/problem+json")
	if status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="signet"`)
	}
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(ProblemOf(f, w.Header().Get(RequestIDHeader)))
}
