package exchange

import (
	"fmt"
	"strings"

	"github.com/signet-mdm/signet/internal/subject"
)

// ExpandDN makes a person's distinguished name from a template such as
// "CN={{displayName}},OU=Staff,DC=example,DC=com". What is filled in stays one
// value, whatever stands in it.
func ExpandDN(template string, u subject.User) (string, error) {
	for _, field := range []*string{&u.UPN, &u.Mail, &u.Name, &u.GivenName, &u.Surname} {
		*field = escape(*field)
	}
	return subject.Expand(template, u, subject.Device{})
}

// GuessDN gives the name that a person has in a directory which nobody has
// arranged: by display name, in the container that Active Directory makes for
// users or in ou=people, below the domain of the address.
func GuessDN(k Kind, u subject.User) string {
	_, domain, _ := strings.Cut(u.Mail, "@")
	below := ""
	for label := range strings.SplitSeq(domain, ".") {
		below += ",DC=" + escape(label)
	}
	if k == OpenLDAP {
		return "cn=" + escape(u.Name) + ",ou=people" + below
	}
	return "CN=" + escape(u.Name) + ",CN=Users" + below
}

// escape writes an attribute value as it stands in a distinguished name.
//
// Spec: RFC 4514 section 2.4
func escape(s string) string {
	var out strings.Builder
	for i, r := range s {
		switch {
		case r < ' ' || r == 127:
			fmt.Fprintf(&out, `\%02X`, r)
		case strings.ContainsRune(`"+,;<>\=`, r), i == 0 && r == '#', r == ' ' && (i == 0 || i == len(s)-1):
			out.WriteByte('\\')
			out.WriteRune(r)
		default:
			out.WriteRune(r)
		}
	}
	return out.String()
}
