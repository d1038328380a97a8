package opener

import (
	"context"
	"crypto/x509"
	"fmt"
	"slices"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/mdm/profile"
	"github.com/signet-mdm/signet/pfxconnector/escrow"
	"github.com/signet-mdm/signet/pfxconnector/pfx"
)

// Seal fills the identities into frame, whose PKCS12 payloads have nothing but
// a fingerprint, encrypts the profile to the device's identity certificate and
// signs it. The keys are packed as that major version of iOS reads them, 0 when
// it is unknown. The frame is left as it was. Each call makes new passwords.
func (o *Opener) Seal(ctx context.Context, device subject.DeviceID, frame profile.Profile, iosMajor int) ([]byte, error) {
	signed, err := o.seal(ctx, device, frame, iosMajor)
	if err != nil {
		o.alarm(ctx, device, err)
		return nil, fmt.Errorf("sealing %s for device %s: %w", frame.Identifier, device, err)
	}
	return signed, nil
}

func (o *Opener) seal(ctx context.Context, device subject.DeviceID, frame profile.Profile, iosMajor int) ([]byte, error) {
	filled, payloads, err := fillable(frame)
	if err != nil {
		return nil, err
	}
	identity, owner, err := o.identity(ctx, device, renews(frame))
	if err != nil {
		return nil, err
	}
	defer wipe(payloads)
	deposits, err := o.deposits(ctx, owner.User, payloads)
	if err != nil {
		return nil, err
	}
	if len(payloads) > 0 { // what is not opened is not said to be, nor counted
		if err := o.Keys.Ready(ctx); err != nil {
			return nil, err
		}
	}
	if err := o.spend(ctx, device, len(payloads)); err != nil {
		return nil, err
	}
	for i, p := range payloads {
		if err := o.fill(ctx, p, owner, deposits[i], iosMajor); err != nil {
			return nil, about{owner.User, p.Fingerprint, deposits[i].Key.ID, err}
		}
	}
	sealed, err := filled.Seal(identity)
	if err != nil {
		return nil, err
	}
	return o.Signer.SignProfile(sealed)
}

// renews tells whether the frame gives a device another identity, and nothing
// besides.
func renews(frame profile.Profile) bool {
	return len(frame.PKCS12s()) == 0 && slices.ContainsFunc(frame.Payloads, func(p profile.Payload) bool {
		_, is := p.(*profile.MDM)
		return is
	})
}

// fillable gives a copy of the frame with identity payloads of its own.
func fillable(frame profile.Profile) (profile.Profile, []*profile.PKCS12, error) {
	list := make([]profile.Payload, len(frame.Payloads))
	for i, p := range frame.Payloads {
		list[i] = p
		if p12, ok := p.(*profile.PKCS12); ok {
			if p12 == nil || p12.Fingerprint.IsZero() || len(p12.Content) > 0 || !p12.Password.Empty() {
				return frame, nil, ErrFrame
			}
			own := *p12
			list[i] = &own
		}
	}
	frame.Payloads = list
	return frame, frame.PKCS12s(), nil
}

func wipe(payloads []*profile.PKCS12) {
	for _, p := range payloads {
		clear(p.Content)
		p.Password.Wipe()
	}
}

// deposits finds what the payloads ask for, in their order, and checks what can
// be checked without opening. What the user does not have is ErrNotOwner.
func (o *Opener) deposits(ctx context.Context, user subject.UserID, payloads []*profile.PKCS12) ([]escrow.Deposit, error) {
	if len(payloads) == 0 {
		return nil, nil
	}
	var wanted []cert.Fingerprint
	for _, p := range payloads {
		wanted = append(wanted, p.Fingerprint)
	}
	return o.owned(ctx, user, wanted)
}

// fill opens one key and packs it into the payload. The journal comes first.
func (o *Opener) fill(ctx context.Context, p *profile.PKCS12, owner cert.Holder, d escrow.Deposit, iosMajor int) error {
	leaf, chain, err := certificates(d.Certificate, p.Fingerprint)
	if err != nil {
		return err
	}
	entry := o.entry(journal.KeyOpened, owner, p.Fingerprint, map[string]string{"why": "delivery", "payload": p.Identifier})
	if err := o.Journal.Record(ctx, entry); err != nil {
		return ErrJournal.With(err)
	}
	key, err := open(ctx, o.Keys, owner.User, leaf, d.Key)
	if err != nil {
		return err
	}
	p.Password = seal.Random()
	p.Content, err = pfx.Write(key, leaf, chain, p.Password, iosMajor)
	return err
}

func (o *Opener) entry(a journal.Action, owner cert.Holder, f cert.Fingerprint, detail map[string]string) journal.Entry {
	return journal.Entry{At: o.Now(), Actor: journal.Worker("opener"), Action: a,
		User: owner.User, Device: owner.Device, Cert: f, Detail: detail}
}

// certificates reads the leaf, which must be the one asked for, and its chain.
func certificates(r cert.Record, want cert.Fingerprint) (leaf *x509.Certificate, chain []*x509.Certificate, err error) {
	if cert.FingerprintOf(r.DER) != want {
		return nil, nil, ErrTampered.With(fmt.Errorf("the certificate stored as %s is another", want))
	}
	if leaf, err = r.Certificate(); err != nil {
		return nil, nil, fmt.Errorf("reading certificate %s: %w", want, err)
	}
	for _, der := range r.Chain {
		ca, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, nil, fmt.Errorf("reading chain of %s: %w", want, err)
		}
		chain = append(chain, ca)
	}
	return leaf, chain, nil
}
