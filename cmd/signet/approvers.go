package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/signet-mdm/signet/internal/access"
	"github.com/signet-mdm/signet/internal/httpd/admin"
	"github.com/signet-mdm/signet/internal/httpd/console"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/notify"
)

// approvers says who decides, and brings them their links.
type approvers struct{ *server }

var _ admin.Approvers = approvers{}

// Approvers implements [admin.Approvers].
func (s approvers) Approvers(ctx context.Context) ([]access.Appointee, error) {
	return s.consents.Approvers(ctx)
}

// Add implements [admin.Approvers].
func (s approvers) Add(ctx context.Context, by access.Caller, u subject.User, consent string) (admin.ApproverChange, error) {
	have, err := s.consents.Approvers(ctx)
	if err != nil {
		return admin.ApproverChange{}, err
	}
	if consent == "" && len(have) >= s.cfg.Approval.People {
		return s.ask(ctx, by, access.AppointKind, u, fmt.Sprintf("Make %s <%s> an approver.", u.Name, u.Mail))
	}
	if err := s.reaches(by); err != nil {
		return admin.ApproverChange{}, err
	}
	if err := s.consents.Appoint(ctx, by, string(u.ID), u.Mail, consent); err != nil {
		return admin.ApproverChange{}, err
	}
	if err := s.tell(ctx, by, have, notify.ApproverAdded, u); err != nil {
		return admin.ApproverChange{}, err
	}
	return s.Send(ctx, by, u)
}

// Remove implements [admin.Approvers].
func (s approvers) Remove(ctx context.Context, by access.Caller, u subject.User, consent string) (admin.ApproverChange, error) {
	have, err := s.consents.Approvers(ctx)
	if err != nil {
		return admin.ApproverChange{}, err
	}
	if consent == "" {
		return s.ask(ctx, by, access.DismissKind, u, fmt.Sprintf("Make %s <%s> an approver no more.", u.Name, u.Mail))
	}
	if err := s.consents.Dismiss(ctx, by, string(u.ID), consent); err != nil {
		return admin.ApproverChange{}, err
	}
	return admin.ApproverChange{}, s.tell(ctx, by, have, notify.ApproverRemoved, u)
}

func (s approvers) ask(ctx context.Context, by access.Caller, kind string, u subject.User, sentence string) (admin.ApproverChange, error) {
	of := access.Appointee{User: string(u.ID), Address: u.Mail}
	if kind == access.DismissKind {
		have, err := s.consents.Approver(ctx, string(u.ID))
		if err != nil {
			return admin.ApproverChange{}, err
		}
		of = have
	}
	c, err := s.consents.AskChange(ctx, by, kind, of, sentence)
	if err != nil {
		return admin.ApproverChange{}, err
	}
	return admin.ApproverChange{Consent: &c}, nil
}

// reaches tells whether a link can get to its approver: by mail, or on the
// machine where he sits.
func (s approvers) reaches(by access.Caller) error {
	if s.outbox == nil && by.Role != access.Socket {
		return access.ErrApproverMail
	}
	return nil
}

// Send implements [admin.Approvers].
func (s approvers) Send(ctx context.Context, by access.Caller, u subject.User) (out admin.ApproverChange, err error) {
	if err := s.reaches(by); err != nil {
		return out, err
	}
	err = s.consents.Link(ctx, by, string(u.ID), u.Mail, func(ctx context.Context, link seal.Secret, expires time.Time) error {
		whole := seal.SecretString(s.cfg.Base() + console.ApproverPath + link.RevealString())
		if s.outbox == nil {
			out.Link = whole
			return nil
		}
		m := notify.NewMail(notify.ApproverLink, u.ID, "", notify.Facts{Expires: expires}, time.Now())
		m.Link = whole
		return s.outbox.Queue(ctx, by.Actor, m)
	})
	return out, err
}

// tell tells the approvers that there were of a change.
func (s approvers) tell(ctx context.Context, by access.Caller, have []access.Appointee, topic notify.Topic, u subject.User) error {
	if s.outbox == nil {
		return nil
	}
	var errs []error
	for _, a := range have {
		m := notify.NewMail(topic, subject.UserID(a.User), "", notify.Facts{At: time.Now(), People: u.Name}, time.Now())
		if err := s.outbox.Queue(ctx, by.Actor, m); err != nil && !errors.Is(err, notify.ErrLimit) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// TakeCredential implements [admin.Approvers].
func (s approvers) TakeCredential(ctx context.Context, link, remote string) (access.Token, seal.Secret, error) {
	return s.consents.TakeCredential(ctx, strings.TrimPrefix(link, s.cfg.Base()+console.ApproverPath), remote)
}
