package pfxconnector

import (
	"context"
	"fmt"
	"strings"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/pfxconnector/escrow"
	"github.com/signet-mdm/signet/pfxconnector/pfx"
)

// File is one PKCS#12 file with what the importer says about it. Data and
// Password stay the caller's, who forgets them afterwards.
type File struct {
	Name     string // for the report
	Data     []byte
	Password seal.Secret
	User     *subject.User // whose it is; nil: whom the certificate names
	// Thumbprint is the SHA-1 of the one certificate that must be in it, hex;
	// empty: whatever is in it.
	Thumbprint string
	Purpose    cert.Use // overrides what the certificate says, within what the key can do; Unknown: does not

	AllowSigning bool // take keys that are for signing only
	AllowWeak    bool // take RSA keys that protect nothing
	AllowNoMAC   bool // take a file without an integrity check
	DryRun       bool // look, but change nothing
}

// Import takes one file in. What is wrong with the file is in the report; the
// error is for what is not its fault, and then the report tells how far it
// went. It may be called again with the same file, and at the same time with
// others.
func (s *Service) Import(ctx context.Context, by journal.Actor, f File) (FileReport, error) {
	report := newReport(f.Name)
	limits := s.Limits
	limits.AllowNoMAC = limits.AllowNoMAC || f.AllowNoMAC
	result, err := pfx.Read(ctx, f.Data, f.Password, limits)
	if bad := fault.Of(err); bad != nil {
		report.refuse(bad)
		return report, nil
	}
	if err != nil {
		return report, fmt.Errorf("reading a PKCS #12 file: %w", err)
	}
	defer result.Wipe()
	if bad := f.unexpected(result); bad != nil {
		report.refuse(bad)
		return report, nil
	}
	report.Notes = result.Notes
	j := job{Service: s, by: by, file: f, source: cert.FingerprintOf(f.Data)}
	for _, id := range result.Identities {
		item, err := j.identity(ctx, id)
		if err != nil {
			return report, fmt.Errorf("importing an identity: %w", err)
		}
		report.Identities = append(report.Identities, item)
	}
	report.Identities = append(report.Identities, leftovers(result)...)
	report.conclude(pfx.ErrNoKey)
	return report, nil
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

// job is the import of one file.
type job struct {
	*Service
	by     journal.Actor
	file   File
	source cert.Fingerprint
}

// identity judges, places, seals and stores one identity. What its owner has
// already is left alone, even if it would be refused today.
func (j job) identity(ctx context.Context, id pfx.Identity) (IdentityReport, error) {
	use, refusal := j.purpose(id.Certificate)
	record := newRecord(id, use, j.Now())
	item := newIdentityReport(record)
	to, err := j.place(ctx, id.Certificate)
	if err != nil {
		return item, err
	}
	if refusal == nil {
		refusal = to.refusal
	}
	if refusal != nil && !to.has {
		item.refuse(refusal)
		return item, nil
	}
	item.User, item.UserID = to.user.Mail, string(to.user.ID)
	record.Holder.User = to.user.ID
	if j.file.DryRun {
		item.Outlook = j.outlook(record, to.user)
	}
	item.warn(to.warnings...)
	item.warn(oddities(id)...)
	item.Notices = notices(id.Certificate, j.Now())
	item.Status, err = j.keep(ctx, id, record, to)
	return item, err
}

// keep stores what is new.
func (j job) keep(ctx context.Context, id pfx.Identity, record cert.Record, to place) (Status, error) {
	switch {
	case to.has:
		return Unchanged, nil
	case j.file.DryRun:
		return WouldImport, nil
	}
	stored, err := j.store(ctx, id, record, to.how)
	if !stored {
		return Unchanged, err
	}
	return Imported, err
}

// store seals the key, wipes it and stores it.
func (j job) store(ctx context.Context, id pfx.Identity, record cert.Record, how string) (bool, error) {
	sealed, err := j.Sealer.Seal(escrow.Key{User: record.Holder.User, Certificate: id.Certificate, PKCS8: id.PKCS8.Reveal()})
	id.PKCS8.Wipe()
	if err != nil {
		return false, fmt.Errorf("sealing %s: %w", record.Fingerprint, err)
	}
	sealed.Source, sealed.CreatedAt, sealed.CreatedBy = j.source, record.CreatedAt, string(j.by.Kind)+":"+j.by.ID
	entry := journal.Entry{
		At: record.CreatedAt, Actor: j.by, Action: journal.KeyImported,
		User: record.Holder.User, Cert: record.Fingerprint, Due: subject.OfUser(record.Holder.User),
		Detail: map[string]string{"file": printable(j.file.Name), "purpose": record.Use.String(), "owner_by": how},
	}
	stored, err := j.Store.KeyImported(ctx, escrow.Deposit{Certificate: record, Key: sealed}, entry)
	if err != nil {
		return false, fmt.Errorf("storing %s: %w", record.Fingerprint, err)
	}
	return stored, nil
}
