package phone

import (
	"bytes"
	"crypto/x509"
	"regexp"
	"time"
)

// source is how a profile came to the phone.
type source int

const (
	byHand source = iota // the user installs it in Settings
	byMDM                // InstallProfile
)

// document is a configuration profile that was opened and checked for form.
type document struct {
	Profile
	payloads []dict
}

// openProfile reads a profile: the CMS signature around it, the property list,
// the encrypted part. now judges the signer's chain.
// Spec: Apple, Configuration Profile Reference: TopLevel
func openProfile(raw []byte, ids []Identity, trust *x509.CertPool, now time.Time) (*document, error) {
	doc := &document{}
	inner, err := doc.unwrap(raw, trust, now)
	if err != nil {
		return nil, err
	}
	d, err := readDict(inner)
	if err != nil {
		return nil, profileErr(1000, err, "The profile is malformed.")
	}
	if err := doc.readTop(d); err != nil {
		return nil, err
	}
	content := d["PayloadContent"]
	if d.flag("IsEncrypted") {
		if content, err = unseal(d, ids); err != nil {
			return nil, profileErr(1006, err, "The profile could not be decrypted.")
		}
		doc.Encrypted = true
	}
	return doc, doc.readPayloads(content)
}

// unwrap verifies the signature of a signed profile and gives what is inside.
func (doc *document) unwrap(raw []byte, trust *x509.CertPool, now time.Time) ([]byte, error) {
	if len(raw) > maxPlist {
		return nil, profileErr(1000, nil, "The profile is too large.")
	}
	if len(raw) == 0 || raw[0] != 0x30 {
		return raw, nil
	}
	m, err := readSigned(raw)
	if err != nil {
		return nil, profileErr(1004, err, "The profile's signature is malformed.")
	}
	if len(m.signers) != 1 {
		return nil, profileErr(1004, nil, "The profile has %d signers.", len(m.signers))
	}
	s := m.signers[0]
	cert := m.certificate(s)
	if cert == nil {
		return nil, profileErr(1004, nil, "The profile's signature does not hold its signer's certificate.")
	}
	if err := s.verify(cert, m.contentType, m.content); err != nil || !m.contentType.Equal(oidData) {
		return nil, profileErr(1004, err, "The profile's signature is wrong.")
	}
	doc.Signers, doc.Trusted = signerChain(cert, m.certificates, trust, now)
	return m.content, nil
}

// signerChain orders the certificates of a message from the signer upwards and
// says whether they lead to a trusted root.
func signerChain(cert *x509.Certificate, others []*x509.Certificate, trust *x509.CertPool, now time.Time) ([]*x509.Certificate, bool) {
	between := x509.NewCertPool()
	for _, c := range others {
		between.AddCert(c)
	}
	chains, err := cert.Verify(x509.VerifyOptions{
		Roots: trust, Intermediates: between, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	if err == nil {
		return chains[0], true
	}
	return append([]*x509.Certificate{cert}, issuers(cert, others)...), false
}

// issuers follows issuer names upwards from c, which is not included.
func issuers(c *x509.Certificate, among []*x509.Certificate) []*x509.Certificate {
	var out []*x509.Certificate
	for range len(among) {
		if bytes.Equal(c.RawIssuer, c.RawSubject) {
			break
		}
		parent := issuerOf(c, among)
		if parent == nil {
			break
		}
		out, c = append(out, parent), parent
	}
	return out
}

func issuerOf(c *x509.Certificate, among []*x509.Certificate) *x509.Certificate {
	for _, p := range among {
		if bytes.Equal(p.RawSubject, c.RawIssuer) && c.CheckSignatureFrom(p) == nil {
			return p
		}
	}
	return nil
}

// unseal opens EncryptedPayloadContent with any identity on the phone: what is
// inside is a property list whose root is an array.
// Spec: Apple MDM, encrypted profiles; Apple's CMS decoder knows rsaEncryption
// and CBC ciphers only
// Stricter: the decoder also opens DES and RC2, which nobody should send.
func unseal(d dict, ids []Identity) (any, error) {
	if d.has("PayloadContent") {
		return nil, payloadErr(2004, "An encrypted profile has PayloadContent in clear.")
	}
	e, err := readEnvelope(d.data("EncryptedPayloadContent"))
	if err != nil {
		return nil, err
	}
	id, r, err := e.recipient(ids)
	if err != nil {
		return nil, err
	}
	plain, err := e.open(id.Key, r, oidAES128, oidAES192, oidAES256, oid3DES)
	if err != nil {
		return nil, err
	}
	return readPlist(plain)
}

var uuidForm = regexp.MustCompile(`^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$`)

// readTop reads the top level of a profile.
func (doc *document) readTop(d dict) error {
	if d.str("PayloadType") != "Configuration" {
		return profileErr(1010, nil, "The profile is not a configuration profile.")
	}
	if err := checkKeys(d, topKeys, "The profile"); err != nil {
		return profileErr(1000, err, "The profile is malformed.")
	}
	if v := d.integer("PayloadVersion"); v != 1 {
		return profileErr(1001, nil, "The profile version %d is not supported.", v)
	}
	if device := d.integer("TargetDeviceType"); device > 1 {
		return profileErr(1010, nil, "The profile is not for an iPhone.")
	}
	if !uuidForm.MatchString(d.str("PayloadUUID")) {
		return profileErr(1003, nil, "PayloadUUID is not a UUID.")
	}
	doc.Identifier, doc.UUID, doc.Name = d.str("PayloadIdentifier"), d.str("PayloadUUID"), d.str("PayloadDisplayName")
	doc.Organization, doc.Description = d.str("PayloadOrganization"), d.str("PayloadDescription")
	return nil
}

// readPayloads takes the payloads apart and checks what every payload has.
// Spec: Apple, Configuration Profile Reference: CommonPayloadKeys
func (doc *document) readPayloads(content any) error {
	list, ok := content.([]any)
	if !ok {
		return profileErr(1002, nil, "PayloadContent is not an array.")
	}
	if len(list) == 0 {
		return profileErr(1005, nil, "The profile is empty.")
	}
	uuids, identifiers := map[string]bool{doc.UUID: true}, map[string]bool{}
	for _, v := range list {
		m, ok := v.(map[string]any)
		if !ok {
			return profileErr(1003, nil, "A payload is not a dictionary.")
		}
		d := dict(m)
		if err := doc.checkPayload(d); err != nil {
			return profileErr(1009, err, "The profile %q is invalid.", doc.Identifier)
		}
		if uuids[d.str("PayloadUUID")] {
			return profileErr(1007, nil, "The payload UUIDs of the profile are not unique.")
		}
		if identifiers[d.str("PayloadIdentifier")] {
			return profileErr(1008, nil, "The payload identifiers of the profile are not unique.")
		}
		uuids[d.str("PayloadUUID")], identifiers[d.str("PayloadIdentifier")] = true, true
		doc.payloads = append(doc.payloads, d)
	}
	return nil
}

func (doc *document) checkPayload(d dict) error {
	name := d.str("PayloadIdentifier")
	kind, known := payloadKinds[d.str("PayloadType")]
	if !known {
		return payloadErr(2004, "The payload %q has the type %q, which this phone does not know.", name, d.str("PayloadType"))
	}
	if err := checkKeys(d, kind.keys, "The payload "+name); err != nil {
		return err
	}
	if v := d.integer("PayloadVersion"); v != 1 {
		return payloadErr(2001, "The payload %q has version %d.", name, v)
	}
	if !uuidForm.MatchString(d.str("PayloadUUID")) {
		return payloadErr(2003, "The payload %q has a PayloadUUID that is not a UUID.", name)
	}
	return nil
}
