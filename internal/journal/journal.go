// Package journal has the value that every change carries: who did what to
// whom, and which devices must hear of it. A store verb writes the entry, its
// own rows and the due marks in one transaction, so that nothing happens
// without a trace and no trace is of something that did not happen.
package journal

import (
	"time"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/subject"
)

// ActorKind is what sort of party acted.
type ActorKind string

// The kinds of actor.
const (
	System ActorKind = "system" // a worker of ours; ID says which
	Admin  ActorKind = "admin"  // an API token; ID is the token's id
	Local  ActorKind = "local"  // the command line over the socket
	Device ActorKind = "device" // ID is our device id
	Person ActorKind = "person" // a user on the landing or enrollment page

	// Federated is somebody whom the issuer of [graph] names; ID says whom.
	Federated ActorKind = "federated"
	Connector ActorKind = "connector" // another MDM; ID is its registration's
)

// Actor is who did it.
type Actor struct {
	Kind   ActorKind
	ID     string
	Remote string // address without port; empty when it was not over the network
}

// Worker is the actor for our own background work.
func Worker(name string) Actor { return Actor{Kind: System, ID: name} }

// Action is what was done, in the form noun.verb: a closed set, listed here so
// that the audit can be searched.
type Action string

// The actions.
const (
	UserAdded          Action = "user.added"
	UserChanged        Action = "user.changed"
	GroupChanged       Action = "group.changed"
	TokenCreated       Action = "token.created"
	TokenRevoked       Action = "token.revoked"
	PagesEnded         Action = "page.ended"     // all of a user's sessions but the one he is in, and his links
	PageOpened         Action = "page.opened"    // a user followed the link to his page
	ConsoleOpened      Action = "console.opened" // an administrator signed in with his token
	ConsoleClosed      Action = "console.closed" // and out
	ProfilesApplied    Action = "scep.profiles_applied"
	ChallengeFailed    Action = "scep.challenge_failed" // a name that the profile wants has no value
	PolicyApplied      Action = "policy.applied"
	DeviceInvited      Action = "device.invited"
	InvitationRefused  Action = "invitation.refused"
	InvitationRedeemed Action = "invitation.redeemed"
	ProfileDownloaded  Action = "enrollment.profile_downloaded"
	DeviceEnrolled     Action = "device.enrolled"
	DeviceUpdated      Action = "device.updated"
	DeviceReported     Action = "device.reported"
	DeviceRefused      Action = "device.refused"
	DeviceLate         Action = "device.late" // its expired identity got it what renews it
	DeviceRemoved      Action = "device.removed"
	DeviceLost         Action = "device.lost" // its user said so, and it was removed
	DeviceRefresh      Action = "device.refresh"
	ChallengeIssued    Action = "scep.challenge_issued"
	ChallengeRefused   Action = "scep.challenge_refused"
	RequestPending     Action = "scep.request_pending"
	RequestApproved    Action = "scep.request_approved"
	RequestDenied      Action = "scep.request_denied"
	ConsentAsked       Action = "approval.asked" // for what several people must agree to
	ConsentApproved    Action = "approval.approved"
	ConsentDenied      Action = "approval.denied"
	ConsentCancelled   Action = "approval.cancelled"
	ApproverAdded      Action = "approver.added"
	ApproverRemoved    Action = "approver.removed"
	ApproverLinked     Action = "approver.linked" // the way to his credential was sent
	CertificateIssued  Action = "certificate.issued"
	CertificateRevoked Action = "certificate.revoked"
	CertificateRefused Action = "certificate.refused" // another CA gave one that nobody gets; it is to be revoked there
	KeyImported        Action = "key.imported"
	KeyMade            Action = "key.made"         // in the keeper, with its certificate
	KeyQuarantined     Action = "key.quarantined"  // sealed, and nobody's
	KeyAssigning       Action = "key.assigning"    // an administrator said whose it is
	KeyResealed        Action = "key.resealed"     // about to be opened, to be sealed for its user
	KeyAssigned        Action = "key.assigned"     // it is his
	KeyUnassigned      Action = "key.not_assigned" // it stays in quarantine
	KeyDiscarded       Action = "key.discarded"    // out of quarantine, for ever
	KeyPurpose         Action = "key.purpose"      // what it is for, in an administrator's words
	KeyPinned          Action = "key.pinned"       // an administrator chose the current one
	KeyUnpinned        Action = "key.unpinned"     // and left that to the rules again
	KeyRemoved         Action = "key.removed"
	KeyOpened          Action = "key.opened"
	KeyExported        Action = "key.exported" // sealed to a recipient, as several people agreed to
	ExportTaken        Action = "key.export_taken"
	KeysChecked        Action = "key.checked"        // opened once, because they were sealed elsewhere
	EscrowRewrapped    Action = "escrow.rewrapped"   // data keys, from a retiring escrow key to the active one
	EscrowDestroyed    Action = "escrow.destroyed"   // an escrow key that nothing is sealed to
	RecoveryChosen     Action = "recovery.chosen"    // a recovery key, to which all records are to be sealed
	RecoveryOpened     Action = "recovery.opened"    // records, to be sealed to the recovery key
	RecoveryRewrapped  Action = "recovery.rewrapped" // records, to the recovery key of now in the place of others
	KeyRefused         Action = "key.refused"
	KeyAlarm           Action = "key.alarm"  // somebody changed the database, or asks for what he should not
	AlarmTold          Action = "alarm.told" // to those who run the server, by mail
	JobStarted         Action = "job.started"
	JobCancelled       Action = "job.cancelled"
	JobEnded           Action = "job.ended"
	PlanStored         Action = "delivery.planned"
	ParcelSealed       Action = "delivery.sealed"
	ParcelFailed       Action = "delivery.failed"
	PushKeyMade        Action = "push.key_made"
	PushImported       Action = "push.certificate_imported"
	PushTokenRefused   Action = "push.token_refused" // nothing is pushed until the device brings another
	MailQueued         Action = "mail.queued"
	MailSent           Action = "mail.sent"
	MailFailed         Action = "mail.failed"
	MailRetried        Action = "mail.retried"
	BackupMade         Action = "backup.made"
	BackupRestored     Action = "backup.restored"
	RolloverStarted    Action = "ca.rollover_started"
	RolloverMade       Action = "ca.rollover_made"
	RolloverActivated  Action = "ca.rollover_activated"
	RolloverCancelled  Action = "ca.rollover_cancelled"
	RolloverEnded      Action = "ca.rollover_ended"

	TransportKeyMade     Action = "transport_key.made"
	TransportKeyImported Action = "transport_key.imported"

	TenantKeyRegistered Action = "tenant.key_registered" // to which keys may be sealed, after people agreed
	TenantKeyWithdrawn  Action = "tenant.key_withdrawn"
	TenantSent          Action = "tenant.sent"    // a certificate with its key, to the Intune tenant
	TenantRemoved       Action = "tenant.removed" // and taken away there
	TenantSync          Action = "tenant.sync"    // somebody wants it tried now

	ConnectorAdded     Action = "connector.added"
	ConnectorApproved  Action = "connector.approved" // by one of the people who must
	ConnectorRevoked   Action = "connector.revoked"
	ConnectorSecret    Action = "connector.secret_changed"
	ConnectorCRL       Action = "connector.crl_stored"
	ConnectorAsked     Action = "connector.asked" // keys are about to be opened for a device of another MDM
	ConnectorDelivered Action = "connector.delivered"
	ConnectorRefused   Action = "connector.refused"
)

// Entry is one line of the journal. At, Actor and Action are always set.
type Entry struct {
	At     time.Time
	Actor  Actor
	Action Action
	User   subject.UserID
	Device subject.DeviceID
	Cert   cert.Fingerprint
	Detail map[string]string // no secrets; short values
	Due    subject.Scope     // devices whose desired state may have changed
}

// Line is an entry as it stands in the journal, without Due.
type Line struct {
	ID string // orders lines of one instant
	Entry
}

// Query says which lines to list, newest first.
type Query struct {
	User   subject.UserID   // only those about this user
	Device subject.DeviceID // only those about this device
	Before time.Time        // those that follow the one of this time
	ID     string           // and with this id; zero for the newest
	Limit  int              // how many at most
}
