package ca

import (
	"crypto/x509"
	"encoding/asn1"
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/signet-mdm/signet/internal/cert"
)

// maxAttribute is the bound of X.520 on a common name, in characters.
const maxAttribute = 64

func (d draft) goodSubject() bool {
	name, err := cert.DNOf(d.c.RawSubject)
	if err != nil || len(name) == 0 {
		return false
	}
	for _, rdn := range name {
		for _, a := range rdn {
			n := utf8.RuneCountInString(a.Value)
			if n == 0 || n > cert.Bound(a.Type) || a.Type == "C" && n != 2 || strings.ContainsFunc(a.Value, turnsLine) {
				return false
			}
		}
	}
	return true
}

// turnsLine tells what ends a line or turns it round.
func turnsLine(r rune) bool {
	return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029'
}

// goodNames wants of each kind the names that its readers look for, and no
// others. NamesOf is what everybody else reads, so it must agree.
func (d draft) goodNames() bool {
	c := d.c
	names, err := cert.AltNamesOf(c.Extensions)
	if err != nil || len(names.Other) > 0 {
		return false
	}
	read, hosts := cert.NamesOf(c).Mail, len(names.DNS)+len(names.IP)
	switch d.kind {
	case DeviceIdentity:
		_, err := cert.HolderOf(c)
		return err == nil
	case MailSigning, MailEncryption:
		return len(names.Mail) > 0 && within(names.Mail, read) && len(names.IP) == 0
	case TLSServer:
		return hosts > 0 && len(read)+len(names.UPN)+len(names.URI) == 0
	}
	return len(read)+len(names.UPN)+len(names.URI)+hosts == 0
}

// wellFormed looks at the names that crypto/x509 takes as they are.
func (d draft) wellFormed() bool {
	return !slices.ContainsFunc(d.c.DNSNames, func(s string) bool { return !isHost(s) }) &&
		!slices.ContainsFunc(d.c.URIs, func(u *url.URL) bool { return !isURI(u) })
}

// isHost tells whether s is a host name of ASCII labels.
//
// Spec: RFC 5280 section 4.2.1.6, dNSName; RFC 1034 section 3.5
func isHost(s string) bool {
	if s == "" || len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || strings.Trim(label, "-") != label || strings.ContainsFunc(label, notInLabel) {
			return false
		}
	}
	return true
}

func notInLabel(r rune) bool {
	return r != '-' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
}

// isURI tells whether u is absolute and has only characters that a URI has.
func isURI(u *url.URL) bool {
	s := u.String()
	return u.Scheme != "" && (u.Host != "" || u.Opaque != "" || u.Path != "") &&
		!strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`"<>\^{|}`+"`", r) })
}

// nothingTwice wants each usage, each name and each attribute once.
func (d draft) nothingTwice() bool {
	var said []string
	for _, u := range d.c.ExtKeyUsage {
		said = append(said, "usage "+u.OID().String())
	}
	for _, u := range d.c.UnknownExtKeyUsage {
		said = append(said, "usage "+u.String())
	}
	names, _ := cert.AltNamesOf(d.c.Extensions) // goodNames has read them
	for kind, list := range map[string][]string{"mail": names.Mail, "upn": names.UPN, "dns": names.DNS, "ip": names.IP, "uri": names.URI} {
		for _, n := range list {
			said = append(said, kind+" "+n)
		}
	}
	name, _ := cert.DNOf(d.c.RawSubject)
	for _, a := range slices.Concat(name...) {
		if a.Type == "CN" {
			a.Value = ""
		}
		said = append(said, a.Type+"="+a.Value)
	}
	slices.Sort(said)
	return len(slices.Compact(slices.Clone(said))) == len(said)
}

// Spec: CA/Browser Forum S/MIME BR 7.1.4.2.1
func (d draft) mailRepeated() bool {
	names, _ := cert.AltNamesOf(d.c.Extensions)
	return within(cert.NamesOf(d.c).Mail, names.Mail)
}

// within tells whether every part is in the whole.
func within(parts, whole []string) bool {
	return !slices.ContainsFunc(parts, func(s string) bool { return !slices.Contains(whole, s) })
}

// barred are usages that no certificate of a profile has: they would make a TLS
// server, a maker of programs or a witness of time out of a person or a phone.
var barred = []x509.ExtKeyUsage{x509.ExtKeyUsageAny, x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageCodeSigning,
	x509.ExtKeyUsageTimeStamping, x509.ExtKeyUsageOCSPSigning, x509.ExtKeyUsageMicrosoftServerGatedCrypto,
	x509.ExtKeyUsageNetscapeServerGatedCrypto, x509.ExtKeyUsageMicrosoftCommercialCodeSigning, x509.ExtKeyUsageMicrosoftKernelCodeSigning}

// barredToo have no name in crypto/x509: a Kerberos KDC, who requests for others,
// who recovers others' keys, who signs lists of roots, a CA that keys are sent to.
var barredToo = []string{"1.3.6.1.5.2.3.5", "1.3.6.1.4.1.311.20.2.1", "1.3.6.1.4.1.311.21.6", "1.3.6.1.4.1.311.10.3.1",
	"1.3.6.1.4.1.311.10.3.9", "1.3.6.1.4.1.311.21.5"}

// goodExtended wants the usages of the kind and, unless a profile may add some,
// no others. Whoever proves to be a device never signs mail.
//
// Spec: CA/Browser Forum S/MIME BR 7.1.2.3 f
func (d draft) goodExtended() bool {
	has := func(u x509.ExtKeyUsage) bool { return slices.Contains(d.c.ExtKeyUsage, u) }
	if !d.form.open {
		return slices.Equal(d.c.ExtKeyUsage, d.form.extended) && len(d.c.UnknownExtKeyUsage) == 0
	}
	return !slices.ContainsFunc(d.form.extended, func(u x509.ExtKeyUsage) bool { return !has(u) }) &&
		!slices.ContainsFunc(barred, has) &&
		!slices.ContainsFunc(d.c.UnknownExtKeyUsage, func(u asn1.ObjectIdentifier) bool { return slices.Contains(barredToo, u.String()) }) &&
		!(d.kind == DeviceIdentity && has(x509.ExtKeyUsageEmailProtection))
}

func isWeb(s string) bool {
	u, err := url.Parse(s)
	return err == nil && u.Host != "" && (u.Scheme == "http" || u.Scheme == "https")
}
