package peer

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"

	"github.com/signet-mdm/signet/internal/httpd"
	"github.com/signet-mdm/signet/pfxconnector/gateway"
)

// deliveries is the route for other MDMs.
const deliveries = "/keeper/v1/connector-deliveries"

// maxDelivery bounds what a keeper answers with: a long history, in base64.
const maxDelivery = 64 << 20

// Gateway is the keeper's area for other MDMs.
func Gateway(g gateway.Handler) httpd.Area {
	return httpd.Area{Guard: known, Render: httpd.Problem, Routes: []httpd.Route{
		{Method: http.MethodPost, Path: deliveries, Permission: httpd.AskKeeper, MaxBody: maxApplication, Handle: answering(g.Deliver)},
	}}
}

// answering is a route that reads a call strictly and answers it.
func answering[I, O any](do func(context.Context, I) (O, error)) httpd.Handler {
	return func(w http.ResponseWriter, r *http.Request, _ httpd.Caller) error {
		var in I
		d := json.NewDecoder(r.Body)
		d.DisallowUnknownFields() // what we do not know may be what matters
		if err := d.Decode(&in); err != nil {
			return ErrCall.With(err)
		}
		if _, err := d.Token(); !errors.Is(err, io.EOF) {
			return ErrCall
		}
		out, err := do(r.Context(), in)
		if err != nil {
			return err
		}
		w.Header().Set("Content-Type", "application/json")
		return json.NewEncoder(w).Encode(out)
	}
}

// Deliver implements [gateway.Handler].
func (c *Client) Deliver(ctx context.Context, a gateway.Ask) (gateway.Delivery, error) {
	var d gateway.Delivery
	err := c.callFor(ctx, deliveries, a, &d, maxDelivery)
	return d, err
}
