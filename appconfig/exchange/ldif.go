package exchange

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"time"

	"github.com/signet-mdm/signet/internal/cert"
)

// Kind is a kind of directory server: they want one attribute under two names.
type Kind string

// The kinds.
const (
	ActiveDirectory Kind = "ad"
	OpenLDAP        Kind = "openldap"
)

// attribute is how the server takes certificates.
//
// Quirk: Active Directory does not know "userCertificate;binary" (error 16),
// OpenLDAP takes nothing else (error 17).
//
// Spec: RFC 4523 section 2.1
func (k Kind) attribute() string {
	if k == OpenLDAP {
		return "userCertificate;binary"
	}
	return "userCertificate"
}

// lineLength is where lines of LDIF are folded.
const lineLength = 76

// LDIF writes the changes, for ldapmodify and for ldifde -i.
//
// Spec: RFC 2849
func (p Plan) LDIF(k Kind, now time.Time) []byte {
	var out bytes.Buffer
	fmt.Fprintf(&out, "# Puts the current encryption certificate of each person into %s.\n", k.attribute())
	fmt.Fprintf(&out, "# Made by signet exchange bundle on %s. Public certificates only.\n", day(now))
	out.WriteString("version: 1\n")
	for _, c := range p.Changes {
		out.WriteByte('\n')
		c.write(&out, k)
	}
	return out.Bytes()
}

func (c Change) write(out *bytes.Buffer, k Kind) {
	fmt.Fprintf(out, "# %s\n", inert(c.User.Mail))
	if c.Add != nil {
		fmt.Fprintf(out, "# adds %s until %s\n", cert.FingerprintOf(c.Add.Raw), day(c.Add.NotAfter))
	}
	for _, der := range c.Delete {
		fmt.Fprintf(out, "# takes %s out, which it supersedes\n", cert.FingerprintOf(der))
	}
	value(out, "dn", []byte(c.DN))
	out.WriteString("changetype: modify\n")
	if c.Add != nil {
		modify(out, "add", k, c.Add.Raw)
	}
	if len(c.Delete) > 0 {
		modify(out, "delete", k, c.Delete...)
	}
}

func modify(out *bytes.Buffer, how string, k Kind, values ...[]byte) {
	fmt.Fprintf(out, "%s: %s\n", how, k.attribute())
	for _, v := range values {
		fold(out, k.attribute()+":: "+base64.StdEncoding.EncodeToString(v))
	}
	out.WriteString("-\n")
}

// value writes an attribute, in base64 what is no safe string.
func value(out *bytes.Buffer, name string, v []byte) {
	if safe(v) {
		fold(out, name+": "+string(v))
		return
	}
	fold(out, name+":: "+base64.StdEncoding.EncodeToString(v))
}

// safe tells whether v can stand as it is.
//
// Spec: RFC 2849, SAFE-STRING, and its note 8 on spaces at the end
func safe(v []byte) bool {
	if len(v) == 0 {
		return true
	}
	if v[0] == ' ' || v[0] == ':' || v[0] == '<' || v[len(v)-1] == ' ' {
		return false
	}
	for _, b := range v {
		if b == 0 || b == '\n' || b == '\r' || b > 127 {
			return false
		}
	}
	return true
}

// fold writes a line of ASCII, going on with a space on the next one.
func fold(out *bytes.Buffer, s string) {
	for most := lineLength; len(s) > most; most = lineLength - 1 {
		out.WriteString(s[:most] + "\n ")
		s = s[most:]
	}
	out.WriteString(s + "\n")
}
