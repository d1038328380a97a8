package access

import (
	"context"
	"fmt"
	"time"

	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/seal"
)

// Lifetimes of what people hold.
const (
	PageLife   = 8 * time.Hour
	EnrollLife = time.Hour
	LinkLife   = 7 * 24 * time.Hour
	// AskedLife is that of a link that somebody asked for. Anybody may ask in a
	// user's name, and so many times a day only: were these links over before the
	// day is, whoever asks that often would keep the user from his page.
	AskedLife = 24 * time.Hour
)

// Session is a person's stay on our pages.
type Session struct {
	Role    Role
	User    string
	Device  string // of an enrollment; else empty
	Opened  time.Time
	Expires time.Time
}

// Link leads a user to his page, once.
type Link struct {
	User    string
	Made    time.Time
	Expires time.Time
}

// OpenEnrollment opens the session of somebody who redeemed the invitation of
// a user's device; it lasts [EnrollLife]. The secret goes into the cookie.
func (s *Service) OpenEnrollment(ctx context.Context, user, device string) (seal.Secret, error) {
	now, secret := s.now(), seal.Random()
	session := Session{Role: Enrolling, User: user, Device: device, Opened: now, Expires: now.Add(EnrollLife)}
	if err := s.store.SessionOpened(ctx, session, secret.Hash()); err != nil {
		return seal.Secret{}, fmt.Errorf("opening enrollment session of device %s: %w", device, err)
	}
	return secret, nil
}

// MakeLink makes a link to the user's page, good once within [LinkLife].
// Whoever has it sees that page: it goes to the user alone.
func (s *Service) MakeLink(ctx context.Context, user string) (seal.Secret, error) {
	var link seal.Secret
	err := s.SendLink(ctx, user, LinkLife, func(_ context.Context, l seal.Secret, _ time.Time) error {
		link = l
		return nil
	})
	if err != nil {
		return seal.Secret{}, err
	}
	return link, nil
}

// SendLink makes a link as MakeLink does, good for that long, and hands it to
// send. It is good from when that has succeeded.
func (s *Service) SendLink(ctx context.Context, user string, life time.Duration, send func(ctx context.Context, link seal.Secret, expires time.Time) error) error {
	secret, now := seal.Random(), s.now()
	expires := now.Add(life)
	if err := send(ctx, secret, expires); err != nil {
		return err
	}
	if err := s.store.LinkMade(ctx, Link{User: user, Made: now, Expires: expires}, secret.Hash()); err != nil {
		return fmt.Errorf("making link for user %s: %w", user, err)
	}
	return nil
}

// OpenLink uses a link up and opens the session of its user, which lasts
// [PageLife]. A link that is unknown, used or expired gives ErrSession.
func (s *Service) OpenLink(ctx context.Context, link, remote string) (seal.Secret, error) {
	now, secret := s.now(), seal.Random()
	e := journal.Entry{At: now, Actor: journal.Actor{Kind: journal.Person, Remote: remote}, Action: journal.PageOpened}
	session := Session{Role: Person, Opened: now, Expires: now.Add(PageLife)}
	if err := s.store.LinkOpened(ctx, seal.SecretString(link).Hash(), session, secret.Hash(), e); err != nil {
		return seal.Secret{}, err
	}
	return secret, nil
}

// Session gives the caller whose session is presented: ErrSession when it is
// unknown or has ended.
func (s *Service) Session(ctx context.Context, presented, remote string) (Caller, error) {
	hash := seal.SecretString(presented).Hash()
	session, err := s.store.Session(ctx, hash)
	if err != nil {
		return Caller{}, err
	}
	if !s.now().Before(session.Expires) {
		return Caller{}, ErrSession
	}
	by := journal.Actor{Kind: journal.Person, ID: session.User, Remote: remote}
	return Caller{Actor: by, Role: session.Role, User: session.User, Device: session.Device, Session: hash}, nil
}

// EndOthers ends all sessions of the caller's user but the caller's own, and
// forgets the links that lead to the user's page: somebody else may have them.
func (s *Service) EndOthers(ctx context.Context, by Caller) error {
	e := journal.Entry{At: s.now(), Actor: by.Actor, Action: journal.PagesEnded}
	if err := s.store.PagesEnded(ctx, by.User, by.Session, e); err != nil {
		return fmt.Errorf("ending the sessions of user %s: %w", by.User, err)
	}
	return nil
}

// Tidy forgets the sessions and links that have expired.
func (s *Service) Tidy(ctx context.Context) (int, error) { return s.store.PagesTidied(ctx, s.now()) }
