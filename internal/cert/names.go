package cert

import (
	"crypto/x509"
	"encoding/asn1"
	"slices"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/signet-mdm/signet/internal/subject"
)

// maxNames bounds what is read of one certificate. One with more names than
// this names nobody, so that a flood cannot be cut off where it suits.
const maxNames = 256

var (
	oidAltName       = asn1.ObjectIdentifier{2, 5, 29, 17}
	oidEmailAddress  = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 1}
	oidUPN           = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 20, 2, 3}
	oidSmtpUTF8Names = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 8, 9}
)

// Names are the people's names in a certificate that can be compared, all
// normalised as [subject.NormalizeMail] does, without repetition. The common
// name is none of them: anything can stand there.
type Names struct {
	Mail []string // rfc822Name, SmtpUTF8Mailbox, emailAddress of the subject
	UPN  []string // Microsoft user principal names
}

// All gives both kinds, mail addresses first.
func (n Names) All() []string {
	all := slices.Clone(n.Mail)
	for _, u := range n.UPN {
		all = addNew(all, u)
	}
	return all
}

// NamesOf reads the names of c. What does not normalise is left out.
//
// Spec: RFC 5280 section 4.2.1.6; RFC 9598 section 3
func NamesOf(c *x509.Certificate) Names {
	var n Names
	count := 0
	for _, ext := range c.Extensions {
		if ext.Id.Equal(oidAltName) {
			count += n.readAltNames(ext.Value)
		}
	}
	for _, attr := range c.Subject.Names {
		if s, ok := attr.Value.(string); ok && attr.Type.Equal(oidEmailAddress) {
			n.addMail(s)
			count++
		}
	}
	if count > maxNames {
		return Names{}
	}
	return n
}

// readAltNames reads a SubjectAltName and tells how many names it has, of
// whatever kind, or the first maxNames+1 of them.
func (n *Names) readAltNames(der []byte) (count int) {
	input := cryptobyte.String(der)
	var names cryptobyte.String
	if !input.ReadASN1(&names, cbasn1.SEQUENCE) {
		return 0
	}
	for !names.Empty() && count <= maxNames {
		var name cryptobyte.String
		var tag cbasn1.Tag
		if !names.ReadAnyASN1(&name, &tag) {
			return count
		}
		count++
		switch tag {
		case cbasn1.Tag(1).ContextSpecific():
			n.addMail(string(name))
		case cbasn1.Tag(0).ContextSpecific().Constructed():
			n.readOtherName(name)
		}
	}
	return count
}

// readOtherName reads the two kinds of otherName that name a person.
func (n *Names) readOtherName(name cryptobyte.String) {
	var oid asn1.ObjectIdentifier
	var value, text cryptobyte.String
	if !name.ReadASN1ObjectIdentifier(&oid) || !name.ReadASN1(&value, cbasn1.Tag(0).ContextSpecific().Constructed()) ||
		!value.ReadASN1(&text, cbasn1.UTF8String) {
		return
	}
	switch {
	case oid.Equal(oidUPN):
		if s, err := subject.NormalizeMail(string(text)); err == nil {
			n.UPN = addNew(n.UPN, s)
		}
	case oid.Equal(oidSmtpUTF8Names):
		n.addMail(string(text))
	}
}

func (n *Names) addMail(addr string) {
	if s, err := subject.NormalizeMail(addr); err == nil {
		n.Mail = addNew(n.Mail, s)
	}
}

func addNew(list []string, s string) []string {
	if slices.Contains(list, s) {
		return list
	}
	return append(list, s)
}
