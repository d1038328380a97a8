package admin

import (
	"context"
	"net/http"

	"github.com/signet-mdm/signet/internal/access"
	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/pfxconnector"
)

// Publication is all that Exchange and a directory are to know of imported
// certificates; none of it is secret.
type Publication struct {
	Users   []PublicUser `json:"users" nullable:"false" doc:"Everybody, also who has no certificate"`
	Issuers [][]byte     `json:"issuers" nullable:"false" doc:"CA certificates that came with them, DER in base64; not verified"`
}

// PublicUser is a person with his certificates.
type PublicUser struct {
	User         User                `json:"user" doc:"Who it is"`
	Certificates []PublicCertificate `json:"certificates" nullable:"false" doc:"Those that are in force"`
	Past         []string            `json:"past" nullable:"false" doc:"SHA-256 of those that nobody is to encrypt to any more"`
}

// PublicCertificate is a certificate that is in force.
type PublicCertificate struct {
	DER     []byte `json:"der" doc:"In base64"`
	Current bool   `json:"current" doc:"Others are to encrypt to it"`
}

func (a *API) publication() {
	register(a, operation{id: "publication", tag: "certificates", method: http.MethodGet, path: "/publication",
		summary: "List the certificates that Exchange and a directory are to know", permission: access.KeyRead}, a.getPublication)
}

func (a *API) getPublication(ctx context.Context, _ journal.Actor, _ *struct{}) (*body[Publication], error) {
	users, err := a.Users.Users(ctx)
	if err != nil {
		return nil, err
	}
	list, err := a.Keys.Publications(ctx, users)
	if err != nil {
		return nil, err
	}
	out := Publication{Users: make([]PublicUser, len(list)), Issuers: [][]byte{}}
	seen := map[cert.Fingerprint]bool{}
	for i, p := range list {
		out.Users[i] = newPublicUser(p)
		for _, r := range p.Valid {
			for _, der := range r.Chain {
				if f := cert.FingerprintOf(der); !seen[f] {
					seen[f] = true
					out.Issuers = append(out.Issuers, der)
				}
			}
		}
	}
	return &body[Publication]{out}, nil
}

func newPublicUser(p pfxconnector.Publication) PublicUser {
	u := PublicUser{User: newUser(p.User), Certificates: []PublicCertificate{}, Past: make([]string, len(p.Past))}
	for _, r := range p.Valid {
		current := p.Current != nil && r.Fingerprint == p.Current.Fingerprint
		u.Certificates = append(u.Certificates, PublicCertificate{DER: r.DER, Current: current})
	}
	for i, f := range p.Past {
		u.Past[i] = f.String()
	}
	return u
}

// Publication lists the certificates that Exchange and a directory are to
// know.
func (c *Client) Publication(ctx context.Context) (Publication, error) {
	return get[Publication](ctx, c, "/publication")
}
