package pfxconnector

import (
	"context"
	"crypto/x509"
	"fmt"

	"github.com/signet-mdm/signet/internal/cert"
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
	NoQuarantine bool // refuse a key whose user is not known, instead of setting it aside
	DryRun       bool // look, but change nothing
}

// Import takes one file in, all that is new in it at once. What is wrong with
// the file is in the report; the error is for what is not its fault. It may be
// called again with the same file, and at the same time with others.
func (s *Service) Import(ctx context.Context, by journal.Actor, f File) (FileReport, error) {
	o, err := Open(ctx, f, s.Limits)
	if err != nil {
		return newReport(f.Name), err
	}
	defer o.Wipe()
	j := job{Service: s, by: by, file: f, source: o.Source}
	var b batch
	for _, id := range o.Identities {
		v, err := j.judge(ctx, id)
		if err != nil {
			return newReport(f.Name), fmt.Errorf("importing an identity: %w", err)
		}
		if v.wanted {
			if v.arrival, err = j.seal(id, v.record, v.to); err != nil {
				return newReport(f.Name), err
			}
		}
		b = append(b, v)
	}
	if err := b.store(ctx, s.Store.KeysImported); err != nil {
		return newReport(f.Name), err
	}
	return o.Report(b.items()), nil
}

// job is the import of one file.
type job struct {
	*Service
	by     journal.Actor
	file   File
	source cert.Fingerprint
}

// verdict is what was found of one identity.
type verdict struct {
	item    IdentityReport
	record  cert.Record
	to      place
	wanted  bool // it is new, and not looked at only
	arrival Arrival

	job  job // of what was offered
	leaf *x509.Certificate
}

// judge looks at one identity, of which it needs the certificates only, and
// finds whose it is. What its owner has already is left alone, even if it would
// be refused today.
func (j job) judge(ctx context.Context, id pfx.Identity) (verdict, error) {
	use, refusal := j.purpose(id.Certificate)
	record := newRecord(id, use, j.Now())
	v := verdict{item: newIdentityReport(record)}
	to, err := j.place(ctx, id.Certificate)
	if err != nil {
		return v, err
	}
	if refusal == nil {
		refusal = to.refusal
	}
	if refusal != nil && !to.has {
		v.item.refuse(refusal)
		return v, nil
	}
	record.Holder.User = to.user.ID
	if to.why != nil {
		v.item.Quarantine = newAside(to, j.file.DryRun)
	} else {
		v.item.User, v.item.UserID = to.user.Mail, string(to.user.ID)
	}
	if j.file.DryRun && to.why == nil {
		v.item.Outlook = j.outlook(record, to.user)
	}
	v.item.warn(to.warnings...)
	v.item.warn(oddities(id)...)
	v.item.Notices = notices(id.Certificate, j.Now())
	v.record, v.to = record, to
	switch {
	case to.has:
		v.item.Status = to.outcome(Unchanged)
	case j.file.DryRun:
		v.item.Status = to.outcome(WouldImport)
	default:
		v.wanted = true
	}
	return v, nil
}

// seal seals the key and wipes it.
func (j job) seal(id pfx.Identity, record cert.Record, to place) (Arrival, error) {
	sealed, err := j.Sealer.Seal(escrow.Key{User: record.Holder.User, Certificate: id.Certificate, PKCS8: id.PKCS8.Reveal()})
	id.PKCS8.Wipe()
	if err != nil {
		return Arrival{}, fmt.Errorf("sealing %s: %w", record.Fingerprint, err)
	}
	return j.arrival(sealed, record, to), nil
}

// arrival is what is stored of a sealed key, and how the journal tells of it.
func (j job) arrival(sealed escrow.Record, record cert.Record, to place) Arrival {
	sealed.Source, sealed.CreatedAt, sealed.CreatedBy = j.source, record.CreatedAt, actor(j.by)
	if to.why != nil {
		return j.aside(sealed, record, to)
	}
	return Arrival{Deposit: escrow.Deposit{Certificate: record, Key: sealed}, Entry: journal.Entry{
		At: record.CreatedAt, Actor: j.by, Action: journal.KeyImported,
		User: record.Holder.User, Cert: record.Fingerprint, Due: subject.OfUser(record.Holder.User),
		Detail: map[string]string{"file": printable(j.file.Name), "purpose": record.Use.String(), "owner_by": to.how},
	}}
}

// batch is what is stored at once.
type batch []verdict

// store stores what is wanted.
func (b batch) store(ctx context.Context, keep func(context.Context, []Arrival) ([]bool, error)) error {
	var list []Arrival
	for _, v := range b {
		if v.wanted {
			list = append(list, v.arrival)
		}
	}
	if len(list) == 0 {
		return nil
	}
	stored, err := keep(ctx, list)
	if err != nil {
		return fmt.Errorf("storing %d keys: %w", len(list), err)
	}
	for i := range b {
		if !b[i].wanted {
			continue
		}
		switch v := &b[i]; {
		case stored[0]:
			v.item.Status = v.to.outcome(Imported)
		default:
			v.item.Status = v.to.outcome(Unchanged)
			v.item.missed()
		}
		stored = stored[1:]
	}
	return nil
}

func (b batch) items() []IdentityReport {
	list := make([]IdentityReport, len(b))
	for i, v := range b {
		list[i] = v.item
	}
	return list
}
