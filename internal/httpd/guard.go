package httpd

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/signet-mdm/signet/internal/access"
)

// sessionCookie is bound to this host and to HTTPS by its prefix.
const sessionCookie = "__Host-signet"

// Tokens knows the callers of an API.
type Tokens interface {
	// Token gives the caller whose API token is presented, or
	// access.ErrUnauthenticated.
	Token(ctx context.Context, presented, remote string) (Caller, error)
}

// Sessions knows the people on our pages.
type Sessions interface {
	// Session gives the caller whose session is presented, or
	// access.ErrSession.
	Session(ctx context.Context, presented, remote string) (Caller, error)
}

// Bearer is the guard of an API: a token in the Authorization header, never in
// a cookie or an address. Guessing is bounded: [ErrAttempts].
func Bearer(tokens Tokens) Guard {
	tokens = Bounded(tokens)
	return func(r *http.Request, remote string) (Caller, error) {
		scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		if !strings.EqualFold(scheme, "Bearer") || token == "" {
			return Caller{}, access.ErrUnauthenticated
		}
		return tokens.Token(r.Context(), token, remote)
	}
}

// Bounded bounds the guessing of tokens: who has shown too much that opens
// nothing gets [ErrAttempts].
func Bounded(tokens Tokens) Tokens { return &bounded{next: tokens} }

type bounded struct {
	next  Tokens
	tries tries
}

// Token implements [Tokens].
func (b *bounded) Token(ctx context.Context, presented, remote string) (Caller, error) {
	return b.tries.look(presented, remote, func() (Caller, error) { return b.next.Token(ctx, presented, remote) })
}

// Local is the guard of the socket that only the server's own user can reach.
func Local(*http.Request, string) (Caller, error) { return access.Local(), nil }

// Cookie is the guard of pages with a session. It does not count what opens
// nothing: that is mostly sessions that have ended, of many people behind one
// address, and the secret is too long to guess.
func Cookie(sessions Sessions) Guard {
	return func(r *http.Request, remote string) (Caller, error) {
		c, err := r.Cookie(sessionCookie)
		if err != nil || c.Value == "" {
			return Caller{}, access.ErrSession
		}
		return sessions.Session(r.Context(), c.Value, remote)
	}
}

// SetSession gives the session to the browser for its lifetime.
func SetSession(w http.ResponseWriter, secret string, lifetime time.Duration) {
	http.SetCookie(w, &http.Cookie{Name: sessionCookie, Value: secret, Path: "/", MaxAge: int(lifetime.Seconds()),
		Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode})
}
