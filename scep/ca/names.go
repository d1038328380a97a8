package ca

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"net"
	"strings"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/signet-mdm/signet/internal/cert"
)

// Names is whom a certificate names.
type Names struct {
	CommonName   string   `json:",omitempty"`
	Organization string   `json:",omitempty"`
	Subject      cert.DN  `json:",omitempty"` // in place of the two above
	Mail         []string `json:",omitempty"` // normalised addresses
	UPN          []string `json:",omitempty"` // Microsoft user principal names
	URIs         []string `json:",omitempty"`
	Hosts        []string `json:",omitempty"` // host names and IP addresses
	Permitted    []string `json:",omitempty"` // of a CA for mail: the domains that it may certify; none: any
}

// DN gives the subject.
func (n Names) DN() cert.DN {
	if len(n.Subject) > 0 {
		return n.Subject
	}
	var d cert.DN
	if n.Organization != "" {
		d = append(d, cert.RDN{{Type: "O", Value: n.Organization}})
	}
	return append(d, cert.RDN{{Type: "CN", Value: n.CommonName}})
}

var (
	oidAltName         = asn1.ObjectIdentifier{2, 5, 29, 17}
	oidUPN             = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 20, 2, 3}
	oidSmtpUTF8Mailbox = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 8, 9}
	tagOtherName       = cbasn1.Tag(0).Constructed().ContextSpecific()
	tagMail            = cbasn1.Tag(1).ContextSpecific()
	tagHost            = cbasn1.Tag(2).ContextSpecific()
	tagURI             = cbasn1.Tag(6).ContextSpecific()
	tagAddress         = cbasn1.Tag(7).ContextSpecific()
	tagExplicitZero    = tagOtherName
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
				addOther(b, oidSmtpUTF8Mailbox, addr)
			}
		}
		for _, upn := range n.UPN {
			addOther(b, oidUPN, upn)
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

func addOther(b *cryptobyte.Builder, kind asn1.ObjectIdentifier, text string) {
	b.AddASN1(tagOtherName, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(kind)
		b.AddASN1(tagExplicitZero, func(b *cryptobyte.Builder) { addText(b, cbasn1.UTF8String, text) })
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
func (n Names) none() bool { return len(n.Mail)+len(n.UPN)+len(n.URIs)+len(n.Hosts) == 0 }
