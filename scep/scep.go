// Package scep issues certificates to devices over SCEP: challenges, the
// profiles of what is issued, PKIOperation, renewal and revocation. It knows
// neither SQL nor HTTP, nor what becomes of the devices.
//
// It promises that nothing is issued but for an unused challenge, or at the
// signature of the device's current certificate; that a certificate says what
// our records said when the challenge was made, and takes nothing but the key
// from a request; that one challenge gives one certificate, also to many
// requests at once and across a crash; that the same request sent again gets
// the same certificate; and that an envelope which does not open is answered
// in one way only.
//
// Spec: RFC 8894
//
// Start reading at [New], [Service.Challenge] and [Service.PKIOperation].
package scep

import (
	"crypto"
	"crypto/x509"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/scep/ca"
)

// Config says how to run it.
type Config struct {
	Store       Store
	Authorities []Authority // one without RA only publishes its revocations, as a root does
	Profiles    []Profile
	URL         string // where the profiles are served, each under its name: https://mdm.example.com/scep
	// AllowLegacy also serves clients that speak DES, triple DES and SHA-1
	// only. Replies are AES and SHA-256 all the same.
	AllowLegacy bool
	MaxSkew     time.Duration // of a client's clock; 0: a day, negative: any
	MaxFailures int           // wrong challenges that one address is answered in a minute; 0: 10
	Log         *slog.Logger
	Now         func() time.Time
}

// Authority is an issuing CA and the RA that speaks for it.
type Authority struct {
	Issuer *ca.Issuer
	RA     RA
}

// RA opens requests and signs replies. Its key is RSA and not the CA's, so
// that nothing a stranger sends is ever given to a CA key.
type RA struct {
	Certificate *x509.Certificate
	Signer      crypto.Signer
	Decrypter   crypto.Decrypter
}

// Service answers SCEP and issues certificates.
type Service struct {
	Config
	lines      map[string]*line // by profile
	issuers    map[string]*ca.Issuer
	work       *work
	guesses    *guesses
	publishing sync.Mutex
}

// line is a profile with the CA that issues it.
type line struct {
	Profile
	issuer *ca.Issuer
	ra     RA
}

// New makes the service. It panics on a missing dependency; an error says what
// is wrong with the profiles.
func New(c Config) (*Service, error) {
	if c.Store == nil || c.Log == nil || c.Now == nil || c.URL == "" {
		panic("scep: nil dependency")
	}
	if c.MaxSkew == 0 {
		c.MaxSkew = day
	}
	if c.MaxFailures == 0 {
		c.MaxFailures = 10
	}
	s := &Service{Config: c, lines: map[string]*line{}, issuers: map[string]*ca.Issuer{}, work: newWork(), guesses: newGuesses()}
	ras := map[string]RA{}
	for _, a := range c.Authorities {
		s.issuers[a.Issuer.Name()], ras[a.Issuer.Name()] = a.Issuer, a.RA
	}
	for _, p := range c.Profiles {
		if err := p.check(); err != nil {
			return nil, err
		}
		issuer, ra := s.issuers[p.Issuer], ras[p.Issuer]
		if issuer == nil || ra.Certificate == nil || ra.Signer == nil || ra.Decrypter == nil {
			return nil, fmt.Errorf("certificate profile %s: there is no issuer %s with an RA", p.Name, p.Issuer)
		}
		if !issuer.Made(ra.Certificate) {
			return nil, fmt.Errorf("certificate profile %s: the RA's certificate is not of issuer %s", p.Name, p.Issuer)
		}
		s.lines[p.Name] = &line{p, issuer, ra}
	}
	return s, nil
}

func (s *Service) line(profile string) (*line, error) {
	l := s.lines[profile]
	if l == nil {
		return nil, ErrProfileUnknown
	}
	return l, nil
}

func (s *Service) issuer(name string) (*ca.Issuer, error) {
	i := s.issuers[name]
	if i == nil {
		return nil, ErrIssuerUnknown
	}
	return i, nil
}

// identityIssuers are the CAs of device identities.
func (s *Service) identityIssuers() []*ca.Issuer {
	var list []*ca.Issuer
	for _, l := range s.lines {
		if l.Use == cert.Identity {
			list = append(list, l.issuer)
		}
	}
	return list
}
