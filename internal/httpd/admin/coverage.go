package admin

import (
	"context"
	"net/http"

	"github.com/signet-mdm/signet/internal/access"
	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/pfxconnector"
)

// Coverage is when a user had encryption certificates whose keys are in escrow.
type Coverage struct {
	User    User                `json:"user" doc:"Who it is"`
	Current bool                `json:"current" doc:"Others can encrypt to him now"`
	Spans   []pfxconnector.Span `json:"spans" nullable:"false" doc:"Validity of each encryption certificate"`
}

func (a *API) coverage() {
	register(a, operation{id: "coverage", tag: "keys", method: http.MethodGet, path: "/coverage",
		summary: "List when each user's encryption certificates are valid", permission: access.KeyRead,
		faults: []*fault.Error{ErrCursor}}, a.listCoverage)
}

func (a *API) listCoverage(ctx context.Context, _ journal.Actor, in *Part) (*body[list[Coverage]], error) {
	after, err := in.text()
	if err != nil {
		return nil, err
	}
	users, err := a.Users.Users(ctx, after, in.Limit+1)
	if err != nil {
		return nil, err
	}
	all, err := a.Keys.Coverages(ctx, users)
	if err != nil {
		return nil, err
	}
	show := func(c pfxconnector.Coverage) Coverage { return Coverage{newUser(c.User), c.Current, c.Spans} }
	mark := func(c pfxconnector.Coverage) string { return placeText(c.User.Mail) }
	return partOf(all, in.Limit, show, mark), nil
}

// Coverage tells of everybody when he had encryption certificates.
func (c *Client) Coverage(ctx context.Context) ([]Coverage, error) {
	return items[Coverage](ctx, c, "/coverage")
}
