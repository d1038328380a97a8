package scep

import (
	"crypto/x509"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/scep/ca"
)

// unmatched tells in what the request asks for other names than the certificate
// will have; nil when it asks for the same, in whatever encoding and order.
func (v *Certifier) unmatched(a issuing, i Issuance) error {
	own, ok := a.issuer.(ours)
	if !ok { // it is held against them when it is handed on
		return nil
	}
	p, err := own.Prepare(a.request(i), v.Now())
	if err != nil {
		return broken(err)
	}
	asked, err := x509.ParseCertificateRequest(a.CSR)
	if err != nil {
		return ErrUnreadable
	}
	return namesDiffer(asked, p.Draft)
}

func namesDiffer(asked *x509.CertificateRequest, given *x509.Certificate) error {
	want, err := cert.DNOf(given.RawSubject)
	if err != nil {
		return err
	}
	got, err := cert.DNOf(asked.RawSubject)
	if err != nil {
		return ErrNamesDiffer.Saying("The subject that the request asks for cannot be read.")
	}
	if attribute, differs := cert.SubjectDiffers(got, want); differs {
		return ErrNamesDiffer.Saying("The request asks for another subject: " + attribute + " differs.")
	}
	wantAlt, err := cert.AltNamesOf(given.Extensions)
	if err != nil {
		return err
	}
	gotAlt, err := cert.AltNamesOf(asked.Extensions)
	if err != nil {
		return ErrNamesDiffer.Saying("The alternative names that the request asks for cannot be read.")
	}
	if kind, differs := cert.AltNamesDiffer(gotAlt, wantAlt); differs {
		return ErrNamesDiffer.Saying("The request asks for other alternative names: " + kind + " differs.")
	}
	return nil
}

// request is what an issuer is asked for.
func (a issuing) request(i Issuance) ca.Request {
	r := a.profile.request(i.Names)
	r.Key = a.wanted.key
	return r
}
