package access

import (
	"context"
	"time"

	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/seal"
)

// Store keeps tokens, sessions and links, by the hashes of their secrets.
type Store interface {
	TokenStore
	PageStore
	ConsoleStore
	RequestStore
	ConsentStore
	ApproverStore
}

// TokenStore keeps API tokens.
type TokenStore interface {
	// TokenCreated stores a new token that is found by hash.
	TokenCreated(ctx context.Context, t Token, hash seal.Hash, e journal.Entry) error
	// Token gives the token of that hash, expired and revoked ones too;
	// ErrTokenUnknown when there is none, or its user is disabled.
	Token(ctx context.Context, hash seal.Hash) (Token, error)
	// TokenByID is Token by id.
	TokenByID(ctx context.Context, id string) (Token, error)
	// Tokens lists at most limit, newest first, those that follow the one that
	// was created at before and has that id; the newest for the zero time.
	// Empty, never nil.
	Tokens(ctx context.Context, before time.Time, id string, limit int) ([]Token, error)
	// TokenUsed remembers the last use.
	TokenUsed(ctx context.Context, id string, at time.Time) error
	// TokenRevoked ends the token; ErrTokenUnknown when there is none of that
	// id or it was revoked before.
	TokenRevoked(ctx context.Context, id string, e journal.Entry) error
}

// PageStore keeps the sessions of people and the links that lead to them.
type PageStore interface {
	// SessionOpened stores a session and forgets those that ended before it.
	SessionOpened(ctx context.Context, s Session, hash seal.Hash) error
	// Session gives the session of that hash, expired ones too; ErrSession
	// when there is none, its user is disabled, or its device was removed.
	Session(ctx context.Context, hash seal.Hash) (Session, error)
	// LinkMade stores a link to the page of a user, and forgets those that
	// had expired when it was made.
	LinkMade(ctx context.Context, l Link, hash seal.Hash) error
	// PagesEnded ends the sessions of a user, save the one of that hash, and
	// forgets the links to his page; it fills in the user of e.
	PagesEnded(ctx context.Context, user string, keep seal.Hash, e journal.Entry) error
	// PagesTidied forgets the sessions, the console's too, links and exports that
	// have expired, and tells how many that were.
	PagesTidied(ctx context.Context, now time.Time) (int, error)
	// LinkOpened uses the link up and opens the session for its user, both or
	// neither; it fills in the user of s and of e. ErrSession when the link is
	// unknown, used or expired at e.At.
	LinkOpened(ctx context.Context, link seal.Hash, s Session, hash seal.Hash, e journal.Entry) error
}

// Service knows who calls.
type Service struct {
	store Store
	now   func() time.Time
}

// New makes the service over its store.
func New(store Store, now func() time.Time) *Service {
	if store == nil || now == nil {
		panic("access: nil dependency")
	}
	return &Service{store, now}
}
