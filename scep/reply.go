package scep

import (
	"crypto/rand"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/cms"
	"github.com/signet-mdm/signet/internal/fault"
)

// pkiStatus values.
//
// Spec: RFC 8894 section 3.2.1.3
const (
	statusSuccess = "0"
	statusFailure = "2"
	statusPending = "3"
)

// failInfo values.
//
// Spec: RFC 8894 section 3.2.1.4
const (
	badAlg          = "0"
	badMessageCheck = "1"
	badRequest      = "2"
	badTime         = "3"
	badCertID       = "4"
)

func failInfo(err error) string {
	switch {
	case errors.Is(err, ErrAlgorithm):
		return badAlg
	case errors.Is(err, ErrUnreadable):
		return badMessageCheck
	case errors.Is(err, ErrClock):
		return badTime
	case errors.Is(err, ErrTransaction):
		return badCertID
	}
	return badRequest
}

// success sends the certificate, and it alone, to the key that asked.
//
// Spec: RFC 8894 section 3.3.2.1
// Quirk: iOS pairs its key with the first certificate inside, so there is one.
func (s *Service) success(l *line, r *request, c cert.Record) ([]byte, error) {
	bag, err := cms.CertsOnly(&x509.Certificate{Raw: c.DER})
	if err != nil {
		return nil, fmt.Errorf("packing certificate %s: %w", c.Fingerprint, err)
	}
	envelope, err := cms.Encrypt(bag, r.signer, cms.AES128CBC)
	if err != nil {
		return nil, fmt.Errorf("encrypting certificate %s: %w", c.Fingerprint, err)
	}
	return s.certRep(l, r, envelope, cms.Attribute{Type: attrPKIStatus, Value: statusSuccess})
}

// pending tells the client to ask again later.
//
// Spec: RFC 8894 section 3.3.2.3
func (s *Service) pending(l *line, r *request) ([]byte, error) {
	return s.certRep(l, r, nil, cms.Attribute{Type: attrPKIStatus, Value: statusPending})
}

// failure tells the client that err happened, by its code alone.
//
// Spec: RFC 8894 section 3.3.2.2
func (s *Service) failure(l *line, r *request, err error) ([]byte, error) {
	return s.certRep(l, r, nil,
		cms.Attribute{Type: attrPKIStatus, Value: statusFailure},
		cms.Attribute{Type: attrFailInfo, Value: failInfo(err)},
		cms.Attribute{Type: attrFailInfoText, Value: asn1.RawValue{Tag: asn1.TagUTF8String, Bytes: []byte(fault.Code(err))}})
}

// certRep signs a reply. It carries RA and CA, never what was issued: that is
// for the envelope.
//
// Quirk: certmonger, which OpenSSL verifies for, refuses a reply without any
// content, and would wait for no approval. Where there is no envelope the
// content is empty.
func (s *Service) certRep(l *line, r *request, envelope []byte, status ...cms.Attribute) ([]byte, error) {
	if envelope == nil {
		envelope = []byte{}
	}
	nonce := make([]byte, 16)
	rand.Read(nonce)
	reply, err := cms.Sign(envelope,
		cms.Signer{Certificate: l.ra.Certificate, Key: l.ra.Signer, Include: []*x509.Certificate{l.issuer.Certificate()}, Time: s.Now()},
		append(status,
			cms.Attribute{Type: attrMessageType, Value: certRep},
			cms.Attribute{Type: attrTransactionID, Value: r.transaction},
			cms.Attribute{Type: attrSenderNonce, Value: nonce},
			cms.Attribute{Type: attrRecipientNonce, Value: r.nonce})...)
	if err != nil {
		return nil, fmt.Errorf("signing a CertRep: %w", err)
	}
	return reply, nil
}
