package admin

import (
	"context"
	"net/http"
	"strconv"

	"github.com/signet-mdm/signet/internal/access"
	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/pfxconnector"
)

// Publication is all that Exchange and a directory are to know of imported
// certificates; none of it is secret.
type Publication struct {
	Users   []PublicUser `json:"users" nullable:"false" doc:"Everybody, also who has no certificate"`
	Issuers [][]byte     `json:"issuers" nullable:"false" doc:"CA certificates that came with them, DER in base64; not verified"`
	Next    string       `json:"next,omitempty" doc:"Give it as after to get what follows; left out at the end"`
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
		summary: "List the certificates that Exchange and a directory are to know", permission: access.KeyRead,
		faults: []*fault.Error{ErrCursor}}, a.getPublication)
}

func (a *API) getPublication(ctx context.Context, _ journal.Actor, in *Part) (*body[Publication], error) {
	after, err := in.text()
	if err != nil {
		return nil, err
	}
	users, err := a.Users.Users(ctx, after, in.Limit+1)
	if err != nil {
		return nil, err
	}
	part := partOf(users, in.Limit, func(u subject.User) subject.User { return u }, func(u subject.User) string { return placeText(u.Mail) }).Body
	list, err := a.Keys.Publications(ctx, part.Items)
	if err != nil {
		return nil, err
	}
	out := Publication{Users: make([]PublicUser, len(list)), Issuers: [][]byte{}, Next: part.Next}
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
// know, of everybody.
func (c *Client) Publication(ctx context.Context) (Publication, error) {
	all, seen := Publication{Users: []PublicUser{}, Issuers: [][]byte{}}, map[string]bool{}
	for after := ""; ; {
		part, err := get[Publication](ctx, c, with("/publication", "limit", strconv.Itoa(perPart), "after", after))
		if err != nil {
			return all, err
		}
		all.Users = append(all.Users, part.Users...)
		for _, der := range part.Issuers {
			if !seen[string(der)] {
				seen[string(der)] = true
				all.Issuers = append(all.Issuers, der)
			}
		}
		if after = part.Next; after == "" {
			return all, nil
		}
	}
}
