package admin

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/signet-mdm/signet/appconfig"
	"github.com/signet-mdm/signet/internal/access"
	"github.com/signet-mdm/signet/internal/directory"
	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/httpd"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/scep"
)

// Policies takes documents.
type Policies interface {
	// ApplyTo makes users, groups and policies be as the documents say and gives
	// what that changes; with dryRun it only tells. appconfig.ErrChanged when
	// the policies do not have that revision, "" for any.
	ApplyTo(ctx context.Context, by journal.Actor, revision string, docs []byte, dryRun bool) (appconfig.Diff, error)
	// Explain says what holds for a user, and which policy each part comes from.
	Explain(ctx context.Context, user string) (appconfig.Explanation, error)
}

func (a *API) policies() {
	register(a, operation{id: "apply", tag: "policies", method: http.MethodPost, path: "/apply",
		summary: "Make users, groups, policies and certificate profiles be as documents say", permission: access.PolicyWrite, maxBody: large,
		faults: []*fault.Error{appconfig.ErrChanged, httpd.ErrPrecondition, appconfig.ErrDocument, appconfig.ErrSetting, appconfig.ErrValue, appconfig.ErrImpossible, appconfig.ErrSubject, appconfig.ErrTooLarge, directory.ErrUserExists, directory.ErrUserName, directory.ErrUserProperty, subject.ErrAddress,
			scep.ErrProfileInvalid, scep.ErrProfileBroken, scep.ErrProfileFixed, scep.ErrProfilesChanged, subject.ErrVariableUnknown, subject.ErrTemplate}}, a.apply)
	register(a, operation{id: "explain", tag: "policies", method: http.MethodGet, path: "/users/{user}/policy",
		summary: "Say what holds for a user, and why", permission: access.PolicyRead,
		faults: []*fault.Error{directory.ErrUserUnknown}}, a.explain)
}

func (a *API) apply(ctx context.Context, by journal.Actor, in *struct {
	DryRun  bool   `query:"dryRun" doc:"Tell what would change, but change nothing"`
	IfMatch string `header:"If-Match" maxLength:"200" doc:"The ETag of a dry run: refused when the policies are others now"`
	RawBody []byte `contentType:"application/yaml" doc:"YAML or JSON documents"`
}) (*applied, error) {
	revision := strings.Trim(in.IfMatch, ` "*`)
	diff, err := a.Policies.ApplyTo(ctx, by, revision, in.RawBody, in.DryRun)
	if revision != "" && errors.Is(err, appconfig.ErrChanged) {
		err = httpd.ErrPrecondition.With(err)
	}
	return &applied{`"` + diff.Revision + `"`, diff}, err
}

// applied is a difference with the name of the state that it starts from.
type applied struct {
	ETag string `header:"ETag" doc:"Of the policies before, for If-Match"`
	Body appconfig.Diff
}

func (a *API) explain(ctx context.Context, _ journal.Actor, in *userPath) (*body[appconfig.Explanation], error) {
	x, err := a.Policies.Explain(ctx, in.User)
	return &body[appconfig.Explanation]{x}, err
}
