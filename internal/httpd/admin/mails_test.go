package admin_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/signet-mdm/signet/internal/access"
	"github.com/signet-mdm/signet/internal/httpd/admin"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/notify"
)

// fakeMails keeps the links that it was given.
type fakeMails struct {
	links   []string
	full    bool
	retried string
}

func (f *fakeMails) Invite(_ context.Context, _ journal.Actor, u subject.User, _ subject.DeviceID, link seal.Secret, coded bool, _ time.Time) error {
	if f.full || !coded {
		return notify.ErrLimit
	}
	f.links = append(f.links, u.Mail+" "+link.RevealString())
	return nil
}

func (f *fakeMails) Mails(_ context.Context, q notify.MailQuery) ([]notify.Status, error) {
	return []notify.Status{{ID: "m-1", User: q.User, To: "alice@example.com", Topic: notify.Invitation, State: notify.Failed, Attempts: q.Limit, Code: 550, Reason: "550 no", CreatedAt: at}}, nil
}

func (f *fakeMails) Mail(_ context.Context, id string) (notify.Status, error) {
	if id != "m-1" {
		return notify.Status{}, notify.ErrMailUnknown
	}
	return notify.Status{ID: id, State: notify.Sent, CreatedAt: at, DoneAt: at}, nil
}

func (f *fakeMails) Retry(_ context.Context, _ journal.Actor, id string) error {
	f.retried = id
	return nil
}

func (*fakeMails) Test(_ context.Context, address string) (string, error) {
	if !strings.Contains(address, "@") {
		return "", subject.ErrAddress
	}
	return "250 OK " + address, nil
}

// With mail the link goes to the user alone: it is in no answer, whoever
// invites; and the help desk may invite then, and only then.
func TestInviteByMail(t *testing.T) {
	w := newWorldWith(t, &fakeMails{})
	if _, err := w.as(t, access.Admin).AddUser(t.Context(), admin.NewUser{Mail: "alice@example.com"}); err != nil {
		t.Fatal(err)
	}
	for _, role := range []access.Role{access.Admin, access.Helpdesk} {
		inv, err := w.as(t, role).Invite(t.Context(), "alice@example.com")
		if want := (admin.Invitation{User: "alice@example.com", Device: "d-1", Mailed: true, Code: "code", Expires: at}); err != nil || inv != want {
			t.Errorf("%s: got %+v, %v; want %+v", role, inv, err, want)
		}
	}
	if got := strings.Join(w.mails.links, "\n"); got != "alice@example.com https://x/enroll/T\nalice@example.com https://x/enroll/T" {
		t.Errorf("mailed: %s", got)
	}
	if strings.Contains(w.log.String(), "enroll/T") {
		t.Errorf("the log has the link:\n%s", w.log)
	}
	if _, err := w.as(t, access.Auditor).Invite(t.Context(), "alice@example.com"); code(err) != "denied" {
		t.Errorf("an auditor: got %v", err)
	}
	w.mails.full = true
	if _, err := w.as(t, access.Admin).Invite(t.Context(), "alice@example.com"); code(err) != "mail_limit" || w.devices.removed != "d-1" {
		t.Errorf("too many: got %v, removed %q; want the invitation taken back", err, w.devices.removed)
	}

	w = newWorld(t)
	if _, err := w.as(t, access.Admin).AddUser(t.Context(), admin.NewUser{Mail: "alice@example.com"}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.as(t, access.Helpdesk).Invite(t.Context(), "alice@example.com"); code(err) != "invite_needs_mail" {
		t.Errorf("helpdesk without mail: got %v", err)
	}
	if inv, err := w.as(t, access.Admin).Invite(t.Context(), "alice@example.com"); err != nil || inv.Link == "" || inv.Mailed {
		t.Errorf("admin without mail: got %+v, %v", inv, err)
	}
}

func TestMails(t *testing.T) {
	w := newWorldWith(t, &fakeMails{})
	c := w.as(t, access.Admin)
	u, err := c.AddUser(t.Context(), admin.NewUser{Mail: "alice@example.com"})
	if err != nil {
		t.Fatal(err)
	}
	for _, role := range []access.Role{access.Admin, access.Helpdesk, access.Auditor} {
		list, err := w.as(t, role).Mails(t.Context(), "alice@example.com", "failed", 100)
		if err != nil || len(list) != 1 || list[0].UserID != u.ID || list[0].Code != 550 || list[0].Next != nil || list[0].Attempts != 101 {
			t.Errorf("%s: got %+v, %v", role, list, err)
		}
	}
	if m, err := c.Mail(t.Context(), "m-1"); err != nil || m.State != "sent" || !m.Done.Equal(at) {
		t.Errorf("got %+v, %v", m, err)
	}
	if _, err := c.Mail(t.Context(), "m-2"); code(err) != "mail_unknown" {
		t.Errorf("unknown: got %v", err)
	}
	if err := c.RetryMail(t.Context(), "m-1"); err != nil || w.mails.retried != "m-1" {
		t.Errorf("retry: %q, %v", w.mails.retried, err)
	}
	if got, err := c.TestMail(t.Context(), "bob@example.com"); err != nil || got.Said != "250 OK bob@example.com" {
		t.Errorf("got %+v, %v", got, err)
	}
	if _, err := c.TestMail(t.Context(), "bob"); code(err) != "address_invalid" {
		t.Errorf("test to nobody: got %v", err)
	}
	if err := w.as(t, access.Helpdesk).RetryMail(t.Context(), "m-1"); code(err) != "denied" {
		t.Errorf("the help desk retries: got %v", err)
	}

	none := newWorld(t).as(t, access.Admin)
	_, list := none.Mails(t.Context(), "", "", 1)
	_, one := none.Mail(t.Context(), "m-1")
	_, test := none.TestMail(t.Context(), "bob@example.com")
	for what, err := range map[string]error{"list": list, "show": one, "test": test, "retry": none.RetryMail(t.Context(), "m-1")} {
		if code(err) != "mail_not_configured" {
			t.Errorf("%s without mail: got %v", what, err)
		}
	}
}
