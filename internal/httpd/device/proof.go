package device

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/cms"
	"github.com/signet-mdm/signet/scep"
)

// signatureHeader carries the device's signature of the body.
//
// Spec: Apple MDM, SignMessage
const signatureHeader = "Mdm-Signature"

// maxSignature bounds the decoded header, which has 2 kB.
const maxSignature = 10 << 10

// unproven tells whether a request brings nothing to prove its sender by.
func unproven(r *http.Request) bool {
	return peer(r) == nil && len(r.Header[signatureHeader]) == 0
}

// peer gives the certificate whose key the TLS client has; nil without.
func peer(r *http.Request) *x509.Certificate {
	if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return nil
	}
	return r.TLS.PeerCertificates[0]
}

// signer gives the certificate whose key the sender of body has: by mutual TLS,
// else by Mdm-Signature. It is not looked at who issued it.
func signer(r *http.Request, body []byte) (*x509.Certificate, error) {
	if c := peer(r); c != nil {
		return c, nil
	}
	values := r.Header[signatureHeader]
	if len(values) != 1 {
		return nil, ErrSignature.With(errors.New("not exactly one header"))
	}
	return signerOf(values[0], body)
}

// Quirk: iOS signs with SHA-1, without signed attributes, in BER.
func signerOf(header string, body []byte) (*x509.Certificate, error) {
	if len(header) > base64.StdEncoding.EncodedLen(maxSignature) {
		return nil, ErrSignature.With(errors.New("header too large"))
	}
	der, err := base64.StdEncoding.DecodeString(header)
	if err != nil {
		return nil, ErrSignature.With(errors.New("header is no base64"))
	}
	signed, err := cms.VerifyDetached(der, body, cms.Accept{SHA1: true, MaxBytes: maxSignature})
	if err != nil {
		return nil, ErrSignature.With(err)
	}
	return signed.Signer, nil
}

// identity gives the issuance record of a device's certificate. Whether an
// expired or revoked one is good for anything is for mdm to judge, by the
// record's dates.
func identity(ctx context.Context, s *scep.Service, c *x509.Certificate, now time.Time) (cert.Record, error) {
	id, err := s.Identity(ctx, c)
	switch {
	case errors.Is(err, scep.ErrIdentityExpired):
		return id, nil
	case errors.Is(err, scep.ErrIdentityRevoked):
		return revoked(c, now)
	case errors.Is(err, scep.ErrIdentity):
		return cert.Record{}, ErrStranger.With(err)
	case err != nil:
		return cert.Record{}, fmt.Errorf("looking for the identity: %w", err)
	}
	return id, nil
}

// revoked gives what must be known of a revoked identity to tell its device
// that it was removed. That it was ours is what ErrIdentityRevoked says.
func revoked(c *x509.Certificate, now time.Time) (cert.Record, error) {
	holder, err := cert.HolderOf(c)
	if err != nil {
		return cert.Record{}, ErrStranger.With(err)
	}
	return cert.Record{Fingerprint: cert.FingerprintOf(c.Raw), Holder: holder, Use: cert.Identity, RevokedAt: now,
		NotBefore: c.NotBefore, NotAfter: c.NotAfter, DER: c.Raw}, nil
}
