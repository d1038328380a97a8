package phone

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"maps"
	"slices"
)

// state is everything that lies on the phone. A state is never changed once it
// is the phone's: installing works on a copy, so that a failure leaves no
// trace.
type state struct {
	profiles   []*Profile
	enrollment *Enrollment
	apps       map[string]App
	erased     bool // all will be gone once the server knows
}

func (s *state) clone() *state {
	return &state{slices.Clone(s.profiles), s.enrollment, maps.Clone(s.apps), s.erased}
}

// profile finds an installed profile, nil when there is none.
func (s *state) profile(identifier string) *Profile {
	for _, p := range s.profiles {
		if p.Identifier == identifier {
			return p
		}
	}
	return nil
}

// put installs a profile in the place of the one with the same identifier.
func (s *state) put(p *Profile) {
	for i, old := range s.profiles {
		if old.Identifier == p.Identifier {
			s.profiles[i] = p
			return
		}
	}
	s.profiles = append(s.profiles, p)
}

func (s *state) remove(identifier string) {
	s.profiles = slices.DeleteFunc(s.profiles, func(p *Profile) bool { return p.Identifier == identifier })
}

func (s *state) identities() []Identity {
	var out []Identity
	for _, p := range s.profiles {
		for _, item := range p.Payloads {
			if item.Identity != nil {
				out = append(out, *item.Identity)
			}
		}
	}
	return out
}

// trust gives the authorities the phone trusts for TLS: those from before, and
// the root certificates of managed profiles. A root that the user installed by
// hand counts only when it came with the enrollment.
func (s *state) trust(before *x509.CertPool) *x509.CertPool {
	pool := x509.NewCertPool()
	if before != nil {
		pool = before.Clone()
	}
	for _, p := range s.profiles {
		if p.Managed {
			p.addRoots(pool)
		}
	}
	return pool
}

// Identity is a private key with its certificate on the phone's keychain.
type Identity struct {
	Certificate *x509.Certificate
	Key         crypto.Signer
	Chain       []*x509.Certificate // issuers that came along, nearest first
	Kind        string              // "scep" or "pkcs12"
	Profile     string              // PayloadIdentifier of the profile
	Payload     string              // PayloadIdentifier of the payload
	PayloadUUID string
}

// Profile is an installed configuration profile.
type Profile struct {
	Identifier, UUID, Name, Organization, Description string

	Managed   bool                // came by MDM, or is the enrollment itself
	Encrypted bool                // was sealed to an identity of the phone
	Signers   []*x509.Certificate // signer first, then its chain; empty when unsigned
	Trusted   bool                // the signer's chain ends at a trusted root ("Verified")
	Payloads  []Payload
}

func (p *Profile) addRoots(pool *x509.CertPool) {
	for _, item := range p.Payloads {
		if item.Certificate != nil {
			anchor(pool, item.Certificate)
		}
	}
}

// anchor adds a certificate if it is self-signed: others are no trust anchors.
func anchor(pool *x509.CertPool, c *x509.Certificate) {
	if bytes.Equal(c.RawIssuer, c.RawSubject) {
		pool.AddCert(c)
	}
}

// Payload is one installed part of a profile. At most one of the last three
// is set.
type Payload struct {
	Type, Identifier, UUID, Name string

	Settings    map[string]any // as they came, secrets included
	Certificate *x509.Certificate
	Identity    *Identity
	Account     *Account
}

// Profiles returns the installed profiles in the order they were installed.
func (p *Phone) Profiles() []Profile {
	var out []Profile
	for _, prof := range p.state().profiles {
		out = append(out, *prof)
	}
	return out
}

// Profile returns the installed profile with this PayloadIdentifier.
func (p *Phone) Profile(identifier string) (Profile, bool) {
	if prof := p.state().profile(identifier); prof != nil {
		return *prof, true
	}
	return Profile{}, false
}

// Identities returns every identity on the keychain.
func (p *Phone) Identities() []Identity { return p.state().identities() }

// Accounts returns the configured accounts.
func (p *Phone) Accounts() []Account {
	var out []Account
	for _, prof := range p.state().profiles {
		for _, item := range prof.Payloads {
			if item.Account != nil {
				out = append(out, *item.Account)
			}
		}
	}
	return out
}
