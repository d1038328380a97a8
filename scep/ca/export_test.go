package ca

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"time"
)

// Check holds any certificate against the rules of a kind.
func Check(kind Kind, c, issuer *x509.Certificate, keys Keys, now time.Time) error {
	return check(draft{c, issuer, forms[kind], kind, keys, now})
}

// AltNames encodes names.
func AltNames(n Names) (pkix.Extension, error) { return n.altNames() }

// RuleNames are all of them.
func RuleNames() []string {
	var names []string
	for _, r := range rules {
		names = append(names, r.name)
	}
	return names
}
