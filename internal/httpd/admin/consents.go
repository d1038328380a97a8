package admin

import (
	"context"
	"net/http"
	"time"

	"github.com/signet-mdm/signet/internal/access"
	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/journal"
)

// Consents is what several people must agree to before it happens.
type Consents interface {
	// Ask asks people to agree to something; the caller must be a person.
	Ask(ctx context.Context, by access.Caller, a access.Ask) (access.Consent, error)
	// Agreed gives a consent of that kind if it may be used now;
	// access.ErrConsentOver.
	Agreed(ctx context.Context, kind, id string) (access.Consent, error)
	// Consents lists them, newest first; never nil.
	Consents(ctx context.Context, q access.ConsentQuery) ([]access.Consent, error)
	// Consent gives one; access.ErrConsentUnknown.
	Consent(ctx context.Context, id string) (access.Consent, error)
	// Approve adds the approval of the caller, who is a person and not the one
	// who asks.
	Approve(ctx context.Context, by access.Caller, id string) error
	// Deny ends what waits.
	Deny(ctx context.Context, by access.Caller, id, reason string) error
	// Cancel takes back what the caller asked for.
	Cancel(ctx context.Context, by access.Caller, id string) error
}

// Consent is something that several people must agree to.
type Consent struct {
	ID        string     `json:"id" doc:"Our id"`
	Kind      string     `json:"kind" doc:"What sort of thing it is"`
	State     string     `json:"state" enum:"open,used,denied,cancelled,expired" doc:"Used: what was agreed to happened"`
	Agreed    bool       `json:"agreed" doc:"Whether enough people approved"`
	Sentence  string     `json:"sentence" doc:"What is to happen"`
	Request   string     `json:"request" doc:"The same, exactly"`
	Digest    string     `json:"digest" doc:"SHA-256 of all that is agreed to, hex; approvals are bound to it"`
	Requester string     `json:"requester" doc:"Our id of the user who asks"`
	Need      int        `json:"need" doc:"How many others must approve"`
	Approvals []Approval `json:"approvals" nullable:"false" doc:"Who has"`
	Created   time.Time  `json:"created" doc:"When it was asked for"`
	Expires   time.Time  `json:"expires" doc:"Until when people may approve, and it may be done"`
	Ended     *time.Time `json:"ended,omitempty" doc:"When it was used, denied or cancelled"`
	EndedBy   string     `json:"endedBy,omitempty" doc:"Our id of the user who denied or cancelled it"`
	Reason    string     `json:"reason,omitempty" doc:"Why it was denied"`
}

// Approval is one person's.
type Approval struct {
	Approver string    `json:"approver" doc:"Our id of the user who approved"`
	At       time.Time `json:"at" doc:"When"`
	Counts   bool      `json:"counts" doc:"False: he may not approve any more, or this server did not take it"`
}

// consentOf shows consents as they stand now.
func (a *API) consentOf(c access.Consent) Consent {
	out := Consent{ID: c.ID, Kind: c.Kind, State: string(c.Standing(a.Now())), Agreed: c.Agreed(), Sentence: c.Sentence, Request: c.Request,
		Digest: c.Digest().String(), Requester: c.Person, Need: c.Need, Approvals: []Approval{}, Created: c.Created, Expires: c.Expires,
		Ended: when(c.Ended), EndedBy: c.EndedBy, Reason: c.Reason}
	for _, p := range c.Approved {
		out.Approvals = append(out.Approvals, Approval{p.Person, p.At, p.Counts})
	}
	return out
}

// consentPath is the parameter of operations on one.
type consentPath struct {
	Consent string `path:"approval" maxLength:"64" doc:"Its id"`
}

func (a *API) consents() {
	unknown := []*fault.Error{access.ErrConsentUnknown}
	register(a, operation{id: "listConsents", tag: "access", method: http.MethodGet, path: "/approvals",
		summary: "List what several people must agree to, newest first", permission: access.RequestRead,
		faults: []*fault.Error{ErrCursor}}, a.listConsents)
	register(a, operation{id: "getConsent", tag: "access", method: http.MethodGet, path: "/approvals/{approval}",
		summary: "Show something that several people must agree to", permission: access.RequestRead, faults: unknown}, a.getConsent)
	refusals := []*fault.Error{access.ErrConsentUnknown, access.ErrConsentOver, access.ErrPerson}
	register(a, operation{id: "approveConsent", tag: "access", method: http.MethodPost, path: "/approvals/{approval}/approval",
		summary: "Approve it, with a token that names a person", permission: access.RequestDecide,
		faults: append(refusals, access.ErrConsentOwn, access.ErrConsentGiven)}, a.approveConsent)
	register(a, operation{id: "denyConsent", tag: "access", method: http.MethodPost, path: "/approvals/{approval}/denial",
		summary: "Deny it, with a token that names a person", permission: access.RequestDecide, maxBody: small,
		faults: append(refusals, access.ErrConsentReason)}, a.denyConsent)
	register(a, operation{id: "cancelConsent", tag: "access", method: http.MethodPost, path: "/approvals/{approval}/cancellation",
		summary: "Take back what you asked for", permission: access.ConsentAsk,
		faults: append(refusals, access.ErrConsentCancel)}, a.cancelConsent)
}

func (a *API) listConsents(ctx context.Context, _ journal.Actor, in *struct {
	Part
	State string `query:"state" enum:"open,used,denied,cancelled,expired" doc:"Only those in this state"`
}) (*body[list[Consent]], error) {
	before, id, err := in.position()
	if err != nil {
		return nil, err
	}
	found, err := a.Consents.Consents(ctx, access.ConsentQuery{State: access.ConsentState(in.State), Before: before, ID: id, Limit: in.Limit + 1})
	if err != nil {
		return nil, err
	}
	return partOf(found, in.Limit, a.consentOf, func(c access.Consent) string { return place(c.Created, c.ID) }), nil
}

func (a *API) getConsent(ctx context.Context, _ journal.Actor, in *consentPath) (*body[Consent], error) {
	c, err := a.Consents.Consent(ctx, in.Consent)
	if err != nil {
		return nil, err
	}
	return &body[Consent]{a.consentOf(c)}, nil
}

func (a *API) approveConsent(ctx context.Context, _ journal.Actor, in *consentPath) (*struct{}, error) {
	return &struct{}{}, a.Consents.Approve(ctx, callOf(ctx).caller, in.Consent)
}

func (a *API) denyConsent(ctx context.Context, _ journal.Actor, in *struct {
	Consent string `path:"approval" maxLength:"64" doc:"Its id"`
	Body    struct {
		Reason string `json:"reason,omitempty" maxLength:"200" doc:"For people"`
	}
}) (*struct{}, error) {
	return &struct{}{}, a.Consents.Deny(ctx, callOf(ctx).caller, in.Consent, in.Body.Reason)
}

func (a *API) cancelConsent(ctx context.Context, _ journal.Actor, in *consentPath) (*struct{}, error) {
	return &struct{}{}, a.Consents.Cancel(ctx, callOf(ctx).caller, in.Consent)
}

// Consents lists the newest of what several people must agree to, in one state
// or in any.
func (c *Client) Consents(ctx context.Context, state string, limit int) ([]Consent, error) {
	return atMost[Consent](ctx, c, limit, "/approvals", "state", state)
}

// Consent shows one.
func (c *Client) Consent(ctx context.Context, id string) (Consent, error) {
	return get[Consent](ctx, c, at("approvals", id))
}

// ApproveConsent approves it.
func (c *Client) ApproveConsent(ctx context.Context, id string) error {
	return c.do(ctx, http.MethodPost, at("approvals", id, "approval"), nil, nil)
}

// DenyConsent denies it; reason may be empty.
func (c *Client) DenyConsent(ctx context.Context, id, reason string) error {
	return c.do(ctx, http.MethodPost, at("approvals", id, "denial"), map[string]string{"reason": reason}, nil)
}

// CancelConsent takes back what the caller asked for.
func (c *Client) CancelConsent(ctx context.Context, id string) error {
	return c.do(ctx, http.MethodPost, at("approvals", id, "cancellation"), nil, nil)
}
