package admin

import (
	"context"
	"net/http"
	"time"

	"github.com/signet-mdm/signet/internal/access"
	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/pfxconnector/tenant"
	"github.com/signet-mdm/signet/pfxconnector/transport"
)

// Tenant hands histories to an Intune tenant.
type Tenant interface {
	// Propose reads a recipient key for the tenant that is configured.
	Propose(provider, name, padding string, file []byte) (tenant.Recipient, error)
	// Register takes the recipient that is in what was agreed to.
	Register(ctx context.Context, by journal.Actor, consent string, digest seal.Hash, request string) (tenant.Registration, error)
	// Withdraw ends the registration.
	Withdraw(ctx context.Context, by journal.Actor) error
	// Status tells how it stands.
	Status(ctx context.Context) (tenant.Status, error)
	// Copies lists what is there or is to be, of a user or of all.
	Copies(ctx context.Context, user subject.UserID, after string, limit int) ([]tenant.Copy, error)
	// Again lets what failed be tried now, and with everything all be sent again.
	Again(ctx context.Context, by journal.Actor, user subject.UserID, everything bool) (int, error)
}

// NewTenantKey asks people to agree to a recipient key.
type NewTenantKey struct {
	Provider string `json:"provider" minLength:"1" maxLength:"200" doc:"The provider by which the connector knows the key"`
	Name     string `json:"name" minLength:"1" maxLength:"200" doc:"The name by which the connector knows the key"`
	Padding  string `json:"padding,omitempty" default:"oaepSha512" enum:"oaepSha256,oaepSha384,oaepSha512" doc:"How passwords are encrypted to it"`
	File     []byte `json:"file" doc:"What Export-IntunePublicKey wrote, PEM or RSAPUBLICBLOB, base64"`
}

// TenantKey is a recipient key that people agreed to.
type TenantKey struct {
	Tenant   string    `json:"tenant" doc:"The id of the tenant"`
	Provider string    `json:"provider" doc:"The provider by which the connector knows it"`
	Name     string    `json:"name" doc:"The name by which the connector knows it"`
	Padding  string    `json:"padding" doc:"How passwords are encrypted to it"`
	SHA256   string    `json:"sha256" doc:"Of the public key (SubjectPublicKeyInfo), hex"`
	Approval string    `json:"approval" doc:"The id of what people agreed to"`
	At       time.Time `json:"at" doc:"Since when it is used"`
}

func newTenantKey(r tenant.Registration) TenantKey {
	return TenantKey{r.Tenant, r.Provider, r.Name, r.Padding.String(), r.Fingerprint(), r.Consent, r.At}
}

// TenantStatus is how the handing over to an Intune tenant stands.
type TenantStatus struct {
	Tenant string         `json:"tenant" doc:"The id of the tenant; empty: it is off"`
	Key    *TenantKey     `json:"key,omitempty" doc:"The key that is sealed to"`
	Code   string         `json:"code,omitempty" doc:"Why nothing is handed over"`
	Copies map[string]int `json:"copies" doc:"How many certificates are looking, wanted, sealed, there and removing"`
	Failed map[string]int `json:"failed" doc:"How many failed when they were last tried, by code"`
}

// TenantCopy is a certificate that the tenant has or is to have.
type TenantCopy struct {
	User       string     `json:"user" doc:"Mail address of its user"`
	UPN        string     `json:"upn" doc:"His user principal name"`
	Cert       string     `json:"cert" doc:"SHA-256 of the certificate, hex"`
	Thumbprint string     `json:"thumbprint" doc:"SHA-1 of it; empty before it is sealed"`
	State      string     `json:"state" enum:"looking,wanted,sealed,there,removing" doc:"There: the tenant took it; whether a device has it, only Intune knows"`
	Account    string     `json:"account" doc:"Id of the account in the tenant; empty before it was found"`
	Code       string     `json:"code,omitempty" doc:"Why it failed when it was last tried"`
	Next       *time.Time `json:"next,omitempty" doc:"When it is tried again"`
	Changed    time.Time  `json:"changed" doc:"Since when it is in that state"`
}

func newTenantCopy(c tenant.Copy) TenantCopy {
	out := TenantCopy{User: c.User.Mail, UPN: c.User.UPN, Cert: c.Cert.String(), Thumbprint: c.Thumbprint, State: string(c.State), Account: c.Account, Code: c.Code, Changed: c.Changed}
	if c.State != tenant.There {
		out.Next = when(c.Next)
	}
	return out
}

func (a *API) tenant() {
	register(a, operation{id: "getTenant", tag: "tenant", method: http.MethodGet, path: "/tenant",
		summary: "Tell how handing certificates to an Intune tenant stands", permission: access.KeyRead}, a.getTenant)
	register(a, operation{id: "listTenantCopies", tag: "tenant", method: http.MethodGet, path: "/tenant/certificates",
		summary: "List the certificates that an Intune tenant has or is to have", permission: access.KeyRead, faults: []*fault.Error{ErrCursor}}, a.listTenantCopies)
	register(a, operation{id: "askTenantKey", tag: "tenant", method: http.MethodPost, path: "/tenant/key-requests",
		summary: "Ask people to agree to the recipient key of an Intune tenant", permission: access.ConsentAsk, maxBody: small, status: http.StatusCreated,
		faults: []*fault.Error{tenant.ErrOff, tenant.ErrRequest, transport.ErrPublicFormat, transport.ErrBits, access.ErrPerson, access.ErrConsentMany}}, a.askTenantKey)
	register(a, operation{id: "registerTenantKey", tag: "tenant", method: http.MethodPost, path: "/tenant/key",
		summary: "Use the recipient key that people agreed to", permission: access.ConsentAsk, maxBody: small, status: http.StatusCreated,
		faults: []*fault.Error{tenant.ErrOff, tenant.ErrOtherTenant, access.ErrConsentUnknown, access.ErrConsentOver, access.ErrPerson}}, a.registerTenantKey)
	register(a, operation{id: "withdrawTenantKey", tag: "tenant", method: http.MethodDelete, path: "/tenant/key",
		summary: "Stop sealing to the recipient key", permission: access.KeyTransport, faults: []*fault.Error{tenant.ErrNoRecipient}}, a.withdrawTenantKey)
	register(a, operation{id: "syncTenant", tag: "tenant", method: http.MethodPost, path: "/tenant/sync",
		summary: "Try now what waits, or send everything again", permission: access.JobManage, maxBody: small, faults: []*fault.Error{tenant.ErrOff}}, a.syncTenant)
}

func (a *API) getTenant(ctx context.Context, _ journal.Actor, _ *struct{}) (*body[TenantStatus], error) {
	s, err := a.Tenant.Status(ctx)
	if err != nil {
		return nil, err
	}
	out := TenantStatus{Tenant: s.Tenant, Code: fault.Code(s.Why), Copies: map[string]int{}, Failed: s.Failed}
	for state, n := range s.States {
		out.Copies[string(state)] = n
	}
	if s.Why == nil {
		k := newTenantKey(s.Key)
		out.Key = &k
	}
	return &body[TenantStatus]{out}, nil
}

func (a *API) listTenantCopies(ctx context.Context, _ journal.Actor, in *struct {
	Part
	User string `query:"user" maxLength:"320" doc:"Only those of this user: address, UPN or id"`
}) (*body[list[TenantCopy]], error) {
	after, err := in.text()
	if err != nil {
		return nil, err
	}
	var id subject.UserID
	if in.User != "" {
		u, err := a.Users.User(ctx, in.User)
		if err != nil {
			return nil, err
		}
		id = u.ID
	}
	found, err := a.Tenant.Copies(ctx, id, after, in.Limit+1)
	if err != nil {
		return nil, err
	}
	return partOf(found, in.Limit, newTenantCopy, func(c tenant.Copy) string { return placeText(string(c.User.ID) + c.Cert.String()) }), nil
}

func (a *API) askTenantKey(ctx context.Context, _ journal.Actor, in *body[NewTenantKey]) (*body[Consent], error) {
	n := in.Body
	r, err := a.Tenant.Propose(n.Provider, n.Name, n.Padding, n.File)
	if err != nil {
		return nil, err
	}
	c, err := a.Consents.Ask(ctx, callOf(ctx).caller, access.Ask{Kind: tenant.ConsentKind, Request: r.Request(), Sentence: r.Sentence()})
	if err != nil {
		return nil, err
	}
	return &body[Consent]{a.consentOf(c)}, nil
}

func (a *API) registerTenantKey(ctx context.Context, by journal.Actor, in *body[struct {
	Approval string `json:"approval" maxLength:"64" doc:"The id of what people agreed to"`
}]) (*body[TenantKey], error) {
	c, err := a.Consents.Agreed(ctx, tenant.ConsentKind, in.Body.Approval)
	if err != nil {
		return nil, err
	}
	r, err := a.Tenant.Register(ctx, by, c.ID, c.Digest(), c.Request)
	if err != nil {
		return nil, err
	}
	return &body[TenantKey]{newTenantKey(r)}, nil
}

func (a *API) withdrawTenantKey(ctx context.Context, by journal.Actor, _ *struct{}) (*struct{}, error) {
	return &struct{}{}, a.Tenant.Withdraw(ctx, by)
}

// TenantSync says what is to be tried now.
type TenantSync struct {
	User       string `json:"user,omitempty" maxLength:"320" doc:"Address, UPN or id; left out: of all users"`
	Everything bool   `json:"everything,omitempty" doc:"What is there already as well: each key is opened again"`
}

// TenantDue is what is tried now.
type TenantDue struct {
	Copies int `json:"copies" doc:"How many certificates"`
}

func (a *API) syncTenant(ctx context.Context, by journal.Actor, in *body[TenantSync]) (*body[TenantDue], error) {
	var id subject.UserID
	if in.Body.User != "" {
		u, err := a.Users.User(ctx, in.Body.User)
		if err != nil {
			return nil, err
		}
		id = u.ID
	}
	n, err := a.Tenant.Again(ctx, by, id, in.Body.Everything)
	if err != nil {
		return nil, err
	}
	return &body[TenantDue]{TenantDue{n}}, nil
}

// Tenant tells how handing certificates to an Intune tenant stands.
func (c *Client) Tenant(ctx context.Context) (TenantStatus, error) {
	return get[TenantStatus](ctx, c, "/tenant")
}

// TenantCopies lists what the tenant has or is to have, of a user or of all.
func (c *Client) TenantCopies(ctx context.Context, user string, limit int) ([]TenantCopy, error) {
	return atMost[TenantCopy](ctx, c, limit, "/tenant/certificates", "user", user)
}

// AskTenantKey asks people to agree to a recipient key.
func (c *Client) AskTenantKey(ctx context.Context, n NewTenantKey) (Consent, error) {
	return send[Consent](ctx, c, http.MethodPost, "/tenant/key-requests", n)
}

// RegisterTenantKey uses the key that people agreed to.
func (c *Client) RegisterTenantKey(ctx context.Context, approval string) (TenantKey, error) {
	return send[TenantKey](ctx, c, http.MethodPost, "/tenant/key", map[string]string{"approval": approval})
}

// WithdrawTenantKey stops sealing to the recipient key.
func (c *Client) WithdrawTenantKey(ctx context.Context) error {
	return c.do(ctx, http.MethodDelete, "/tenant/key", nil, nil)
}

// SyncTenant lets what waits be tried now.
func (c *Client) SyncTenant(ctx context.Context, n TenantSync) (TenantDue, error) {
	return send[TenantDue](ctx, c, http.MethodPost, "/tenant/sync", n)
}
