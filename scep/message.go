package scep

import (
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"errors"
	"strings"
	"time"

	"github.com/signet-mdm/signet/internal/cms"
)

// MaxMessage is how large a message may be, in bytes; iOS sends 2.5 kB.
const MaxMessage = 64 << 10

// maxTransaction is how long a transactionID may be.
const maxTransaction = 255

// maxSignerBits bounds the work of checking a message. No key that we certify
// is larger.
const maxSignerBits = 4096

// The types of messages that are answered.
//
// Spec: RFC 8894 section 3.2.1.2
const (
	certRep    = "3"
	renewalReq = "17"
	pkcsReq    = "19"
	certPoll   = "20"
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
	attrFailInfoText   = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 24, 1}
	attrSigningTime    = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 5}
)

// request is a message whose signature was verified.
type request struct {
	message     []byte
	kind        string
	transaction asn1.RawValue // sent back as it came
	nonce       []byte
	signer      *x509.Certificate
	digest      crypto.Hash
	signedAt    time.Time // zero: not said
	envelope    []byte
}

// DecodeMessage reads the message of a GET, which is base64 with what clients
// do to it. query is the parameter's value, unescaped once.
//
// Spec: RFC 8894 section 4.1
// Quirk: iOS 11 leaves '+' unescaped, so it arrives as a space; macOS escapes
// '=' only; strongSwan breaks lines; micromdm's client sends base64url.
func DecodeMessage(query string) ([]byte, error) {
	if len(query) > 2*MaxMessage {
		return nil, ErrTooLarge
	}
	s := strings.NewReplacer(" ", "+", "-", "+", "_", "/", "\r", "", "\n", "").Replace(query)
	message, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(s, "="))
	switch {
	case err != nil || len(message) == 0:
		return nil, ErrMessage
	case len(message) > MaxMessage:
		return nil, ErrTooLarge
	}
	return message, nil
}

// parse reads and verifies a pkiMessage. SHA-1 is read whether it is accepted
// or not, so that the client can be told. Every failure is one that no CertRep
// can answer.
//
// Spec: RFC 8894 section 3.2
func parse(message []byte) (*request, error) {
	signed, err := cms.Verify(message, cms.Accept{SHA1: true, MaxBytes: MaxMessage, MaxRSABits: maxSignerBits})
	switch {
	case errors.Is(err, cms.ErrTooLarge):
		return nil, ErrTooLarge.With(err)
	case err != nil:
		return nil, ErrMessage.With(err)
	}
	r := &request{message: message, signer: signed.Signer, digest: signed.Digest, envelope: signed.Content}
	var kind asn1.RawValue
	for _, a := range []struct {
		oid asn1.ObjectIdentifier
		to  any
	}{{attrMessageType, &kind}, {attrTransactionID, &r.transaction}, {attrSenderNonce, &r.nonce}} {
		if err := signed.Attribute(a.oid, a.to); err != nil {
			return nil, ErrMessage.With(err)
		}
	}
	if !isText(kind, 2) || !isText(r.transaction, maxTransaction) || len(r.nonce) == 0 || len(r.nonce) > 64 {
		return nil, ErrMessage.With(errors.New("attributes out of bounds"))
	}
	r.kind = string(kind.Bytes)
	if err := signed.Attribute(attrSigningTime, &r.signedAt); err != nil {
		r.signedAt = time.Time{}
	}
	return r, nil
}

// isText tells whether v is one of the string types with printable ASCII of
// that length at most.
func isText(v asn1.RawValue, most int) bool {
	switch v.Tag {
	case asn1.TagPrintableString, asn1.TagUTF8String, asn1.TagIA5String:
	default:
		return false
	}
	return v.Class == asn1.ClassUniversal && !v.IsCompound && len(v.Bytes) > 0 && isPlain(string(v.Bytes), most)
}

// isPlain tells whether s is printable ASCII of that length at most.
func isPlain(s string, most int) bool {
	return len(s) <= most && !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' })
}

// acceptable tells what anybody can see: the digest, a recipient key to which
// a reply can be encrypted, the clock, which must not be off by more than skew
// unless that is negative.
func (r *request) acceptable(legacy bool, skew time.Duration, now time.Time) error {
	if _, ok := r.signer.PublicKey.(*rsa.PublicKey); !ok {
		return ErrAlgorithm
	}
	if r.digest == crypto.SHA1 && !legacy {
		return ErrAlgorithm
	}
	if !r.signedAt.IsZero() && skew > 0 && now.Sub(r.signedAt).Abs() > skew {
		return ErrClock
	}
	return nil
}

// open decrypts the envelope. Whatever is wrong with it beyond its algorithms
// is ErrUnreadable.
func (r RA) open(envelope []byte, legacy bool) ([]byte, error) {
	plain, err := cms.Decrypt(envelope, r.Certificate, r.Decrypter,
		cms.Policy{Allow3DES: legacy, AllowDES: legacy, MaxBytes: MaxMessage})
	switch {
	case errors.Is(err, cms.ErrAlgorithm):
		return nil, ErrAlgorithm
	case err != nil:
		return nil, ErrUnreadable
	}
	return plain, nil
}
