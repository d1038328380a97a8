package transport

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	_ "crypto/sha256" // the hashes that [Padding.hash] names
	_ "crypto/sha512"
	"fmt"
	"strings"

	"github.com/signet-mdm/signet/internal/seal"
)

// Padding is how a password was encrypted.
type Padding int

// The schemes, with the numbers that Graph gives them.
const (
	None Padding = iota
	PKCS1
	OAEPSHA1
	OAEPSHA256
	OAEPSHA384
	OAEPSHA512
)

// paddings are the names that Graph has for the schemes.
var paddings = []string{"none", "pkcs1", "oaepSha1", "oaepSha256", "oaepSha384", "oaepSha512"}

func (p Padding) String() string { return paddings[p] }

// ParsePadding reads a name, in whatever case.
func ParsePadding(name string) (Padding, bool) {
	for i, n := range paddings {
		if strings.EqualFold(n, name) {
			return Padding(i), true
		}
	}
	return None, false
}

// hash is what the scheme hashes with; 0 for those that are refused.
func (p Padding) hash() crypto.Hash {
	switch p {
	case OAEPSHA256:
		return crypto.SHA256
	case OAEPSHA384:
		return crypto.SHA384
	case OAEPSHA512:
		return crypto.SHA512
	}
	return 0
}

// Encrypt encrypts a password as importers made for Intune do. ErrPadding, and
// for a password that is too long for the key an error.
//
// Spec: RFC 8017 section 7.1.1; Intune S/MIME, userPFXCertificate
func (p Padding) Encrypt(to *rsa.PublicKey, password seal.Secret) ([]byte, error) {
	h := p.hash()
	if h == 0 {
		return nil, ErrPadding
	}
	out, err := rsa.EncryptOAEP(h.New(), rand.Reader, to, password.Reveal(), nil)
	if err != nil {
		return nil, fmt.Errorf("encrypting a password: %w", err)
	}
	return out, nil
}
