package admin

import (
	"context"
	"net/http"

	"github.com/signet-mdm/signet/appconfig"
	"github.com/signet-mdm/signet/internal/access"
	"github.com/signet-mdm/signet/internal/directory"
	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/subject"
)

// Policies takes documents.
type Policies interface {
	// Apply makes users, groups and policies be as the documents say and gives
	// what that changes; with dryRun it only tells.
	Apply(ctx context.Context, by journal.Actor, docs []byte, dryRun bool) (appconfig.Diff, error)
	// Explain says what holds for a user, and which policy each part comes from.
	Explain(ctx context.Context, user string) (appconfig.Explanation, error)
}

func (a *API) policies() {
	register(a, operation{id: "apply", tag: "policies", method: http.MethodPost, path: "/apply",
		summary: "Make users, groups and policies be as documents say", permission: access.PolicyWrite, maxBody: large,
		faults: []*fault.Error{appconfig.ErrDocument, appconfig.ErrSetting, appconfig.ErrValue, appconfig.ErrImpossible, appconfig.ErrSubject, appconfig.ErrTooLarge, directory.ErrUserExists, directory.ErrUserName, subject.ErrAddress}}, a.apply)
	register(a, operation{id: "explain", tag: "policies", method: http.MethodGet, path: "/users/{user}/policy",
		summary: "Say what holds for a user, and why", permission: access.PolicyRead,
		faults: []*fault.Error{directory.ErrUserUnknown}}, a.explain)
}

func (a *API) apply(ctx context.Context, by journal.Actor, in *struct {
	DryRun  bool   `query:"dryRun" doc:"Tell what would change, but change nothing"`
	RawBody []byte `contentType:"application/yaml" doc:"YAML or JSON documents"`
}) (*body[appconfig.Diff], error) {
	diff, err := a.Policies.Apply(ctx, by, in.RawBody, in.DryRun)
	return &body[appconfig.Diff]{diff}, err
}

func (a *API) explain(ctx context.Context, _ journal.Actor, in *userPath) (*body[appconfig.Explanation], error) {
	x, err := a.Policies.Explain(ctx, in.User)
	return &body[appconfig.Explanation]{x}, err
}
