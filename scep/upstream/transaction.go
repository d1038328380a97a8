package upstream

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"time"

	"github.com/signet-mdm/signet/internal/cms"
)

// The types of messages.
//
// Spec: RFC 8894 section 3.2.1.2
const (
	certRep  = "3"
	pkcsReq  = "19"
	certPoll = "20"
)

// The values of pkiStatus.
//
// Spec: RFC 8894 section 3.2.1.3
const (
	success = "0"
	failure = "2"
	pending = "3"
)

// The signed attributes.
//
// Spec: RFC 8894 section 3.2.1
var (
	attrMessageType    = asn1.ObjectIdentifier{2, 16, 840, 1, 113733, 1, 9, 2}
	attrPKIStatus      = asn1.ObjectIdentifier{2, 16, 840, 1, 113733, 1, 9, 3}
	attrFailInfo       = asn1.ObjectIdentifier{2, 16, 840, 1, 113733, 1, 9, 4}
	attrSenderNonce    = asn1.ObjectIdentifier{2, 16, 840, 1, 113733, 1, 9, 5}
	attrRecipientNonce = asn1.ObjectIdentifier{2, 16, 840, 1, 113733, 1, 9, 6}
	attrTransactionID  = asn1.ObjectIdentifier{2, 16, 840, 1, 113733, 1, 9, 7}
)

// transaction is one enrollment under way.
type transaction struct {
	*Client
	can     caps
	to      *x509.Certificate
	wanted  *x509.CertificateRequest
	id      string
	subject []byte // IssuerAndSubject, by which it is asked for again
	self    Identity
}

func (c *Client) begin(ctx context.Context, csr []byte) (*transaction, error) {
	wanted, err := x509.ParseCertificateRequest(csr)
	if err != nil {
		return nil, fmt.Errorf("upstream: reading a certificate request: %w", err)
	}
	sum := sha256.Sum256(wanted.RawSubjectPublicKeyInfo)
	t := &transaction{Client: c, wanted: wanted, id: strings.ToUpper(hex.EncodeToString(sum[:]))}
	if t.subject, err = issuerAndSubject(c.CA[0].RawSubject, wanted.RawSubject); err != nil {
		return nil, err
	}
	if t.self, err = c.Identity(); err != nil {
		return nil, fmt.Errorf("upstream: opening the client's key: %w", err)
	}
	if t.can, err = c.caps(ctx); err != nil {
		return nil, err
	}
	t.to, err = c.recipient(ctx)
	return t, err
}

// issuerAndSubject names a request that was sent before.
//
// Spec: RFC 8894 section 3.3.3
func issuerAndSubject(issuer, subject []byte) ([]byte, error) {
	der, err := asn1.Marshal(struct{ Issuer, Subject asn1.RawValue }{asn1.RawValue{FullBytes: issuer}, asn1.RawValue{FullBytes: subject}})
	if err != nil {
		return nil, fmt.Errorf("upstream: encoding issuer and subject: %w", err)
	}
	return der, nil
}

// NewIdentity makes one that lasts ten years.
//
// Spec: RFC 8894 section 2.3
func NewIdentity(now time.Time) (Identity, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return Identity{}, fmt.Errorf("upstream: making the client's key: %w", err)
	}
	serial := make([]byte, 16)
	rand.Read(serial)
	serial[0] &= 0x7f
	t := &x509.Certificate{
		SerialNumber: new(big.Int).SetBytes(serial), Subject: pkix.Name{CommonName: "Signet"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(10, 0, 0),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	if err != nil {
		return Identity{}, fmt.Errorf("upstream: making the client's certificate: %w", err)
	}
	self, err := x509.ParseCertificate(der)
	return Identity{self, key}, err
}

// ask sends one message and gives the certificate of the reply.
//
// Spec: RFC 8894 section 3.2
func (t *transaction) ask(ctx context.Context, kind string, content []byte) (*x509.Certificate, error) {
	envelope, err := cms.Encrypt(content, t.to, t.can.cipher())
	if err != nil {
		return nil, fmt.Errorf("upstream: encrypting a request: %w", err)
	}
	nonce := make([]byte, 16)
	rand.Read(nonce)
	message, err := cms.Sign(envelope, cms.Signer{Certificate: t.self.Certificate, Key: t.self.Key, Time: t.Now()},
		cms.Attribute{Type: attrMessageType, Value: kind},
		cms.Attribute{Type: attrTransactionID, Value: t.id},
		cms.Attribute{Type: attrSenderNonce, Value: nonce})
	if err != nil {
		return nil, fmt.Errorf("upstream: signing a request: %w", err)
	}
	body, err := t.operate(ctx, t.can.post, message)
	if err != nil {
		return nil, err
	}
	return t.read(body, nonce)
}

// read verifies a reply and gives the certificate in it.
//
// Spec: RFC 8894 section 3.3.2
func (t *transaction) read(body, nonce []byte) (*x509.Certificate, error) {
	reply, err := cms.Verify(body, cms.Accept{SHA1: t.Legacy, MaxBytes: maxBody})
	if errors.Is(err, cms.ErrAlgorithm) {
		return nil, ErrAlgorithms.With(err)
	}
	if err != nil {
		return nil, ErrAnswer.With(err)
	}
	if !t.vouches(reply.Signer) || !reply.Signer.IsCA && !(can(reply.Signer, x509.KeyUsageDigitalSignature) && serves(reply.Signer)) {
		return nil, ErrUntrusted
	}
	r, err := readAttributes(reply)
	switch {
	case err != nil:
		return nil, err
	case r.kind != certRep || r.transaction != t.id || string(r.nonce) != string(nonce):
		return nil, ErrUntrusted.With(errors.New("a reply to another request"))
	}
	switch r.status {
	case success:
		return t.certificate(reply.Content)
	case pending:
		return nil, errUndecided
	case failure:
		return nil, ErrRefused.With(fmt.Errorf("failInfo %.2q", r.failInfo))
	}
	return nil, ErrAnswer.With(errors.New("unknown pkiStatus"))
}

// said is what a reply says beside its content.
type said struct {
	kind, transaction, status, failInfo string
	nonce                               []byte
}

func readAttributes(reply *cms.Signed) (s said, err error) {
	for _, a := range []struct {
		oid asn1.ObjectIdentifier
		to  any
	}{{attrMessageType, &s.kind}, {attrTransactionID, &s.transaction}, {attrPKIStatus, &s.status}, {attrRecipientNonce, &s.nonce}} {
		if err := reply.Attribute(a.oid, a.to); err != nil {
			return s, ErrAnswer.With(err)
		}
	}
	if s.status == failure {
		if err := reply.Attribute(attrFailInfo, &s.failInfo); err != nil {
			return s, ErrAnswer.With(err)
		}
	}
	return s, nil
}

// certificate opens the envelope of a SUCCESS and takes the one certificate of
// the key that asked.
func (t *transaction) certificate(envelope []byte) (*x509.Certificate, error) {
	bag, err := cms.Decrypt(envelope, t.self.Certificate, t.self.Key, cms.Policy{Allow3DES: t.Legacy, AllowDES: t.Legacy, MaxBytes: maxBody})
	if errors.Is(err, cms.ErrAlgorithm) {
		return nil, ErrAlgorithms.With(err)
	}
	if err != nil {
		return nil, ErrAnswer.With(err)
	}
	inside, err := cms.Certificates(bag, maxBody)
	if err != nil {
		return nil, ErrAnswer.With(err)
	}
	key, _ := t.wanted.PublicKey.(interface{ Equal(crypto.PublicKey) bool })
	for _, x := range inside {
		if key == nil || !key.Equal(x.PublicKey) {
			continue
		}
		if string(x.RawIssuer) != string(t.CA[0].RawSubject) || x.CheckSignatureFrom(t.CA[0]) != nil {
			return nil, ErrCertificate
		}
		return x, nil
	}
	return nil, ErrCertificate
}
