package scep

import (
	"crypto/x509"
	"crypto/x509/pkix"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/scep/ca"
)

// unmatched tells in what the request asks for other names than the certificate
// will have; nil when it asks for the same, in whatever encoding and order.
func (v *Certifier) unmatched(a issuing, i Issuance) error {
	if _, own := a.issuer.(ours); !own { // it is held against them when it is handed on
		return nil
	}
	asked, err := x509.ParseCertificateRequest(a.CSR)
	if err != nil {
		return ErrUnreadable
	}
	if what, differ := namesDiffer(asked.RawSubject, asked.Extensions, i.Names); differ {
		return ErrNamesDiffer.Saying("The request asks for other names: " + what + ".")
	}
	return nil
}

// namesDiffer tells whether a subject and the alternative names in extensions
// are not the wanted ones, and how.
func namesDiffer(subject []byte, extensions []pkix.Extension, want ca.Names) (what string, differ bool) {
	name, err := cert.DNOf(subject)
	if err != nil {
		return "the subject cannot be read", true
	}
	if attribute, differs := cert.SubjectDiffers(name, want.DN()); differs {
		return attribute + " differs", true
	}
	alt, err := cert.AltNamesOf(extensions)
	if err != nil {
		return "the alternative names cannot be read", true
	}
	kind, differs := cert.AltNamesDiffer(alt, altNamesOf(want))
	return kind + " differs", differs
}

func altNamesOf(n ca.Names) cert.AltNames {
	return cert.AltNames{Mail: n.Mail, UPN: n.UPN, URI: n.URIs, DNS: n.Hosts}
}

// request is what an issuer is asked for.
func (a issuing) request(i Issuance) ca.Request {
	r := a.profile.request(i.Names)
	r.Key = a.wanted.key
	return r
}
