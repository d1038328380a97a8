package profile

import (
	"fmt"
	"strings"
)

// AccessRights are the bits of what a server may do on a device. They cannot
// grow after enrollment.
type AccessRights int

// CertificateDelivery is what Signet needs: profiles, device information,
// installed apps, security queries, settings and app management; no lock, no
// erase, no network queries, no restrictions.
const CertificateDelivery AccessRights = 1 + 2 + 16 + 256 + 1024 + 2048 + 4096

// MDM enrolls the device. Topic, ServerURL and CheckInURL can never be changed
// on a device that has them.
//
// Spec: Apple, com.apple.mdm
type MDM struct {
	Common
	IdentityUUID        string       `plist:"IdentityCertificateUUID"` // SCEP or PKCS12 payload of this profile
	Topic               string       // the push certificate's UID
	ServerURL           string       // https
	CheckInURL          string       `plist:",omitempty"` // https; empty: ServerURL
	AccessRights        AccessRights `plist:",omitempty"` // 0 for BYOD only
	SignMessage         bool         `plist:",omitempty"`
	CheckOutWhenRemoved bool         `plist:",omitempty"`
	Capabilities        []string     `plist:"ServerCapabilities,omitempty"`
	ManagedAppleID      string       `plist:"AssignedManagedAppleID,omitempty"`
	Mode                string       `plist:"EnrollmentMode,omitempty"` // "", "BYOD" or "ADDE"
	RequiredApp         int64        `plist:"RequiredAppIDForMDM,omitempty"`
	ServerPins          []string     `plist:"ServerURLPinningCertificateUUIDs,omitempty"` // Root payloads
	CheckInPins         []string     `plist:"CheckInURLPinningCertificateUUIDs,omitempty"`
	PinsNeedRevocation  bool         `plist:"PinningRevocationCheckRequired,omitempty"`
}

// Type is com.apple.mdm.
func (*MDM) Type() string { return "com.apple.mdm" }

// Head gives the common keys.
func (m *MDM) Head() *Common { return &m.Common }

func (m *MDM) check(r refs) error {
	if !strings.HasPrefix(m.Topic, "com.apple.mgmt.") {
		return fmt.Errorf("key Topic does not start with com.apple.mgmt.: %w", ErrInvalid)
	}
	if m.CheckInURL != "" {
		if err := webURL("CheckInURL", m.CheckInURL, "https"); err != nil {
			return err
		}
	}
	return first(
		webURL("ServerURL", m.ServerURL, "https"),
		oneOf("EnrollmentMode", m.Mode, "", "BYOD", "ADDE"),
		m.AccessRights.check(m.Mode),
		m.checkIdentity(r),
		r.certificates("ServerURLPinningCertificateUUIDs", m.ServerPins),
		r.certificates("CheckInURLPinningCertificateUUIDs", m.CheckInPins),
	)
}

// checkIdentity wants an identity that profiles can be sealed to.
func (m *MDM) checkIdentity(r refs) error {
	if err := r.identity("IdentityCertificateUUID", m.IdentityUUID); err != nil {
		return err
	}
	if s, ok := r[m.IdentityUUID].(*SCEP); ok && s.KeyUsage != DualKey {
		return fmt.Errorf("IdentityCertificateUUID names a key that cannot decrypt: %w", ErrInvalid)
	}
	return nil
}

func (a AccessRights) check(mode string) error {
	if (a == 0) != (mode == "BYOD") {
		return fmt.Errorf("key AccessRights must be absent for BYOD and for nothing else: %w", ErrInvalid)
	}
	if a < 0 || a > 8191 || a&3 == 2 || a&(64|128) == 128 {
		return fmt.Errorf("key AccessRights %d do not fit together: %w", a, ErrInvalid)
	}
	return nil
}

func (m *MDM) wire() any {
	return struct {
		kind
		*MDM
	}{kindOf(m), m}
}
