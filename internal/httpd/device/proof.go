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

// accepted is what a signature may be. No identity that we issue has a larger
// key, and the work of a check grows with the square of its bits.
//
// Quirk: iOS signs with SHA-1, without signed attributes, in BER.
var accepted = cms.Accept{SHA1: true, MaxBytes: maxSignature, MaxRSABits: 4096}

// proof is what a request shows of its sender.
type proof struct {
	certificate *x509.Certificate // who the sender says he is
	signature   *cms.Detached     // of the body; nil when TLS has proved the key
}

// proofOf reads the proof out of the header: mutual TLS, else Mdm-Signature.
// It verifies nothing, neither the signature nor who issued the certificate.
func proofOf(r *http.Request) (proof, error) {
	if c := peer(r); c != nil {
		return proof{certificate: c}, nil
	}
	switch values := r.Header[signatureHeader]; len(values) {
	case 0:
		return proof{}, ErrProof
	case 1:
		return readProof(values[0])
	default:
		return proof{}, ErrSignature.With(errors.New("more than one header"))
	}
}

// peer gives the certificate whose key the TLS client has; nil without.
func peer(r *http.Request) *x509.Certificate {
	if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return nil
	}
	return r.TLS.PeerCertificates[0]
}

func readProof(header string) (proof, error) {
	if len(header) > base64.StdEncoding.EncodedLen(maxSignature) {
		return proof{}, ErrSignature.With(errors.New("header too large"))
	}
	der, err := base64.StdEncoding.DecodeString(header)
	if err != nil {
		return proof{}, ErrSignature.With(errors.New("header is no base64"))
	}
	sig, err := cms.ReadDetached(der, accepted)
	if err != nil {
		return proof{}, ErrSignature.With(err)
	}
	return proof{sig.Signer(), sig}, nil
}

// covers tells what is wrong with the proof as one of this body.
func (p proof) covers(body []byte) error {
	if p.signature == nil {
		return nil
	}
	if _, err := p.signature.Verify(body); err != nil {
		return ErrSignature.With(err)
	}
	return nil
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
