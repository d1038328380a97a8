package pfxconnector

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/pfxconnector/pfx"
)

// Opened is what a file holds. It is told about without anybody being asked
// whose it is: opening a file and judging it may happen on two machines.
type Opened struct {
	Source     cert.Fingerprint // SHA-256 of the file
	Identities []pfx.Identity   // those that are whole

	report FileReport       // without what is judged
	rest   []IdentityReport // of identities that are not whole
}

// Open opens a file. What is wrong with it is in the report; the error is for
// what is not its fault.
func Open(ctx context.Context, f File, limits pfx.Limits) (*Opened, error) {
	o := &Opened{Source: cert.FingerprintOf(f.Data), report: newReport(f.Name)}
	limits.AllowNoMAC = limits.AllowNoMAC || f.AllowNoMAC
	result, err := pfx.Read(ctx, f.Data, f.Password, limits)
	if bad := fault.Of(err); bad != nil {
		o.report.refuse(bad)
		return o, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading a PKCS #12 file: %w", err)
	}
	if bad := f.unexpected(result); bad != nil {
		result.Wipe()
		o.report.refuse(bad)
		return o, nil
	}
	o.Identities, o.rest, o.report.Notes = result.Identities, leftovers(result), result.Notes
	return o, nil
}

// Wipe forgets the keys.
func (o *Opened) Wipe() {
	for i := range o.Identities {
		o.Identities[i].PKCS8.Wipe()
	}
}

// Report says what became of the file, after what was judged of each of its
// identities.
func (o *Opened) Report(judged []IdentityReport) FileReport {
	r := o.report
	if r.Code != nil {
		return r
	}
	r.Identities = slices.Concat(r.Identities, judged, o.rest)
	r.conclude(pfx.ErrNoKey)
	return r
}

// unexpected tells why the file is not what was announced.
func (f File) unexpected(r *pfx.Result) *fault.Error {
	switch {
	case f.Thumbprint == "" || len(r.Identities) == 0:
		return nil
	case len(r.Identities) > 1:
		return pfx.ErrSeveral
	case !strings.EqualFold(cert.Thumbprint(r.Identities[0].Certificate.Raw), f.Thumbprint):
		return ErrThumbprint
	}
	return nil
}

// leftovers reports what the file holds of identities that are not whole.
func leftovers(r *pfx.Result) (list []IdentityReport) {
	for _, p := range r.Problems {
		var item IdentityReport
		item.refuse(p.Err)
		list = append(list, item)
	}
	half := pfx.ErrNoCertificate
	if r.Mismatch() {
		half = pfx.ErrMismatch
	}
	for range r.UnpairedKeys {
		var item IdentityReport
		item.refuse(half)
		list = append(list, item)
	}
	for _, c := range r.Unpaired {
		if c.IsCA {
			continue // came along, is nobody's
		}
		var item IdentityReport
		item.Cert, item.SPKI = cert.FingerprintOf(c.Raw).String(), cert.FingerprintOf(c.RawSubjectPublicKeyInfo).String()
		item.refuse(pfx.ErrNoKey)
		list = append(list, item)
	}
	return list
}
