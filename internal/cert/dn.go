package cert

import (
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// DN is a distinguished name in the order in which it is encoded, from the
// outside in: country and organization come before the common name.
type DN []RDN

// RDN is one step of a name: one attribute as a rule, several at times.
type RDN []Attribute

// Attribute is one part of a name.
type Attribute struct {
	Type  string // the short name in [AttributeTypes], or a dotted OID
	Value string
}

// attributeType is what is known of a type of attribute.
type attributeType struct {
	name  string
	oid   asn1.ObjectIdentifier
	bound int      // characters at most
	also  []string // other names of it in texts
}

// attributeTypes are the types that have a short name.
//
// Spec: RFC 4514 section 3; RFC 5280 appendix A.1, upper bounds
var attributeTypes = []attributeType{
	{"CN", asn1.ObjectIdentifier{2, 5, 4, 3}, 64, []string{"COMMONNAME"}},
	{"SN", asn1.ObjectIdentifier{2, 5, 4, 4}, 64, []string{"SURNAME"}},
	{"SERIALNUMBER", asn1.ObjectIdentifier{2, 5, 4, 5}, 64, nil},
	{"C", asn1.ObjectIdentifier{2, 5, 4, 6}, 2, []string{"COUNTRYNAME"}},
	{"L", asn1.ObjectIdentifier{2, 5, 4, 7}, 128, []string{"LOCALITYNAME"}},
	{"ST", asn1.ObjectIdentifier{2, 5, 4, 8}, 128, []string{"S", "STATEORPROVINCENAME"}},
	{"STREET", asn1.ObjectIdentifier{2, 5, 4, 9}, 128, []string{"STREETADDRESS"}},
	{"O", asn1.ObjectIdentifier{2, 5, 4, 10}, 64, []string{"ORGANIZATIONNAME"}},
	{"OU", asn1.ObjectIdentifier{2, 5, 4, 11}, 64, []string{"ORGANIZATIONALUNITNAME"}},
	{"T", asn1.ObjectIdentifier{2, 5, 4, 12}, 64, []string{"TITLE"}},
	{"POSTALCODE", asn1.ObjectIdentifier{2, 5, 4, 17}, 40, nil},
	{"GN", asn1.ObjectIdentifier{2, 5, 4, 42}, 64, []string{"G", "GIVENNAME"}},
	{"INITIALS", asn1.ObjectIdentifier{2, 5, 4, 43}, 64, nil},
	{"PSEUDONYM", asn1.ObjectIdentifier{2, 5, 4, 65}, 128, nil},
	{"ORGANIZATIONIDENTIFIER", asn1.ObjectIdentifier{2, 5, 4, 97}, 256, nil},
	{"E", oidEmailAddress, 255, []string{"EMAIL", "EMAILADDRESS"}},
	{"UID", asn1.ObjectIdentifier{0, 9, 2342, 19200300, 100, 1, 1}, 256, []string{"USERID"}},
	{"DC", asn1.ObjectIdentifier{0, 9, 2342, 19200300, 100, 1, 25}, 63, []string{"DOMAINCOMPONENT"}},
}

// AttributeTypes lists the short names.
func AttributeTypes() (names []string) {
	for _, t := range attributeTypes {
		names = append(names, t.name)
	}
	return names
}

// otherBound is for types without a name.
const otherBound = 64

// Bound is how many characters the value of such an attribute may have.
func Bound(attribute string) int {
	for _, t := range attributeTypes {
		if t.name == attribute {
			return t.bound
		}
	}
	return otherBound
}

// nameOf gives the short name of a type, or the OID.
func nameOf(oid asn1.ObjectIdentifier) string {
	for _, t := range attributeTypes {
		if t.oid.Equal(oid) {
			return t.name
		}
	}
	return oid.String()
}

// AttributeType gives the Type that a text means: a short name, another usual
// name of it or an OID, in upper or lower case.
func AttributeType(text string) (name string, ok bool) {
	text = strings.ToUpper(text)
	for _, t := range attributeTypes {
		if text == t.name || slices.Contains(t.also, text) {
			return t.name, true
		}
	}
	oid, err := parseOID(strings.TrimPrefix(text, "OID."))
	return nameOf(oid), err == nil
}

var errDN = errors.New("not a distinguished name")

// maxDN bounds the text of a name, in bytes.
const maxDN = 8 << 10

// ParseDN reads a name as people write it, the common name first. A value may
// stand in double quotes. An empty text is a name without parts.
//
// Spec: RFC 4514 section 3; RFC 2253 section 4, quotation
func ParseDN(text string) (DN, error) {
	if len(text) > maxDN || !utf8.ValidString(text) {
		return nil, errDN
	}
	p := dnReader{rest: text}
	if p.skip(); p.rest == "" {
		return nil, nil
	}
	var name DN
	for {
		rdn, err := p.rdn()
		if err != nil {
			return nil, err
		}
		name = append(name, rdn)
		if p.rest == "" {
			slices.Reverse(name)
			return name, nil
		}
		p.rest = p.rest[1:] // the comma
	}
}

// dnReader reads a name from the front of rest.
type dnReader struct{ rest string }

func (p *dnReader) skip() { p.rest = strings.TrimLeft(p.rest, " ") }

// rdn reads up to the end or a comma.
func (p *dnReader) rdn() (rdn RDN, err error) {
	for {
		a, err := p.attribute()
		if err != nil {
			return nil, err
		}
		rdn = append(rdn, a)
		switch {
		case p.rest == "" || p.rest[0] == ',':
			return rdn, nil
		case p.rest[0] != '+':
			return nil, errDN
		}
		p.rest = p.rest[1:]
	}
}

func (p *dnReader) attribute() (Attribute, error) {
	key, rest, found := strings.Cut(p.rest, "=")
	name, known := AttributeType(strings.Trim(key, " "))
	if !found || !known {
		return Attribute{}, errDN
	}
	p.rest = rest
	p.skip()
	read := p.plain
	switch {
	case strings.HasPrefix(p.rest, `"`):
		read = p.quoted
	case strings.HasPrefix(p.rest, "#"):
		read = p.encoded
	}
	value, err := read()
	if err != nil || !utf8.ValidString(value) || strings.ContainsRune(value, 0) {
		return Attribute{}, errDN
	}
	return Attribute{name, value}, nil
}

// plain reads a value with escapes. Spaces at its end count only if escaped.
func (p *dnReader) plain() (string, error) {
	var b strings.Builder
	end := 0 // of what counts
	for p.rest != "" && !strings.ContainsRune(",+", rune(p.rest[0])) {
		c, escaped, err := p.character()
		if err != nil || !escaped && strings.ContainsRune(`"<>;`, rune(c)) {
			return "", errDN
		}
		b.WriteByte(c)
		if escaped || c != ' ' {
			end = b.Len()
		}
	}
	return b.String()[:end], nil
}

func (p *dnReader) quoted() (string, error) {
	p.rest = p.rest[1:]
	var b strings.Builder
	for p.rest != "" && p.rest[0] != '"' {
		c, _, err := p.character()
		if err != nil {
			return "", err
		}
		b.WriteByte(c)
	}
	if p.rest == "" {
		return "", errDN
	}
	p.rest = p.rest[1:]
	p.skip()
	return b.String(), nil
}

// character reads one byte of a value.
func (p *dnReader) character() (c byte, escaped bool, err error) {
	c, p.rest = p.rest[0], p.rest[1:]
	if c != '\\' {
		return c, false, nil
	}
	if p.rest != "" && strings.ContainsRune(` "#+,;<=>\`, rune(p.rest[0])) {
		c, p.rest = p.rest[0], p.rest[1:]
		return c, true, nil
	}
	b, err := p.pair()
	return b, true, err
}

// pair reads two hex digits.
func (p *dnReader) pair() (byte, error) {
	if len(p.rest) < 2 {
		return 0, errDN
	}
	b, err := hex.DecodeString(p.rest[:2])
	if err != nil {
		return 0, errDN
	}
	p.rest = p.rest[2:]
	return b[0], nil
}

// encoded reads a value that stands there as its BER encoding.
func (p *dnReader) encoded() (string, error) {
	p.rest = p.rest[1:]
	var der []byte
	for p.rest != "" && !strings.ContainsRune(",+ ", rune(p.rest[0])) {
		b, err := p.pair()
		if err != nil {
			return "", err
		}
		der = append(der, b)
	}
	p.skip()
	return readText(der)
}

// String writes the name as [ParseDN] reads it.
//
// Spec: RFC 4514 section 2
func (d DN) String() string {
	var steps []string
	for _, rdn := range slices.Backward(d) {
		var parts []string
		for _, a := range rdn {
			parts = append(parts, a.Type+"="+escape(a.Value))
		}
		steps = append(steps, strings.Join(parts, "+"))
	}
	return strings.Join(steps, ",")
}

func escape(value string) string {
	var b strings.Builder
	for i := range len(value) {
		c := value[i]
		switch {
		case c < ' ' || c == 0x7f:
			fmt.Fprintf(&b, `\%02x`, c)
			continue
		case strings.IndexByte(`"+,;<=>\`, c) >= 0, c == '#' && i == 0, c == ' ' && (i == 0 || i == len(value)-1):
			b.WriteByte('\\')
		}
		b.WriteByte(c)
	}
	return b.String()
}
