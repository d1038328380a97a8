package pfx

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/signet-mdm/signet/internal/seal"
)

// maxAppleIterations keeps a phone from computing for seconds.
const maxAppleIterations = 1_000_000

// shape is what the parser of an iOS version needs.
//
// Spec: apple-oss-distributions/Security, p12import.c and p12pbegen.c
type shape struct {
	digest string // of the MAC, with the PKCS #12 derivation
	how    protection
}

// Quirk: iOS 18 and later take every PBES2 for AES-256-CBC with
// PBKDF2-HMAC-SHA-256, whatever its parameters say, and want the NULL.
var (
	legacyShape = shape{oidSHA1, protection{pbe: oidPBE3DES}}
	modernShape = shape{oidSHA256, protection{pbe: oidPBES2, cipher: oidAES256CBC, prf: oidHMACSHA256, prfNull: true}}
)

// Lint checks that iOS of that major version installs p12: plain DER, exactly
// one identity, key and leaf joined by localKeyID, only what Apple's parser
// knows. The error is for the log; it holds nothing secret.
func Lint(p12 []byte, password seal.Secret, iosMajor int) error {
	if !printable(password) {
		return ErrPasswordForm
	}
	want := modernShape
	if iosMajor < modernSince {
		want = legacyShape
	}
	limits := Default
	limits.KDFIterations = maxAppleIterations
	r := newReader(limits)
	defer r.wipe()
	ctx := context.Background() // bounded by the iterations
	c, err := r.open(ctx, p12, password)
	if err != nil {
		return fmt.Errorf("linting PKCS #12: %w", err)
	}
	pair, err := want.check(c)
	if err != nil {
		return fmt.Errorf("linting PKCS #12: %w", err)
	}
	res, err := r.result(ctx, c)
	if err != nil {
		return fmt.Errorf("linting PKCS #12: %w", err)
	}
	defer res.Wipe()
	return lintResult(res, pair)
}

// check looks at structure and algorithms, and gives the one pair.
func (s shape) check(c contents) (*joint, error) {
	if !c.strict || len(c.safes) != 2 {
		return nil, fmt.Errorf("the shell is DER: %v; %d safes, want 2", c.strict, len(c.safes))
	}
	if c.mac == nil || c.mac.digest.oid != s.digest {
		return nil, errors.New("the MAC is not the one this iOS knows")
	}
	joined := new(joint)
	for _, sf := range c.safes {
		if !sf.strict {
			return nil, errors.New("a safe is not DER")
		}
		if sf.how != nil && !s.fits(*sf.how) {
			return nil, errors.New("a safe has an encryption that this iOS does not know")
		}
		for _, b := range sf.bags {
			if b.kind == oidShroudedBag && (b.how == nil || !s.fits(*b.how)) {
				return nil, errors.New("the key has an encryption that this iOS does not know")
			}
			if b.kind == oidCertBag && sf.how == nil {
				return nil, errors.New("the certificates are not encrypted")
			}
			if !joined.add(b) {
				return nil, errors.New("a bag that this iOS ignores, refuses or mixes up with another")
			}
		}
	}
	return joined, joined.check()
}

// joint collects what Apple's parser joins by localKeyID.
type joint struct{ keys, named []bag }

// add tells whether the bag belongs in a file for iOS.
func (j *joint) add(b bag) bool {
	switch b.kind {
	case oidShroudedBag:
		j.keys = append(j.keys, b)
		return true
	case oidCertBag:
		if len(b.localKeyID) > 0 {
			j.named = append(j.named, b)
		}
		return true
	}
	return false
}

func (j *joint) check() error {
	if len(j.keys) != 1 || len(j.named) != 1 || !bytes.Equal(j.keys[0].localKeyID, j.named[0].localKeyID) {
		return fmt.Errorf("%d keys and %d certificates with localKeyID, want one pair", len(j.keys), len(j.named))
	}
	return nil
}

// fits compares all but the iterations, which the reader has bounded.
func (s shape) fits(how protection) bool {
	how.iterations = 0
	return how == s.how
}

// lintResult looks at what was inside.
func lintResult(res *Result, pair *joint) error {
	if len(res.Problems) > 0 || len(res.Notes) > 0 || res.UnpairedKeys > 0 || len(res.Identities) != 1 {
		return fmt.Errorf("linting PKCS #12: %d identities, %d problems, %d keys without certificate, notes %v",
			len(res.Identities), len(res.Problems), res.UnpairedKeys, res.Notes)
	}
	id := res.Identities[0]
	if !bytes.Equal(id.Certificate.Raw, pair.named[0].value) {
		return errors.New("linting PKCS #12: localKeyID joins the key to another certificate")
	}
	// Quirk: iOS 11 and later refuse an RSA key with padded integers.
	if !bytes.Equal(id.PKCS8.Reveal(), pair.keys[0].value) {
		return errors.New("linting PKCS #12: the key is not minimal DER")
	}
	return deliverable(id.Key, id.Certificate)
}
