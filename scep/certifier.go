package scep

import (
	"cmp"
	"context"
	"crypto/x509"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/scep/ca"
)

// CertifierConfig says how to run the half that has the CA keys.
type CertifierConfig struct {
	Store       Store
	Seats       []Seat // to begin with
	Profiles    Catalogue
	Outside     *Outside // the CA of profiles with the issuer [Upstream]; nil when there is none
	AllowLegacy bool     // as in [Config]
	MaxSkew     time.Duration
	Rate        Rate       // zero: 50 and 500
	Lab         *Lab       // nil, as it should be: no static challenge
	Elsewhere   *Elsewhere // whose challenges profiles with a validator take; nil: nobody's
	Log         *slog.Logger
	Now         func() time.Time
	Built       time.Time // no certificate is made before; zero when that is not known
}

// Rate is how many certificates are made within any hour. A device needs a few
// a year; whoever has the RA, or writes challenges of his own, is slowed down.
type Rate struct {
	PerDevice int
	PerUser   int // of all his devices
}

// Certifier implements [Keeper]. It believes an RA that a client sent the
// request, and nothing else: the challenge, or the certificate that is to be
// renewed, is looked up here, and so is what the new one may say; and that the
// old key asks for a renewal, it sees for itself.
type Certifier struct {
	CertifierConfig
	seats   atomic.Pointer[map[string]Seat] // by the name of the issuer
	presses presses
	guesses *guesses // of the static challenge
}

// NewCertifier panics on a missing dependency.
func NewCertifier(c CertifierConfig) *Certifier {
	if c.Store == nil || c.Profiles == nil || c.Log == nil || c.Now == nil {
		panic("scep: nil dependency")
	}
	if c.MaxSkew == 0 {
		c.MaxSkew = day
	}
	c.Rate.PerDevice, c.Rate.PerUser = cmp.Or(c.Rate.PerDevice, 50), cmp.Or(c.Rate.PerUser, 500)
	v := &Certifier{CertifierConfig: c, guesses: newGuesses()}
	v.Succeed(c.Seats)
	return v
}

// issuing is an application with all that is needed to decide about it.
type issuing struct {
	Application
	profile  Profile
	issuer   signing
	proven   bool // we saw that the signer asked
	handedOn bool // to another CA, where it waits
}

// Certify implements [Keeper].
func (v *Certifier) Certify(ctx context.Context, a Application) (cert.Record, error) {
	p, err := v.Profiles.Profile(ctx, a.Profile)
	if err != nil {
		return cert.Record{}, err
	}
	if err := p.overSCEP(); err != nil {
		return cert.Record{}, err
	}
	if err := a.bounded(); err != nil {
		return cert.Record{}, err
	}
	p.Legacy = p.Legacy || v.AllowLegacy
	if p.Issuer == Upstream || p.Validator != "" { // which know nothing of our renewals
		p.RenewWithin, p.RenewPercent = 0, 0
	}
	issuer, err := v.signing(p.Issuer)
	if err != nil {
		return cert.Record{}, fmt.Errorf("certificate profile %s: %w", p.Name, err)
	}
	i := issuing{Application: a, profile: p, issuer: issuer, proven: a.Message != nil}
	if i.proven {
		if i.Application, err = v.read(a, p); err != nil {
			return cert.Record{}, err
		}
	}
	if err := i.complete(); err != nil {
		return cert.Record{}, err
	}
	switch {
	case i.Type == certPoll:
		return v.poll(ctx, i)
	case i.Type == renewalReq, i.Type == pkcsReq && v.known().made(p.Issuer, i.signer) && i.wanted.renews(i.signer):
		return v.renew(ctx, i)
	case i.Type == pkcsReq:
		return v.enroll(ctx, i)
	}
	return cert.Record{}, ErrMessageType
}

// complete reads what this process has not read already.
func (i *issuing) complete() (err error) {
	if i.signer == nil {
		if i.signer, err = x509.ParseCertificate(i.Signer); err != nil {
			return ErrMessage.With(err)
		}
	}
	if i.wanted == nil && i.Type != certPoll {
		i.wanted, err = readCSR(i.CSR, i.profile.Legacy)
	}
	return err
}

// maxRemote is more than an address of any kind is long, in bytes.
const maxRemote = 64

// bounded tells whether an application is of a size, and its texts of the kind,
// that is logged and stored: an RA in other hands says what it likes.
func (a Application) bounded() error {
	switch {
	case max(len(a.Message), len(a.CSR), len(a.Signer)) > MaxMessage:
		return ErrTooLarge
	case a.Message == nil && a.Transaction == "", !isPlain(a.Transaction, maxTransaction), !isPlain(a.Remote, maxRemote):
		return ErrMessage
	}
	return nil
}

// read takes from a message what the RA would otherwise say of it.
func (v *Certifier) read(a Application, p Profile) (Application, error) {
	r, err := parseSafely(a.Message)
	if err != nil {
		return a, err
	}
	if err := r.acceptable(p.Legacy, v.MaxSkew, v.Now()); err != nil {
		return a, err
	}
	desks := v.known().desks(p.Issuer, v.Now())
	if len(desks) == 0 {
		return a, ErrRenewalSealed
	}
	plain, err := addressed(desks, r.envelope).ra.open(r.envelope, p.Legacy)
	if err != nil {
		return a, err
	}
	return Application{Profile: a.Profile, Type: r.kind, Transaction: string(r.transaction.Bytes), CSR: plain, Signer: r.signer.Raw, Remote: a.Remote, signer: r.signer}, nil
}

// signing is the bottom of issuance: a CA of ours, or somebody else's.
type signing interface {
	Name() string
	// make gives the certificate that i is about, which is written down before
	// and stored after. A challenge stays as good as before when it fails.
	make(ctx context.Context, a issuing, i Issuance) (Issuance, *x509.Certificate, error)
}

func (v *Certifier) signing(name string) (signing, error) {
	if name == Upstream {
		if v.Outside == nil {
			return nil, ErrIssuerUnknown
		}
		return handingOn{v, v.Outside}, nil
	}
	i, err := v.current(name)
	if err != nil {
		return nil, err
	}
	return ours{v, i}, nil
}

func (v *Certifier) issuer(name string) (*ca.Issuer, error) {
	s, known := (*v.seats.Load())[name]
	if !known {
		return nil, ErrIssuerUnknown
	}
	return s.Issuer, nil
}
