package phone

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
)

var (
	oidMessageType    = oid{2, 16, 840, 1, 113733, 1, 9, 2}
	oidPKIStatus      = oid{2, 16, 840, 1, 113733, 1, 9, 3}
	oidFailInfo       = oid{2, 16, 840, 1, 113733, 1, 9, 4}
	oidSenderNonce    = oid{2, 16, 840, 1, 113733, 1, 9, 5}
	oidRecipientNonce = oid{2, 16, 840, 1, 113733, 1, 9, 6}
	oidTransactionID  = oid{2, 16, 840, 1, 113733, 1, 9, 7}
	oidFailInfoText   = oid{1, 3, 6, 1, 5, 5, 7, 24, 1}
)

var errPending = scepErr(22013, &SCEPFailure{Pending: true}, "The SCEP server returned an invalid response.")

// readReply verifies a CertRep as Apple's SecSCEPVerifyReply does and takes the
// certificate out.
// Spec: RFC 8894 section 3.3.2
func (t *transaction) readReply(a *answer, nonce []byte) (*x509.Certificate, error) {
	invalid := func(err error) error {
		return scepErr(22013, err, "The SCEP server returned an invalid response.")
	}
	if a.contentType() != "application/x-pki-message" {
		return nil, invalid(fmt.Errorf("content type %.60q", a.contentType()))
	}
	m, err := readSigned(a.body)
	if err != nil {
		return nil, invalid(err)
	}
	s, err := t.replySigner(m)
	if err != nil {
		return nil, invalid(err)
	}
	if err := t.belongs(s, nonce); err != nil {
		return nil, invalid(err)
	}
	switch status, err := printable(s.attribute(oidPKIStatus)); {
	case err != nil:
		return nil, invalid(fmt.Errorf("pkiStatus: %w", err))
	case status == "0":
		return t.issued(m.content)
	case status == "2":
		return nil, invalid(failure(s))
	case status == "3":
		return nil, errPending
	default:
		return nil, invalid(fmt.Errorf("pkiStatus %.8q", status))
	}
}

// replySigner checks the signature: one signer, which is the authority that was
// announced. Its certificate may be left out of the message.
func (t *transaction) replySigner(m *signed) (signer, error) {
	if len(m.signers) != 1 {
		return signer{}, fmt.Errorf("%d signers", len(m.signers))
	}
	s := m.signers[0]
	if !names(t.ca.signer, s.issuer, s.serial, s.keyID) {
		return s, errors.New("signed by someone other than the authority of GetCACert")
	}
	if c := m.certificate(s); c != nil && !c.Equal(t.ca.signer) {
		return s, errors.New("the signer's certificate is not the one of GetCACert")
	}
	if s.attributes == nil {
		return s, errors.New("no signed attributes")
	}
	return s, s.verify(t.ca.signer, m.contentType, m.content)
}

// belongs checks that the reply is a CertRep to this request.
// Stricter: iOS looks at neither transactionID nor nonces; RFC 8894 asks every
// client to, and others do.
func (t *transaction) belongs(s signer, nonce []byte) error {
	if kind, err := printable(s.attribute(oidMessageType)); err != nil || kind != "3" {
		return fmt.Errorf("messageType %.8q, want \"3\" as a PrintableString", kind)
	}
	if id, err := printable(s.attribute(oidTransactionID)); err != nil || id != t.id {
		return errors.New("transactionID is not that of the request")
	}
	if !bytes.Equal(s.attribute(oidRecipientNonce), tlv(0x04, nonce)) {
		return errors.New("recipientNonce is not the senderNonce of the request")
	}
	if sender := s.attribute(oidSenderNonce); len(sender) != 18 || sender[0] != 0x04 {
		return errors.New("senderNonce is not 16 octets")
	}
	return nil
}

// printable reads an attribute value as Apple does: tag 0x13 and a length in
// one byte, nothing else.
func printable(v []byte) (string, error) {
	if len(v) < 2 || v[0] != 0x13 || v[1] >= 0x80 || int(v[1]) != len(v)-2 {
		return "", errors.New("not a PrintableString in short form")
	}
	return string(v[2:]), nil
}

func failure(s signer) error {
	f := &SCEPFailure{}
	f.FailInfo, _ = printable(s.attribute(oidFailInfo))
	if v := s.attribute(oidFailInfoText); len(v) > 2 && v[0] == 0x0c && v[1] < 0x80 {
		f.Text = string(v[2:])
	}
	return f
}

// issued opens the envelope of a successful reply. iOS pairs the first
// certificate in it with the new key.
// Quirk: a SET OF is sorted in DER, so a CA certificate beside the issued one
// may come first and the installation fails; hence one certificate only.
func (t *transaction) issued(content []byte) (*x509.Certificate, error) {
	invalid := func(err error) error {
		return scepErr(22013, err, "The SCEP server returned an invalid response.")
	}
	e, err := readEnvelope(content)
	if err != nil {
		return nil, invalid(err)
	}
	if len(e.recipients) != 1 {
		return nil, invalid(fmt.Errorf("the reply is encrypted for %d recipients", len(e.recipients)))
	}
	_, r, err := e.recipient([]Identity{{Certificate: t.self.cert}})
	if err != nil {
		return nil, invalid(err)
	}
	allowed := []oid{oidAES128, oidAES192, oidAES256, oid3DES}
	plain, err := e.open(t.self.key, r, allowed...)
	if err != nil {
		return nil, invalid(err)
	}
	m, err := readSigned(plain)
	if err != nil || len(m.certificates) == 0 || len(m.signers) > 0 {
		return nil, scepErr(22007, err, "The issued certificate is invalid.")
	}
	cert := m.certificates[0]
	if !t.key.PublicKey.Equal(cert.PublicKey) {
		return nil, scepErr(22008, nil, "The identity could not be made: mismatching public keys.")
	}
	if len(m.certificates) > 1 {
		return nil, scepErr(22007, fmt.Errorf("%d certificates", len(m.certificates)), "The issued certificate is invalid.")
	}
	return cert, nil
}
