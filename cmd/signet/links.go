package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/signet-mdm/signet/internal/access"
	"github.com/signet-mdm/signet/internal/directory"
	"github.com/signet-mdm/signet/internal/httpd/landing"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/notify"
)

// ownLinks mails people the way to their page.
type ownLinks struct{ *server }

var _ landing.Links = ownLinks{}

// MailLink implements [landing.Links].
func (s ownLinks) MailLink(ctx context.Context, remote, address string) error {
	address, err := subject.NormalizeMail(address)
	if err != nil {
		return nil
	}
	user, err := s.directory.User(ctx, address)
	switch {
	case errors.Is(err, directory.ErrUserUnknown), err == nil && user.Disabled:
		return nil
	case err != nil:
		return fmt.Errorf("looking for who asks for a link: %w", err)
	}
	by := journal.Actor{Kind: journal.Person, ID: string(user.ID), Remote: remote}
	err = s.access.SendLink(ctx, string(user.ID), access.AskedLife, func(ctx context.Context, link seal.Secret, expires time.Time) error {
		whole := seal.SecretString(s.cfg.Base() + landing.LinkPath + link.RevealString())
		return s.outbox.Link(ctx, by, user, whole, expires)
	})
	if errors.Is(err, notify.ErrLimit) {
		return nil
	}
	return err
}
