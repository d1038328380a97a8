// Package profile has configuration profiles as iOS and iPadOS install them:
// typed payloads, their encoding, the signature around and the sealing to one
// device. It knows neither who gets a profile nor why.
//
// It promises that identifiers are stable for ever, because a device replaces
// what has the same identifier and duplicates what has not; that a value of a
// user is never more than a string; and that a profile which a device would
// refuse, or which is not filled in yet, is not encoded.
//
// Life of a profile: a planner lays it out without keys (the JSON form carries
// such a frame between processes); whoever holds the keys fills in
// [Profile.PKCS12s] and [Profile.SCEPs]; then comes [Profile.Seal] or
// [Profile.Encode], and [Sign].
package profile

import (
	"crypto/x509"
	"errors"
	"fmt"

	"github.com/signet-mdm/signet/internal/cms"
	"github.com/signet-mdm/signet/internal/plist"
)

// What can be wrong with a profile. The error around says which payload.
var (
	// ErrInvalid is a profile that a device would refuse.
	ErrInvalid = errors.New("profile: invalid")
	// ErrIncomplete is a frame whose keys or challenges are not filled in.
	ErrIncomplete = errors.New("profile: not filled in")
	// ErrClear is a profile that may travel sealed only.
	ErrClear = errors.New("profile: holds a password and is not sealed")
	// ErrSecret is a filled-in profile that was to leave as a frame.
	ErrSecret = errors.New("profile: holds secrets")
)

// ContentType is what a profile is served as.
const ContentType = "application/x-apple-aspen-config"

// Profile is a configuration profile. A profile with the Identifier of an
// installed one replaces it.
//
// Spec: Apple, TopLevel
type Profile struct {
	Common
	RemovalDisallowed bool              // supervised devices only
	Consent           map[string]string // by language, and "default": shown, must be accepted
	Payloads          []Payload
}

// Common are the keys of the profile and of each payload in it.
//
// Spec: Apple, CommonPayloadKeys
type Common struct {
	Identifier   string `plist:"PayloadIdentifier"` // reverse DNS; unique in the profile
	UUID         string `plist:"PayloadUUID"`       // see [UUID]
	DisplayName  string `plist:"PayloadDisplayName,omitempty"`
	Description  string `plist:"PayloadDescription,omitempty"`
	Organization string `plist:"PayloadOrganization,omitempty"`
}

// Named gives the keys for a stable identifier: the UUID follows from it.
func Named(identifier, displayName string) Common {
	return Common{Identifier: identifier, UUID: UUID(identifier), DisplayName: displayName}
}

// Payload is one of the payload types of this package, by pointer. What is not
// in the list cannot be put into a profile.
type Payload interface {
	// Type is the PayloadType.
	Type() string
	// Head gives the keys that all payloads have.
	Head() *Common

	// check tells what a device would refuse, given the rest of the profile.
	check(refs) error
	// wire gives the value that encodes as the payload, secrets revealed.
	wire() any
}

// kind starts every payload.
type kind struct {
	PayloadType    string
	PayloadVersion int
}

func kindOf(p Payload) kind { return kind{p.Type(), 1} }

// configuration is the profile as it is written.
type configuration struct {
	kind
	Common
	PayloadRemovalDisallowed bool              `plist:",omitempty"`
	TargetDeviceType         int               // 1: iPhone and iPad, so that nobody is asked
	ConsentText              map[string]string `plist:",omitempty"`
	PayloadContent           []any             `plist:",omitempty"`
	IsEncrypted              bool              `plist:",omitempty"`
	EncryptedPayloadContent  []byte            `plist:",omitempty"`
}

func (p Profile) configuration() configuration {
	return configuration{
		kind: kind{"Configuration", 1}, Common: p.Common,
		PayloadRemovalDisallowed: p.RemovalDisallowed, TargetDeviceType: 1, ConsentText: p.Consent,
	}
}

// Encode gives the whole profile as an XML property list, readable by whoever
// sees it. Passwords of accounts may not travel like this: ErrClear.
func (p Profile) Encode() ([]byte, error) {
	if err := p.check(); err != nil {
		return nil, err
	}
	for _, payload := range p.Payloads {
		if a, ok := payload.(account); ok && a.hasPassword() {
			return nil, fmt.Errorf("payload %s: %w", payload.Head().Identifier, ErrClear)
		}
	}
	c := p.configuration()
	c.PayloadContent = p.content()
	return plist.Marshal(c)
}

// Seal gives the profile with its payloads encrypted to the RSA key of a
// certificate that is on the device already. Identifiers and names at the top
// stay in the clear. Sign the result: the encryption does not prove a sender.
//
// Spec: Apple, Configuring multiple devices using profiles, encrypted profiles
func (p Profile) Seal(device *x509.Certificate) ([]byte, error) {
	if err := p.check(); err != nil {
		return nil, err
	}
	content, err := plist.Marshal(p.content())
	if err != nil {
		return nil, fmt.Errorf("encoding payloads of %s: %w", p.Identifier, err)
	}
	defer clear(content)
	sealed, err := cms.Encrypt(content, device, cms.AES256CBC)
	if err != nil {
		return nil, fmt.Errorf("sealing %s: %w", p.Identifier, err)
	}
	c := p.configuration()
	c.IsEncrypted, c.EncryptedPayloadContent = true, sealed
	return plist.Marshal(c)
}

// Sign wraps an encoded profile in SignedData. The signer includes its chain,
// so that the device shows the profile as verified.
//
// Spec: Apple, Configuring multiple devices using profiles, signed profiles
func Sign(profile []byte, s cms.Signer) ([]byte, error) { return cms.Sign(profile, s) }

func (p Profile) content() []any {
	out := make([]any, len(p.Payloads))
	for i, payload := range p.Payloads {
		out[i] = payload.wire()
	}
	return out
}

// PKCS12s gives the identity payloads, to be filled in.
func (p Profile) PKCS12s() []*PKCS12 { return only[*PKCS12](p) }

// SCEPs gives the SCEP payloads, to be filled in.
func (p Profile) SCEPs() []*SCEP { return only[*SCEP](p) }

func only[T Payload](p Profile) []T {
	var out []T
	for _, payload := range p.Payloads {
		if t, ok := payload.(T); ok {
			out = append(out, t)
		}
	}
	return out
}
