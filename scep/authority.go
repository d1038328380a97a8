package scep

import (
	"context"
	"crypto/x509"
	"strings"

	"github.com/signet-mdm/signet/internal/cms"
)

// The content types of answers. Clients compare the whole header, so nothing
// may be added to them.
const (
	TypeCaps    = "text/plain"
	TypeMessage = "application/x-pki-message"
	TypeCA      = "application/x-x509-ca-ra-cert"
	TypeNextCA  = "application/x-x509-next-ca-cert"
	TypeCRL     = "application/pkix-crl"
	TypeCert    = "application/pkix-cert"
	TypeOCSP    = "application/ocsp-response"
)

// GetCACaps gives the answer of type [TypeCaps].
//
// Spec: RFC 8894 section 3.5.2
// Quirk: Apple splits at LF only and compares exactly, so there is no CR; and
// strongSwan 5.9.8 refuses AES unless SHA-384 is listed, which nobody else
// looks at.
func (s *Service) GetCACaps(ctx context.Context, profile string) ([]byte, error) {
	l, err := s.line(ctx, profile)
	if err != nil {
		return nil, err
	}
	caps := []string{"AES", "POSTPKIOperation", "Renewal", "SCEPStandard", "SHA-256", "SHA-384", "SHA-512"}
	if l.Legacy {
		caps = append(caps, "SHA-1", "DES3")
	}
	if _, is := s.next(l); is {
		caps = append(caps, "GetNextCACert")
	}
	return []byte(strings.Join(caps, "\n")), nil
}

// GetCACert gives RA, issuing CA and its parents up to the root, whatever CA
// name the client asks for.
//
// Spec: RFC 8894 section 4.2.1
// Quirk: iOS ends the enrollment unless a certificate here has key usage for
// signing and decryption; strongSwan cannot verify without the root.
func (s *Service) GetCACert(ctx context.Context, profile string) (body []byte, contentType string, err error) {
	l, err := s.line(ctx, profile)
	if err != nil {
		return nil, "", err
	}
	body, err = cms.CertsOnly(append([]*x509.Certificate{l.ra.Certificate}, l.issuer.Chain()...)...)
	return body, TypeCA, err
}

// next gives the CA that is to follow the one which issues, once its RA is
// there too.
func (s *Service) next(l *line) (Authority, bool) {
	a, is := s.authorities.Load().standing(l.Issuer, Next)
	return a, is && a.RA.Certificate != nil
}

// GetNextCACert gives RA, CA and its parents as they will be after a roll-over,
// of type [TypeNextCA], signed by the RA of now. ErrNoNext unless there are any.
//
// Spec: RFC 8894 section 4.7
func (s *Service) GetNextCACert(ctx context.Context, profile string) ([]byte, error) {
	l, err := s.line(ctx, profile)
	if err != nil {
		return nil, err
	}
	next, is := s.next(l)
	if !is {
		return nil, ErrNoNext
	}
	bag, err := cms.CertsOnly(append([]*x509.Certificate{next.RA.Certificate}, next.Issuer.Chain()...)...)
	if err != nil {
		return nil, err
	}
	return cms.Sign(bag, cms.Signer{Certificate: l.ra.Certificate, Key: l.ra.Signer, Include: l.issuer.Chain(), Time: s.Now()})
}

// CACertificate gives the DER certificate of an issuer.
func (s *Service) CACertificate(issuer string) ([]byte, error) {
	i, err := s.issuer(issuer)
	if err != nil {
		return nil, err
	}
	return i.Certificate().Raw, nil
}
