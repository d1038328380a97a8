package notify

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/internal/subject"
)

// Store keeps the mails.
type Store interface {
	Queue
	Shelf
}

// Queue is what is to be sent.
type Queue interface {
	// MailQueued stores a mail that is due at once. ErrLimit, and nothing is
	// stored, when its user has got PerDay on that topic on that day.
	MailQueued(ctx context.Context, m Mail, e journal.Entry) error
	// MailsLeased takes up to limit mails that are due, oldest first but those of
	// OwnPage after all others, and keeps them from others until the lease ends.
	// Two callers never get the same.
	MailsLeased(ctx context.Context, now, until time.Time, limit int) ([]Due, error)
	// MailTried stores how it went and tells whether it did: not when the lease
	// is over. What was in the mail is forgotten when it is Sent. An entry is
	// written unless the mail goes on waiting.
	MailTried(ctx context.Context, o Outcome, e journal.Entry) (bool, error)
}

// Shelf is what became of mails.
type Shelf interface {
	// Mails lists those that are asked for, newest first; never nil.
	Mails(ctx context.Context, q MailQuery) ([]Status, error)
	// Mail gives one. ErrMailUnknown when there is none.
	Mail(ctx context.Context, id string) (Status, error)
	// MailRetried makes a failed or waiting mail due at once, as if it were
	// new. ErrMailUnknown; ErrMailDone when what was in it is forgotten.
	MailRetried(ctx context.Context, id string, e journal.Entry) error
	// MailsForgotten forgets what was in mails that failed before wipe, and all
	// of mails that ended before drop, and tells how many it met.
	MailsForgotten(ctx context.Context, wipe, drop time.Time) (int, error)
}

// State is where a mail stands.
type State string

// The states.
const (
	Waiting State = "waiting"
	Sent    State = "sent"
	Failed  State = "failed"
)

// Due is a mail that is ours to send for a while.
type Due struct {
	Mail
	To       subject.User
	Damaged  bool      // what is in it cannot be read
	Attempts int       // before this one
	Since    time.Time // from when on the time for trying counts
	Until    time.Time // end of the lease
}

// Outcome is how an attempt went.
type Outcome struct {
	ID     string
	State  State
	Next   time.Time // with Waiting
	Code   int       // what the mail server answered; 0: nothing
	Reason string    // a sentence, or the mail server's words; "" when Sent
	At     time.Time
	Until  time.Time // of the lease
}

// Status is what became of a mail, without what is in it.
type Status struct {
	ID        string
	User      subject.UserID
	To        string // his address
	Device    subject.DeviceID
	Topic     Topic
	State     State
	Attempts  int
	Code      int    // of the last attempt
	Reason    string // of the last attempt
	CreatedAt time.Time
	NextAt    time.Time // of the next attempt; zero: none
	DoneAt    time.Time // zero: not yet
}

// MailQuery asks for a part of the mails. Its zero value but for Limit is all.
type MailQuery struct {
	User   subject.UserID
	State  State
	Before time.Time // with ID: only those that come after that one in the list
	ID     string
	Limit  int
}

// Server is the mail server that takes our mails.
type Server interface {
	// Dial connects. Its errors are about the connection, never about a mail;
	// a [*Reply] where the server said something.
	Dial(ctx context.Context) (Session, error)
}

// Session is one connection to a mail server.
type Session interface {
	// Send hands a mail over. A [*Reply] is the server's no to this mail, or,
	// with code 421 or 0, the end of the connection.
	Send(ctx context.Context, l Letter) (said string, err error)
	Close()
}

// OutboxConfig is what an outbox needs; all of it but Organization, Help and
// Page.
type OutboxConfig struct {
	Store        Store
	Server       Server
	Host         string // ours, as links and Message-IDs have it
	Organization string // in whose name mails are sent
	Help         string // whom people turn to
	Page         string // the address of people's own page
	Log          *slog.Logger
	Now          func() time.Time
}

// Outbox sends mails.
type Outbox struct {
	OutboxConfig
}

// NewOutbox makes the outbox.
func NewOutbox(c OutboxConfig) *Outbox {
	if c.Store == nil || c.Server == nil || c.Host == "" || c.Log == nil || c.Now == nil {
		panic("notify: nil dependency")
	}
	return &Outbox{c}
}

// Invite queues the mail with the link to enroll a device; coded tells whether
// that asks for a code. ErrLimit when the user was sent too many today.
func (o *Outbox) Invite(ctx context.Context, by journal.Actor, user subject.User, device subject.DeviceID, link seal.Secret, coded bool, expires time.Time) error {
	m := NewMail(Invitation, user.ID, device, Facts{Coded: coded, Expires: expires}, o.Now())
	m.Link = link
	return o.Queue(ctx, by, m)
}

// Link queues the mail with the link to a user's own page. ErrLimit when he was
// sent too many today.
func (o *Outbox) Link(ctx context.Context, by journal.Actor, user subject.User, link seal.Secret, expires time.Time) error {
	m := NewMail(OwnPage, user.ID, "", Facts{Expires: expires}, o.Now())
	m.Link = link
	return o.Queue(ctx, by, m)
}

// Queue queues a mail. ErrLimit when its user was sent too many of it today.
func (o *Outbox) Queue(ctx context.Context, by journal.Actor, m Mail) error {
	if err := o.Store.MailQueued(ctx, m, queued(by, m)); err != nil {
		return fmt.Errorf("queueing mail to %s: %w", m.User, err)
	}
	return nil
}

// queued is the entry of a mail that is queued.
func queued(by journal.Actor, m Mail) journal.Entry {
	return journal.Entry{At: m.CreatedAt, Actor: by, Action: journal.MailQueued, User: m.User, Device: m.Device,
		Detail: map[string]string{"mail": m.ID, "topic": string(m.Topic)}}
}

// Mails lists mails, newest first.
func (o *Outbox) Mails(ctx context.Context, q MailQuery) ([]Status, error) {
	return o.Store.Mails(ctx, q)
}

// Mail gives one. ErrMailUnknown when there is none.
func (o *Outbox) Mail(ctx context.Context, id string) (Status, error) { return o.Store.Mail(ctx, id) }

// Retry sends a mail that failed once more, at once. ErrMailUnknown, or
// ErrMailDone when there is nothing left to send.
func (o *Outbox) Retry(ctx context.Context, by journal.Actor, id string) error {
	m, err := o.Store.Mail(ctx, id)
	if err != nil {
		return err
	}
	return o.Store.MailRetried(ctx, id, journal.Entry{At: o.Now(), Actor: by, Action: journal.MailRetried, User: m.User, Device: m.Device,
		Detail: map[string]string{"mail": id, "topic": string(m.Topic)}})
}

// Test sends a message to an address now and gives what the server said. No
// mail is stored. A refusal is ErrTest with the server's words.
func (o *Outbox) Test(ctx context.Context, address string) (said string, err error) {
	l, err := o.test(address)
	if err != nil {
		return "", err
	}
	s, err := o.Server.Dial(ctx)
	if err != nil {
		return "", ErrTest.Saying("The mail server cannot be used: " + tidy(err))
	}
	defer s.Close()
	said, err = s.Send(ctx, l)
	if err != nil {
		return "", ErrTest.Saying("The mail server does not take it: " + tidy(err))
	}
	return clean(said), nil
}
