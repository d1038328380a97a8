package scep

import (
	"crypto/x509/pkix"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/scep/ca"
)

// otherNames tells whether a subject and the alternative names in extensions
// are not the wanted ones, and in what.
func otherNames(subject []byte, extensions []pkix.Extension, want ca.Names) (what string, differ bool) {
	name, err := cert.DNOf(subject)
	if err != nil {
		return "the subject", true
	}
	if attribute, differs := cert.SubjectDiffers(name, want.DN()); differs {
		return attribute, true
	}
	alt, err := cert.AltNamesOf(extensions)
	if err != nil {
		return "the alternative names", true
	}
	return cert.AltNamesDiffer(alt, altNamesOf(want))
}

func altNamesOf(n ca.Names) cert.AltNames {
	return cert.AltNames{Mail: n.Mail, UPN: n.UPN, URI: n.URIs, DNS: n.Hosts}
}
