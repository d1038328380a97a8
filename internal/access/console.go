package access

import (
	"context"
	"fmt"
	"time"

	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/seal"
)

// Lifetimes of a stay in the console: in all, and without doing anything.
const (
	ConsoleLife = 8 * time.Hour
	ConsoleIdle = 15 * time.Minute
)

// ConsoleSession is an administrator's stay in the console. It is as good as
// his token.
type ConsoleSession struct {
	Token   string // its id
	Opened  time.Time
	Used    time.Time // to the minute
	Expires time.Time
}

// live tells whether the session opens anything at that time.
func (c ConsoleSession) live(now time.Time) bool {
	return now.Before(c.Expires) && now.Sub(c.Used) < ConsoleIdle+usedEvery
}

// ConsoleStore keeps the sessions of the console.
type ConsoleStore interface {
	// ConsoleOpened stores a session and forgets those that ended before it.
	ConsoleOpened(ctx context.Context, s ConsoleSession, hash seal.Hash, e journal.Entry) error
	// Console gives the session of that hash with its token, expired and
	// revoked ones too; ErrConsole when there is none, or the token's user is
	// disabled.
	Console(ctx context.Context, hash seal.Hash) (ConsoleSession, Token, error)
	// ConsoleUsed remembers the last use of a session, and of its token.
	ConsoleUsed(ctx context.Context, hash seal.Hash, at time.Time) error
	// ConsoleClosed ends a session; ErrConsole when there is none.
	ConsoleClosed(ctx context.Context, hash seal.Hash, e journal.Entry) error
}

// OpenConsole opens a session of the caller, who has shown an API token: it
// ends with that token, when it is not used for [ConsoleIdle], and after
// [ConsoleLife]. The secret goes into the cookie.
func (s *Service) OpenConsole(ctx context.Context, by Caller) (seal.Secret, error) {
	if err := by.Authorize(ConsoleUse); err != nil {
		return seal.Secret{}, err
	}
	now, secret := s.now(), seal.Random()
	session := ConsoleSession{Token: by.Actor.ID, Opened: now, Used: now, Expires: now.Add(ConsoleLife)}
	if err := s.store.ConsoleOpened(ctx, session, secret.Hash(), s.consoleEntry(by, journal.ConsoleOpened)); err != nil {
		return seal.Secret{}, fmt.Errorf("opening the console for token %s: %w", by.Actor.ID, err)
	}
	return secret, nil
}

// Console gives the caller whose session is presented, as his token would:
// ErrConsole when either has ended.
func (s *Service) Console(ctx context.Context, presented, remote string) (Caller, error) {
	hash, now := seal.SecretString(presented).Hash(), s.now()
	session, token, err := s.store.Console(ctx, hash)
	switch {
	case err != nil:
		return Caller{}, err
	case !session.live(now) || !token.live(now):
		return Caller{}, ErrConsole
	case now.Sub(session.Used) >= usedEvery:
		if err := s.store.ConsoleUsed(ctx, hash, now); err != nil {
			return Caller{}, fmt.Errorf("noting the use of the console by token %s: %w", token.ID, err)
		}
	}
	by := journal.Actor{Kind: journal.Admin, ID: token.ID, Remote: remote}
	return Caller{Actor: by, Role: token.Role, User: token.User, Session: hash}, nil
}

// CloseConsole ends the session that the caller is in.
func (s *Service) CloseConsole(ctx context.Context, by Caller) error {
	return s.store.ConsoleClosed(ctx, by.Session, s.consoleEntry(by, journal.ConsoleClosed))
}

func (s *Service) consoleEntry(by Caller, a journal.Action) journal.Entry {
	e := journal.Entry{At: s.now(), Actor: by.Actor, Action: a}
	if by.User != "" {
		e.Detail = map[string]string{"person": by.User}
	}
	return e
}
