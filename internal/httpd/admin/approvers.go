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
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/notify"
)

// Approvers says who decides.
type Approvers interface {
	// Approvers lists them.
	Approvers(ctx context.Context) ([]access.Appointee, error)
	// Add makes a user an approver and sends him a link, or asks the others.
	Add(ctx context.Context, by access.Caller, u subject.User, consent string) (ApproverChange, error)
	// Remove makes him one no more, or asks the others.
	Remove(ctx context.Context, by access.Caller, u subject.User, consent string) (ApproverChange, error)
	// Send sends him another link.
	Send(ctx context.Context, by access.Caller, u subject.User) (ApproverChange, error)
	// TakeCredential gives the approver of a link his token, once.
	TakeCredential(ctx context.Context, link, remote string) (access.Token, seal.Secret, error)
}

// ApproverChange is what came of it. Zero: it is done.
type ApproverChange struct {
	Consent *access.Consent // others must agree first
	Link    seal.Secret     // for the approver alone; only on the server's own machine, without mail
}

// Approver is a person who decides.
type Approver struct {
	User      string    `json:"user" doc:"Our id"`
	Address   string    `json:"address" doc:"His links go there"`
	Appointed time.Time `json:"appointed" doc:"When he was made one"`
}

// NewApprover is who is to be an approver, or one no more.
type NewApprover struct {
	User     string `json:"user" maxLength:"320" doc:"Our id, an address or a UPN"`
	Approval string `json:"approval,omitempty" maxLength:"64" doc:"What the other approvers agreed to; asked for when left out"`
}

// ChangedApprover is what came of a change.
type ChangedApprover struct {
	Done    bool     `json:"done" doc:"Whether it is"`
	Consent *Consent `json:"consent,omitempty" doc:"What the approvers must agree to first"`
	Link    string   `json:"link,omitempty" doc:"For the approver alone; left out but on the server's own machine where no mail is configured"`
}

func (a *API) approvers() {
	register(a, operation{id: "listApprovers", tag: "access", method: http.MethodGet, path: "/approvers", summary: "List who decides",
		permission: access.RequestRead}, a.listApprovers)
	refusals := []*fault.Error{directory.ErrUserUnknown, access.ErrConsentUnknown, access.ErrConsentOver, access.ErrPerson, access.ErrApproverMail}
	register(a, operation{id: "addApprover", once: true, tag: "access", method: http.MethodPost, path: "/approvers",
		summary: "Make a user an approver, or ask the approvers to agree to it", permission: access.TokenManage, maxBody: small,
		faults: append(refusals, access.ErrApproverAlready, access.ErrApproverFirst, access.ErrApproverConsent)}, a.addApprover)
	register(a, operation{id: "removeApprover", once: true, tag: "access", method: http.MethodPost, path: "/approvers/removal",
		summary: "Make an approver one no more, or ask the approvers to agree to it", permission: access.TokenManage, maxBody: small,
		faults: append(refusals, access.ErrApproverUnknown)}, a.removeApprover)
	register(a, operation{id: "linkApprover", once: true, tag: "access", method: http.MethodPost, path: "/approvers/link",
		summary: "Send an approver another link to make his token", permission: access.TokenManage, maxBody: small,
		faults: []*fault.Error{directory.ErrUserUnknown, access.ErrApproverUnknown, access.ErrApproverAddress, access.ErrApproverMail, notify.ErrLimit}}, a.linkApprover)
	register(a, operation{id: "takeCredential", tag: "access", method: http.MethodPost, path: "/approver-credentials",
		summary: "Make one's own token as an approver, with the link that was sent; elsewhere than at the server its page does", permission: access.TokenManage, maxBody: small, status: http.StatusCreated,
		faults: []*fault.Error{access.ErrApproverLink, access.ErrApproverUnknown}}, a.takeCredential)
}

func (a *API) listApprovers(ctx context.Context, _ journal.Actor, _ *struct{}) (*body[list[Approver]], error) {
	found, err := a.Approvers.Approvers(ctx)
	if err != nil {
		return nil, err
	}
	return listOf(found, func(p access.Appointee) Approver { return Approver{p.User, p.Address, p.Appointed} }), nil
}

func (a *API) addApprover(ctx context.Context, _ journal.Actor, in *body[NewApprover]) (*body[ChangedApprover], error) {
	return a.changeApprover(ctx, in.Body, a.Approvers.Add)
}

func (a *API) removeApprover(ctx context.Context, _ journal.Actor, in *body[NewApprover]) (*body[ChangedApprover], error) {
	return a.changeApprover(ctx, in.Body, a.Approvers.Remove)
}

func (a *API) linkApprover(ctx context.Context, _ journal.Actor, in *body[NewApprover]) (*body[ChangedApprover], error) {
	return a.changeApprover(ctx, in.Body, func(ctx context.Context, by access.Caller, u subject.User, _ string) (ApproverChange, error) {
		return a.Approvers.Send(ctx, by, u)
	})
}

func (a *API) changeApprover(ctx context.Context, n NewApprover, do func(context.Context, access.Caller, subject.User, string) (ApproverChange, error)) (*body[ChangedApprover], error) {
	u, err := a.Users.User(ctx, n.User)
	if err != nil {
		return nil, err
	}
	c, err := do(ctx, callOf(ctx).caller, u, n.Approval)
	if err != nil {
		return nil, err
	}
	out := ChangedApprover{Done: c.Consent == nil, Link: c.Link.RevealString()}
	if c.Consent != nil {
		asked := a.consentOf(*c.Consent)
		out.Consent = &asked
	}
	return &body[ChangedApprover]{out}, nil
}

func (a *API) takeCredential(ctx context.Context, by journal.Actor, in *body[struct {
	Link string `json:"link" maxLength:"500" doc:"The last part of it, or all"`
}]) (*body[MadeToken], error) {
	t, secret, err := a.Approvers.TakeCredential(ctx, in.Body.Link, by.Remote)
	if err != nil {
		return nil, err
	}
	return &body[MadeToken]{MadeToken{newToken(t), secret.RevealString()}}, nil
}

// Approvers lists who decides.
func (c *Client) Approvers(ctx context.Context) ([]Approver, error) {
	l, err := get[list[Approver]](ctx, c, "/approvers")
	return l.Items, err
}

// AddApprover makes a user an approver, or asks the others.
func (c *Client) AddApprover(ctx context.Context, n NewApprover) (ChangedApprover, error) {
	return c.changedApprover(ctx, "/approvers", n)
}

// RemoveApprover makes an approver one no more, or asks the others.
func (c *Client) RemoveApprover(ctx context.Context, n NewApprover) (ChangedApprover, error) {
	return c.changedApprover(ctx, "/approvers/removal", n)
}

// LinkApprover sends an approver another link.
func (c *Client) LinkApprover(ctx context.Context, n NewApprover) (ChangedApprover, error) {
	return c.changedApprover(ctx, "/approvers/link", n)
}

func (c *Client) changedApprover(ctx context.Context, path string, n NewApprover) (out ChangedApprover, err error) {
	return out, c.do(ctx, http.MethodPost, path, n, &out)
}

// TakeCredential makes an approver's own token, with his link.
func (c *Client) TakeCredential(ctx context.Context, link string) (out MadeToken, err error) {
	return out, c.do(ctx, http.MethodPost, "/approver-credentials", map[string]string{"link": link}, &out)
}
