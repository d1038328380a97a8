package ca

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"net"
	"strings"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// Names is whom a certificate names.
type Names struct {
	CommonName   string
	Organization string   `json:",omitempty"`
	Mail         []string `json:",omitempty"` // normalised addresses
	URIs         []string `json:",omitempty"`
	Hosts        []string `json:",omitempty"` // host names and IP addresses
}

func (n Names) subject() pkix.Name {
	s := pkix.Name{CommonName: n.CommonName}
	if n.Organization != "" {
		s.Organization = []string{n.Organization}
	}
	return s
}

var (
	oidAltName         = asn1.ObjectIdentifier{2, 5, 29, 17}
	oidSmtpUTF8Mailbox = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 8, 9}
	tagOtherName       = cbasn1.Tag(0).Constructed().ContextSpecific()
	tagMail            = cbasn1.Tag(1).ContextSpecific()
	tagHost            = cbasn1.Tag(2).ContextSpecific()
	tagURI             = cbasn1.Tag(6).ContextSpecific()
	tagAddress         = cbasn1.Tag(7).ContextSpecific()
	tagExplicitZero    = cbasn1.Tag(0).Constructed().ContextSpecific()
)

// altNames gives the SubjectAltName, whole: crypto/x509 cannot write an
// address with a non-ASCII local part, and iOS cannot ask for one.
//
// Spec: RFC 5280 section 4.2.1.6; RFC 9598 section 3
func (n Names) altNames() (pkix.Extension, error) {
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		for _, addr := range n.Mail {
			if isASCII(addr) {
				addText(b, tagMail, addr)
			} else {
				addUTF8Mailbox(b, addr)
			}
		}
		for _, host := range n.Hosts {
			addHost(b, host)
		}
		for _, uri := range n.URIs {
			addText(b, tagURI, uri)
		}
	})
	der, err := b.Bytes()
	return pkix.Extension{Id: oidAltName, Value: der}, err
}

func addText(b *cryptobyte.Builder, tag cbasn1.Tag, s string) {
	b.AddASN1(tag, func(b *cryptobyte.Builder) { b.AddBytes([]byte(s)) })
}

func addUTF8Mailbox(b *cryptobyte.Builder, addr string) {
	b.AddASN1(tagOtherName, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(oidSmtpUTF8Mailbox)
		b.AddASN1(tagExplicitZero, func(b *cryptobyte.Builder) { addText(b, cbasn1.UTF8String, addr) })
	})
}

func addHost(b *cryptobyte.Builder, host string) {
	ip := net.ParseIP(host)
	if ip == nil {
		addText(b, tagHost, strings.ToLower(host))
		return
	}
	if v4 := ip.To4(); v4 != nil {
		ip = v4
	}
	b.AddASN1(tagAddress, func(b *cryptobyte.Builder) { b.AddBytes(ip) })
}

func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r > '~' })
}

// none tells whether there is nothing for a SubjectAltName.
func (n Names) none() bool { return len(n.Mail)+len(n.URIs)+len(n.Hosts) == 0 }
