package ca

import (
	"crypto/x509"
	"slices"
)

// MayIssue tells whether the CA's own certificate allows what certificates of
// that kind are for.
func (p *Public) MayIssue(k Kind) bool {
	f, known := forms[k]
	if !known || len(p.cert.ExtKeyUsage) == 0 && len(p.cert.UnknownExtKeyUsage) == 0 {
		return known
	}
	return !slices.ContainsFunc(f.extended, func(u x509.ExtKeyUsage) bool { return !slices.Contains(p.cert.ExtKeyUsage, u) })
}
