package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/signet-mdm/signet/internal/access"
	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/httpd/admin"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/logx"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/notify"
	"github.com/signet-mdm/signet/pfxconnector/opener"
	"github.com/signet-mdm/signet/pfxconnector/recovery"
)

// recoveries lets people ask for exports and take them.
type recoveries struct{ *server }

var _ admin.Recoveries = recoveries{}

// Ask implements [admin.Recoveries].
func (s recoveries) Ask(ctx context.Context, by access.Caller, u subject.User, n admin.NewRecovery) (access.Consent, error) {
	wanted, err := s.wanted(ctx, u.ID, n.Certificates)
	if err != nil {
		return access.Consent{}, err
	}
	r, err := recovery.New(u.ID, wanted, n.Recipient, recovery.Format(n.Format), n.Reason)
	if err != nil {
		return access.Consent{}, err
	}
	text, err := r.Text()
	if err != nil {
		return access.Consent{}, err
	}
	sentence := fmt.Sprintf("Export %s of %s <%s> as %s to %s. Reason: %s", count(len(wanted), "key"), u.Name, u.Mail, r.Format, r.To(), r.Reason)
	return s.consents.Ask(ctx, by, access.Ask{Kind: recovery.Kind, Request: text, Sentence: sentence})
}

// wanted gives the keys that are named, or all that the user has.
func (s recoveries) wanted(ctx context.Context, user subject.UserID, named []string) ([]cert.Fingerprint, error) {
	held, err := s.pfx.Held(ctx, []subject.UserID{user})
	if err != nil {
		return nil, err
	}
	has := map[cert.Fingerprint]bool{}
	var list []cert.Fingerprint
	for _, r := range held[user] {
		has[r.Fingerprint] = true
		list = append(list, r.Fingerprint)
	}
	if len(named) == 0 {
		return list, nil
	}
	list = nil
	for _, text := range named {
		f, err := cert.ParseFingerprint(strings.ToLower(text))
		if err != nil || !has[f] {
			return nil, recovery.ErrKeys
		}
		list = append(list, f)
	}
	return list, nil
}

// Take implements [admin.Recoveries].
func (s recoveries) Take(ctx context.Context, by access.Caller, id string) ([]byte, error) {
	c, err := s.consents.Consent(ctx, id)
	if err != nil {
		return nil, err
	}
	if c.Kind != recovery.Kind {
		return nil, access.ErrConsentUnknown
	}
	return s.db.Recovery().ExportTaken(ctx, id, journal.Entry{At: time.Now(), Actor: by.Actor, Action: journal.ExportTaken,
		Detail: map[string]string{"approval": id, "person": by.User}})
}

// agreements is what the exporter believes.
type agreements struct{ *server }

var _ opener.Consents = agreements{}

// Agreed implements [opener.Consents].
func (s agreements) Agreed(ctx context.Context) (list []opener.Agreement, err error) {
	open, err := s.consents.Consents(ctx, access.ConsentQuery{State: access.ConsentOpen, Limit: access.MaxConsents})
	if err != nil {
		return nil, err
	}
	for _, c := range open {
		if c.Kind != recovery.Kind || !c.Agreed() {
			continue
		}
		c, err := s.consents.Agreed(ctx, recovery.Kind, c.ID)
		if errors.Is(err, access.ErrConsentOver) { // meanwhile
			continue
		}
		if err != nil {
			return nil, err
		}
		a := opener.Agreement{ID: c.ID, Request: c.Request, Digest: c.Digest(), Requester: subject.UserID(c.Person)}
		for _, p := range c.Approved {
			if p.Counts {
				a.Approvers = append(a.Approvers, subject.UserID(p.Person))
			}
		}
		list = append(list, a)
	}
	return list, nil
}

// Used implements [opener.Consents].
func (s agreements) Used(ctx context.Context, id string, digest seal.Hash, e journal.Entry, more ...journal.Entry) error {
	return s.db.Access().ConsentUsed(ctx, id, digest, e, more...)
}

// wordOfExport tells users by mail, where there is any.
type wordOfExport struct{ *server }

var _ opener.Told = wordOfExport{}

// Exported implements [opener.Told]. Who had three such mails today knows.
func (s wordOfExport) Exported(ctx context.Context, user subject.UserID, a opener.Agreement, reason string, keys int) error {
	if s.outbox == nil {
		s.log.WarnContext(ctx, "no mail is configured: the user is not told of an export of his keys", logx.User, string(user), "approval", a.ID)
		return nil
	}
	var people []string
	for _, id := range append([]subject.UserID{a.Requester}, a.Approvers...) {
		u, err := s.directory.User(ctx, string(id))
		if err != nil {
			return fmt.Errorf("looking for who agreed: %w", err)
		}
		people = append(people, u.Name)
	}
	m := notify.NewMail(notify.Exported, user, "", notify.Facts{At: time.Now(), Keys: keys, Asker: people[0],
		People: strings.Join(people[1:], ", "), Reason: reason}, time.Now())
	if err := s.outbox.Queue(ctx, journal.Worker("opener"), m); !errors.Is(err, notify.ErrLimit) {
		return err
	}
	return nil
}
