package ca

import (
	"crypto/x509"
	"time"
)

// Check holds any certificate against the rules of a kind.
func Check(kind Kind, c, issuer *x509.Certificate, now time.Time) error {
	return check(draft{c, issuer, forms[kind], kind, now})
}

// RuleNames are all of them.
func RuleNames() []string {
	var names []string
	for _, r := range rules {
		names = append(names, r.name)
	}
	return names
}
