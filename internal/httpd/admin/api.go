// Package admin is the admin API, both ends of it: the server side as routes
// of package httpd, described by OpenAPI 3.1, and the client that the command
// line uses ([Client]). Operations stand in one file for each thing they are
// about, with the types that travel.
//
// It promises that each operation names the one permission it needs, that
// answers hold no secret but those made for the caller to see once, and that
// a refused request is never quoted back, because it may hold a password.
package admin

import (
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/signet-mdm/signet/internal/httpd"
)

// Prefix is what all paths of the API begin with.
const Prefix = "/api/v1"

// Body limits of operations.
const (
	small = 64 << 10
	large = 1 << 20
)

// Config is what the API is about. All but Mails, PlainURL, Authorities
// and Ending is required.
type Config struct {
	Users       Users
	Tokens      Tokens
	Consents    Consents
	Recoveries  Recoveries
	Approvers   Approvers
	Devices     Devices
	Keys        Keys
	Deposits    Deposits
	Transport   Transport
	Tenant      Tenant
	Connectors  Connectors
	Issuing     Issuing
	Policies    Policies
	Deliveries  Deliveries
	Journal     Journal
	Audit       Audit
	Jobs        Jobs
	Push        Push
	Backups     Backups
	Mails       Mails              // nil: no mail is configured
	MaxFile     int64              // bytes of an imported file
	PlainURL    string             // of the listener without TLS, no slash at its end; empty: none
	Authorities func() []Authority // in the order to list them
	Rollovers   Rollovers
	Overview    Figures
	Ending      <-chan struct{} // closed when the server stops: streams end; nil for never
	Now         func() time.Time
}

// API has the routes.
type API struct {
	Config
	huma   huma.API
	routes []httpd.Route
	needs  map[string]httpd.Permission // by operation
}

// New builds the API. It panics on a missing service.
func New(c Config) *API {
	if c.Users == nil || c.Tokens == nil || c.Consents == nil || c.Recoveries == nil || c.Approvers == nil || c.Devices == nil || c.Keys == nil || c.Deposits == nil || c.Transport == nil || c.Connectors == nil || c.Tenant == nil || c.Issuing == nil || c.Policies == nil ||
		c.Deliveries == nil || c.Journal == nil || c.Audit == nil || c.Jobs == nil || c.Push == nil || c.Backups == nil || c.Authorities == nil || c.Rollovers == nil || c.Overview == nil || c.Now == nil || c.MaxFile <= 0 {
		panic("admin: nil dependency")
	}
	return (&API{Config: c}).build()
}

// build makes the routes and their description.
func (a *API) build() *API {
	a.huma, a.needs = newHuma(a), map[string]httpd.Permission{}
	a.users()
	a.tokens()
	a.consents()
	a.recoveries()
	a.approvers()
	a.devices()
	a.keys()
	a.deposits()
	a.transport()
	a.tenant()
	a.connectors()
	a.publication()
	a.coverage()
	a.policies()
	a.status()
	a.overview()
	a.authorities()
	a.certificates()
	a.requests()
	a.rollovers()
	a.certificateProfiles()
	a.push()
	a.journal()
	a.verification()
	a.mails()
	a.jobs()
	a.backups()
	a.describe()
	return a
}

// Area gives the routes for a listener whose callers the guard knows.
func (a *API) Area(guard httpd.Guard) httpd.Area {
	return httpd.Area{Guard: guard, Render: httpd.Problem, Routes: a.routes}
}
