package ca

import (
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"math/big"
	"strconv"
	"strings"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

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

// List is what a CRL says.
type List struct {
	Number  int64 // must rise from one list to the next
	Shard   string
	Partial bool // holds only those certificates that name its address
	Revoked []Revocation
}

// Shard tells on which list a certificate with that serial number would stand:
// two hexadecimal digits or more, empty for the whole list. Serial numbers are
// random, so all shards are of one size, however many certificates are issued
// on one day.
func (p *Public) Shard(s cert.Serial) string {
	const digits = 4
	if p.urls.Shards <= 1 || len(s) < digits {
		return ""
	}
	n, err := strconv.ParseUint(string(s[len(s)-digits:]), 16, 32)
	if err != nil {
		return ""
	}
	return fmt.Sprintf("%02x", n%uint64(p.urls.Shards))
}

// listURL is where the list of a shard is published.
func (u URLs) listURL(shard string) string {
	if shard == "" {
		return u.CRL
	}
	return strings.TrimSuffix(u.CRL, ".crl") + "/" + shard + ".crl"
}

// CRL signs a list of revoked certificates.
//
// Spec: RFC 5280 section 5
func (i *Issuer) CRL(l List, now time.Time) ([]byte, error) {
	entries := make([]x509.RevocationListEntry, len(l.Revoked))
	for n, r := range l.Revoked {
		serial, ok := new(big.Int).SetString(string(r.Serial), 16)
		if !ok {
			return nil, fmt.Errorf("ca: CRL of %s: serial number %q is not hexadecimal", i.name, r.Serial)
		}
		entries[n] = x509.RevocationListEntry{SerialNumber: serial, RevocationTime: r.At.UTC(), ReasonCode: reasonCodes[r.Reason]}
	}
	template := &x509.RevocationList{Number: big.NewInt(l.Number), ThisUpdate: now.UTC(), NextUpdate: now.Add(CRLLife).UTC(),
		RevokedCertificateEntries: entries}
	if l.Partial {
		scope, err := distributionPoint(i.urls.listURL(l.Shard))
		if err != nil {
			return nil, fmt.Errorf("ca: CRL of %s: %w", i.name, err)
		}
		template.ExtraExtensions = []pkix.Extension{scope}
	}
	der, err := x509.CreateRevocationList(rand.Reader, template, i.cert, i.key)
	if err != nil {
		return nil, fmt.Errorf("ca: signing the CRL of %s: %w", i.name, err)
	}
	return der, nil
}

// distributionPoint says that a list holds only the certificates that name it,
// none of which is of a CA.
//
// Spec: RFC 5280 section 5.2.5
func distributionPoint(url string) (pkix.Extension, error) {
	var b cryptobyte.Builder
	inner := func(tag uint8) cbasn1.Tag { return cbasn1.Tag(tag).ContextSpecific() }
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(inner(0).Constructed(), func(b *cryptobyte.Builder) { // distributionPoint
			b.AddASN1(inner(0).Constructed(), func(b *cryptobyte.Builder) { // fullName
				b.AddASN1(inner(6), func(b *cryptobyte.Builder) { b.AddBytes([]byte(url)) })
			})
		})
		b.AddASN1(inner(1), func(b *cryptobyte.Builder) { b.AddUint8(0xff) }) // onlyContainsUserCerts
	})
	der, err := b.Bytes()
	return pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 28}, Critical: true, Value: der}, err
}
