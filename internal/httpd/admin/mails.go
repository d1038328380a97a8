package admin

import (
	"context"
	"net/http"
	"time"

	"github.com/signet-mdm/signet/internal/access"
	"github.com/signet-mdm/signet/internal/directory"
	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/notify"
)

// Failures for want of mail.
var (
	ErrNoMail = fault.New(fault.Conflict, "mail_not_configured",
		"No mail server is configured.", "Set [mail] in signet.toml and start the server again; docs/mail.md explains it.")
	ErrSeesBoth = fault.New(fault.Denied, "invite_needs_mail",
		"Without mail, who invites sees link and code together, which is for administrators only.",
		"Ask an administrator to invite, or to configure mail: then the link goes to the user alone.")
)

// Mails is what is sent to people.
type Mails interface {
	// Invite sends a user the link to enroll that device, and nobody else; coded
	// tells whether it asks for a code.
	Invite(ctx context.Context, by journal.Actor, u subject.User, device subject.DeviceID, link seal.Secret, coded bool, expires time.Time) error
	// Mails lists those that are asked for, newest first; never nil.
	Mails(ctx context.Context, q notify.MailQuery) ([]notify.Status, error)
	// Mail gives one.
	Mail(ctx context.Context, id string) (notify.Status, error)
	// Retry sends one that failed once more, at once.
	Retry(ctx context.Context, by journal.Actor, id string) error
	// Test sends a test message now and gives what the mail server said.
	Test(ctx context.Context, address string) (said string, err error)
}

// Mail is a mail to a user, without what is in it.
type Mail struct {
	ID       string     `json:"id" doc:"Our id; the Message-ID begins with it"`
	User     string     `json:"user" doc:"Address of the user"`
	UserID   string     `json:"userId" doc:"Our id of the user"`
	Device   string     `json:"device,omitempty" doc:"Our id of the device that it is about"`
	Topic    string     `json:"topic" enum:"invitation,enrolled,ready,page" doc:"What it is about"`
	State    string     `json:"state" enum:"waiting,sent,failed" doc:"Where it stands"`
	Attempts int        `json:"attempts" doc:"How often it was tried"`
	Code     int        `json:"code,omitempty" doc:"What the mail server answered last"`
	Reason   string     `json:"reason,omitempty" doc:"Why it is not sent"`
	Created  time.Time  `json:"created" doc:"When it was queued"`
	Next     *time.Time `json:"next,omitempty" doc:"When it is tried next"`
	Done     *time.Time `json:"done,omitempty" doc:"When it was sent, or given up"`
}

// TestMail is what became of a test message.
type TestMail struct {
	Said string `json:"said" doc:"What the mail server said when it took it"`
}

func newMail(m notify.Status) Mail {
	return Mail{ID: m.ID, User: m.To, UserID: string(m.User), Device: string(m.Device), Topic: string(m.Topic), State: string(m.State),
		Attempts: m.Attempts, Code: m.Code, Reason: m.Reason, Created: m.CreatedAt, Next: when(m.NextAt), Done: when(m.DoneAt)}
}

// mailPath is the parameter of operations on one mail.
type mailPath struct {
	Mail string `path:"mail" maxLength:"64" doc:"Its id"`
}

func (a *API) mails() {
	register(a, operation{id: "listMails", tag: "mails", method: http.MethodGet, path: "/mails",
		summary: "List mails to users, newest first, without what is in them", permission: access.MailRead,
		faults: []*fault.Error{ErrNoMail, directory.ErrUserUnknown, ErrCursor}}, a.listMails)
	register(a, operation{id: "getMail", tag: "mails", method: http.MethodGet, path: "/mails/{mail}", summary: "Show what became of a mail",
		permission: access.MailRead, faults: []*fault.Error{ErrNoMail, notify.ErrMailUnknown}}, a.getMail)
	register(a, operation{id: "retryMail", tag: "mails", method: http.MethodPost, path: "/mails/{mail}/retry",
		summary: "Send a mail that failed once more", permission: access.MailWrite,
		faults: []*fault.Error{ErrNoMail, notify.ErrMailUnknown, notify.ErrMailDone}}, a.retryMail)
	register(a, operation{id: "testMail", tag: "mails", method: http.MethodPost, path: "/mails/test", summary: "Send a test message now",
		permission: access.MailWrite, maxBody: small, faults: []*fault.Error{ErrNoMail, notify.ErrTest, subject.ErrAddress}}, a.testMail)
}

func (a *API) listMails(ctx context.Context, _ journal.Actor, in *struct {
	Part
	User  string `query:"user" maxLength:"320" doc:"Only those to this user"`
	State string `query:"state" enum:"waiting,sent,failed" doc:"Only those in this state"`
}) (*body[list[Mail]], error) {
	if a.Mails == nil {
		return nil, ErrNoMail
	}
	before, id, err := in.position()
	if err != nil {
		return nil, err
	}
	q := notify.MailQuery{State: notify.State(in.State), Before: before, ID: id, Limit: in.Limit + 1}
	if q.User, err = a.userID(ctx, in.User); err != nil {
		return nil, err
	}
	mails, err := a.Mails.Mails(ctx, q)
	if err != nil {
		return nil, err
	}
	return partOf(mails, in.Limit, newMail, func(m notify.Status) string { return place(m.CreatedAt, m.ID) }), nil
}

func (a *API) getMail(ctx context.Context, _ journal.Actor, in *mailPath) (*body[Mail], error) {
	if a.Mails == nil {
		return nil, ErrNoMail
	}
	m, err := a.Mails.Mail(ctx, in.Mail)
	return &body[Mail]{newMail(m)}, err
}

func (a *API) retryMail(ctx context.Context, by journal.Actor, in *mailPath) (*struct{}, error) {
	if a.Mails == nil {
		return nil, ErrNoMail
	}
	return &struct{}{}, a.Mails.Retry(ctx, by, in.Mail)
}

func (a *API) testMail(ctx context.Context, _ journal.Actor, in *struct {
	Body struct {
		Address string `json:"address" maxLength:"320" doc:"Where to"`
	}
}) (*body[TestMail], error) {
	if a.Mails == nil {
		return nil, ErrNoMail
	}
	said, err := a.Mails.Test(ctx, in.Body.Address)
	return &body[TestMail]{TestMail{said}}, err
}

// Mails lists the newest mails to users, of one of them or of all.
func (c *Client) Mails(ctx context.Context, user, state string, limit int) ([]Mail, error) {
	return atMost[Mail](ctx, c, limit, "/mails", "user", user, "state", state)
}

// Mail shows what became of a mail.
func (c *Client) Mail(ctx context.Context, id string) (Mail, error) {
	return get[Mail](ctx, c, at("mails", id))
}

// RetryMail sends a mail that failed once more.
func (c *Client) RetryMail(ctx context.Context, id string) error {
	return c.do(ctx, http.MethodPost, at("mails", id, "retry"), nil, nil)
}

// TestMail sends a test message now.
func (c *Client) TestMail(ctx context.Context, address string) (TestMail, error) {
	return send[TestMail](ctx, c, http.MethodPost, "/mails/test", map[string]string{"address": address})
}
