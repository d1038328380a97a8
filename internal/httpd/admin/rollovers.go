package admin

import (
	"context"
	"net/http"
	"time"

	"github.com/signet-mdm/signet/internal/access"
	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/rollover"
)

// Rollovers replaces our CAs.
type Rollovers interface {
	// Status lists the authorities with their generations.
	Status(ctx context.Context) ([]rollover.Status, error)
	// Start wants the next generation of an authority.
	Start(ctx context.Context, by journal.Actor, authority string) (rollover.Generation, error)
	// Activate has it issue from now on; forced, although devices do not know
	// its root.
	Activate(ctx context.Context, by journal.Actor, authority string, force bool) (rollover.Generation, error)
	// Cancel gives it up.
	Cancel(ctx context.Context, by journal.Actor, authority string) (rollover.Generation, error)
}

// Succession is an authority with the CAs that it has, had and is to have.
type Succession struct {
	Authority   string       `json:"authority" doc:"That certificate profiles name"`
	Generations []Generation `json:"generations" nullable:"false" doc:"By age"`
	Ready       bool         `json:"ready" doc:"The next one can be activated"`
	Waiting     int          `json:"waiting" doc:"Enrolled devices that do not have the root certificate of the next one"`
}

// Generation is one CA of an authority.
type Generation struct {
	Name     string     `json:"name" doc:"By which addresses and records know it"`
	State    string     `json:"state" enum:"wanted,next,current,past,over,cancelled" doc:"Wanted: the server makes it within seconds. Next: published, issues nothing. Past: issues nothing, what it issued is good"`
	Since    time.Time  `json:"since" doc:"Of the state"`
	Above    string     `json:"above" doc:"Name of the CA that certifies it; empty for a root"`
	NotAfter *time.Time `json:"notAfter,omitempty" doc:"End of its certificate"`
}

func newGeneration(g rollover.Generation) Generation {
	out := Generation{Name: g.Name, State: string(g.State), Since: g.Since, Above: g.Above}
	if c := g.Certificate(); c != nil {
		out.NotAfter = when(c.NotAfter)
	}
	return out
}

func newSuccession(s rollover.Status) Succession {
	return Succession{Authority: s.Line, Generations: listOf(s.Generations, newGeneration).Body.Items, Ready: s.Ready, Waiting: s.Waiting}
}

// authorityPath is the parameter of operations on one authority.
type authorityPath struct {
	Authority string `path:"authority" maxLength:"64" doc:"Its name"`
}

func (a *API) rollovers() {
	register(a, operation{id: "listRollovers", tag: "certificates", method: http.MethodGet, path: "/rollovers",
		summary: "List our authorities with the CAs that they have, had and are to have", permission: access.CARead}, a.listRollovers)
	register(a, operation{id: "startRollover", tag: "certificates", method: http.MethodPost, path: "/rollovers/{authority}",
		summary: "Have the CA made that is to follow", permission: access.CARollover,
		faults: []*fault.Error{rollover.ErrLine, rollover.ErrUnderWay}}, a.startRollover)
	register(a, operation{id: "activateRollover", tag: "certificates", method: http.MethodPost, path: "/rollovers/{authority}/activation",
		summary: "Let the next CA issue from now on", permission: access.CARollover, maxBody: small,
		faults: []*fault.Error{rollover.ErrLine, rollover.ErrNotNext, rollover.ErrDevices}}, a.activateRollover)
	register(a, operation{id: "cancelRollover", tag: "certificates", method: http.MethodDelete, path: "/rollovers/{authority}",
		summary: "Give up the next CA", permission: access.CARollover,
		faults: []*fault.Error{rollover.ErrLine, rollover.ErrNotNext}}, a.cancelRollover)
}

func (a *API) listRollovers(ctx context.Context, _ journal.Actor, _ *struct{}) (*body[list[Succession]], error) {
	all, err := a.Rollovers.Status(ctx)
	if err != nil {
		return nil, err
	}
	return listOf(all, newSuccession), nil
}

func (a *API) startRollover(ctx context.Context, by journal.Actor, in *authorityPath) (*body[Generation], error) {
	g, err := a.Rollovers.Start(ctx, by, in.Authority)
	return &body[Generation]{newGeneration(g)}, err
}

func (a *API) activateRollover(ctx context.Context, by journal.Actor, in *struct {
	Authority string `path:"authority" maxLength:"64" doc:"Its name"`
	Body      struct {
		Force bool `json:"force,omitempty" doc:"Although devices do not have its root certificate"`
	}
}) (*body[Generation], error) {
	g, err := a.Rollovers.Activate(ctx, by, in.Authority, in.Body.Force)
	return &body[Generation]{newGeneration(g)}, err
}

func (a *API) cancelRollover(ctx context.Context, by journal.Actor, in *authorityPath) (*body[Generation], error) {
	g, err := a.Rollovers.Cancel(ctx, by, in.Authority)
	return &body[Generation]{newGeneration(g)}, err
}

// Rollovers lists our authorities with their CAs.
func (c *Client) Rollovers(ctx context.Context) ([]Succession, error) {
	all, err := get[list[Succession]](ctx, c, "/rollovers")
	return all.Items, err
}

// StartRollover has the next CA of an authority made.
func (c *Client) StartRollover(ctx context.Context, authority string) (Generation, error) {
	return send[Generation](ctx, c, http.MethodPost, at("rollovers", authority), nil)
}

// ActivateRollover lets it issue; force: although devices do not know its root.
func (c *Client) ActivateRollover(ctx context.Context, authority string, force bool) (Generation, error) {
	return send[Generation](ctx, c, http.MethodPost, at("rollovers", authority, "activation"), map[string]bool{"force": force})
}

// CancelRollover gives it up.
func (c *Client) CancelRollover(ctx context.Context, authority string) (Generation, error) {
	return send[Generation](ctx, c, http.MethodDelete, at("rollovers", authority), nil)
}
