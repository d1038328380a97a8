package pfxconnector

import (
	"context"
	"fmt"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/subject"
)

// Decision is what an administrator says that a certificate is for.
type Decision struct {
	Purpose      cert.Use // Unknown: what the certificate says
	AllowSigning bool     // hold the key even if it is for signing only
}

// Repurpose says what a user's imported certificate is for, by the rules of an
// import, and gives that. His devices get what follows with their next plan.
// ErrKeyUnknown when he has none such, and what an import is refused with.
func (s *Service) Repurpose(ctx context.Context, by journal.Actor, u subject.User, f cert.Fingerprint, d Decision) (cert.Use, error) {
	r, err := s.one(ctx, u, f)
	if err != nil {
		return cert.Unknown, err
	}
	if r.Source != cert.Imported {
		return r.Use, ErrPurposeOurs
	}
	c, err := r.Certificate()
	if err != nil {
		return r.Use, fmt.Errorf("reading certificate %s: %w", f, err)
	}
	use, refusal := purposeOf(c, d.Purpose, d.AllowSigning || r.Use == cert.Signing)
	switch {
	case refusal != nil:
		return r.Use, refusal
	case use == r.Use:
		return use, nil
	}
	e := journal.Entry{At: s.Now(), Actor: by, Action: journal.KeyPurpose, User: u.ID, Cert: f, Due: subject.OfUser(u.ID),
		Detail: map[string]string{"from": r.Use.String(), "to": use.String()}}
	if err := s.Store.PurposeChanged(ctx, u.ID, f, use, e); err != nil {
		return r.Use, fmt.Errorf("changing the purpose of %s: %w", f, err)
	}
	return use, nil
}

// Pin makes a certificate the user's current one, whatever the rules would
// choose, until it has expired or is revoked. ErrPin for one that cannot be
// used for new mail, ErrKeyUnknown.
func (s *Service) Pin(ctx context.Context, by journal.Actor, u subject.User, f cert.Fingerprint) error {
	r, err := s.one(ctx, u, f)
	switch {
	case err != nil:
		return err
	case r.Pinned:
		return nil
	}
	if why := cert.Unfit(r, s.Now()); why != "" {
		return ErrPin.Saying("New mail cannot be encrypted to this certificate. " + why)
	}
	return s.pin(ctx, u, f, journal.Entry{At: s.Now(), Actor: by, Action: journal.KeyPinned, User: u.ID, Cert: f, Due: subject.OfUser(u.ID)})
}

// Unpin leaves the choice of the user's current certificate to the rules.
func (s *Service) Unpin(ctx context.Context, by journal.Actor, u subject.User) error {
	return s.pin(ctx, u, cert.Fingerprint{}, journal.Entry{At: s.Now(), Actor: by, Action: journal.KeyUnpinned, User: u.ID, Due: subject.OfUser(u.ID)})
}

func (s *Service) pin(ctx context.Context, u subject.User, f cert.Fingerprint, e journal.Entry) error {
	if err := s.Store.KeyPinned(ctx, u.ID, f, e); err != nil {
		return fmt.Errorf("choosing the current certificate of %s: %w", u.ID, err)
	}
	return nil
}

// one gives a certificate of a user whose key is in escrow; ErrKeyUnknown.
func (s *Service) one(ctx context.Context, u subject.User, f cert.Fingerprint) (cert.Record, error) {
	records, err := s.Store.Imported(ctx, u.ID)
	if err != nil {
		return cert.Record{}, fmt.Errorf("reading certificates of %s: %w", u.ID, err)
	}
	for _, r := range records {
		if r.Fingerprint == f {
			return r, nil
		}
	}
	return cert.Record{}, ErrKeyUnknown
}
