// Package access says who may do what: API tokens with a role, sessions of
// people on our pages, and the one table of roles and permissions that the
// edges obey. Start at [Service]; the table is in role.go.
//
// Tokens and sessions are kept as hashes, looked up at each use and expire.
package access

import (
	"slices"

	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/seal"
)

// Role is what a caller is to us.
type Role string

// The roles. The first five can be given to API tokens.
const (
	Admin    Role = "admin"    // everything but approving
	Helpdesk Role = "helpdesk" // looks, invites where links go by mail, asks devices again; never sees certificates
	Auditor  Role = "auditor"  // reads everything, changes nothing
	Approver Role = "approver" // decides on what needs a person's approval
	Importer Role = "importer" // a program that brings encryption keys, and takes them away again

	Socket    Role = "socket"    // the command line on the server's own machine
	Person    Role = "person"    // a user on his landing page
	Enrolling Role = "enrolling" // somebody who redeemed an invitation
	FrontEnd  Role = "frontend"  // a role of this installation in another process
	OtherMDM  Role = "othermdm"  // another MDM, whose devices get certificates of their users
)

// TokenRoles lists the roles that an API token can have.
func TokenRoles() []Role { return []Role{Admin, Helpdesk, Auditor, Approver, Importer} }

// Permission is something a caller may do. A route declares exactly one.
type Permission string

// The permissions.
const (
	// Anyone needs no credential from the caller's request as such: either the
	// answer is public or the handler proves the caller by itself (a device's
	// signature, a one-time challenge, an invitation).
	Anyone Permission = "anyone"

	UserRead       Permission = "user.read"
	UserWrite      Permission = "user.write"
	DeviceRead     Permission = "device.read"
	DeviceWrite    Permission = "device.write"
	DeviceInvite   Permission = "device.invite"
	InviteSeen     Permission = "device.invite_seen" // and be shown link and code together
	DeviceRefresh  Permission = "device.refresh"     // ask a device about itself again
	KeyRead        Permission = "key.read"           // which certificates are held; nobody reads keys
	KeyImport      Permission = "key.import"
	KeyTransport   Permission = "key.transport" // make and import the keys that passwords of files come encrypted to
	PolicyRead     Permission = "policy.read"
	PolicyWrite    Permission = "policy.write"
	ChallengeIssue Permission = "challenge.issue"
	TokenManage    Permission = "token.manage"
	AuditRead      Permission = "audit.read"
	CARead         Permission = "ca.read"
	CARevoke       Permission = "ca.revoke"
	CARollover     Permission = "ca.rollover"    // replace a CA by the next
	RequestRead    Permission = "request.read"   // what waits for approval
	RequestDecide  Permission = "request.decide" // approve and deny them, and what several people must agree to
	ConsentAsk     Permission = "consent.ask"    // ask people to agree to something
	MailRead       Permission = "mail.read"      // what became of mails, never what is in them
	MailWrite      Permission = "mail.write"
	JobRead        Permission = "job.read"
	JobManage      Permission = "job.manage" // do something to many devices or keys at once
	PushRead       Permission = "push.read"
	PushManage     Permission = "push.manage" // the certificate by which Apple knows us
	BackupMake     Permission = "backup.make"
	OwnPage        Permission = "own.page"    // one's own devices and certificates
	OwnEnroll      Permission = "own.enroll"  // go on with the enrollment begun here
	ConsoleUse     Permission = "console.use" // have a session in the console, which allows nothing by itself
	AskKeeper      Permission = "keeper.ask"  // have certificates issued and revocations published

	ConnectorRead   Permission = "connector.read"   // which other MDMs are registered
	ConnectorManage Permission = "connector.manage" // register them, which others approve, and end them
	HandOver        Permission = "connector.use"    // be handed over what is sealed to one's devices
)

var reading = []Permission{UserRead, DeviceRead, KeyRead, PolicyRead, AuditRead, CARead, RequestRead, MailRead, JobRead, PushRead, ConnectorRead}

var managing = append(slices.Clone(reading), UserWrite, DeviceWrite, DeviceInvite, InviteSeen, DeviceRefresh, KeyImport, KeyTransport,
	PolicyWrite, ChallengeIssue, CARevoke, CARollover, TokenManage, MailWrite, JobManage, PushManage, BackupMake, ConnectorManage)

// matrix is the whole of authorisation: what is not in it is denied.
var matrix = map[Role][]Permission{
	Admin: append(slices.Clone(managing), ConsentAsk, ConsoleUse),
	// Not InviteSeen: with link and code together one could enroll a device of
	// one's own and be given the user's keys.
	Helpdesk: {UserRead, DeviceRead, DeviceInvite, DeviceRefresh, MailRead, JobRead, ConsoleUse},
	Auditor:  append(slices.Clone(reading), ConsoleUse),
	Approver: {UserRead, DeviceRead, PolicyRead, AuditRead, JobRead, RequestRead, RequestDecide, ConnectorRead, ConsoleUse},
	// Its token lies in the configuration of a program, so it opens little.
	Importer:  {UserRead, KeyRead, KeyImport},
	Socket:    managing,
	Person:    {OwnPage},
	Enrolling: {OwnEnroll, OwnPage},
	FrontEnd:  {AskKeeper},
	OtherMDM:  {HandOver},
}

// Permissions lists every permission.
func Permissions() []Permission {
	return append(slices.Clone(managing), RequestDecide, ConsentAsk, ConsoleUse, Anyone, OwnPage, OwnEnroll, AskKeeper, HandOver)
}

// Caller is who makes a request. The zero value is a stranger.
type Caller struct {
	Actor  journal.Actor
	Role   Role
	User   string // of a session, and of a person's token: our id of the user
	Device string // of an enrollment's session: our id of the device
	// Session is by what the session is known; zero for who has none.
	Session seal.Hash
}

// Stranger is a caller who has shown nothing yet.
func Stranger(remote string) Caller { return Caller{Actor: journal.Actor{Remote: remote}} }

// Front is the caller on the keeper's listener.
func Front(remote string) Caller {
	return Caller{Actor: journal.Actor{Kind: journal.Local, ID: "frontend", Remote: remote}, Role: FrontEnd}
}

// Local is the caller on the server's own socket.
func Local() Caller {
	return Caller{Actor: journal.Actor{Kind: journal.Local, ID: "socket"}, Role: Socket}
}

// May tells whether the caller has the permission.
func (c Caller) May(p Permission) bool {
	return p == Anyone || slices.Contains(matrix[c.Role], p)
}

// Authorize gives nil, [ErrDenied], or [ErrUnauthenticated] for a stranger. What
// a person answers for needs a credential that names one: [ErrPerson].
func (c Caller) Authorize(p Permission) error {
	switch {
	case c.Role == "":
		if p != Anyone {
			return ErrUnauthenticated
		}
	case (p == RequestDecide || p == ConsentAsk) && (c.User == "" || !c.May(p)):
		return ErrPerson
	case !c.May(p):
		return ErrDenied
	}
	return nil
}
