// Package cert has the one certificate record that everybody reads: scep
// writes those it issued, pfxconnector those that were imported. With it come
// the rules that need only a certificate: what it is for (classify.go), whose
// it is (match.go), and which one of many is current (choose.go).
package cert

import (
	"crypto/sha1" // Windows and Intune show certificates by SHA-1; nothing here trusts it
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"math/big"
	"strings"
	"time"

	"github.com/signet-mdm/signet/internal/subject"
)

// Fingerprint is the SHA-256 of a certificate's DER, or of a public key's
// SubjectPublicKeyInfo where a field says so.
type Fingerprint [sha256.Size]byte

// FingerprintOf hashes DER bytes.
func FingerprintOf(der []byte) Fingerprint { return sha256.Sum256(der) }

// ParseFingerprint reads 64 hex digits.
func ParseFingerprint(s string) (Fingerprint, error) {
	var f Fingerprint
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(f) {
		return f, fmt.Errorf("fingerprint is not 64 hex digits")
	}
	copy(f[:], b)
	return f, nil
}

func (f Fingerprint) String() string { return hex.EncodeToString(f[:]) }

// IsZero tells whether it was never set.
func (f Fingerprint) IsZero() bool { return f == Fingerprint{} }

// Thumbprint is the SHA-1 of a certificate's DER in upper-case hex, as Windows
// and Intune show it. For people and for look-up, never for trust.
func Thumbprint(der []byte) string {
	h := sha1.Sum(der)
	return strings.ToUpper(hex.EncodeToString(h[:]))
}

// Serial is a certificate serial number in lower-case hex without leading
// zeros.
type Serial string

// SerialOf gives n as a Serial.
func SerialOf(n *big.Int) Serial { return Serial(n.Text(16)) }

// Use says what a certificate's key may do for mail. Bits: a dual-use
// certificate has both.
type Use int

// The uses.
const (
	Signing    Use = 1 << iota // sign mail
	Encryption                 // decrypt mail sent to it
	Identity                   // a device's proof of itself; never for mail
	Unknown    Use = 0
	Both           = Signing | Encryption
)

// Has tells whether u includes all of o.
func (u Use) Has(o Use) bool { return u&o == o && o != 0 }

func (u Use) String() string {
	switch u {
	case Signing:
		return "signing"
	case Encryption:
		return "encryption"
	case Both:
		return "both"
	case Identity:
		return "identity"
	}
	return "unknown"
}

// ParseUse reads what String writes.
func ParseUse(s string) (Use, error) {
	for _, u := range []Use{Signing, Encryption, Both, Identity, Unknown} {
		if s == u.String() {
			return u, nil
		}
	}
	return Unknown, fmt.Errorf("%q is no certificate use", s)
}

// Holder is whose certificate it is. Device is empty for a certificate that
// all of the user's devices share.
type Holder struct {
	User   subject.UserID
	Device subject.DeviceID
}

// Source says how a certificate came to us.
type Source string

// The sources.
const (
	Issued   Source = "issued"   // by our CA, over SCEP or for a key made in the keeper
	Imported Source = "imported" // out of a PKCS#12 file
)

// Record is what we know of one certificate of one holder. (User, Fingerprint)
// is unique for imported ones, Fingerprint alone for issued ones.
type Record struct {
	Fingerprint Fingerprint // of the certificate
	SPKI        Fingerprint // of its SubjectPublicKeyInfo
	Holder      Holder
	Source      Source
	Use         Use    // what the certificate says, after any override
	Profile     string // certificate profile it was issued by; "" when imported
	Serial      Serial
	Subject     string   // RFC 4514 text, for people
	Issuer      string   // RFC 4514 text, for people
	Addresses   []string // normalised mail addresses it names
	NotBefore   time.Time
	NotAfter    time.Time
	DER         []byte
	Chain       [][]byte // DER of the CA certificates that came with it, leaf's issuer first
	Deliverable string   // "" when iOS can use it, else the reason why not
	Pinned      bool     // an administrator made it the current one
	CreatedAt   time.Time
	RevokedAt   time.Time // zero: not revoked
	Reason      string    // of the revocation
}

// RecordOf gives what c says of itself. Whose it is, what it is for and how it
// came to us is for the caller to fill in.
func RecordOf(c *x509.Certificate, now time.Time) Record {
	return Record{
		Fingerprint: FingerprintOf(c.Raw), SPKI: FingerprintOf(c.RawSubjectPublicKeyInfo), Serial: SerialOf(c.SerialNumber),
		Subject: c.Subject.String(), Issuer: c.Issuer.String(), Addresses: NamesOf(c).Mail,
		NotBefore: c.NotBefore, NotAfter: c.NotAfter, DER: c.Raw, CreatedAt: now,
	}
}

// Certificate parses the DER.
func (r Record) Certificate() (*x509.Certificate, error) { return x509.ParseCertificate(r.DER) }

// ValidAt tells whether now lies in the validity period, five minutes of
// clock difference allowed at its start.
func (r Record) ValidAt(now time.Time) bool {
	return !now.Before(r.NotBefore.Add(-5*time.Minute)) && !now.After(r.NotAfter)
}

// Escrowed tells whether the key is in escrow, for all of the user's devices: it
// was imported, or made for encryption, which no certificate over SCEP is for.
func (r Record) Escrowed() bool {
	return r.Source == Imported || r.Source == Issued && r.Use == Encryption
}

// Revoked tells whether it was revoked.
func (r Record) Revoked() bool { return !r.RevokedAt.IsZero() }
