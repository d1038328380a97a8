// Package logx names every structured log key once, so that a search always
// finds the same spelling, and carries request attributes through a context.
//
// Never logged at any level: private keys, PKCS#12 data, passwords,
// challenges, tokens, unlock tokens, message bodies.
package logx

import (
	"context"
	"io"
	"log/slog"
)

// Log keys. The comment gives the type of the value.
const (
	Account   = "account"    // string, an Apple Account
	Addr      = "addr"       // string, host:port
	Block     = "block"      // int, of the audit chain
	Bytes     = "bytes"      // int
	Cert      = "cert"       // string, SHA-256 hex of a certificate
	Code      = "code"       // string, a fault code
	Connector = "connector"  // string, id or name of another MDM
	Device    = "device"     // string, our device id
	Duration  = "duration"   // time.Duration
	Err       = "err"        // error
	Hash      = "hash"       // string, hex
	Kind      = "kind"       // string
	Mail      = "mail"       // string, our id of a mail
	Method    = "method"     // string, HTTP method or MDM message type
	Parcel    = "parcel"     // string, parcel id
	Profile   = "profile"    // string, certificate profile name
	Reason    = "reason"     // string, what another service gave as its reason
	Remote    = "remote"     // string, peer address without port
	Request   = "request"    // string, our id of a certificate request
	RequestID = "request_id" // string, of a request to a listener
	Role      = "role"       // string, which part of the server
	Route     = "route"      // string, path template, never the path itself
	Serial    = "serial"     // string, certificate serial, hex
	State     = "state"      // string
	Status    = "status"     // int, HTTP status
	Topic     = "topic"      // string, of a push certificate
	Until     = "until"      // time or date
	URL       = "url"        // string, our own address
	User      = "user"       // string, our user id
)

// Transaction is a string, a SCEP transactionID in hex.
const Transaction = "transaction"

type attrsKey struct{}

// With returns a context whose log records carry attrs as well.
func With(ctx context.Context, attrs ...slog.Attr) context.Context {
	old, _ := ctx.Value(attrsKey{}).([]slog.Attr)
	return context.WithValue(ctx, attrsKey{}, append(old[:len(old):len(old)], attrs...))
}

type handler struct{ slog.Handler }

func (h handler) Handle(ctx context.Context, r slog.Record) error {
	if attrs, ok := ctx.Value(attrsKey{}).([]slog.Attr); ok {
		r.AddAttrs(attrs...)
	}
	return h.Handler.Handle(ctx, r)
}

func (h handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return handler{h.Handler.WithAttrs(attrs)}
}

func (h handler) WithGroup(name string) slog.Handler { return handler{h.Handler.WithGroup(name)} }

// New returns a logger that writes text (or JSON) lines to w at level and
// above, with the attributes that [With] put into the context.
func New(w io.Writer, json bool, level slog.Leveler) *slog.Logger {
	opts := &slog.HandlerOptions{Level: level}
	if json {
		return slog.New(handler{slog.NewJSONHandler(w, opts)})
	}
	return slog.New(handler{slog.NewTextHandler(w, opts)})
}
