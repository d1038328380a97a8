package cert

import (
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
)

// Classify tells what c may do for mail, and why not more, in a sentence for
// people. A key that could do it although the certificate does not say so is
// for an administrator to claim; [Possible] bounds such a claim.
//
// Spec: RFC 8550 section 4.4; CA/Browser Forum S/MIME BR 7.1.2.3
func Classify(c *x509.Certificate) (Use, string) {
	if c.IsCA {
		return Unknown, "It is a CA certificate, not a person's."
	}
	if !ForMail(c) {
		return Unknown, "Its extended key usage does not include e-mail protection."
	}
	can := Possible(c)
	if can == Unknown {
		return Unknown, "Its kind of key is of no use for mail."
	}
	use := can & allowed(c)
	return use, missing(can, use)
}

// Possible tells what the kind of key could do, whatever the certificate says.
func Possible(c *x509.Certificate) Use {
	switch PublicKey(c).(type) {
	case *rsa.PublicKey, *ecdsa.PublicKey:
		return Both
	case ed25519.PublicKey:
		return Signing
	case *ecdh.PublicKey:
		return Encryption
	}
	return Unknown
}

// ForMail tells whether the extended key usage allows mail; none allows all.
func ForMail(c *x509.Certificate) bool {
	if len(c.ExtKeyUsage) == 0 && len(c.UnknownExtKeyUsage) == 0 {
		return true
	}
	return slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageEmailProtection) ||
		slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageAny)
}

// allowed reads the key usage; none allows all.
func allowed(c *x509.Certificate) (use Use) {
	ku := c.KeyUsage
	if ku == 0 {
		return Both
	}
	if ku&(x509.KeyUsageDigitalSignature|x509.KeyUsageContentCommitment) != 0 {
		use |= Signing
	}
	if _, isRSA := c.PublicKey.(*rsa.PublicKey); isRSA {
		if ku&x509.KeyUsageKeyEncipherment != 0 { // dataEncipherment alone is not enough
			use |= Encryption
		}
		return use
	}
	if ku&x509.KeyUsageKeyAgreement != 0 && ku&x509.KeyUsageEncipherOnly == 0 {
		use |= Encryption
	}
	return use
}

func missing(can, use Use) string {
	var lacks []string
	if !use.Has(Signing) {
		lacks = append(lacks, "signing")
	}
	if !use.Has(Encryption) {
		lacks = append(lacks, "encryption")
	}
	switch {
	case len(lacks) == 0:
		return ""
	case use == can:
		return "Its kind of key cannot be used for " + lacks[0] + "."
	}
	return "Its key usage does not include " + strings.Join(lacks, " or ") + "."
}

// The strength of RSA keys. Below the first nothing protects, below the second
// it is history only.
const (
	minRSABits  = 1024
	goodRSABits = 2048
)

// Weak tells whether c's key protects nothing any more, and how.
func Weak(c *x509.Certificate) (string, bool) {
	if key, ok := c.PublicKey.(*rsa.PublicKey); ok && key.N.BitLen() < minRSABits {
		return fmt.Sprintf("Its RSA key has %d bits; fewer than %d protect nothing.", key.N.BitLen(), minRSABits), true
	}
	return "", false
}

// Aged gives a warning when c's key is fit for reading old mail only, else "".
func Aged(c *x509.Certificate) string {
	if key, ok := c.PublicKey.(*rsa.PublicKey); ok && key.N.BitLen() < goodRSABits {
		return fmt.Sprintf("Its RSA key has %d bits: fit to read old mail, too short for new.", key.N.BitLen())
	}
	return ""
}

// Undeliverable tells why iOS cannot install c's key, "" when it can.
//
// Quirk: the PKCS#12 reader of iOS knows RSA and the three NIST curves; any
// other key makes it refuse the file.
func Undeliverable(c *x509.Certificate) string {
	switch key := c.PublicKey.(type) {
	case *rsa.PublicKey:
		return ""
	case *ecdsa.PublicKey:
		if slices.Contains([]elliptic.Curve{elliptic.P256(), elliptic.P384(), elliptic.P521()}, key.Curve) {
			return ""
		}
		return "iOS cannot install keys on the curve " + key.Curve.Params().Name + "."
	}
	return "iOS can install RSA and EC keys only."
}

// SameKey tells whether both are the same public key; a kind we do not know is
// never the same as anything.
func SameKey(a, b crypto.PublicKey) bool {
	key, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && key.Equal(b)
}

// PublicKey gives c's key, nil for a kind we do not know.
//
// Quirk: crypto/x509 reads no X25519 key in a certificate, but does outside of
// one.
func PublicKey(c *x509.Certificate) any {
	if c.PublicKey != nil {
		return c.PublicKey
	}
	key, err := x509.ParsePKIXPublicKey(c.RawSubjectPublicKeyInfo)
	if err != nil {
		return nil
	}
	return key
}
