package admin

import (
	"context"
	"net/http"
	"time"

	"github.com/signet-mdm/signet/internal/access"
	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/pfxconnector/transport"
)

// Transport has the keys that passwords of PKCS#12 files come encrypted to.
type Transport interface {
	// Create makes a key of so many bits.
	Create(ctx context.Context, by journal.Actor, provider, name string, bits int) (transport.Key, error)
	// Import takes a private key that was made elsewhere.
	Import(ctx context.Context, by journal.Actor, provider, name string, file seal.Secret) (transport.Key, error)
	// Keys lists them; never nil.
	Keys(ctx context.Context) ([]transport.Key, error)
}

// NewTransportKey asks for a transport key.
type NewTransportKey struct {
	Provider string `json:"provider" minLength:"1" maxLength:"200" doc:"The provider that importers name it by"`
	Name     string `json:"name" minLength:"1" maxLength:"200" doc:"The name that importers name it by"`
	Bits     int    `json:"bits,omitempty" default:"2048" enum:"2048,3072,4096" doc:"Of a key that is made here"`
	File     []byte `json:"file,omitempty" doc:"A private key that was made elsewhere, PEM or RSAFULLPRIVATEBLOB, base64; made here when left out"`
}

// TransportKey is what is public of a transport key. The private half is never
// given.
type TransportKey struct {
	Provider string    `json:"provider" doc:"The provider that importers name it by"`
	Name     string    `json:"name" doc:"The name that importers name it by"`
	Bits     int       `json:"bits" doc:"Its size"`
	PEM      string    `json:"pem" doc:"The public key, PEM"`
	CNG      []byte    `json:"cng" doc:"The public key as RSAPUBLICBLOB, base64"`
	Created  time.Time `json:"created" doc:"When it came"`
}

func newTransportKey(k transport.Key) TransportKey {
	return TransportKey{Provider: k.Provider, Name: k.Name, Bits: k.Public.N.BitLen(), PEM: string(k.PEM()), CNG: k.CNG(), Created: k.CreatedAt}
}

func (a *API) transport() {
	register(a, operation{id: "listTransportKeys", tag: "keys", method: http.MethodGet, path: "/transport-keys",
		summary: "List the keys that passwords of files come encrypted to", permission: access.KeyRead}, a.listTransport)
	register(a, operation{id: "addTransportKey", tag: "keys", method: http.MethodPost, path: "/transport-keys",
		summary: "Make or import a key that passwords of files come encrypted to", permission: access.KeyTransport, maxBody: small, status: http.StatusCreated,
		faults: []*fault.Error{transport.ErrExists, transport.ErrName, transport.ErrBits, transport.ErrFormat, transport.ErrPublic}}, a.addTransport)
}

func (a *API) listTransport(ctx context.Context, _ journal.Actor, _ *struct{}) (*body[list[TransportKey]], error) {
	all, err := a.Transport.Keys(ctx)
	return listOf(all, newTransportKey), err
}

func (a *API) addTransport(ctx context.Context, by journal.Actor, in *body[NewTransportKey]) (*body[TransportKey], error) {
	n := in.Body
	var k transport.Key
	var err error
	if len(n.File) > 0 {
		file := seal.NewSecret(n.File)
		defer file.Wipe()
		k, err = a.Transport.Import(ctx, by, n.Provider, n.Name, file)
	} else {
		k, err = a.Transport.Create(ctx, by, n.Provider, n.Name, n.Bits)
	}
	if err != nil {
		return nil, err
	}
	return &body[TransportKey]{newTransportKey(k)}, nil
}

// TransportKeys lists the keys that passwords of files come encrypted to.
func (c *Client) TransportKeys(ctx context.Context) ([]TransportKey, error) {
	all, err := get[list[TransportKey]](ctx, c, "/transport-keys")
	return all.Items, err
}

// AddTransportKey makes or imports a key that passwords of files come encrypted to.
func (c *Client) AddTransportKey(ctx context.Context, n NewTransportKey) (TransportKey, error) {
	return send[TransportKey](ctx, c, http.MethodPost, "/transport-keys", n)
}
