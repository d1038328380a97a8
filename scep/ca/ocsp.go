package ca

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"time"

	"golang.org/x/crypto/ocsp"

	"github.com/signet-mdm/signet/internal/cert"
)

// OCSPLife is how long an OCSP answer is good.
//
// Spec: CA/Browser Forum S/MIME BR 4.9.10
const OCSPLife = 24 * time.Hour

// noCheck tells verifiers that the certificate of an OCSP signer is good for as
// long as it says, so that they need not ask about it.
//
// Spec: RFC 6960 section 4.2.2.2.1
var noCheck = pkix.Extension{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 5}, Value: []byte{5, 0}}

// Question is what an OCSP request asks about.
type Question struct {
	Serial cert.Serial
	Hash   crypto.Hash // by which it names the issuer: SHA1 or SHA256
}

// The failures of a question.
var (
	ErrQuestion = errors.New("ca: not an OCSP request")
	ErrNotOurs  = errors.New("ca: the OCSP request is about another issuer's certificate")
)

// ReadQuestion reads an OCSP request in DER, and wants it to be about a
// certificate of this issuer. Of several questions it sees the first. A nonce
// is not looked at: answers are made before they are asked for.
//
// Spec: RFC 6960 section 4.1.1
// Spec: RFC 5019 section 2.1.1
func (p *Public) ReadQuestion(der []byte) (Question, error) {
	r, err := ocsp.ParseRequest(der)
	if err != nil || r.SerialNumber == nil || r.SerialNumber.Sign() <= 0 || r.SerialNumber.BitLen() > maxSerialBits {
		return Question{}, ErrQuestion
	}
	if r.HashAlgorithm != crypto.SHA1 && r.HashAlgorithm != crypto.SHA256 {
		return Question{}, ErrNotOurs
	}
	name, key, err := p.hashes(r.HashAlgorithm)
	if err != nil {
		return Question{}, err
	}
	if !bytes.Equal(name, r.IssuerNameHash) || !bytes.Equal(key, r.IssuerKeyHash) {
		return Question{}, ErrNotOurs
	}
	return Question{cert.SerialOf(r.SerialNumber), r.HashAlgorithm}, nil
}

// maxSerialBits is more than any certificate of ours has.
const maxSerialBits = 160

// hashes gives those of the issuer's name and of its key.
func (p *Public) hashes(by crypto.Hash) (name, key []byte, err error) {
	var info struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.BitString
	}
	if _, err := asn1.Unmarshal(p.cert.RawSubjectPublicKeyInfo, &info); err != nil {
		return nil, nil, fmt.Errorf("ca: reading the key of %s: %w", p.name, err)
	}
	h := by.New()
	h.Write(p.cert.RawSubject)
	name = h.Sum(nil)
	h.Reset()
	h.Write(info.Key.RightAlign())
	return name, h.Sum(nil), nil
}

// Responder signs OCSP answers about the certificates of one issuer, with a key
// of its own that never leaves the process.
type Responder struct {
	issuer *Public
	cert   *x509.Certificate
	key    crypto.Signer
}

// NewResponder makes a key and its certificate.
//
// Spec: RFC 6960 section 4.2.2.2
func NewResponder(i *Issuer, now time.Time) (*Responder, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("ca: making the key of the OCSP signer of %s: %w", i.name, err)
	}
	c, err := i.make(Request{Kind: OCSPSigner, Key: key.Public(), Names: Names{CommonName: "OCSP " + i.name}}, now)
	if err != nil {
		return nil, err
	}
	return &Responder{i.Public, c, key}, nil
}

// Certificate is the responder's own.
func (r *Responder) Certificate() *x509.Certificate { return r.cert }

// Due tells whether it is time for another: answers must end before the
// certificate of who signed them does.
func (r *Responder) Due(now time.Time) bool {
	return now.Add(r.cert.NotAfter.Sub(r.cert.NotBefore) / 2).After(r.cert.NotAfter)
}

// Answer signs what is known of a certificate that was issued; a zero
// revocation is that it is good.
//
// Spec: RFC 6960 section 4.2.1
// Spec: RFC 5019 section 2.2.1
func (r *Responder) Answer(q Question, revoked Revocation, now time.Time) ([]byte, error) {
	serial, ok := new(big.Int).SetString(string(q.Serial), 16)
	if !ok {
		return nil, fmt.Errorf("ca: OCSP answer of %s: serial number %q is not hexadecimal", r.issuer.name, q.Serial)
	}
	template := ocsp.Response{Status: ocsp.Good, SerialNumber: serial, IssuerHash: q.Hash, Certificate: r.cert,
		ThisUpdate: now.UTC().Truncate(time.Minute), NextUpdate: now.Add(OCSPLife).UTC().Truncate(time.Minute)}
	if !revoked.At.IsZero() {
		template.Status, template.RevokedAt = ocsp.Revoked, revoked.At
		template.RevocationReason = reasonCodes[revoked.Reason]
	}
	der, err := ocsp.CreateResponse(r.issuer.cert, r.cert, template, r.key)
	if err != nil {
		return nil, fmt.Errorf("ca: signing an OCSP answer of %s: %w", r.issuer.name, err)
	}
	return der, nil
}
