package cert

import (
	"crypto/x509"
	"strings"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/subject"
)

// ErrHolder is returned for a certificate that is no device identity: it does
// not name exactly one device and one user in the form of [HolderOf].
var ErrHolder = fault.New(fault.Denied, "certificate_no_holder",
	"The certificate names no device and user.", "Enroll the device again.")

const holderPrefix = "urn:uuid:"

// HolderURI is how a device identity certificate names its user, as the one
// URI of its SubjectAltName.
func HolderURI(user subject.UserID) string { return holderPrefix + string(user) }

// HolderOf reads whose device identity c is: the subject has one common name,
// the device's id, and the SubjectAltName has one name, the HolderURI of the
// user. Anything else is ErrHolder. Whether c is to be trusted is for the
// caller to know first.
func HolderOf(c *x509.Certificate) (Holder, error) {
	if c.IsCA || len(c.Subject.Names) != 1 || !subject.ValidID(c.Subject.CommonName) {
		return Holder{}, ErrHolder
	}
	uri, ok := onlyURI(c)
	user, prefixed := strings.CutPrefix(uri, holderPrefix)
	if !ok || !prefixed || !subject.ValidID(user) {
		return Holder{}, ErrHolder
	}
	return Holder{User: subject.UserID(user), Device: subject.DeviceID(c.Subject.CommonName)}, nil
}

// onlyURI gives the URI of a SubjectAltName that holds nothing else. It reads
// the extension itself: crypto/x509 is silent about names it does not know.
func onlyURI(c *x509.Certificate) (string, bool) {
	var values [][]byte
	for _, ext := range c.Extensions {
		if ext.Id.Equal(oidAltName) {
			values = append(values, ext.Value)
		}
	}
	if len(values) != 1 {
		return "", false
	}
	input := cryptobyte.String(values[0])
	var names, uri cryptobyte.String
	ok := input.ReadASN1(&names, cbasn1.SEQUENCE) && input.Empty() &&
		names.ReadASN1(&uri, cbasn1.Tag(6).ContextSpecific()) && names.Empty()
	return string(uri), ok
}
