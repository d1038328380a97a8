package pfx

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"fmt"

	pkcs12 "software.sslmate.com/src/go-pkcs12"

	"github.com/signet-mdm/signet/internal/seal"
)

// modernSince is the first iOS that reads AES and SHA-256 in PKCS #12. Older
// ones call such a file's password wrong.
const modernSince = 18

// iterations of each key derivation are the fewest that are recommended: the
// password is random, and more would only cost us and the phone time.
//
// Spec: RFC 8018 section 4.2
const iterations = 1000

// Write packs one identity so that iOS of that major version installs it: AES
// for 18 and later, triple DES below. Chain is written as given, without the
// leaf. The password is the only protection that counts, so it must be random;
// see [seal.Random]. What comes out has passed [Lint].
func Write(key crypto.PrivateKey, leaf *x509.Certificate, chain []*x509.Certificate, password seal.Secret, iosMajor int) ([]byte, error) {
	if err := deliverable(key, leaf); err != nil {
		return nil, err
	}
	if !printable(password) {
		return nil, ErrPasswordForm
	}
	encoder := pkcs12.Modern2023
	if iosMajor < modernSince {
		encoder = pkcs12.LegacyDES
	}
	out, err := encoder.WithIterations(iterations).Encode(key, leaf, chain, password.RevealString())
	if err != nil {
		return nil, fmt.Errorf("packing an identity: %w", err)
	}
	if err := Lint(out, password, iosMajor); err != nil {
		return nil, fmt.Errorf("packing an identity: %w", err)
	}
	return out, nil
}

// deliverable checks that iOS takes keys of this kind and that the key is the
// certificate's.
func deliverable(private crypto.PrivateKey, leaf *x509.Certificate) error {
	var pair bool
	switch k := private.(type) {
	case *rsa.PrivateKey:
		if len(k.Primes) != 2 {
			return ErrNotDeliverable
		}
		pair = k.PublicKey.Equal(leaf.PublicKey)
	case *ecdsa.PrivateKey:
		if k.Curve != elliptic.P256() && k.Curve != elliptic.P384() && k.Curve != elliptic.P521() {
			return ErrNotDeliverable
		}
		pair = k.PublicKey.Equal(leaf.PublicKey)
	default:
		return ErrNotDeliverable
	}
	if !pair {
		return ErrMismatch
	}
	return nil
}

// printable tells whether every program encodes the password alike.
func printable(password seal.Secret) bool {
	text := password.Reveal()
	for _, c := range text {
		if c < 0x20 || c > 0x7e {
			return false
		}
	}
	return len(text) >= 1 && len(text) <= 128
}
