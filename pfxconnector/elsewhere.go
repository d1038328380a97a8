package pfxconnector

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/pfxconnector/escrow"
	"github.com/signet-mdm/signet/pfxconnector/pfx"
)

// Why a key that was sealed elsewhere is refused.
var (
	ErrTicket = fault.New(fault.Conflict, "pfx_ticket_invalid",
		"The sealed keys come under a ticket that was used, has expired or is another's.", "Run the import again: what is stored already is unchanged.")
	ErrUnproven = fault.New(fault.Invalid, "pfx_not_proven",
		"The sealed key does not come with a proof that its sealer holds the key of this certificate and meant this user.", "Run the import again.")
	ErrOtherRecipients = fault.New(fault.Conflict, "pfx_recipients_other",
		"The key is not sealed to the escrow key and the recovery key of now.", "Run the import again; signet keys escrow fingerprint tells to whom keys are sealed.")
	ErrSealedForm = fault.New(fault.Invalid, "pfx_sealed_malformed",
		"This is not a sealed key.", "Import with the same version as the server's.")
)

// TicketLife is how long what was judged may take to be sealed and sent.
const TicketLife = 30 * time.Minute

// Ticket lets one caller, once, hand in what he sealed.
type Ticket struct {
	ID      string
	By      journal.Actor
	Expires time.Time
}

// Recipients gives, as text, whom keys are sealed to.
func (s *Service) Recipients() (active string, recovery []string) { return s.Sealer.Recipients() }

// Judge tells what is wanted of the files, and gives a ticket to hand it in
// when there is any.
func (s *Service) Judge(ctx context.Context, by journal.Actor, offers []Offer) (ticket string, files []Judged, err error) {
	t, err := uuid.NewV7()
	if err != nil {
		return "", nil, fmt.Errorf("making a ticket: %w", err)
	}
	wanted := false
	for _, o := range offers {
		f, batch, err := s.offered(ctx, by, t, o)
		if err != nil {
			return "", nil, err
		}
		for i, v := range batch {
			f.Identities[i].IdentityReport = v.item
			if v.wanted {
				wanted = true
				f.Identities[i].Record, f.Identities[i].For = escrow.RecordID(t, v.binding()), string(v.record.Holder.User)
			}
		}
		files = append(files, f)
	}
	if !wanted {
		return "", files, nil
	}
	if err := s.Store.TicketMade(ctx, Ticket{t.String(), by, s.Now().Add(TicketLife)}); err != nil {
		return "", nil, fmt.Errorf("storing a ticket: %w", err)
	}
	return t.String(), files, nil
}

// Deposit stores what was sealed, all of it at once. It is judged anew from the
// certificates: of what the caller says, nothing is believed that it does not
// prove. [ErrTicket]. What else is wrong with one key is in its report, and the
// others are stored.
func (s *Service) Deposit(ctx context.Context, by journal.Actor, ticket string, offers []Offer) ([]Judged, error) {
	t, err := uuid.Parse(ticket)
	if err != nil {
		return nil, ErrTicket
	}
	var files []Judged
	var all batch
	for _, o := range offers {
		f, batch, err := s.offered(ctx, by, t, o)
		if err != nil {
			return nil, err
		}
		for i := range batch {
			if bad := batch[i].take(s.Sealer, t, o.Identities[i].Sealed); bad != nil {
				batch[i].wanted = false
				batch[i].item.refuse(bad)
			}
		}
		files, all = append(files, f), append(all, batch...)
	}
	if err := all.store(ctx, func(ctx context.Context, list []Arrival) ([]bool, error) {
		return s.Store.KeysDeposited(ctx, Ticket{ticket, by, s.Now()}, list)
	}); err != nil {
		return nil, err
	}
	for _, f := range files {
		for i := range f.Identities {
			f.Identities[i].IdentityReport, all = all[0].item, all[1:]
		}
	}
	return files, nil
}

// Tidy forgets tickets that nobody used.
func (s *Service) Tidy(ctx context.Context) (int, error) {
	return s.Store.TicketsForgotten(ctx, s.Now())
}

// offered judges what is in one file. There are as many verdicts as identities,
// or none when the file is not looked at.
func (s *Service) offered(ctx context.Context, by journal.Actor, ticket uuid.UUID, o Offer) (f Judged, b batch, err error) {
	f.Identities = []JudgedIdentity{}
	file, err := s.fileOf(ctx, o)
	if bad := fault.Of(err); bad != nil {
		f.Code, f.Message, f.Hint = &bad.Code, bad.Msg, bad.Hint
		return f, nil, nil
	}
	if err != nil {
		return f, nil, err
	}
	source, err := cert.ParseFingerprint(o.Source)
	if err != nil {
		return f, nil, ErrSealedForm.With(err)
	}
	j := job{Service: s, by: by, file: file, source: source}
	for _, i := range o.Identities {
		var v verdict
		id, err := pfx.Public(i.Certificate, i.Chain, s.Limits)
		if bad := fault.Of(err); bad != nil {
			v.item.refuse(bad)
		} else if v, err = j.judge(ctx, id); err != nil {
			return f, nil, fmt.Errorf("judging an identity: %w", err)
		}
		v.job, v.leaf = j, id.Certificate
		v.setAside(ticket)
		b = append(b, v)
	}
	f.Identities = make([]JudgedIdentity, len(b))
	return f, b, nil
}

// fileOf is what the importer says about the file.
func (s *Service) fileOf(ctx context.Context, o Offer) (File, error) {
	f := File{Name: o.File, AllowSigning: o.AllowSigningEscrow, AllowWeak: o.AllowWeak, NoQuarantine: o.NoQuarantine, DryRun: o.DryRun}
	if o.Purpose != "" {
		use, err := cert.ParseUse(o.Purpose)
		if err != nil {
			return f, ErrPurpose.With(err)
		}
		f.Purpose = use
	}
	if o.User != "" {
		u, err := s.Users.User(ctx, o.User)
		if err != nil {
			return f, err
		}
		f.User = &u
	}
	return f, nil
}

// setAside gives a key that is nobody's the place in quarantine that is its under
// the ticket, both times that it is judged.
func (v *verdict) setAside(ticket uuid.UUID) {
	if !v.wanted || v.to.why == nil {
		return
	}
	v.to.user.ID = escrow.QuarantineUnder(ticket, v.record.Fingerprint)
	v.record.Holder.User = v.to.user.ID
	v.item.Quarantine = newAside(v.to, false)
}

// binding is what the key must be sealed for.
func (v verdict) binding() escrow.Binding {
	return escrow.Binding{User: v.record.Holder.User, Cert: v.record.Fingerprint, SPKI: v.record.SPKI}
}

// take makes an arrival of what was sealed, if it is what it should be.
func (v *verdict) take(to *escrow.Sealer, ticket uuid.UUID, in *Sealed) *fault.Error {
	if !v.wanted {
		return nil
	}
	if in == nil {
		return ErrSealedForm
	}
	r := escrow.Record{ID: escrow.RecordID(ticket, v.binding()), Binding: v.binding(), Suite: escrow.Suite(in.Suite), Nonce: in.Nonce, Ciphertext: in.Ciphertext}
	for _, w := range in.Wraps {
		r.Wraps = append(r.Wraps, escrow.Wrap{Key: escrow.KeyID(w.Key), Enc: w.Enc, Sealed: w.Sealed})
	}
	switch err := to.Accept(r); {
	case errors.Is(err, escrow.ErrOtherRecipients):
		return ErrOtherRecipients
	case err != nil:
		return ErrSealedForm.With(err)
	case !r.Proven(v.leaf.PublicKey, in.Proof):
		return ErrUnproven
	}
	v.arrival = v.job.arrival(r, v.record, v.to)
	v.arrival.Entry.Detail["sealed"] = "by the importer"
	return nil
}
