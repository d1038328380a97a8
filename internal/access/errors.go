package access

import "github.com/signet-mdm/signet/internal/fault"

// Failures that callers tell apart. An unknown, an expired and a revoked
// credential look the same from outside.
var (
	ErrUnauthenticated = fault.New(fault.Unauthenticated, "unauthenticated",
		"This needs a valid token.", "Make one with signet token create, and give it with --token-file.")
	ErrSession = fault.New(fault.Unauthenticated, "session_expired",
		"This page has expired.", "Open the link from your mail again, or ask for a new one.")
	ErrConsole = fault.New(fault.Unauthenticated, "console_session_ended",
		"You are not signed in, or that has ended.", "Sign in with an API token: signet token create makes one.")
	ErrDenied = fault.New(fault.Denied, "denied",
		"Your role does not allow this.", "Ask somebody with the admin role.")
	ErrPerson = fault.New(fault.Denied, "person_needed",
		"This is for a person to decide, and you did not say who you are.",
		"Use --server with a token that names one: an approver's own to approve (signet approver), and to ask one of the role admin (signet token create --role admin --user PERSON).")
	ErrTokenUnknown = fault.New(fault.NotFound, "token_unknown",
		"There is no such token.", "signet token list shows them.")
	ErrTokenRole = fault.New(fault.Invalid, "token_role_invalid",
		"There is no such role.", "The roles are admin, helpdesk, auditor, approver and importer.")
	ErrTokenName = fault.New(fault.Invalid, "token_name_invalid",
		"A token needs a name of at most 100 printable characters.", "")
	ErrTokenExpiry = fault.New(fault.Invalid, "token_expiry_invalid",
		"A token lives at least a minute and at most a year.", "")
)
