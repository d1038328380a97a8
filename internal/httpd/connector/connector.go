// Package connector is the API that other MDMs speak: they hand over a device's
// certificate and get the user's certificates, sealed to that device.
//
// It promises that nothing is answered without the secret of a registration,
// that what is sent is bounded before it is read, and that whether anything is
// handed over is the keeper's to decide, which believes nothing that is said
// here. Start at [Area].
package connector

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"

	"github.com/gorilla/mux"

	"github.com/signet-mdm/signet/internal/access"
	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/httpd"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/pfxconnector/gateway"
)

// Prefix is what all paths of the API begin with.
const Prefix = "/pfx/v1"

// maxAsk bounds a request for a delivery: five certificates and a few names.
const maxAsk = 256 << 10

// Gateway answers other MDMs.
type Gateway interface {
	Clients
	// Deliver hands over certificates.
	Deliver(ctx context.Context, a gateway.Ask) (gateway.Delivery, error)
	// Certificates lists what a user has.
	Certificates(ctx context.Context, user string) (subject.User, []gateway.Listed, error)
	// StoreCRL keeps a revocation list of the connector.
	StoreCRL(ctx context.Context, by journal.Actor, key string, list []byte) (gateway.CRL, error)
}

// Clients knows other MDMs.
type Clients interface {
	// Client gives the connector whose secret is presented from that address;
	// gateway.ErrUnknown for what is none.
	Client(ctx context.Context, presented, remote string) (gateway.Connector, error)
}

// Area gives the routes.
func Area(g Gateway) httpd.Area {
	if g == nil {
		panic("connector: nil dependency")
	}
	a := api{g}
	route := func(method, path string, body int64, h httpd.Handler) httpd.Route {
		return httpd.Route{Method: method, Path: Prefix + path, Permission: access.HandOver, MaxBody: body, Handle: h}
	}
	return httpd.Area{Guard: guard(httpd.Bearer(tokens{g})), Render: httpd.Problem, Routes: []httpd.Route{
		route(http.MethodGet, "/connector", httpd.NoBody, a.self),
		route(http.MethodGet, "/users/{user}/certificates", httpd.NoBody, a.certificates),
		route(http.MethodPost, "/deliveries", maxAsk, a.deliver),
		route(http.MethodPut, "/crl", gateway.MaxCRL, a.crl),
	}}
}

type api struct{ Gateway }

// ErrSecret is returned to who shows no secret of a connector.
var ErrSecret = fault.New(fault.Unauthenticated, "connector_unauthenticated",
	"This needs the secret of a connector.", "Make a new one with signet connector secret NAME, and give it as bearer token.")

// guard says what a connector shows: no token of ours.
func guard(bearer httpd.Guard) httpd.Guard {
	return func(r *http.Request, remote string) (httpd.Caller, error) {
		c, err := bearer(r, remote)
		if errors.Is(err, access.ErrUnauthenticated) {
			err = ErrSecret.With(err)
		}
		return c, err
	}
}

// tokens makes callers of connectors.
type tokens struct{ Clients }

// Token implements [httpd.Tokens].
func (t tokens) Token(ctx context.Context, presented, remote string) (httpd.Caller, error) {
	c, err := t.Client(ctx, presented, remote)
	if f := fault.Of(err); f != nil && f.Code == gateway.ErrUnknown.Code {
		return httpd.Caller{}, access.ErrUnauthenticated
	}
	if err != nil {
		return httpd.Caller{}, err
	}
	return httpd.Caller{Actor: journal.Actor{Kind: journal.Connector, ID: c.ID, Remote: remote}, Role: access.OtherMDM}, nil
}

func answer(w http.ResponseWriter, status int, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(b)))
	w.WriteHeader(status)
	w.Write(b) // who is gone cannot be told
	return nil
}

// variable gives a part of the path.
func variable(r *http.Request, name string) string { return mux.Vars(r)[name] }
