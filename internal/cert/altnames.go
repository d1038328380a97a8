package cert

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"net/netip"
	"strings"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/signet-mdm/signet/internal/subject"
)

// AltNames is all that a SubjectAltName says, in a form that can be compared:
// addresses and UPNs normalised, host names in lower case.
type AltNames struct {
	Mail  []string // rfc822Name and SmtpUTF8Mailbox
	UPN   []string // Microsoft user principal names
	DNS   []string
	IP    []string
	URI   []string
	Other []string // what is none of these: the OID of an otherName, or its tag
}

var errAltNames = errors.New("not a SubjectAltName")

// AltNamesOf reads the one SubjectAltName in the extensions of a certificate or
// a request; without one there are no names. Two of them, more than 256 names
// and a name that is none are errors.
//
// Spec: RFC 5280 section 4.2.1.6; RFC 9598 section 3
func AltNamesOf(extensions []pkix.Extension) (n AltNames, err error) {
	seen := false
	for _, e := range extensions {
		if !e.Id.Equal(oidAltName) {
			continue
		}
		if seen {
			return n, errAltNames
		}
		seen = true
		if err := n.read(e.Value); err != nil {
			return n, err
		}
	}
	return n, nil
}

func (n *AltNames) read(der []byte) error {
	input := cryptobyte.String(der)
	var names cryptobyte.String
	if !input.ReadASN1(&names, cbasn1.SEQUENCE) || !input.Empty() {
		return errAltNames
	}
	for count := 0; !names.Empty(); count++ {
		var value cryptobyte.String
		var tag cbasn1.Tag
		if !names.ReadAnyASN1(&value, &tag) || count == maxNames {
			return errAltNames
		}
		if err := n.add(tag, value); err != nil {
			return err
		}
	}
	return nil
}

func (n *AltNames) add(tag cbasn1.Tag, value cryptobyte.String) error {
	switch tag {
	case cbasn1.Tag(0).ContextSpecific().Constructed():
		return n.addOther(value)
	case cbasn1.Tag(1).ContextSpecific():
		return address(&n.Mail, string(value))
	case cbasn1.Tag(2).ContextSpecific():
		n.DNS = append(n.DNS, strings.ToLower(string(value)))
	case cbasn1.Tag(6).ContextSpecific():
		n.URI = append(n.URI, string(value))
	case cbasn1.Tag(7).ContextSpecific():
		ip, ok := netip.AddrFromSlice(value)
		if !ok {
			return errAltNames
		}
		n.IP = append(n.IP, ip.String())
	default:
		n.Other = append(n.Other, tagName(tag))
	}
	return nil
}

func (n *AltNames) addOther(name cryptobyte.String) error {
	var oid asn1.ObjectIdentifier
	var value, text cryptobyte.String
	if !name.ReadASN1ObjectIdentifier(&oid) || !name.ReadASN1(&value, cbasn1.Tag(0).ContextSpecific().Constructed()) || !name.Empty() {
		return errAltNames
	}
	list := map[bool]*[]string{oid.Equal(oidUPN): &n.UPN, oid.Equal(oidSmtpUTF8Names): &n.Mail}[true]
	if list == nil {
		n.Other = append(n.Other, oid.String())
		return nil
	}
	if !value.ReadASN1(&text, cbasn1.UTF8String) || !value.Empty() {
		return errAltNames
	}
	return address(list, string(text))
}

func address(list *[]string, text string) error {
	a, err := subject.NormalizeMail(text)
	if err != nil {
		return errAltNames
	}
	*list = append(*list, a)
	return nil
}

// tagName names the kinds of GeneralName that are of no use here.
func tagName(tag cbasn1.Tag) string {
	switch tag & 0x1f {
	case 3:
		return "x400Address"
	case 4:
		return "directoryName"
	case 5:
		return "ediPartyName"
	case 8:
		return "registeredID"
	}
	return "unknown"
}
