package appconfig

import "context"

// Deliverable is a [Kind] whose things policies name for signing keys.
type Deliverable interface {
	// Deliverable tells why no policy can name that one; nil when one can.
	Deliverable(ctx context.Context, name string) error
}

// profiled sees that the certificate profile which a policy names is there, or
// made by the same file, and for delivery.
func (a *application) profiled(p Policy) error {
	name := p.Settings.Text(SigningProfile)
	if !p.Names(name) {
		return nil
	}
	if facts, touched := a.made[name]; touched {
		if facts["delivery"] == "true" {
			return nil
		}
		return ErrProfile.Saying("The policy " + printable(p.Name) + " names a certificate profile that this file takes away, or makes without delivery: true.")
	}
	for _, k := range a.others {
		if d, is := k.(Deliverable); is {
			return d.Deliverable(a.ctx, name)
		}
	}
	return ErrProfile
}

// free sees that no policy names the certificate profile that is to go.
func (a *application) free(name string) error {
	for _, p := range a.policies {
		if p.Names(name) {
			return ErrNamed.Saying("The policy " + printable(p.Name) + " names this certificate profile.")
		}
	}
	return nil
}

// Names tells whether the policy names that certificate profile, which is not
// the usual one.
func (p Policy) Names(profile string) bool {
	return profile != "" && profile != usualProfile && p.Settings.Text(SigningProfile) == profile
}
