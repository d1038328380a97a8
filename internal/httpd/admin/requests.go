package admin

import (
	"context"
	"net/http"
	"time"

	"github.com/signet-mdm/signet/internal/access"
	"github.com/signet-mdm/signet/internal/directory"
	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/scep"
)

// Approvals is what people decide on.
type Approvals interface {
	// Requests lists certificate requests, newest first; never nil.
	Requests(ctx context.Context, q scep.RequestQuery) ([]scep.Request, error)
	// Request gives one.
	Request(ctx context.Context, id string) (scep.Request, error)
	// Approve lets the client have its certificate; person says so.
	Approve(ctx context.Context, by journal.Actor, person subject.UserID, id string) error
	// Deny refuses a request that was not approved, or gave nothing yet.
	Deny(ctx context.Context, by journal.Actor, person subject.UserID, id, reason string) error
}

// Request is a certificate request that waits for a person, or did.
type Request struct {
	ID          string     `json:"id" doc:"Our id"`
	State       string     `json:"state" enum:"open,approved,upstream,issued,denied,void,expired" doc:"Approved: the client gets its certificate when it asks next. Upstream: a person decides at the other CA. Void: a newer challenge took its place"`
	Profile     string     `json:"profile" doc:"Certificate profile"`
	CommonName  string     `json:"commonName" doc:"That the certificate will have, from our records"`
	Mail        []string   `json:"mail" nullable:"false" doc:"Addresses that the certificate will have, from our records"`
	UserID      string     `json:"userId" doc:"Our id of the user whom it is for"`
	Device      string     `json:"device" doc:"Our id of the device whom it is for"`
	Renewal     bool       `json:"renewal" doc:"Whether it is signed by a certificate that it follows"`
	SPKI        string     `json:"spkiSha256" doc:"SHA-256 of the public key, hex; the client can show its own"`
	Transaction string     `json:"transaction" doc:"As the client names it"`
	Remote      string     `json:"remote" doc:"Address that it came from"`
	Created     time.Time  `json:"created" doc:"When it came"`
	Expires     time.Time  `json:"expires" doc:"Until when it waits, and the client may fetch the certificate"`
	Decided     *time.Time `json:"decided,omitempty" doc:"When somebody decided"`
	Decider     string     `json:"decider,omitempty" doc:"Our id of the user who decided"`
	Reason      string     `json:"reason,omitempty" doc:"Why it was denied"`
	Certificate string     `json:"certificate,omitempty" doc:"SHA-256 of the certificate that came of it, hex"`
}

func newRequest(r scep.Request) Request {
	out := Request{ID: r.ID, State: string(r.State), Profile: r.Profile, CommonName: r.Names.CommonName, Mail: append([]string{}, r.Names.Mail...),
		UserID: string(r.Holder.User), Device: string(r.Holder.Device), Renewal: !r.Renews.IsZero(), SPKI: r.SPKI.String(),
		Transaction: r.Transaction, Remote: r.Remote, Created: r.Created, Expires: r.Expires, Decided: when(r.Decided),
		Decider: string(r.Decider), Reason: r.Reason}
	if !r.Cert.IsZero() {
		out.Certificate = r.Cert.String()
	}
	return out
}

// requestPath is the parameter of operations on one request.
type requestPath struct {
	Request string `path:"request" maxLength:"64" doc:"Its id"`
}

func (a *API) requests() {
	register(a, operation{id: "listRequests", tag: "certificates", method: http.MethodGet, path: "/certificate-requests",
		summary: "List certificate requests that need approval, newest first", permission: access.RequestRead,
		faults: []*fault.Error{directory.ErrUserUnknown, ErrCursor}}, a.listRequests)
	register(a, operation{id: "getRequest", tag: "certificates", method: http.MethodGet, path: "/certificate-requests/{request}",
		summary: "Show a certificate request", permission: access.RequestRead,
		faults: []*fault.Error{scep.ErrRequestUnknown}}, a.getRequest)
	refusals := []*fault.Error{scep.ErrRequestUnknown, scep.ErrRequestDecided, access.ErrPerson}
	register(a, operation{id: "approveRequest", tag: "certificates", method: http.MethodPost, path: "/certificate-requests/{request}/approval",
		summary: "Approve a certificate request, with a token that names a person", permission: access.RequestDecide,
		faults: append(refusals, scep.ErrRequestOwn, scep.ErrHolder)}, a.approveRequest)
	register(a, operation{id: "denyRequest", tag: "certificates", method: http.MethodPost, path: "/certificate-requests/{request}/denial",
		summary: "Deny a certificate request, with a token that names a person", permission: access.RequestDecide, maxBody: small,
		faults: append(refusals, scep.ErrRequestReason)}, a.denyRequest)
}

func (a *API) listRequests(ctx context.Context, _ journal.Actor, in *struct {
	Part
	User  string `query:"user" maxLength:"320" doc:"Only those for this user"`
	State string `query:"state" enum:"open,approved,upstream,issued,denied,void,expired" doc:"Only those in this state"`
}) (*body[list[Request]], error) {
	before, id, err := in.position()
	if err != nil {
		return nil, err
	}
	q := scep.RequestQuery{State: scep.RequestState(in.State), Before: before, ID: id, Limit: in.Limit + 1}
	if q.User, err = a.userID(ctx, in.User); err != nil {
		return nil, err
	}
	list, err := a.Issuing.Requests(ctx, q)
	if err != nil {
		return nil, err
	}
	return partOf(list, in.Limit, newRequest, func(r scep.Request) string { return place(r.Created, r.ID) }), nil
}

func (a *API) getRequest(ctx context.Context, _ journal.Actor, in *requestPath) (*body[Request], error) {
	r, err := a.Issuing.Request(ctx, in.Request)
	return &body[Request]{newRequest(r)}, err
}

func (a *API) approveRequest(ctx context.Context, by journal.Actor, in *requestPath) (*struct{}, error) {
	return &struct{}{}, a.Issuing.Approve(ctx, by, subject.UserID(callOf(ctx).caller.User), in.Request)
}

func (a *API) denyRequest(ctx context.Context, by journal.Actor, in *struct {
	Request string `path:"request" maxLength:"64" doc:"Its id"`
	Body    struct {
		Reason string `json:"reason,omitempty" maxLength:"200" doc:"For people"`
	}
}) (*struct{}, error) {
	return &struct{}{}, a.Issuing.Deny(ctx, by, subject.UserID(callOf(ctx).caller.User), in.Request, in.Body.Reason)
}

// Requests lists the newest certificate requests, of one user or of all, in one
// state or in any.
func (c *Client) Requests(ctx context.Context, user, state string, limit int) ([]Request, error) {
	return atMost[Request](ctx, c, limit, "/certificate-requests", "user", user, "state", state)
}

// RequestPart is that part of the requests which follows after, of 50 at most;
// next is where it goes on, empty at the end.
func (c *Client) RequestPart(ctx context.Context, state, after string) (part []Request, next string, err error) {
	return partial[Request](ctx, c, "/certificate-requests", after, "state", state)
}

// Request shows a certificate request.
func (c *Client) Request(ctx context.Context, id string) (Request, error) {
	return get[Request](ctx, c, at("certificate-requests", id))
}

// ApproveRequest lets a client have its certificate.
func (c *Client) ApproveRequest(ctx context.Context, id string) error {
	return c.do(ctx, http.MethodPost, at("certificate-requests", id, "approval"), nil, nil)
}

// DenyRequest refuses a certificate request; reason may be empty.
func (c *Client) DenyRequest(ctx context.Context, id, reason string) error {
	return c.do(ctx, http.MethodPost, at("certificate-requests", id, "denial"), map[string]string{"reason": reason}, nil)
}
