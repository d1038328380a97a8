package access

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/google/uuid"

	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/seal"
)

// Bounds of a token's life.
const (
	MinTokenLife = time.Minute
	MaxTokenLife = 366 * 24 * time.Hour
)

// tokenPrefix lets secret scanners know one of ours when they see it.
const tokenPrefix = "signet_"

// usedEvery is how exactly the last use of a token is known.
const usedEvery = time.Minute

// Token is an API token without its secret, which is shown once and not kept.
type Token struct {
	ID      string
	Name    string
	Role    Role
	User    string // our id of the person whose it is; empty for a program's
	Created time.Time
	Expires time.Time
	Used    time.Time // last use, to the minute; zero for never
	Revoked time.Time // zero: not revoked
}

// live tells whether the token opens anything at that time.
func (t Token) live(now time.Time) bool { return t.Revoked.IsZero() && now.Before(t.Expires) }

// CreateToken makes a token of no person and gives it with its secret.
func (s *Service) CreateToken(ctx context.Context, by journal.Actor, name, role string, life time.Duration) (Token, seal.Secret, error) {
	return s.CreateTokenOf(ctx, by, "", name, role, life)
}

// CreateTokenOf makes a token of the user with that id. It opens nothing while
// he is disabled.
func (s *Service) CreateTokenOf(ctx context.Context, by journal.Actor, user, name, role string, life time.Duration) (Token, seal.Secret, error) {
	switch {
	case !slices.Contains(TokenRoles(), Role(role)):
		return Token{}, seal.Secret{}, ErrTokenRole
	case name == "" || len(name) > 100 || strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }):
		return Token{}, seal.Secret{}, ErrTokenName
	case life < MinTokenLife || life > MaxTokenLife:
		return Token{}, seal.Secret{}, ErrTokenExpiry
	}
	id, err := uuid.NewV7()
	if err != nil {
		return Token{}, seal.Secret{}, fmt.Errorf("making token id: %w", err)
	}
	now := s.now()
	t := Token{ID: id.String(), Name: name, Role: Role(role), User: user, Created: now, Expires: now.Add(life)}
	secret := seal.SecretString(tokenPrefix + seal.Random().RevealString())
	return t, secret, s.store.TokenCreated(ctx, t, secret.Hash(), s.entry(by, journal.TokenCreated, t.ID))
}

// Tokens lists at most limit tokens, newest first: those that follow the one
// that was created at before and has that id, or the newest for the zero time.
func (s *Service) Tokens(ctx context.Context, before time.Time, id string, limit int) ([]Token, error) {
	return s.store.Tokens(ctx, before, id, limit)
}

// RevokeToken ends a token at once.
func (s *Service) RevokeToken(ctx context.Context, by journal.Actor, id string) error {
	return s.store.TokenRevoked(ctx, id, s.entry(by, journal.TokenRevoked, id))
}

func (s *Service) entry(by journal.Actor, a journal.Action, token string) journal.Entry {
	return journal.Entry{At: s.now(), Actor: by, Action: a, Detail: map[string]string{"token": token}}
}

// Token gives the caller whose token is presented: ErrUnauthenticated when it
// is not one, has expired or was revoked.
func (s *Service) Token(ctx context.Context, presented, remote string) (Caller, error) {
	if !strings.HasPrefix(presented, tokenPrefix) {
		return Caller{}, ErrUnauthenticated
	}
	t, err := s.store.Token(ctx, seal.SecretString(presented).Hash())
	if errors.Is(err, ErrTokenUnknown) {
		return Caller{}, ErrUnauthenticated
	}
	if err != nil {
		return Caller{}, fmt.Errorf("looking up token: %w", err)
	}
	now := s.now()
	if !t.live(now) {
		return Caller{}, ErrUnauthenticated
	}
	if now.Sub(t.Used) >= usedEvery {
		if err := s.store.TokenUsed(ctx, t.ID, now); err != nil {
			return Caller{}, fmt.Errorf("noting the use of token %s: %w", t.ID, err)
		}
	}
	return Caller{Actor: journal.Actor{Kind: journal.Admin, ID: t.ID, Remote: remote}, Role: t.Role, User: t.User}, nil
}
