package admin

import (
	"context"
	"net/http"

	"github.com/signet-mdm/signet/internal/access"
	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/directory"
	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/pfxconnector"
)

// KeyName names an imported certificate of a user.
type KeyName struct {
	User string `path:"user" maxLength:"320" doc:"Our id, an address or a UPN"`
	Cert string `path:"cert" pattern:"^[0-9a-f]{64}$" doc:"SHA-256 of the certificate, hex"`
}

// NewPurpose is what an imported certificate is to be for.
type NewPurpose struct {
	Purpose            string `json:"purpose" enum:"certificate,signing,encryption,both" doc:"certificate: what the certificate says"`
	AllowSigningEscrow bool   `json:"allowSigningEscrow,omitempty" doc:"Hold the key even if it is for signing only"`
}

// Purpose is what an imported certificate is for.
type Purpose struct {
	Purpose string `json:"purpose" enum:"signing,encryption,both" doc:"What it is held for now"`
}

// decisions are about certificates that are in escrow.
func (a *API) decisions() {
	unknown := []*fault.Error{directory.ErrUserUnknown, pfxconnector.ErrKeyUnknown}
	register(a, operation{id: "repurposeKey", tag: "keys", method: http.MethodPut, path: "/users/{user}/keys/{cert}/purpose",
		summary: "Say what an imported certificate is for", permission: access.KeyImport, maxBody: small,
		faults: append([]*fault.Error{pfxconnector.ErrPurpose, pfxconnector.ErrPurposeOurs, pfxconnector.ErrNotEncryption, pfxconnector.ErrNotMail}, unknown...)}, a.repurposeKey)
	register(a, operation{id: "pinKey", tag: "keys", method: http.MethodPut, path: "/users/{user}/keys/{cert}/pin",
		summary: "Make a certificate the current one of its user while it is valid", permission: access.KeyImport,
		faults: append([]*fault.Error{pfxconnector.ErrPin}, unknown...)}, a.pinKey)
	register(a, operation{id: "unpinKeys", tag: "keys", method: http.MethodDelete, path: "/users/{user}/pin",
		summary: "Leave the choice of a user's current certificate to the rules", permission: access.KeyImport,
		faults: unknown[:1]}, a.unpinKeys)
}

func (a *API) keyNamed(ctx context.Context, in KeyName) (subject.User, cert.Fingerprint, error) {
	f, err := cert.ParseFingerprint(in.Cert)
	if err != nil {
		return subject.User{}, f, ErrRequest.With(err)
	}
	u, err := a.Users.User(ctx, in.User)
	return u, f, err
}

func (a *API) repurposeKey(ctx context.Context, by journal.Actor, in *struct {
	KeyName
	Body NewPurpose
}) (*body[Purpose], error) {
	d := pfxconnector.Decision{AllowSigning: in.Body.AllowSigningEscrow}
	u, f, err := a.keyNamed(ctx, in.KeyName)
	if err != nil {
		return nil, err
	}
	if in.Body.Purpose != "certificate" {
		if d.Purpose, err = cert.ParseUse(in.Body.Purpose); err != nil {
			return nil, ErrRequest.With(err)
		}
	}
	use, err := a.Keys.Repurpose(ctx, by, u, f, d)
	return &body[Purpose]{Purpose{use.String()}}, err
}

func (a *API) pinKey(ctx context.Context, by journal.Actor, in *KeyName) (*struct{}, error) {
	u, f, err := a.keyNamed(ctx, *in)
	if err != nil {
		return nil, err
	}
	return &struct{}{}, a.Keys.Pin(ctx, by, u, f)
}

func (a *API) unpinKeys(ctx context.Context, by journal.Actor, in *struct {
	User string `path:"user" maxLength:"320" doc:"Our id, an address or a UPN"`
}) (*struct{}, error) {
	u, err := a.Users.User(ctx, in.User)
	if err != nil {
		return nil, err
	}
	return &struct{}{}, a.Keys.Unpin(ctx, by, u)
}

// RepurposeKey says what an imported certificate is for.
func (c *Client) RepurposeKey(ctx context.Context, user, cert string, n NewPurpose) (Purpose, error) {
	return send[Purpose](ctx, c, http.MethodPut, at("users", user, "keys", cert, "purpose"), n)
}

// PinKey makes a certificate the current one of its user.
func (c *Client) PinKey(ctx context.Context, user, cert string) error {
	return c.do(ctx, http.MethodPut, at("users", user, "keys", cert, "pin"), nil, nil)
}

// UnpinKeys leaves the choice of a user's current certificate to the rules.
func (c *Client) UnpinKeys(ctx context.Context, user string) error {
	return c.do(ctx, http.MethodDelete, at("users", user, "pin"), nil, nil)
}
