package opener

import (
	"context"
	"crypto/x509"
	"fmt"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/cms"
	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/mdm/profile"
)

// ErrVisitor is returned where no other MDM is served.
var ErrVisitor = fault.New(fault.Denied, "escrow_no_gate",
	"Devices of other MDMs are not served here.", "")

// Gate proves whose device it is that another MDM speaks for.
type Gate interface {
	// Admit gives the certificate to seal to, whose device it is, and which of
	// his certificates may go there; a fault when the device proves nothing.
	Admit(ctx context.Context, connector string, chain [][]byte) (to *x509.Certificate, of cert.Holder, may func(*x509.Certificate) bool, err error)
}

// visit is one opening for a device of another MDM.
type visit struct {
	*Opener
	connector string
	to        *x509.Certificate
	of        cert.Holder
	may       func(*x509.Certificate) bool
}

// admit asks the gate itself, whatever the caller has asked it before.
func (o *Opener) admit(ctx context.Context, connector string, chain [][]byte) (v visit, err error) {
	if o.Gate == nil {
		return v, ErrVisitor
	}
	v = visit{Opener: o, connector: connector}
	v.to, v.of, v.may, err = o.Gate.Admit(ctx, connector, chain)
	return v, err
}

// SealTo is [Opener.Seal] for a device of another MDM, whose certificate comes
// first in chain.
func (o *Opener) SealTo(ctx context.Context, connector string, chain [][]byte, frame profile.Profile, iosMajor int) ([]byte, error) {
	v, err := o.admit(ctx, connector, chain)
	var signed []byte
	if err == nil {
		signed, err = v.seal(ctx, frame, iosMajor)
	}
	if err != nil {
		o.alarm(ctx, v.of.Device, err)
		return nil, fmt.Errorf("sealing %s for a device of connector %s: %w", frame.Identifier, connector, err)
	}
	return signed, nil
}

func (v visit) seal(ctx context.Context, frame profile.Profile, iosMajor int) ([]byte, error) {
	filled, payloads, err := fillable(frame)
	if err != nil {
		return nil, err
	}
	if len(payloads) != len(frame.Payloads) {
		return nil, ErrFrame
	}
	defer wipe(payloads)
	if err := v.fill(ctx, payloads, iosMajor); err != nil {
		return nil, err
	}
	sealed, err := filled.Seal(v.to)
	if err != nil {
		return nil, err
	}
	return v.Signer.SignProfile(sealed)
}

// PackTo gives a PKCS#12 file and its password for each certificate, in their
// order, each encrypted to the device of another MDM whose certificate comes
// first in chain.
//
// Spec: RFC 5652 section 6
func (o *Opener) PackTo(ctx context.Context, connector string, chain [][]byte, wanted []cert.Fingerprint, iosMajor int) (files, passwords [][]byte, err error) {
	v, err := o.admit(ctx, connector, chain)
	if err == nil {
		files, passwords, err = v.pack(ctx, wanted, iosMajor)
	}
	if err != nil {
		o.alarm(ctx, v.of.Device, err)
		return nil, nil, fmt.Errorf("packing for a device of connector %s: %w", connector, err)
	}
	return files, passwords, nil
}

func (v visit) pack(ctx context.Context, wanted []cert.Fingerprint, iosMajor int) (files, passwords [][]byte, err error) {
	var payloads []*profile.PKCS12
	for _, f := range wanted {
		payloads = append(payloads, &profile.PKCS12{Common: profile.Named("connector."+f.String(), ""), Fingerprint: f})
	}
	defer wipe(payloads)
	if err := v.fill(ctx, payloads, iosMajor); err != nil {
		return nil, nil, err
	}
	for _, p := range payloads {
		file, err := cms.Encrypt(p.Content, v.to, cms.AES256CBC)
		if err != nil {
			return nil, nil, err
		}
		password, err := cms.Encrypt(p.Password.Reveal(), v.to, cms.AES256CBC)
		if err != nil {
			return nil, nil, err
		}
		files, passwords = append(files, file), append(passwords, password)
	}
	return files, passwords, nil
}

// fill opens what the payloads ask for, all of it or nothing.
func (v visit) fill(ctx context.Context, payloads []*profile.PKCS12, iosMajor int) error {
	deposits, err := v.deposits(ctx, v.of.User, payloads)
	if err != nil {
		return err
	}
	for i, d := range deposits {
		leaf, _, err := certificates(d.Certificate, payloads[i].Fingerprint)
		if err != nil {
			return err
		}
		if !v.may(leaf) {
			return ErrNotOwner
		}
	}
	if err := v.spend(ctx, v.of.Device, len(payloads)); err != nil {
		return err
	}
	for i, p := range payloads {
		if err := v.Opener.fill(ctx, p, v.of, deposits[i], iosMajor); err != nil {
			return err
		}
	}
	return nil
}
