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
)

// Tokens makes and ends API tokens.
type Tokens interface {
	Requests
	// CreateTokenOf gives the token with its secret, which is not kept.
	// User is our id of the person whose it is; empty for a program's.
	CreateTokenOf(ctx context.Context, by journal.Actor, user, name, role string, life time.Duration) (access.Token, seal.Secret, error)
	// Tokens lists at most limit, newest first, those that follow the one that
	// was made at before and has that id; the newest for the zero time.
	Tokens(ctx context.Context, before time.Time, id string, limit int) ([]access.Token, error)
	// RevokeToken ends a token at once.
	RevokeToken(ctx context.Context, by journal.Actor, id string) error
}

// NewToken asks for a token.
type NewToken struct {
	Name string `json:"name" maxLength:"100" doc:"What it is for"`
	Role string `json:"role" enum:"admin,helpdesk,auditor,approver,importer" doc:"What it may do"`
	User string `json:"user,omitempty" maxLength:"320" doc:"The person who holds it: our id, an address or a UPN"`
	Days int    `json:"days,omitempty" default:"90" minimum:"1" maximum:"366" doc:"How long it is good for"`
}

// Token is an API token.
type Token struct {
	ID      string     `json:"id" doc:"Our id"`
	Name    string     `json:"name" doc:"What it is for"`
	Role    string     `json:"role" doc:"What it may do"`
	User    string     `json:"user,omitempty" doc:"Our id of the person who holds it; left out for a program's"`
	Created time.Time  `json:"created" doc:"When it was made"`
	Expires time.Time  `json:"expires" doc:"When it ends by itself"`
	Used    *time.Time `json:"used,omitempty" doc:"Last use, to the minute"`
	Revoked *time.Time `json:"revoked,omitempty" doc:"When it was ended"`
}

// MadeToken is a new token with its secret.
type MadeToken struct {
	Token
	Secret string `json:"secret" doc:"Shown this once"`
}

func newToken(t access.Token) Token {
	return Token{ID: t.ID, Name: t.Name, Role: string(t.Role), User: t.User, Created: t.Created, Expires: t.Expires,
		Used: when(t.Used), Revoked: when(t.Revoked)}
}

// when leaves out an instant that never was.
func when(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func (a *API) tokens() {
	register(a, operation{id: "listTokens", tag: "access", method: http.MethodGet, path: "/tokens", summary: "List API tokens",
		permission: access.TokenManage, faults: []*fault.Error{ErrCursor}}, a.listTokens)
	register(a, operation{id: "createToken", once: true, tag: "access", method: http.MethodPost, path: "/tokens", summary: "Make an API token",
		permission: access.TokenManage, maxBody: small, status: http.StatusCreated,
		faults: []*fault.Error{access.ErrApproverToken, access.ErrTokenRole, access.ErrTokenName, access.ErrTokenExpiry, directory.ErrUserUnknown}}, a.createToken)
	register(a, operation{id: "revokeToken", tag: "access", method: http.MethodDelete, path: "/tokens/{token}", summary: "Revoke an API token",
		permission: access.TokenManage,
		faults:     []*fault.Error{access.ErrTokenUnknown}}, a.revokeToken)
}

func (a *API) listTokens(ctx context.Context, _ journal.Actor, in *Part) (*body[list[Token]], error) {
	before, id, err := in.position()
	if err != nil {
		return nil, err
	}
	tokens, err := a.Tokens.Tokens(ctx, before, id, in.Limit+1)
	if err != nil {
		return nil, err
	}
	return partOf(tokens, in.Limit, newToken, func(t access.Token) string { return place(t.Created, t.ID) }), nil
}

func (a *API) createToken(ctx context.Context, by journal.Actor, in *body[NewToken]) (*body[MadeToken], error) {
	if in.Body.Role == string(access.Approver) {
		return nil, access.ErrApproverToken
	}
	life := time.Duration(in.Body.Days) * 24 * time.Hour
	user, err := a.userID(ctx, in.Body.User)
	if err != nil {
		return nil, err
	}
	t, secret, err := a.Tokens.CreateTokenOf(ctx, by, string(user), in.Body.Name, in.Body.Role, life)
	return &body[MadeToken]{MadeToken{newToken(t), secret.RevealString()}}, err
}

func (a *API) revokeToken(ctx context.Context, by journal.Actor, in *struct {
	Token string `path:"token" maxLength:"64" doc:"Its id"`
}) (*struct{}, error) {
	return &struct{}{}, a.Tokens.RevokeToken(ctx, by, in.Token)
}
