package subject

import (
	"maps"
	"slices"
	"strings"

	"github.com/signet-mdm/signet/internal/fault"
)

// Failures of template expansion.
var (
	ErrVariableUnknown = fault.New(fault.Invalid, "variable_unknown",
		"The template names a variable that does not exist.", "docs/policies.md and, for certificate profiles, docs/certificates.md have the lists.")
	ErrVariableEmpty = fault.New(fault.Invalid, "variable_empty",
		"The template names a variable that has no value here.", "Fill in that property of the user or device.")
	ErrTemplate = fault.New(fault.Invalid, "template_invalid",
		"The template has an unclosed or stray brace.", "Variables look like {{mail}}.")
)

// variables are the names of Intune's app configuration tokens and of its
// SCEP profiles, lower-cased.
//
// Spec: Intune, iOS app configuration tokens; Intune, SCEP subject variables
var variables = map[string]func(User, Device) string{
	"userprincipalname":            func(u User, _ Device) string { return u.UPN },
	"mail":                         func(u User, _ Device) string { return u.Mail },
	"emailaddress":                 func(u User, _ Device) string { return u.Mail },
	"partialupn":                   func(u User, _ Device) string { return localPart(u.UPN) },
	"username":                     func(u User, _ Device) string { return localPart(u.UPN) },
	"displayname":                  func(u User, _ Device) string { return u.Name },
	"givenname":                    func(u User, _ Device) string { return u.GivenName },
	"surname":                      func(u User, _ Device) string { return u.Surname },
	"userid":                       func(u User, _ Device) string { return string(u.ID) },
	"deviceid":                     func(_ User, d Device) string { return string(d.ID) },
	"devicename":                   func(_ User, d Device) string { return d.Name },
	"serialnumber":                 func(_ User, d Device) string { return d.Serial },
	"device_serial":                func(_ User, d Device) string { return d.Serial },
	"department":                   func(u User, _ Device) string { return u.Department },
	"onpremisessamaccountname":     func(u User, _ Device) string { return u.SAMAccountName },
	"onpremisesuserprincipalname":  func(u User, _ Device) string { return u.OnPremisesUPN },
	"onpremisessecurityidentifier": func(u User, _ Device) string { return u.SID },
	"onprem_distinguished_name":    func(u User, _ Device) string { return u.DistinguishedName },
	"aad_device_id":                func(_ User, d Device) string { return string(d.ID) },
	"azureaddeviceid":              func(_ User, d Device) string { return string(d.ID) },
	"device_imei":                  func(_ User, d Device) string { return d.IMEI },
	"imeinumber":                   func(_ User, d Device) string { return d.IMEI },
	"imei":                         func(_ User, d Device) string { return d.IMEI },
	"meid":                         func(_ User, d Device) string { return d.MEID },
	"wifimacaddress":               func(_ User, d Device) string { return d.WiFiMAC },
	"fullyqualifieddomainname":     func(User, Device) string { return "" }, // of Windows; phones have none
	"serialnumberlast4digits":      func(_ User, d Device) string { return lastFour(d.Serial) },
	"udidlast4digits":              func(_ User, d Device) string { return lastFour(d.UDID) },
}

func localPart(addr string) string { s, _, _ := strings.Cut(addr, "@"); return s }

func lastFour(s string) string { return s[max(0, len(s)-4):] }

// Expand replaces each {{name}} in template by the value for u and d. Names
// compare without case. A name that does not exist, one without a value and
// a brace outside a variable are errors that name the variable.
func Expand(template string, u User, d Device) (string, error) {
	return ExpandWith(template, u, d, func(value string) string { return value })
}

// ExpandWith is Expand for texts in which values stand escaped.
func ExpandWith(template string, u User, d Device, escape func(string) string) (string, error) {
	return expand(template, func(name string, value func(User, Device) string) (string, error) {
		if v := value(u, d); v != "" {
			return escape(v), nil
		}
		return "", ErrVariableEmpty.Saying("The variable {{" + name + "}} has no value here.")
	})
}

// Uses lists the variables of a template, in lower case; the errors are those of
// Expand, but for values.
func Uses(template string) (names []string, err error) {
	_, err = expand(template, func(name string, _ func(User, Device) string) (string, error) {
		names = append(names, strings.ToLower(name))
		return "", nil
	})
	return names, err
}

// expand puts what replace gives in place of each variable.
func expand(template string, replace func(name string, value func(User, Device) string) (string, error)) (string, error) {
	var out strings.Builder
	for rest := template; ; {
		before, after, found := strings.Cut(rest, "{{")
		if strings.ContainsAny(before, "{}") {
			return "", ErrTemplate
		}
		out.WriteString(before)
		if !found {
			return out.String(), nil
		}
		name, tail, closed := strings.Cut(after, "}}")
		if !closed {
			return "", ErrTemplate
		}
		value, ok := variables[strings.ToLower(strings.TrimSpace(name))]
		if !ok {
			return "", ErrVariableUnknown.Saying("There is no variable {{" + printable(name) + "}}.")
		}
		v, err := replace(printable(strings.TrimSpace(name)), value)
		if err != nil {
			return "", err
		}
		out.WriteString(v)
		rest = tail
	}
}

// printable keeps a foreign name short and inert in a message.
func printable(name string) string {
	name = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, name)
	return name[:min(len(name), 64)]
}

// Variables lists the names that templates can use, in alphabetical order.
func Variables() []string { return slices.Sorted(maps.Keys(variables)) }
