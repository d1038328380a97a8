package subject

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"

	"github.com/signet-mdm/signet/internal/fault"
)

// ErrAddress is returned for text that is no usable mail address.
var ErrAddress = fault.New(fault.Invalid, "address_invalid",
	"This is not a mail address.", "Give one address of the form name@example.com.")

// NormalizeMail returns the form in which addresses are stored and compared:
// local part lower-cased (Exchange compares it so), domain as lower-case
// A-labels. Nothing is trimmed; control characters, spaces, a second @ and
// more than 320 bytes are refused.
func NormalizeMail(addr string) (string, error) {
	if len(addr) > 320 || !utf8.ValidString(addr) || strings.ContainsFunc(addr, forbidden) {
		return "", ErrAddress
	}
	local, domain, ok := strings.Cut(addr, "@")
	if !ok || local == "" || domain == "" || strings.Contains(domain, "@") {
		return "", ErrAddress
	}
	ascii, err := idna.Lookup.ToASCII(strings.ToLower(domain))
	if err != nil {
		return "", ErrAddress.With(err)
	}
	return strings.ToLower(local) + "@" + ascii, nil
}

// forbidden keeps out what could split a header or turn a line round.
func forbidden(r rune) bool {
	return unicode.IsControl(r) || unicode.IsSpace(r) || unicode.Is(unicode.Cf, r) || strings.ContainsRune(`<>(),;:"\[]`, r)
}
