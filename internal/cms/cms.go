// Package cms reads and writes the Cryptographic Message Syntax as far as
// SCEP, signed and sealed profiles and the Mdm-Signature header need it:
// EnvelopedData for one RSA recipient, SignedData with one signer, and bags
// of certificates.
//
// It promises that foreign bytes are bounded before they are parsed, that
// nothing panics on them, that only current algorithms are written unless
// [TripleDESCBC] is asked for, that no process-wide setting changes what a
// call does, and that decryption tells nobody why it failed. Whether a signer's certificate is trusted, expired or
// revoked is the caller's to decide.
//
// Start reading at [Encrypt], [Decrypt], [Sign] and [Verify].
package cms

import (
	"errors"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// What can be wrong with a message.
var (
	// ErrTooLarge is a message over its limit of size, depth or count.
	ErrTooLarge = errors.New("cms: message over its limits")
	// ErrMalformed is no CMS message of the kind asked for.
	ErrMalformed = errors.New("cms: malformed message")
	// ErrAlgorithm is a message that uses an algorithm which is not accepted.
	ErrAlgorithm = errors.New("cms: algorithm not accepted")
	// ErrDecrypt is every failure of decryption after the algorithms were
	// found acceptable. It never wraps a cause.
	ErrDecrypt = errors.New("cms: message does not decrypt")
	// ErrSigner is a message without exactly one signer whose certificate is
	// in the message.
	ErrSigner = errors.New("cms: not exactly one signer with its certificate")
	// ErrSignature is a signature that does not fit the content.
	ErrSignature = errors.New("cms: signature does not verify")
	// ErrAttribute is a signed attribute that is absent, repeated or of
	// another type.
	ErrAttribute = errors.New("cms: no such signed attribute")
)

// DefaultMaxBytes is the size limit where a policy names none. An iOS SCEP
// request has 2.5 kB.
const DefaultMaxBytes = 1 << 20

// Limits that no policy moves.
const (
	maxDepth        = 24
	maxElements     = 50_000
	maxCertificates = 50
	maxRecipients   = 50
	maxAttributes   = 64
	maxRSABits      = 8192
	maxCertificate  = 64 << 10
)

// Object identifiers, by the contents octets of their encoding.
const (
	arcPKCS1 = "\x2a\x86\x48\x86\xf7\x0d\x01\x01" // 1.2.840.113549.1.1
	arcPKCS7 = "\x2a\x86\x48\x86\xf7\x0d\x01\x07" // 1.2.840.113549.1.7
	arcPKCS9 = "\x2a\x86\x48\x86\xf7\x0d\x01\x09" // 1.2.840.113549.1.9
	arcX962  = "\x2a\x86\x48\xce\x3d"             // 1.2.840.10045
	arcNIST  = "\x60\x86\x48\x01\x65\x03\x04"     // 2.16.840.1.101.3.4

	oidData          = arcPKCS7 + "\x01"
	oidSignedData    = arcPKCS7 + "\x02"
	oidEnvelopedData = arcPKCS7 + "\x03"
	oidAuthEnveloped = arcPKCS9 + "\x10\x01\x17"

	oidContentType = arcPKCS9 + "\x03"

	oidRSA             = arcPKCS1 + "\x01"
	oidOAEP            = arcPKCS1 + "\x07"
	oidMGF1            = arcPKCS1 + "\x08"
	oidPSpecified      = arcPKCS1 + "\x09"
	oidECDSAWithSHA256 = arcX962 + "\x04\x03\x02"

	oidMD5    = "\x2a\x86\x48\x86\xf7\x0d\x02\x05"
	oidSHA1   = "\x2b\x0e\x03\x02\x1a"
	oidSHA224 = arcNIST + "\x02\x04"
	oidSHA256 = arcNIST + "\x02\x01"
	oidSHA384 = arcNIST + "\x02\x02"
	oidSHA512 = arcNIST + "\x02\x03"

	oidDES       = "\x2b\x0e\x03\x02\x07"
	oid3DES      = "\x2a\x86\x48\x86\xf7\x0d\x03\x07"
	oidAES128CBC = arcNIST + "\x01\x02"
	oidAES192CBC = arcNIST + "\x01\x16"
	oidAES256CBC = arcNIST + "\x01\x2a"
	oidAES128GCM = arcNIST + "\x01\x06"
	oidAES192GCM = arcNIST + "\x01\x1a"
	oidAES256GCM = arcNIST + "\x01\x2e"
)

// Identifier octets of the elements that CMS is made of.
const (
	tagInteger     = 0x02
	tagOctets      = 0x04
	tagOID         = 0x06
	tagSequence    = 0x30
	tagSet         = 0x31
	tagExplicit0   = 0xa0
	tagExplicit1   = 0xa1
	tagExplicit2   = 0xa2
	tagImplicit0   = 0x80
	bitConstructed = 0x20
)

// contentInfo wraps a body in the outermost structure.
//
// Spec: RFC 5652 section 3
func contentInfo(contentType string, body func(*cryptobyte.Builder)) ([]byte, error) {
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		addOID(b, contentType)
		b.AddASN1(tagExplicit0, func(b *cryptobyte.Builder) { b.AddASN1(cbasn1.SEQUENCE, body) })
	})
	return b.Bytes()
}

func addOID(b *cryptobyte.Builder, oid string) {
	b.AddASN1(cbasn1.OBJECT_IDENTIFIER, func(b *cryptobyte.Builder) { b.AddBytes([]byte(oid)) })
}

// addAlgorithm writes an AlgorithmIdentifier; params may be nil.
func addAlgorithm(b *cryptobyte.Builder, oid string, params func(*cryptobyte.Builder)) {
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		addOID(b, oid)
		if params != nil {
			params(b)
		}
	})
}

func addNull(b *cryptobyte.Builder) { b.AddASN1(cbasn1.NULL, func(*cryptobyte.Builder) {}) }

// openContentInfo bounds a message and gives the cursor over its body, which
// is DER from here on.
func openContentInfo(ber []byte, maxBytes int) (contentType string, body cursor, err error) {
	if maxBytes <= 0 {
		maxBytes = DefaultMaxBytes
	}
	if len(ber) > maxBytes {
		return "", cursor{}, ErrTooLarge
	}
	der, err := normal(ber)
	if err != nil {
		return "", cursor{}, err
	}
	outer := cursor{rest: der}
	info := outer.take(tagSequence).inside()
	contentType = string(info.take(tagOID).body)
	wrapped := info.take(tagExplicit0).inside()
	body = wrapped.take(tagSequence).inside()
	if outer.bad || info.bad || wrapped.bad {
		return "", cursor{}, ErrMalformed
	}
	return contentType, body, nil
}
