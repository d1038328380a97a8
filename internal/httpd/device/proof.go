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
	channel     *x509.Certificate // whose key the TLS client has, beside a signature; nil without
}

// proofOf reads the proof out of the header: Mdm-Signature, else mutual TLS. A
// message that is signed over mutual TLS is that of who signed it: a device that
// renews its identity says so over a connection that has the one before.
// It verifies nothing, neither the signature nor who issued the certificate.
func proofOf(r *http.Request) (proof, error) {
	c := peer(r)
	switch values := r.Header[signatureHeader]; len(values) {
	case 0:
		if c == nil {
			return proof{}, ErrProof
		}
		return proof{certificate: c}, nil
	case 1:
		p, err := readProof(values[0])
		p.channel = c
		return p, err
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
	return proof{certificate: sig.Signer(), signature: sig}, nil
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

// sender gives the issuance record of who sent a message, who must also be who
// has the connection.
func (p proof) sender(ctx context.Context, s *scep.Service, now time.Time) (cert.Record, error) {
	id, err := identity(ctx, s, p.certificate, now)
	if err != nil || p.channel == nil || p.channel.Equal(p.certificate) {
		return id, err
	}
	channel, err := identity(ctx, s, p.channel, now)
	switch {
	case err != nil:
		return cert.Record{}, err
	case channel.Holder != id.Holder:
		return cert.Record{}, ErrStranger.With(errors.New("the message is signed by another than the TLS client"))
	}
	return id, nil
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
