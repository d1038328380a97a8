package admin

import (
	"context"
	"net/http"

	"github.com/signet-mdm/signet/internal/access"
	"github.com/signet-mdm/signet/internal/directory"
	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/pfxconnector"
)

// Quarantine has the keys whose users were not known when they came.
type Quarantine interface {
	// Waiting lists at most limit of them, those that follow after; never nil.
	Waiting(ctx context.Context, after string, limit int) ([]pfxconnector.Waiting, error)
	// WaitingOne gives one; pfxconnector.ErrQuarantineUnknown.
	WaitingOne(ctx context.Context, id string) (pfxconnector.Waiting, error)
	// Assign says whose one is; the keeper then seals it to him.
	Assign(ctx context.Context, by journal.Actor, id string, u subject.User) error
	// Discard destroys one for ever.
	Discard(ctx context.Context, by journal.Actor, id string) error
}

// PlaceName names a key in quarantine.
type PlaceName struct {
	ID string `path:"id" maxLength:"64" doc:"Of its place"`
}

func (a *API) quarantine() {
	unknown := pfxconnector.ErrQuarantineUnknown
	register(a, operation{id: "listQuarantine", tag: "keys", method: http.MethodGet, path: "/quarantine",
		summary: "List the keys whose users are not known", permission: access.KeyRead,
		faults: []*fault.Error{ErrCursor}}, a.listQuarantine)
	register(a, operation{id: "showQuarantine", tag: "keys", method: http.MethodGet, path: "/quarantine/{id}",
		summary: "Show a key whose user is not known", permission: access.KeyRead,
		faults: []*fault.Error{unknown}}, a.showQuarantine)
	register(a, operation{id: "assignKey", tag: "keys", method: http.MethodPost, path: "/quarantine/{id}/assignment",
		summary: "Say whose a key in quarantine is", permission: access.KeyImport, maxBody: small, status: http.StatusAccepted,
		faults: []*fault.Error{unknown, directory.ErrUserUnknown, pfxconnector.ErrAssign, pfxconnector.ErrHeld}}, a.assignKey)
	register(a, operation{id: "discardKey", tag: "keys", method: http.MethodDelete, path: "/quarantine/{id}",
		summary: "Destroy a key in quarantine for ever", permission: access.KeyImport,
		faults: []*fault.Error{unknown}}, a.discardKey)
}

func (a *API) listQuarantine(ctx context.Context, _ journal.Actor, in *Part) (*body[list[pfxconnector.Waiting]], error) {
	after, err := in.text()
	if err != nil {
		return nil, err
	}
	items, err := a.Keys.Waiting(ctx, after, in.Limit+1)
	if err != nil {
		return nil, err
	}
	same := func(w pfxconnector.Waiting) pfxconnector.Waiting { return w }
	return partOf(items, in.Limit, same, func(w pfxconnector.Waiting) string { return placeText(w.ID) }), nil
}

func (a *API) showQuarantine(ctx context.Context, _ journal.Actor, in *PlaceName) (*body[pfxconnector.Waiting], error) {
	w, err := a.Keys.WaitingOne(ctx, in.ID)
	return &body[pfxconnector.Waiting]{w}, err
}

func (a *API) assignKey(ctx context.Context, by journal.Actor, in *struct {
	PlaceName
	Body struct {
		User string `json:"user" maxLength:"320" doc:"Our id, an address or a UPN"`
	}
}) (*body[pfxconnector.Waiting], error) {
	u, err := a.Users.User(ctx, in.Body.User)
	if err != nil {
		return nil, err
	}
	w, err := a.Keys.WaitingOne(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	w.State, w.To = "assigning", string(u.ID)
	return &body[pfxconnector.Waiting]{w}, a.Keys.Assign(ctx, by, in.ID, u)
}

func (a *API) discardKey(ctx context.Context, by journal.Actor, in *PlaceName) (*struct{}, error) {
	return &struct{}{}, a.Keys.Discard(ctx, by, in.ID)
}

// Quarantine lists the keys whose users are not known.
func (c *Client) Quarantine(ctx context.Context) ([]pfxconnector.Waiting, error) {
	return items[pfxconnector.Waiting](ctx, c, "/quarantine")
}

// QuarantinePart is that part of them which follows after, of 50 at most; next is
// where it goes on, empty at the end.
func (c *Client) QuarantinePart(ctx context.Context, after string) (part []pfxconnector.Waiting, next string, err error) {
	return partial[pfxconnector.Waiting](ctx, c, "/quarantine", after)
}

// Quarantined shows a key whose user is not known.
func (c *Client) Quarantined(ctx context.Context, id string) (pfxconnector.Waiting, error) {
	return get[pfxconnector.Waiting](ctx, c, at("quarantine", id))
}

// AssignKey says whose a key in quarantine is.
func (c *Client) AssignKey(ctx context.Context, id, user string) (pfxconnector.Waiting, error) {
	return send[pfxconnector.Waiting](ctx, c, http.MethodPost, at("quarantine", id, "assignment"), map[string]string{"user": user})
}

// DiscardKey destroys a key in quarantine for ever.
func (c *Client) DiscardKey(ctx context.Context, id string) error {
	return c.do(ctx, http.MethodDelete, at("quarantine", id), nil, nil)
}
