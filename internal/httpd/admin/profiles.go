package admin

import (
	"context"
	"net/http"

	"github.com/signet-mdm/signet/internal/access"
	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/scep"
)

// CertificateProfile is what certificates are issued by.
type CertificateProfile struct {
	Name     string `json:"name" doc:"Part of its SCEP address"`
	For      string `json:"for" doc:"signing, encryption or identity"`
	Issuer   string `json:"issuer" doc:"Name of the CA"`
	Days     int    `json:"days" doc:"How long its certificates are valid"`
	Shipped  bool   `json:"shipped" doc:"It comes with Signet and cannot be removed"`
	Document string `json:"document" doc:"YAML for the operation apply, which makes the same profile"`
}

func newProfile(p scep.Profile) CertificateProfile {
	return CertificateProfile{Name: p.Name, For: p.Use.String(), Issuer: p.Issuer, Days: int(p.Life.Hours() / 24),
		Shipped: scep.IsShipped(p.Name), Document: p.Document()}
}

func (a *API) certificateProfiles() {
	register(a, operation{id: "listCertificateProfiles", tag: "certificates", method: http.MethodGet, path: "/certificate-profiles",
		summary: "List certificate profiles", permission: access.PolicyRead}, a.listProfiles)
	register(a, operation{id: "getCertificateProfile", tag: "certificates", method: http.MethodGet, path: "/certificate-profiles/{profile}",
		summary: "Show a certificate profile", permission: access.PolicyRead,
		faults: []*fault.Error{scep.ErrProfileUnknown}}, a.getProfile)
}

func (a *API) listProfiles(ctx context.Context, _ journal.Actor, _ *struct{}) (*body[list[CertificateProfile]], error) {
	all, err := a.Issuing.CertificateProfiles(ctx)
	return listOf(all, newProfile), err
}

func (a *API) getProfile(ctx context.Context, _ journal.Actor, in *struct {
	Profile string `path:"profile" maxLength:"64" doc:"Its name"`
}) (*body[CertificateProfile], error) {
	all, err := a.Issuing.CertificateProfiles(ctx)
	if err != nil {
		return nil, err
	}
	for _, p := range all {
		if p.Name == in.Profile {
			return &body[CertificateProfile]{newProfile(p)}, nil
		}
	}
	return nil, scep.ErrProfileUnknown
}

// CertificateProfiles lists certificate profiles.
func (c *Client) CertificateProfiles(ctx context.Context) ([]CertificateProfile, error) {
	all, err := get[list[CertificateProfile]](ctx, c, "/certificate-profiles")
	return all.Items, err
}

// CertificateProfile shows one.
func (c *Client) CertificateProfile(ctx context.Context, name string) (CertificateProfile, error) {
	return get[CertificateProfile](ctx, c, at("certificate-profiles", name))
}
