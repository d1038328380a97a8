package admin

import (
	"context"
	"net/http"
	"time"

	"github.com/signet-mdm/signet/internal/access"
	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/directory"
	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/mdm"
	"github.com/signet-mdm/signet/scep"
)

// Revoking lists what was issued and ends it.
type Revoking interface {
	// Certificates lists what was issued, newest first; never nil.
	Certificates(ctx context.Context, q scep.IssuedQuery) ([]cert.Record, error)
	// Certificate finds one by SHA-256 or serial number, in hexadecimal digits.
	// scep.ErrCertificateUnknown when there is none.
	Certificate(ctx context.Context, key string) (scep.Issued, error)
	// Revoke revokes a certificate and publishes that; twice changes nothing.
	Revoke(ctx context.Context, by journal.Actor, f cert.Fingerprint, reason string) error
	// RevokeAll revokes all good ones of a user or of a device, publishes that,
	// and gives them.
	RevokeAll(ctx context.Context, by journal.Actor, h cert.Holder, reason string) ([]cert.Fingerprint, error)
}

// Certificate is a certificate that we issued.
type Certificate struct {
	SHA256    string     `json:"sha256" doc:"Hex"`
	Serial    string     `json:"serial" doc:"Hex"`
	State     string     `json:"state" enum:"good,revoked,expired" doc:"How it stands"`
	Use       string     `json:"use" doc:"signing or identity"`
	Profile   string     `json:"profile" doc:"Certificate profile"`
	Subject   string     `json:"subject" doc:"RFC 4514"`
	Signer    string     `json:"issuerName" doc:"Subject of the CA that issued it, RFC 4514"`
	User      string     `json:"user" doc:"Id of whom it is of"`
	Device    string     `json:"device" doc:"Id of the device that it is of"`
	NotBefore time.Time  `json:"notBefore" doc:"Begin of validity"`
	NotAfter  time.Time  `json:"notAfter" doc:"End of validity"`
	Issued    time.Time  `json:"issued" doc:"When"`
	Revoked   *time.Time `json:"revoked,omitempty" doc:"When; left out while it is not"`
	Reason    string     `json:"reason,omitempty" doc:"Why it is revoked, as in RFC 5280"`
}

// CertificateDetail is one with all that is known.
type CertificateDetail struct {
	Certificate
	Issuer    string   `json:"issuer" doc:"Name of our CA"`
	Addresses []string `json:"addresses" nullable:"false" doc:"Mail addresses in it"`
	Current   bool     `json:"current" doc:"None newer was issued to the same device by the same profile"`
	CRL       string   `json:"crl" doc:"Where the list is that has it when it is revoked; empty when it says nothing"`
	OCSP      string   `json:"ocsp" doc:"The OCSP responder that it names; empty for none"`
	PEM       string   `json:"pem" doc:"The certificate"`

	Elsewhere *Elsewhere `json:"elsewhere,omitempty" doc:"Left out where our CA issued it; otherwise that CA revokes it, and we only note that"`
}

// elsewhere gives a certificate by the names that another CA knows it by; nil
// for one of ours.
func elsewhere(i scep.Issued) *Elsewhere {
	if i.Issuer != scep.Upstream {
		return nil
	}
	return &Elsewhere{SHA256: i.Record.Fingerprint.String(), Serial: string(i.Record.Serial), Issuer: i.Record.Issuer}
}

func (a *API) certificate(r cert.Record) Certificate {
	return Certificate{SHA256: r.Fingerprint.String(), Serial: string(r.Serial), State: string(scep.StateOf(r, a.Now())),
		Use: r.Use.String(), Profile: r.Profile, Subject: r.Subject, Signer: r.Issuer, User: string(r.Holder.User), Device: string(r.Holder.Device),
		NotBefore: r.NotBefore, NotAfter: r.NotAfter, Issued: r.CreatedAt, Revoked: when(r.RevokedAt), Reason: r.Reason}
}

// Revocation asks for the end of all certificates of a user or of a device.
type Revocation struct {
	User   string `json:"user,omitempty" maxLength:"320" doc:"All of that user: our id, an address or a UPN"`
	Device string `json:"device,omitempty" maxLength:"64" doc:"All of that device: our id, its UDID or its serial number"`
	Reason string `json:"reason,omitempty" maxLength:"40" doc:"A name of RFC 5280, such as keyCompromise"`
}

// Elsewhere is a certificate of a CA that is not ours, on no revocation list
// until that CA revokes it too.
type Elsewhere struct {
	SHA256 string `json:"sha256" doc:"Hex"`
	Serial string `json:"serial" doc:"Hex, as that CA numbers it"`
	Issuer string `json:"issuer" doc:"RFC 4514 name of that CA"`
}

// RevokedOne is what a revocation ended.
type RevokedOne struct {
	Revoked   string     `json:"revoked" doc:"SHA-256 of the certificate, hex"`
	Elsewhere *Elsewhere `json:"elsewhere,omitempty" doc:"Left out where our CA issued it; otherwise it is to be revoked at that CA too"`
}

// RevokedAll is what a revocation ended.
type RevokedAll struct {
	Revoked   []string    `json:"revoked" nullable:"false" doc:"SHA-256 of each certificate, hex"`
	Elsewhere []Elsewhere `json:"elsewhere" nullable:"false" doc:"Those of them that are to be revoked at another CA too"`
}

// ErrNobody is returned when neither or both of user and device are named.
var ErrNobody = fault.New(fault.Invalid, "revocation_of_nobody",
	"Name a user or a device, not both.", "")

func (a *API) certificates() {
	register(a, operation{id: "listCertificates", tag: "certificates", method: http.MethodGet, path: "/certificates",
		summary: "List the certificates that we issued", permission: access.CARead,
		faults: []*fault.Error{directory.ErrUserUnknown, mdm.ErrDeviceUnknown, ErrCursor}}, a.listCertificates)
	register(a, operation{id: "showCertificate", tag: "certificates", method: http.MethodGet, path: "/certificates/{cert}",
		summary: "Show a certificate that we issued", permission: access.CARead,
		faults: []*fault.Error{scep.ErrCertificateUnknown}}, a.showCertificate)
	register(a, operation{id: "revoke", tag: "certificates", method: http.MethodPost, path: "/certificates/{cert}/revocation",
		summary: "Revoke a certificate that we issued", permission: access.CARevoke, maxBody: small,
		faults: []*fault.Error{scep.ErrCertificateUnknown, scep.ErrReason}}, a.revoke)
	register(a, operation{id: "revokeAll", tag: "certificates", method: http.MethodPost, path: "/revocations",
		summary: "Revoke all certificates of a user or of a device", permission: access.CARevoke, maxBody: small,
		faults: []*fault.Error{directory.ErrUserUnknown, mdm.ErrDeviceUnknown, scep.ErrReason, ErrNobody}}, a.revokeAll)
}

func (a *API) listCertificates(ctx context.Context, _ journal.Actor, in *struct {
	Part
	User    string `query:"user" maxLength:"320" doc:"Only those of this user: our id, an address or a UPN"`
	Device  string `query:"device" maxLength:"64" doc:"Only those of this device: our id, its UDID or its serial number, or the id that a challenge came with"`
	Profile string `query:"profile" maxLength:"64" doc:"Only those of this certificate profile"`
	State   string `query:"state" enum:"good,revoked,expired" doc:"Only those that stand so"`
}) (*body[list[Certificate]], error) {
	q := scep.IssuedQuery{Profile: in.Profile, State: scep.State(in.State), Limit: in.Limit + 1}
	before, id, err := in.position()
	if err != nil {
		return nil, err
	}
	if q.Before = before; id != "" {
		if q.ID, err = cert.ParseFingerprint(id); err != nil {
			return nil, ErrCursor
		}
	}
	if q.User, err = a.userID(ctx, in.User); err != nil {
		return nil, err
	}
	if q.Device, err = a.holding(ctx, in.Device); err != nil {
		return nil, err
	}
	records, err := a.Issuing.Certificates(ctx, q)
	if err != nil {
		return nil, err
	}
	return partOf(records, in.Limit, a.certificate, func(r cert.Record) string { return place(r.CreatedAt, r.Fingerprint.String()) }), nil
}

// holding gives the id of a device; one that is not managed here has the id
// that its challenge came with, and no other name.
func (a *API) holding(ctx context.Context, key string) (subject.DeviceID, error) {
	if key == "" {
		return "", nil
	}
	d, err := a.Devices.Device(ctx, key)
	if err == nil {
		return d.ID, nil
	}
	list, failed := a.Issuing.Certificates(ctx, scep.IssuedQuery{Device: subject.DeviceID(key), Limit: 1})
	if failed != nil || len(list) == 0 {
		return "", err
	}
	return subject.DeviceID(key), nil
}

// CertificateKey names a certificate that we issued.
type CertificateKey struct {
	Cert string `path:"cert" pattern:"^[0-9a-f]{2,64}$" doc:"SHA-256 or serial number of the certificate, hex"`
}

func (a *API) showCertificate(ctx context.Context, _ journal.Actor, in *CertificateKey) (*body[CertificateDetail], error) {
	i, err := a.Issuing.Certificate(ctx, in.Cert)
	if err != nil {
		return nil, err
	}
	c, err := i.Record.Certificate()
	if err != nil {
		return nil, err
	}
	d := CertificateDetail{Certificate: a.certificate(i.Record), Issuer: i.Issuer, Addresses: append([]string{}, i.Record.Addresses...),
		Current: i.Current, PEM: string(cert.PEM(c)), Elsewhere: elsewhere(i)}
	if len(c.CRLDistributionPoints) > 0 {
		d.CRL = c.CRLDistributionPoints[0]
	}
	if len(c.OCSPServer) > 0 {
		d.OCSP = c.OCSPServer[0]
	}
	return &body[CertificateDetail]{d}, nil
}

func (a *API) revoke(ctx context.Context, by journal.Actor, in *struct {
	CertificateKey
	Body struct {
		Reason string `json:"reason,omitempty" maxLength:"40" doc:"A name of RFC 5280, such as keyCompromise"`
	}
}) (*body[RevokedOne], error) {
	i, err := a.Issuing.Certificate(ctx, in.Cert)
	if err != nil {
		return nil, err
	}
	return &body[RevokedOne]{RevokedOne{i.Record.Fingerprint.String(), elsewhere(i)}}, a.Issuing.Revoke(ctx, by, i.Record.Fingerprint, in.Body.Reason)
}

func (a *API) revokeAll(ctx context.Context, by journal.Actor, in *body[Revocation]) (*body[RevokedAll], error) {
	var h cert.Holder
	var err error
	switch r := in.Body; {
	case (r.User == "") == (r.Device == ""):
		return nil, ErrNobody
	case r.User != "":
		h.User, err = a.userID(ctx, r.User)
	default:
		h.Device, err = a.holding(ctx, r.Device)
	}
	if err != nil {
		return nil, err
	}
	done, err := a.Issuing.RevokeAll(ctx, by, h, in.Body.Reason)
	if err != nil {
		return nil, err
	}
	out := RevokedAll{Revoked: []string{}, Elsewhere: []Elsewhere{}}
	for _, f := range done {
		out.Revoked = append(out.Revoked, f.String())
		i, err := a.Issuing.Certificate(ctx, f.String())
		if err != nil {
			return nil, err
		}
		if x := elsewhere(i); x != nil {
			out.Elsewhere = append(out.Elsewhere, *x)
		}
	}
	return &body[RevokedAll]{out}, nil
}
