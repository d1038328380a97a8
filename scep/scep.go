// Package scep issues certificates to devices over SCEP: challenges, the
// profiles of what is issued, PKIOperation, renewal and revocation. It knows
// neither SQL nor HTTP, nor what becomes of the devices.
//
// It promises that nothing is issued but for an unused challenge, or at the
// signature of the device's current certificate; that a certificate says what
// our records said when the challenge was made, and takes nothing but the key
// from a request; that one challenge gives one certificate, also to many
// requests at once and across a crash; that the same request sent again gets
// the same certificate; that a profile whose certificates a person approves
// gives none before; and that an envelope which does not open is answered in
// one way only. The static challenge of a laboratory ([Lab]) is the exception:
// it gives one certificate for each key.
//
// It has two halves. [Service] is the RA: it faces the network, opens requests
// and answers them, and holds no key of a CA. [Certifier] is the keeper's: it
// holds those, opens renewals for itself, trusts nothing that the RA says about
// what a request is allowed, and may run in another process.
//
// Others can take part: a CA that is not ours may sign ([Outside], [Beyond]),
// which is handed the request as it is and whose certificate is held against
// our records; and somebody else may have made the challenge ([Elsewhere]).
//
// Spec: RFC 8894
//
// Start reading at [New], [Service.PKIOperation] and [Certifier.Certify].
package scep

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/logx"
	"github.com/signet-mdm/signet/scep/ca"
)

// Config says how to run it.
type Config struct {
	Store       Store
	Keeper      Keeper
	Authorities []Authority // to begin with; one without RA only publishes its revocations, as a root does
	Profiles    Catalogue
	Beyond      *Beyond       // the CA of profiles with the issuer [Upstream]; nil when there is none
	URL         string        // where the profiles are served, each under its name: https://mdm.example.com/scep
	AllowLegacy bool          // each profile is as if it were Legacy
	MaxSkew     time.Duration // of a client's clock; 0: a day, negative: any
	MaxFailures int           // wrong challenges that one address is answered in a minute; 0: 10
	Log         *slog.Logger
	Now         func() time.Time
}

// Keeper has the keys of the CAs.
type Keeper interface {
	// Certify gives the certificate that an application earns; the same one
	// when it is sent again. Every refusal is a fault of this package;
	// ErrPending is none: a person has to decide first.
	Certify(ctx context.Context, a Application) (cert.Record, error)
	// Publish makes the published lists of an issuer hold all revocations there
	// are, and signs the OCSP answers that are wanted, before it returns.
	// ErrIssuerUnknown.
	Publish(ctx context.Context, issuer string) error
}

// Application is a request as the RA hands it on. One that a certificate of ours
// signed comes as it is, and the keeper reads the rest from it: the holder of
// that certificate asked, and not whoever knows it.
type Application struct {
	Profile     string
	Message     []byte // pkiMessage; nil: as follows
	Type        string // messageType, in digits
	Transaction string
	CSR         []byte // DER of the PKCS#10 request; nil when the client polls
	Signer      []byte // DER of the certificate that signed the message
	Remote      string // address of the client

	// What of it this process has read already; over no wire.
	wanted *csr
	signer *x509.Certificate
}

// Catalogue knows the certificate profiles.
type Catalogue interface {
	// Profile finds one. ErrProfileUnknown when there is none of that name.
	Profile(ctx context.Context, name string) (Profile, error)
	// Profiles lists all.
	Profiles(ctx context.Context) ([]Profile, error)
}

// Fixed is a catalogue that never changes.
type Fixed []Profile

// Profile implements [Catalogue].
func (f Fixed) Profile(_ context.Context, name string) (Profile, error) {
	i := slices.IndexFunc(f, func(p Profile) bool { return p.Name == name })
	if i < 0 {
		return Profile{}, ErrProfileUnknown
	}
	return f[i], nil
}

// Profiles implements [Catalogue].
func (f Fixed) Profiles(context.Context) ([]Profile, error) { return f, nil }

// Authority is an issuing CA and the RA that speaks for it.
type Authority struct {
	Issuer *ca.Public
	RA     RA
	Former []Former // RAs before this one
	Place
}

// RA opens requests and signs replies. Its key is RSA and not the CA's, so
// that nothing a stranger sends is ever given to a CA key.
type RA struct {
	Certificate *x509.Certificate
	Signer      crypto.Signer
	Decrypter   crypto.Decrypter
}

// Service answers SCEP.
type Service struct {
	Config
	authorities atomic.Pointer[authorities] // by the name of the issuer
	work        *work
	guesses     *guesses
}

// line is a profile with the CA that issues it and its RA.
type line struct {
	Profile
	issuer *ca.Public
	ra     RA
	desks  []desk // all where requests are opened now
}

// New makes the service. It panics on a missing dependency; an error says what
// is wrong with the profiles.
func New(c Config) (*Service, error) {
	if c.Store == nil || c.Keeper == nil || c.Profiles == nil || c.Log == nil || c.Now == nil || c.URL == "" {
		panic("scep: nil dependency")
	}
	if c.MaxSkew == 0 {
		c.MaxSkew = day
	}
	if c.MaxFailures == 0 {
		c.MaxFailures = 10
	}
	s := &Service{Config: c, work: newWork(), guesses: newGuesses()}
	if err := s.Succeed(c.Authorities); err != nil {
		return nil, err
	}
	list, err := c.Profiles.Profiles(context.Background())
	if err != nil {
		return nil, fmt.Errorf("reading certificate profiles: %w", err)
	}
	_, kept := c.Profiles.(*Book)
	for _, p := range list {
		switch _, err := s.lineOf(p); {
		case err == nil, errors.Is(err, ErrUpstreamRA), p.Name == MailEncryption && errors.Is(err, ErrProfileEncryption):
		case !kept || IsShipped(p.Name):
			return nil, err
		default: // it was right when it was applied
			c.Log.Warn("a certificate profile cannot be used", logx.Profile, p.Name, logx.Err, err)
		}
	}
	return s, nil
}

func (s *Service) line(ctx context.Context, profile string) (*line, error) {
	p, err := s.Profiles.Profile(ctx, profile)
	if err != nil {
		return nil, err
	}
	return s.lineOf(p)
}

// lineOf finds the CA and the RA of a profile, which must fit.
func (s *Service) lineOf(p Profile) (*line, error) {
	if err := p.overSCEP(); err != nil {
		return nil, err
	}
	if p.Issuer == Upstream {
		return s.beyond(p)
	}
	a, known := s.authorities.Load().standing(p.Issuer, Current)
	if !known || !a.RA.complete() {
		return nil, fmt.Errorf("certificate profile %s: there is no issuer %s with an RA", p.Name, p.Issuer)
	}
	p.Legacy = p.Legacy || s.AllowLegacy
	return &line{p, a.Issuer, a.RA, s.authorities.Load().desks(p.Issuer, s.Now())}, nil
}

func (s *Service) issuer(name string) (*ca.Public, error) {
	a, known := (*s.authorities.Load())[name]
	if !known {
		return nil, ErrIssuerUnknown
	}
	return a.Issuer, nil
}
