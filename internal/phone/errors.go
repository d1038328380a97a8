package phone

import (
	"errors"
	"fmt"
)

// Error is a failure as a phone reports it in an ErrorChain. Codes are those of
// Apple's published lists as far as they are known; they change between
// releases, so a server must not branch on them.
type Error struct {
	Domain string
	Code   int
	Text   string
	Cause  error // the next link of the chain, or what only the phone's log knows
}

func (e *Error) Error() string {
	if e.Cause == nil {
		return fmt.Sprintf("%s %d: %s", e.Domain, e.Code, e.Text)
	}
	return fmt.Sprintf("%s %d: %s: %v", e.Domain, e.Code, e.Text, e.Cause)
}

func (e *Error) Unwrap() error { return e.Cause }

// What ends a conversation without being an answer to a command.
var (
	ErrOffline     = errors.New("the phone is offline")
	ErrNotEnrolled = errors.New("the phone is not enrolled")
	ErrRemoved     = errors.New("the server's answer removed the enrollment")
	ErrLost        = errors.New("the connection broke")
	ErrCode        = errors.New("the page asks for a code")
)

// StatusError is an HTTP answer that a phone takes for a failure.
type StatusError struct {
	Status int
	Body   []byte // at most 4 KiB
}

func (e *StatusError) Error() string { return fmt.Sprintf("the server answered %d", e.Status) }

const (
	domainInstall = "MCInstallationErrorDomain"
	domainProfile = "MCProfileErrorDomain"
	domainPayload = "MCPayloadErrorDomain"
	domainCert    = "MCCertificateErrorDomain"
	domainSCEP    = "MCSCEPErrorDomain"
	domainMDM     = "MCMDMErrorDomain"
	domainStatus  = "NSOSStatusErrorDomain"
	domainPOSIX   = "NSPOSIXErrorDomain"
)

func installErr(code int, cause error, text string, args ...any) error {
	return &Error{domainInstall, code, fmt.Sprintf(text, args...), cause}
}

func profileErr(code int, cause error, text string, args ...any) error {
	return &Error{domainProfile, code, fmt.Sprintf(text, args...), cause}
}

func payloadErr(code int, text string, args ...any) error {
	return &Error{domainPayload, code, fmt.Sprintf(text, args...), nil}
}

func certErr(code int, cause error, text string, args ...any) error {
	return &Error{domainCert, code, fmt.Sprintf(text, args...), cause}
}

func scepErr(code int, cause error, text string, args ...any) error {
	return &Error{domainSCEP, code, fmt.Sprintf(text, args...), cause}
}

func mdmErr(code int, text string, args ...any) error {
	return &Error{domainMDM, code, fmt.Sprintf(text, args...), nil}
}

var errFull = &Error{domainPOSIX, 28, "No space left on device", nil}

// errorChain writes an error the way a command report carries it.
// Spec: Apple MDM, ErrorChain: the first item is the top-level error.
func errorChain(err error) []any {
	var chain []any
	for e, ok := errors.AsType[*Error](err); ok; e, ok = errors.AsType[*Error](e.Cause) {
		chain = append(chain, map[string]any{
			"ErrorCode": e.Code, "ErrorDomain": e.Domain,
			"LocalizedDescription": e.Text, "USEnglishDescription": e.Text,
		})
		if e.Cause == nil {
			break
		}
	}
	return chain
}
