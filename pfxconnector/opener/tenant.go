package opener

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/mdm/profile"
	"github.com/signet-mdm/signet/pfxconnector/escrow"
	"github.com/signet-mdm/signet/pfxconnector/pfx"
	"github.com/signet-mdm/signet/pfxconnector/tenant"
)

// Recipients knows the key of the Intune tenant.
type Recipients interface {
	// Recipient gives the one that several people agreed to, having seen that
	// they did: tenant.ErrNoRecipient, and tenant.ErrForged with its id.
	Recipient(ctx context.Context) (tenant.Registration, error)
}

// Handover opens keys for the Intune tenant of the organisation, and for nobody
// else.
type Handover struct {
	*Opener
	recipients Recipients
	forged     atomic.Pointer[string] // id of the registration that the alarm was raised for
}

// ForTenant gives what opens keys for the tenant whose recipients these are.
func (o *Opener) ForTenant(r Recipients) *Handover {
	if r == nil {
		panic("opener: nil dependency")
	}
	return &Handover{Opener: o, recipients: r}
}

// ErrShare is returned when the tenant has had its share.
var ErrShare = fault.New(fault.Unavailable, "escrow_tenant_share",
	"So many keys were opened within the hour that the Intune tenant gets no more now.", "It goes on by itself; devices come first.")

// tenantShare is the part of the hour's openings that the tenant gets: devices
// are not to wait for it.
const tenantShare = 2

// SealForTenant implements [tenant.Sealer]: the key of one certificate of a user,
// as PKCS#12 under a random password that is encrypted to the recipient.
func (h *Handover) SealForTenant(ctx context.Context, user subject.User, f cert.Fingerprint) (tenant.Package, tenant.Registration, error) {
	p, to, err := h.handOver(ctx, user, f)
	if err != nil {
		if !errors.Is(err, ErrShare) && !h.known(to, err) {
			h.alarm(ctx, "", err)
		}
		return tenant.Package{}, tenant.Registration{}, fmt.Errorf("sealing %s for the tenant: %w", f, err)
	}
	return p, to, nil
}

// known tells whether that recipient is forged and the alarm was raised for it
// already: every key that is meant for the tenant meets it again.
func (h *Handover) known(to tenant.Registration, err error) bool {
	if !errors.Is(err, tenant.ErrForged) {
		return false
	}
	before := h.forged.Swap(&to.ID)
	return before != nil && *before == to.ID
}

func (h *Handover) handOver(ctx context.Context, user subject.User, f cert.Fingerprint) (p tenant.Package, to tenant.Registration, err error) {
	if to, err = h.recipients.Recipient(ctx); err != nil {
		return p, to, err
	}
	deposits, err := h.deposits(ctx, user.ID, []*profile.PKCS12{{Fingerprint: f}})
	if err != nil {
		return p, to, err
	}
	if err := h.Keys.Ready(ctx); err != nil { // what is not opened is not said to be, nor counted
		return p, to, err
	}
	if err := h.spendForTenant(ctx, user.ID); err != nil {
		return p, to, err
	}
	if p, err = h.pack(ctx, user, deposits[0], to); err != nil {
		err = about{user.ID, f, deposits[0].Key.ID, err}
	}
	return p, to, err
}

// pack opens one key and packs it. The journal comes first.
func (h *Handover) pack(ctx context.Context, user subject.User, d escrow.Deposit, to tenant.Registration) (p tenant.Package, err error) {
	leaf, chain, err := certificates(d.Certificate, d.Key.Cert)
	if err != nil {
		return p, err
	}
	entry := h.entry(journal.KeyOpened, cert.Holder{User: user.ID}, d.Key.Cert, map[string]string{"why": "tenant", "upn": user.UPN, "key": to.Fingerprint()})
	if err := h.Journal.Record(ctx, entry); err != nil {
		return p, ErrJournal.With(err)
	}
	key, err := open(ctx, h.Keys, user.ID, leaf, d.Key)
	if err != nil {
		return p, err
	}
	password := seal.Random()
	defer password.Wipe()
	// Which iOS it will be is not known: every one reads this form.
	if p.Blob, err = pfx.Write(key, leaf, chain, password, 0); err != nil {
		return p, err
	}
	p.Password, err = to.Padding.Encrypt(to.Public, password)
	return p, err
}

// spendForTenant takes one key from what is left of the hour for the tenant:
// ErrShare. A user has as many as a device.
func (h *Handover) spendForTenant(ctx context.Context, user subject.UserID) error {
	now := h.Now()
	_, all, err := h.Journal.Opened(ctx, "", now.Add(-time.Hour))
	switch {
	case err != nil:
		return ErrJournal.With(err)
	case all+1 > h.limit.Total/tenantShare, !h.limit.take(subject.DeviceID("tenant "+user), 1, now):
		return ErrShare
	}
	return nil
}
