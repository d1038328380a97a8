package scep

import (
	"errors"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/scep/ca"
)

// names fills the templates in. A value never changes the structure of a name:
// it becomes the value of one attribute, whatever characters it has.
func (p Profile) names(u subject.User, d subject.Device) (n ca.Names, err error) {
	name, err := p.subject(u, d)
	if err != nil {
		return n, err
	}
	n.CommonName, n.Subject = commonNameOf(name), name
	if foreign(u, n.CommonName) {
		return n, ErrAddressForeign
	}
	if len(name) == 1 && len(name[0]) == 1 && n.CommonName != "" {
		n.Subject = nil // it says no more
	}
	for _, list := range []struct {
		into      *[]string
		templates []string
		expand    func(string, subject.User, subject.Device) (string, error)
	}{{&n.Mail, p.Mail, expandAddress}, {&n.UPN, p.UPN, expandAddress}, {&n.Hosts, p.Hosts, expandHost}, {&n.URIs, p.URIs, expandURI}} {
		for _, template := range list.templates {
			s, err := list.expand(template, u, d)
			if err != nil {
				return n, err
			}
			if !slices.Contains(*list.into, s) {
				*list.into = append(*list.into, s)
			}
		}
	}
	for _, addr := range slices.Concat(n.Mail, n.UPN) {
		if !owns(addressesOf(u), addr) {
			return n, ErrAddressForeign
		}
	}
	for _, uri := range n.URIs {
		if sidForm.MatchString(uri) && uri != sidURI+u.SID {
			return n, ErrSIDForeign
		}
	}
	return n, nil
}

// owns tells whether an address is among those that our records have for a
// user: a profile may choose among his, not give him another's.
func owns(his []string, addr string) bool {
	return slices.ContainsFunc(his, func(own string) bool {
		normal, err := subject.NormalizeMail(own)
		return err == nil && strings.EqualFold(normal, addr)
	})
}

func addressesOf(u subject.User) []string {
	return append(slices.Clone(u.Aliases), u.Mail, u.UPN, u.OnPremisesUPN)
}

// foreign tells whether a text is an address, and none of the user's.
func foreign(u subject.User, text string) bool {
	addr, err := subject.NormalizeMail(text)
	return err == nil && !owns(addressesOf(u), addr)
}

func commonNameOf(name cert.DN) string {
	for _, a := range slices.Concat(name...) {
		if a.Type == "CN" {
			return a.Value
		}
	}
	return ""
}

func (p Profile) subject(u subject.User, d subject.Device) (name cert.DN, err error) {
	if p.DirectorySubject {
		text, err := subject.Expand("{{"+directoryName+"}}", u, d)
		if err != nil {
			return nil, err
		}
		if name, err = cert.ParseDN(text); err != nil || len(name) == 0 {
			return nil, ErrNames.Saying("The distinguished name of the user is none.").With(err)
		}
		return name, nil
	}
	for _, step := range p.Subject {
		var rdn cert.RDN
		for _, part := range step {
			a, err := part.expand(u, d)
			if err != nil {
				return nil, err
			}
			rdn = append(rdn, a)
		}
		name = append(name, rdn)
	}
	return name, nil
}

// expand gives the first value that there is and that fits.
func (p Part) expand(u subject.User, d subject.Device) (cert.Attribute, error) {
	var none error
	for _, template := range p.Values {
		value, err := subject.Expand(template, u, d)
		switch a := (cert.Attribute{Type: p.Attribute, Value: value}); {
		case errors.Is(err, subject.ErrVariableEmpty):
			none = err
		case err != nil:
			return a, err
		case fits(a) && !(a.Type == "CN" && len(p.Values) > 1 && foreign(u, value)):
			return a, nil
		}
	}
	if none != nil && len(p.Values) == 1 {
		return cert.Attribute{}, none
	}
	return cert.Attribute{}, ErrNames.Saying("No value of " + p.Attribute + " in the certificate profile fits: it may be too long, or have characters that " + p.Attribute + " cannot have.")
}

func fits(a cert.Attribute) bool {
	_, err := cert.DN{{a}}.Marshal()
	return err == nil && a.Value != "" && utf8.RuneCountInString(a.Value) <= cert.Bound(a.Type) && !strings.ContainsFunc(a.Value, subject.Unshowable)
}

func expandAddress(template string, u subject.User, d subject.Device) (string, error) {
	text, err := subject.Expand(template, u, d)
	if err != nil {
		return "", err
	}
	return subject.NormalizeMail(text)
}

// Spec: RFC 5280 section 7.2
func expandHost(template string, u subject.User, d subject.Device) (string, error) {
	text, err := subject.Expand(template, u, d)
	if err != nil {
		return "", err
	}
	host, err := idna.Lookup.ToASCII(text)
	if err != nil || host == "" || strings.ContainsAny(host, ":/@ ") {
		return "", ErrNames.Saying("A value for a host name in the certificate profile is none.").With(err)
	}
	return strings.ToLower(host), nil
}

// sidURI is how Windows finds the account of a certificate.
//
// Spec: Microsoft KB5014754, SAN-based strong mapping
const sidURI = "tag:microsoft.com,2022-09-14:sid:"

// sidForm is whatever could be taken for one, of any date.
var sidForm = regexp.MustCompile(`(?i)^tag:microsoft\.com,.*sid`)

// expandURI escapes values, so that none can begin a path or a query of its own.
func expandURI(template string, u subject.User, d subject.Device) (string, error) {
	text, err := subject.ExpandWith(template, u, d, escapeURI)
	if uses, _ := subject.Uses(template); len(uses) == 1 && uses[0] == sid && strings.HasPrefix(template, "{{") && strings.HasSuffix(template, "}}") {
		text = sidURI + text
	}
	return text, err
}

// escapeURI leaves @ and :, which addresses and identifiers have.
func escapeURI(value string) string {
	return strings.NewReplacer("+", "%20", "%40", "@", "%3A", ":").Replace(url.QueryEscape(value))
}

// Variables with a meaning of their own.
const (
	directoryName = "onprem_distinguished_name"
	sid           = "onpremisessecurityidentifier"
)

// checkTemplate tells what is wrong with a template, in words for people.
func checkTemplate(where, text string) error {
	uses, err := subject.Uses(text)
	switch {
	case err != nil:
		return err
	case strings.TrimSpace(text) == "":
		return ErrProfileInvalid.Saying("A value of " + where + " is empty.")
	case strings.ContainsAny(text, "|;") || strings.ContainsFunc(text, subject.Unshowable):
		return ErrProfileInvalid.Saying("The text around variables in " + where + " has one of { } | ; or a control character.")
	case slices.Contains(uses, sid) && where != "san.uri":
		return ErrProfileInvalid.Saying("The variable {{OnPremisesSecurityIdentifier}} stands in san.uri only.")
	}
	return nil
}
