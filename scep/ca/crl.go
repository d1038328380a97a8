package ca

import (
	"crypto/rand"
	"crypto/x509"
	"fmt"
	"math/big"
	"time"

	"github.com/signet-mdm/signet/internal/cert"
)

// Reason is why a certificate was revoked.
type Reason string

// The reasons, as CRLs name them.
const (
	Unspecified          Reason = "unspecified"
	KeyCompromise        Reason = "keyCompromise"
	AffiliationChanged   Reason = "affiliationChanged"
	Superseded           Reason = "superseded"
	CessationOfOperation Reason = "cessationOfOperation"
	PrivilegeWithdrawn   Reason = "privilegeWithdrawn"
)

// reasonCodes has no certificateHold: nothing here comes back.
//
// Spec: RFC 5280 section 5.3.1
var reasonCodes = map[Reason]int{
	Unspecified: 0, KeyCompromise: 1, AffiliationChanged: 3, Superseded: 4, CessationOfOperation: 5, PrivilegeWithdrawn: 9,
}

// ParseReason reads the name of a reason; empty is unspecified.
func ParseReason(s string) (Reason, bool) {
	if s == "" {
		return Unspecified, true
	}
	_, known := reasonCodes[Reason(s)]
	return Reason(s), known
}

// Revocation is an entry of a CRL.
type Revocation struct {
	Serial cert.Serial
	At     time.Time
	Reason Reason
}

// CRLLife is from one CRL to the latest time of the next.
//
// Spec: CA/Browser Forum S/MIME BR 4.9.7
const CRLLife = 7 * 24 * time.Hour

// CRL signs a full list of revoked certificates. Numbers must rise from one
// list to the next.
//
// Spec: RFC 5280 section 5
func (i *Issuer) CRL(number int64, list []Revocation, now time.Time) ([]byte, error) {
	entries := make([]x509.RevocationListEntry, len(list))
	for n, r := range list {
		serial, ok := new(big.Int).SetString(string(r.Serial), 16)
		if !ok {
			return nil, fmt.Errorf("ca: CRL of %s: serial number %q is not hexadecimal", i.name, r.Serial)
		}
		entries[n] = x509.RevocationListEntry{SerialNumber: serial, RevocationTime: r.At.UTC(), ReasonCode: reasonCodes[r.Reason]}
	}
	der, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{
		Number: big.NewInt(number), ThisUpdate: now.UTC(), NextUpdate: now.Add(CRLLife).UTC(), RevokedCertificateEntries: entries,
	}, i.cert, i.key)
	if err != nil {
		return nil, fmt.Errorf("ca: signing the CRL of %s: %w", i.name, err)
	}
	return der, nil
}
