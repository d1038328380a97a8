package phone

import (
	"bytes"
	"context"
	"crypto/x509"
	"slices"
)

// installation is one profile on its way onto the phone. It works on a copy of
// the phone's state; nothing counts until all of it has succeeded.
type installation struct {
	phone   *Phone
	profile *Profile
	old     *Profile // the profile that this one replaces, nil when new
	next    *state
	from    source
}

// install puts a profile on the phone, all of it or nothing.
func (p *Phone) install(ctx context.Context, raw []byte, from source) error {
	doc, err := p.tryInstall(ctx, raw, from)
	if err != nil {
		p.log(EventRefuse, "profile", err.Error())
		return installErr(4001, err, "Profile Installation Failed")
	}
	p.log(EventInstall, doc.Identifier, signedBy(&doc.Profile))
	return nil
}

func (p *Phone) tryInstall(ctx context.Context, raw []byte, from source) (*document, error) {
	st := p.state()
	doc, err := openProfile(raw, st.identities(), st.trust(p.cfg.Roots), p.cfg.Now())
	if err != nil {
		return nil, err
	}
	if p.feels().Full {
		return nil, errFull
	}
	in := &installation{phone: p, profile: &doc.Profile, old: st.profile(doc.Identifier), next: st.clone(), from: from}
	if err := in.admit(doc); err != nil {
		return nil, err
	}
	in.trustNewRoots(doc)
	defer in.endTrust()
	if err := in.all(ctx, doc.payloads); err != nil {
		return nil, err
	}
	in.next.put(in.profile)
	p.commit(in.next)
	in.report()
	return doc, nil
}

// admit decides whether this profile may come this way at all.
func (in *installation) admit(doc *document) error {
	mdm := slices.ContainsFunc(doc.payloads, isMDM)
	in.profile.Managed = in.from == byMDM || mdm
	e := in.next.enrollment
	switch {
	case in.from == byHand && mdm && e != nil:
		return mdmErr(12001, "The phone is managed already.")
	case in.from == byMDM && in.old != nil && !in.old.Managed:
		return mdmErr(12013, "The profile %q was installed by hand.", doc.Identifier)
	case in.from == byHand && in.old != nil && !sameSigner(in.old, in.profile):
		return installErr(4008, nil, "The profile %q must be signed as the installed one is.", doc.Identifier)
	case in.from == byHand && in.old != nil && in.old.Managed:
		return installErr(4012, nil, "The profile %q is managed.", doc.Identifier)
	case e != nil && doc.Identifier == e.Profile && !mdm:
		return installErr(4015, nil, "The replacement of the enrollment profile has no MDM payload.")
	case countMDM(doc.payloads) > 1:
		return mdmErr(12001, "The profile has several MDM payloads.")
	}
	return in.references(doc.payloads)
}

func isMDM(d dict) bool { return d.str("PayloadType") == "com.apple.mdm" }

func countMDM(list []dict) (n int) {
	for _, d := range list {
		if isMDM(d) {
			n++
		}
	}
	return n
}

// sameSigner holds a replacement to the signing identity of what it replaces.
func sameSigner(a, b *Profile) bool {
	if len(a.Signers) == 0 || len(b.Signers) == 0 {
		return len(a.Signers) == len(b.Signers)
	}
	return bytes.Equal(a.Signers[0].RawSubjectPublicKeyInfo, b.Signers[0].RawSubjectPublicKeyInfo)
}

// references checks that what names an identity names one of this profile.
func (in *installation) references(list []dict) error {
	for _, d := range list {
		for _, key := range payloadKinds[d.str("PayloadType")].refs {
			uuid := d.str(key)
			if d.has(key) && !slices.ContainsFunc(list, func(o dict) bool { return o.str("PayloadUUID") == uuid && isIdentity(o) }) {
				return profileErr(1009, payloadErr(2004, "%s of %q names no identity of the same profile.", key, d.str("PayloadIdentifier")),
					"The profile %q is invalid.", in.profile.Identifier)
			}
		}
	}
	return nil
}

func isIdentity(d dict) bool {
	switch d.str("PayloadType") {
	case "com.apple.security.pkcs12", "com.apple.security.scep":
		return true
	}
	return false
}

// trustNewRoots lets the connections of this installation trust the root
// certificates that it brings, as managed and enrollment profiles do.
func (in *installation) trustNewRoots(doc *document) {
	if !in.profile.Managed {
		return
	}
	pool := in.next.trust(in.phone.cfg.Roots)
	for _, d := range doc.payloads {
		if c, err := readCertificate(d); err == nil && c != nil {
			anchor(pool, c)
		}
	}
	in.setTrust(pool)
}

func (in *installation) endTrust() { in.setTrust(nil) }

func (in *installation) setTrust(pool *x509.CertPool) {
	in.phone.mu.Lock()
	in.phone.pending = pool
	in.phone.mu.Unlock()
}

// all installs the payloads, certificates first and MDM last.
func (in *installation) all(ctx context.Context, list []dict) error {
	list = slices.Clone(list)
	slices.SortStableFunc(list, func(a, b dict) int {
		return payloadKinds[a.str("PayloadType")].order - payloadKinds[b.str("PayloadType")].order
	})
	for _, d := range list {
		item := Payload{
			Type: d.str("PayloadType"), Identifier: d.str("PayloadIdentifier"), UUID: d.str("PayloadUUID"),
			Name: d.str("PayloadDisplayName"), Settings: d,
		}
		if err := payloadKinds[item.Type].install(in, ctx, d, &item); err != nil {
			return err
		}
		in.profile.Payloads = append(in.profile.Payloads, item)
	}
	return nil
}

// report says which payloads kept their place: those whose identifier and UUID
// are as before are updated, others are removed and added.
// Spec: Apple, Configuration Profile Reference: CommonPayloadKeys
func (in *installation) report() {
	for _, item := range in.profile.Payloads {
		if in.before(item) != nil {
			in.phone.log(EventPayload, item.Identifier, item.Type)
		}
	}
}

// before gives the payload that this one updates in place, nil when it is new.
func (in *installation) before(item Payload) *Payload {
	if in.old == nil {
		return nil
	}
	for i := range in.old.Payloads {
		if o := &in.old.Payloads[i]; o.Identifier == item.Identifier && o.UUID == item.UUID && o.Type == item.Type {
			return o
		}
	}
	return nil
}

// identity finds an identity that this installation has made.
func (in *installation) identity(uuid string) *Identity {
	for _, item := range in.profile.Payloads {
		if item.UUID == uuid && item.Identity != nil {
			return item.Identity
		}
	}
	return nil
}

// own records an identity under the payload it came from.
func (in *installation) own(id *Identity, item *Payload) {
	id.Profile, id.Payload, id.PayloadUUID = in.profile.Identifier, item.Identifier, item.UUID
	item.Identity = id
	in.phone.log(EventIdentity, id.Certificate.Subject.String(), id.Kind)
}

// pin notes which authorities a host is pinned to.
func (in *installation) pin(pins map[string]*x509.CertPool, host string, uuids []string) {
	for _, item := range in.profile.Payloads {
		if item.Certificate == nil || !slices.Contains(uuids, item.UUID) {
			continue
		}
		if pins[host] == nil {
			pins[host] = x509.NewCertPool()
		}
		pins[host].AddCert(item.Certificate)
	}
}

// mdm installs the bond to the server: a first enrollment by hand, or a
// renewal by the server itself.
func (in *installation) mdm(ctx context.Context, d dict, _ *Payload) error {
	e, err := in.readEnrollment(d)
	if err != nil {
		return err
	}
	if old := in.next.enrollment; old != nil {
		if err := e.renews(old); err != nil {
			return err
		}
		e.Token = old.Token
	}
	if err := in.phone.authenticate(ctx, e); err != nil {
		return err
	}
	in.next.enrollment = e
	return nil
}

func signedBy(p *Profile) string {
	switch {
	case len(p.Signers) == 0:
		return "not signed"
	case p.Trusted:
		return "verified: " + p.Signers[0].Subject.String()
	}
	return "not verified: " + p.Signers[0].Subject.String()
}
