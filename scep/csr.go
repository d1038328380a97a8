package scep

import (
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"

	"github.com/micromdm/scep/v2/cryptoutil/x509util"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/scep/ca"
)

// csr is what is taken from a certificate request: the key, and the proof that
// it may ask. Subject, names and usages in it are nobody's word.
type csr struct {
	key       crypto.PublicKey
	spki      cert.Fingerprint
	challenge seal.Secret // may be empty
}

// maxVerifiedBits bounds the work of checking a request's own signature.
const maxVerifiedBits = 8192

// readCSR reads a PKCS#10 request. Until its signature is verified every
// failure is ErrUnreadable, as if it had not decrypted.
//
// Spec: RFC 2986; RFC 8894 section 3.3.1
func readCSR(der []byte, legacy bool) (*csr, error) {
	r, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return nil, ErrUnreadable
	}
	if key, ok := r.PublicKey.(*rsa.PublicKey); ok && key.N.BitLen() > maxVerifiedBits {
		return nil, ErrUnreadable
	}
	if r.CheckSignature() != nil {
		return nil, ErrUnreadable
	}
	switch {
	case !legacy && (r.SignatureAlgorithm == x509.SHA1WithRSA || r.SignatureAlgorithm == x509.ECDSAWithSHA1):
		return nil, ErrAlgorithm
	case !ca.GoodKey(r.PublicKey):
		return nil, ErrKey
	case wantsCA(r):
		return nil, ErrWantsCA
	}
	challenge, err := x509util.ParseChallengePassword(der)
	if err != nil {
		challenge = "" // no challenge that we made
	}
	return &csr{r.PublicKey, cert.FingerprintOf(r.RawSubjectPublicKeyInfo), seal.SecretString(challenge)}, nil
}

var oidBasicConstraints = asn1.ObjectIdentifier{2, 5, 29, 19}

// wantsCA tells whether basic constraints are asked for that are not those of
// an end entity.
func wantsCA(r *x509.CertificateRequest) bool {
	for _, e := range r.Extensions {
		if !e.Id.Equal(oidBasicConstraints) {
			continue
		}
		var c struct {
			IsCA bool `asn1:"optional"`
		}
		if rest, err := asn1.Unmarshal(e.Value, &c); err != nil || len(rest) > 0 || c.IsCA {
			return true
		}
	}
	return false
}

// provenBy tells whether the message was signed with the key that asks.
func (c *csr) provenBy(signer *x509.Certificate) bool { return cert.SameKey(c.key, signer.PublicKey) }

// renews tells whether a PKCSReq that a certificate of ours signed asks for the
// next one: it has no challenge, or brings a new key.
//
// Quirk: certmonger and macOS renew so, and send the old challenge again.
func (c *csr) renews(signer *x509.Certificate) bool {
	return c.challenge.Empty() || !c.provenBy(signer)
}
