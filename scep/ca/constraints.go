package ca

import (
	"strings"

	"github.com/signet-mdm/signet/internal/cert"
)

// Permits tells whether the CA may certify a mail address. One without name
// constraints may certify any.
func (p *Public) Permits(addr string) bool { return permits(p.cert.PermittedEmailAddresses, addr) }

// permits is the matching of mail addresses with what a CA is constrained to:
// "example.com" is the addresses at that host, ".example.com" those at hosts
// below it, and a whole address is itself. It holds for addresses in either
// form of the alternative name.
//
// Spec: RFC 5280 section 4.2.1.10; RFC 9598 section 6
func permits(constraints []string, addr string) bool {
	if len(constraints) == 0 {
		return true
	}
	host := addr[strings.LastIndexByte(addr, '@')+1:]
	for _, c := range constraints {
		switch {
		case strings.Contains(c, "@"):
			if c == addr {
				return true
			}
		case strings.HasPrefix(c, "."):
			if hasSuffixFold(host, c) {
				return true
			}
		case strings.EqualFold(host, c):
			return true
		}
	}
	return false
}

func hasSuffixFold(s, suffix string) bool {
	return len(s) > len(suffix) && strings.EqualFold(s[len(s)-len(suffix):], suffix)
}

// within tells whether the CA may certify all addresses of the draft. Only a CA
// for mail is constrained.
func (d draft) within() bool {
	if len(d.c.PermittedEmailAddresses) > 0 && d.kind != MailCA {
		return false
	}
	for _, addr := range cert.NamesOf(d.c).Mail {
		if !permits(d.issuer.PermittedEmailAddresses, addr) {
			return false
		}
	}
	return true
}
