package admin

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"time"

	"github.com/signet-mdm/signet/internal/access"
	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/pfxconnector/gateway"
)

// Connectors registers other MDMs.
type Connectors interface {
	ConnectorRegister
	ConnectorUse
}

// ConnectorRegister is who may be served.
type ConnectorRegister interface {
	// Register stores a registration with its secret, which is not kept, and asks
	// people to agree to it. The caller is a person: access.ErrPerson.
	Register(ctx context.Context, by access.Caller, t gateway.Terms) (gateway.Connector, seal.Secret, error)
	// Connectors lists at most limit, newest first, those that follow the one
	// that was made at before and has that id; the newest for the zero time.
	Connectors(ctx context.Context, before time.Time, id string, limit int) ([]gateway.Connector, error)
	// Connector gives the one with that id or name.
	Connector(ctx context.Context, key string) (gateway.Connector, error)
}

// ConnectorUse is what changes while one is served.
type ConnectorUse interface {
	// NewSecret gives one another secret.
	NewSecret(ctx context.Context, by journal.Actor, key string) (seal.Secret, error)
	// StoreCRL keeps a revocation list.
	StoreCRL(ctx context.Context, by journal.Actor, key string, list []byte) (gateway.CRL, error)
	// Revoke ends one at once.
	Revoke(ctx context.Context, by journal.Actor, key string) error
}

// NewConnector registers another MDM.
type NewConnector struct {
	Name           string    `json:"name" maxLength:"63" doc:"Small letters, digits and hyphens"`
	CAs            string    `json:"cas" maxLength:"200000" doc:"The certificates of the CAs of its devices, PEM"`
	Naming         string    `json:"naming" enum:"mail,upn,subject-mail,id" doc:"How device certificates name their user"`
	OtherAddresses bool      `json:"otherAddresses,omitempty" doc:"Hand over certificates of the user, too, that name none of the device's addresses; weaker"`
	Forms          []string  `json:"forms" nullable:"false" enum:"profile,pkcs12" maxItems:"2" doc:"How certificates may be handed over"`
	Networks       []string  `json:"networks,omitempty" maxItems:"32" doc:"From where it may be used, as 192.0.2.0/24; anywhere when left out"`
	PerHour        int       `json:"keysPerHour,omitempty" default:"500" minimum:"1" maximum:"100000" doc:"How many keys it gets within an hour"`
	RequireCRL     bool      `json:"requireCrl,omitempty" doc:"Serve no device without a current revocation list"`
	Expires        time.Time `json:"expires" doc:"When it ends by itself, within five years"`
}

// Connector is another MDM, without its secret.
type Connector struct {
	ID             string        `json:"id" doc:"Our id"`
	Name           string        `json:"name" doc:"Its name"`
	State          string        `json:"state" enum:"waiting,approved,revoked,expired" doc:"Waiting: for other people's approval"`
	CAs            []ConnectorCA `json:"cas" nullable:"false" doc:"The CAs of its devices"`
	Naming         string        `json:"naming" doc:"How device certificates name their user"`
	OtherAddresses bool          `json:"otherAddresses" doc:"Whether certificates with other addresses are handed over, too"`
	Forms          []string      `json:"forms" nullable:"false" doc:"How certificates may be handed over"`
	Networks       []string      `json:"networks" nullable:"false" doc:"From where it may be used; none: anywhere"`
	PerHour        int           `json:"keysPerHour" doc:"How many keys it gets within an hour"`
	RequireCRL     bool          `json:"requireCrl" doc:"Whether devices need a current revocation list"`
	Expires        time.Time     `json:"expires" doc:"When it ends by itself"`
	Created        time.Time     `json:"created" doc:"When it was registered"`
	Approval       string        `json:"approval" doc:"Id of what people are asked to approve"`
	Revoked        *time.Time    `json:"revoked,omitempty" doc:"When it was ended"`
}

// ConnectorCA is a CA of another MDM's devices.
type ConnectorCA struct {
	Subject  string    `json:"subject" doc:"As text"`
	SHA256   string    `json:"sha256" doc:"Of the certificate, hex"`
	NotAfter time.Time `json:"notAfter" doc:"End of validity"`
}

// MadeConnector is a new registration with its secret.
type MadeConnector struct {
	Connector
	Secret string `json:"secret" doc:"Shown this once"`
}

func (a *API) newConnector(c gateway.Connector) Connector {
	out := Connector{ID: c.ID, Name: c.Name, State: string(c.StateAt(a.Now())), CAs: []ConnectorCA{},
		Naming: string(c.Naming), OtherAddresses: c.OtherAddresses, Forms: []string{}, Networks: append([]string{}, c.Networks...),
		PerHour: c.PerHour, RequireCRL: c.RequireCRL, Expires: c.Expires, Created: c.Created, Approval: c.Consent, Revoked: when(c.Revoked)}
	for _, der := range c.CAs {
		if x, err := x509.ParseCertificate(der); err == nil {
			out.CAs = append(out.CAs, ConnectorCA{x.Subject.String(), cert.FingerprintOf(der).String(), x.NotAfter})
		}
	}
	for _, f := range c.Forms {
		out.Forms = append(out.Forms, string(f))
	}
	return out
}

// connectorPath is the parameter of operations on one connector.
type connectorPath struct {
	Connector string `path:"connector" maxLength:"64" doc:"Its id or name"`
}

func (a *API) connectors() {
	unknown := []*fault.Error{gateway.ErrUnknown}
	register(a, operation{id: "listConnectors", tag: "connectors", method: http.MethodGet, path: "/connectors",
		summary: "List other MDMs, newest first", permission: access.ConnectorRead, faults: []*fault.Error{ErrCursor}}, a.listConnectors)
	register(a, operation{id: "getConnector", tag: "connectors", method: http.MethodGet, path: "/connectors/{connector}",
		summary: "Show another MDM", permission: access.ConnectorRead, faults: unknown}, a.getConnector)
	register(a, operation{id: "addConnector", once: true, tag: "connectors", method: http.MethodPost, path: "/connectors",
		summary: "Register another MDM, which other people approve", permission: access.ConsentAsk, maxBody: large, status: http.StatusCreated,
		faults: []*fault.Error{gateway.ErrTerms, gateway.ErrExists, access.ErrPerson, access.ErrConsentMany}}, a.addConnector)
	register(a, operation{id: "newConnectorSecret", once: true, tag: "connectors", method: http.MethodPost, path: "/connectors/{connector}/secret",
		summary: "Give another MDM another secret", permission: access.ConnectorManage, faults: unknown}, a.newConnectorSecret)
	register(a, operation{id: "storeConnectorCRL", tag: "connectors", method: http.MethodPut, path: "/connectors/{connector}/crl",
		summary: "Store a revocation list of a CA of another MDM's devices", permission: access.ConnectorManage, maxBody: 2 * gateway.MaxCRL,
		faults: append(unknown, gateway.ErrCRL)}, a.storeConnectorCRL)
	register(a, operation{id: "revokeConnector", tag: "connectors", method: http.MethodDelete, path: "/connectors/{connector}",
		summary: "End another MDM's access at once", permission: access.ConnectorManage,
		faults: append(unknown, gateway.ErrOver)}, a.revokeConnector)
}

func (a *API) listConnectors(ctx context.Context, _ journal.Actor, in *Part) (*body[list[Connector]], error) {
	before, id, err := in.position()
	if err != nil {
		return nil, err
	}
	part, err := a.Connectors.Connectors(ctx, before, id, in.Limit+1)
	if err != nil {
		return nil, err
	}
	return partOf(part, in.Limit, a.newConnector, func(c gateway.Connector) string { return place(c.Created, c.ID) }), nil
}

func (a *API) getConnector(ctx context.Context, _ journal.Actor, in *connectorPath) (*body[Connector], error) {
	c, err := a.Connectors.Connector(ctx, in.Connector)
	if err != nil {
		return nil, err
	}
	return &body[Connector]{a.newConnector(c)}, nil
}

func (a *API) addConnector(ctx context.Context, _ journal.Actor, in *body[NewConnector]) (*body[MadeConnector], error) {
	n := in.Body
	t := gateway.Terms{Name: n.Name, Naming: gateway.Naming(n.Naming), OtherAddresses: n.OtherAddresses, Networks: n.Networks,
		PerHour: n.PerHour, RequireCRL: n.RequireCRL, Expires: n.Expires}
	for _, f := range n.Forms {
		t.Forms = append(t.Forms, gateway.Form(f))
	}
	for rest := []byte(n.CAs); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		t.CAs = append(t.CAs, block.Bytes)
	}
	c, secret, err := a.Connectors.Register(ctx, callOf(ctx).caller, t)
	if err != nil {
		return nil, err
	}
	return &body[MadeConnector]{MadeConnector{a.newConnector(c), secret.RevealString()}}, nil
}

func (a *API) newConnectorSecret(ctx context.Context, by journal.Actor, in *connectorPath) (*body[ConnectorSecret], error) {
	secret, err := a.Connectors.NewSecret(ctx, by, in.Connector)
	return &body[ConnectorSecret]{ConnectorSecret{secret.RevealString()}}, err
}

// ConnectorSecret is what another MDM shows.
type ConnectorSecret struct {
	Secret string `json:"secret" doc:"Shown this once"`
}

func (a *API) storeConnectorCRL(ctx context.Context, by journal.Actor, in *struct {
	Connector string `path:"connector" maxLength:"64" doc:"Its id or name"`
	Body      struct {
		List []byte `json:"list" doc:"DER or PEM, base64"`
	}
}) (*struct{}, error) {
	_, err := a.Connectors.StoreCRL(ctx, by, in.Connector, in.Body.List)
	return &struct{}{}, err
}

func (a *API) revokeConnector(ctx context.Context, by journal.Actor, in *connectorPath) (*struct{}, error) {
	return &struct{}{}, a.Connectors.Revoke(ctx, by, in.Connector)
}

// Connectors lists other MDMs.
func (c *Client) Connectors(ctx context.Context) ([]Connector, error) {
	return items[Connector](ctx, c, "/connectors")
}

// Connector shows another MDM.
func (c *Client) Connector(ctx context.Context, key string) (Connector, error) {
	return get[Connector](ctx, c, at("connectors", key))
}

// AddConnector registers another MDM.
func (c *Client) AddConnector(ctx context.Context, n NewConnector) (MadeConnector, error) {
	return send[MadeConnector](ctx, c, http.MethodPost, "/connectors", n)
}

// NewConnectorSecret gives another MDM another secret.
func (c *Client) NewConnectorSecret(ctx context.Context, key string) (ConnectorSecret, error) {
	return send[ConnectorSecret](ctx, c, http.MethodPost, at("connectors", key, "secret"), nil)
}

// StoreConnectorCRL stores a revocation list.
func (c *Client) StoreConnectorCRL(ctx context.Context, key string, list []byte) error {
	return c.do(ctx, http.MethodPut, at("connectors", key, "crl"), map[string][]byte{"list": list}, nil)
}

// RevokeConnector ends another MDM's access.
func (c *Client) RevokeConnector(ctx context.Context, key string) error {
	return c.do(ctx, http.MethodDelete, at("connectors", key), nil, nil)
}
