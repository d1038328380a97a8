package scep

import (
	"context"
	"crypto/x509"
	"errors"
	"slices"

	"github.com/signet-mdm/signet/internal/cert"
)

// Identity gives the issuance record of a device identity: c is signed by a CA
// of device identities, is for authenticating clients, and was issued and not
// revoked. ErrIdentity and ErrIdentityRevoked come without the record;
// ErrIdentityExpired comes with it, for those who give a late device a way
// back. That the presenter holds the key is for the caller to know.
func (s *Service) Identity(ctx context.Context, c *x509.Certificate) (cert.Record, error) {
	if !s.made(c) || !slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageClientAuth) {
		return cert.Record{}, ErrIdentity
	}
	issued, err := s.Store.Issued(ctx, cert.FingerprintOf(c.Raw))
	if errors.Is(err, ErrCertificateUnknown) {
		return cert.Record{}, ErrIdentity.With(err)
	}
	if err != nil {
		return cert.Record{}, err
	}
	holder, err := cert.HolderOf(c)
	switch r := issued.Record; {
	case err != nil || holder != r.Holder || r.Use != cert.Identity:
		return cert.Record{}, ErrIdentity
	case r.Revoked():
		return cert.Record{}, ErrIdentityRevoked
	case !r.ValidAt(s.Now()):
		return r, ErrIdentityExpired
	default:
		return r, nil
	}
}

// made tells whether one of our CAs, of any generation, issued c.
func (s *Service) made(c *x509.Certificate) bool {
	for _, a := range *s.authorities.Load() {
		if a.Issuer.Made(c) {
			return true
		}
	}
	return false
}
