package cert

import (
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"net/url"
	"strings"

	"github.com/signet-mdm/signet/internal/subject"
)

// ErrHolder is returned for a certificate that does not say whose it is in the
// form that ours have.
var ErrHolder = errors.New("cert: no device identity of ours")

const userURN = "urn:uuid:"

var oidCommonName = asn1.ObjectIdentifier{2, 5, 4, 3}

// HolderURI is the alternative name by which a device identity names its user.
// The device is its common name.
func HolderURI(user subject.UserID) *url.URL {
	return &url.URL{Scheme: "urn", Opaque: "uuid:" + string(user)}
}

// HolderOf reads user and device out of a device identity: one common name,
// the device id, and one alternative name, the user's URI. Anything more or
// less is ErrHolder. It proves nothing about who signed.
func HolderOf(c *x509.Certificate) (Holder, error) {
	names := 0
	for _, attr := range c.Subject.Names {
		if attr.Type.Equal(oidCommonName) {
			names++
		}
	}
	others := len(c.DNSNames) + len(c.EmailAddresses) + len(c.IPAddresses)
	if names != 1 || len(c.URIs) != 1 || others > 0 || !subject.ValidID(c.Subject.CommonName) {
		return Holder{}, ErrHolder
	}
	user, ok := strings.CutPrefix(c.URIs[0].String(), userURN)
	if !ok || !subject.ValidID(user) {
		return Holder{}, ErrHolder
	}
	return Holder{User: subject.UserID(user), Device: subject.DeviceID(c.Subject.CommonName)}, nil
}
