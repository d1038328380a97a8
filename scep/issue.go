package scep

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/logx"
	"github.com/signet-mdm/signet/scep/ca"
)

const (
	repeatLife = 24 * time.Hour   // a request sent again gets the same certificate
	issueTime  = 20 * time.Second // from the reservation to the stored certificate
)

// enroll gives a certificate for a challenge. A refusal that concerns somebody
// is counted and goes into his journal, unless it is for now only; a guess
// concerns nobody and is only logged, so that guessing fills no table.
func (v *Certifier) enroll(ctx context.Context, a issuing) (cert.Record, error) {
	if a.wanted.challenge.Empty() {
		return cert.Record{}, ErrChallengeUnknown
	}
	t, err := v.ticket(ctx, a)
	if err != nil {
		return cert.Record{}, err
	}
	c, err := v.redeem(ctx, a, t)
	if t.elsewhere() {
		c, err = v.reported(ctx, a, t, c, err)
	}
	if err != nil {
		err = about{err, t.Holder}
	}
	if f := fault.Of(err); f != nil && f.Kind != fault.Unavailable && !errors.Is(err, ErrPending) {
		e := entry(v.Now(), device(t.Grant, a.Remote), journal.ChallengeRefused, t.Grant)
		e.Detail["code"] = f.Code
		if counting := v.Store.ChallengeRefused(ctx, t.Hash, f.Msg, e); counting != nil {
			return cert.Record{}, fmt.Errorf("counting a refused challenge: %w", counting)
		}
	}
	return c, err
}

// redeem gives the certificate of a challenge that exists.
func (v *Certifier) redeem(ctx context.Context, a issuing, t Ticket) (cert.Record, error) {
	if !a.wanted.provenBy(a.signer) {
		return cert.Record{}, ErrKeyForeign
	}
	i := Issuance{Grant: t.Grant, Challenge: t.Hash, Transaction: a.Transaction, SPKI: a.wanted.spki}
	return v.give(ctx, a, i, t.refusal(a.Profile, v.Now()))
}

// renew gives a certificate for the signature of the one it follows. What it
// says is what the old one was granted, so nothing can be renamed.
func (v *Certifier) renew(ctx context.Context, a issuing) (cert.Record, error) {
	switch {
	case !v.known().made(a.profile.Issuer, a.signer):
		return cert.Record{}, ErrRenewalUnknown
	case !a.proven:
		return cert.Record{}, ErrRenewalUnproven
	}
	old, err := v.Store.Issued(ctx, cert.FingerprintOf(a.signer.Raw))
	if errors.Is(err, ErrCertificateUnknown) {
		return cert.Record{}, ErrRenewalUnknown.With(err)
	}
	if err != nil {
		return cert.Record{}, err
	}
	i := Issuance{Grant: old.Grant, Renews: old.Record.Fingerprint, Transaction: a.Transaction, SPKI: a.wanted.spki}
	c, err := v.give(ctx, a, i, old.refusal(a.profile, v.Now()))
	if err != nil {
		err = about{err, i.Holder}
	}
	return c, err
}

// about is a failure that concerns somebody whom we know, for the log.
type about struct {
	error
	cert.Holder
}

func (a about) Unwrap() error { return a.error }

// give issues i, or has a person decide first. Refused says why neither; nil
// when nothing is against it so far.
func (v *Certifier) give(ctx context.Context, a issuing, i Issuance, refused error) (cert.Record, error) {
	if refused == nil {
		refused = v.unowned(ctx, i.Grant)
	}
	if refused == nil && a.profile.MatchNames {
		refused = v.unmatched(a, i)
	}
	if a.profile.Approval || a.profile.Issuer == Upstream {
		return v.await(ctx, a, i, refused)
	}
	return v.once(ctx, a, i, refused)
}

// unowned tells why the addresses of a grant, which may be years old, are not
// certified; nil when they are the user's still. Another may have them by now.
//
// Spec: CA/Browser Forum S/MIME BR 3.2.2, 4.9.1.1
func (v *Certifier) unowned(ctx context.Context, g Grant) error {
	named := slices.Concat(g.Names.Mail, g.Names.UPN)
	if len(named) == 0 {
		return nil
	}
	his, err := v.Store.Addresses(ctx, g.Holder.User)
	if err == nil && slices.ContainsFunc(named, func(addr string) bool { return !owns(his, addr) }) {
		err = ErrAddressGone
	}
	return err
}

// refusal tells why a certificate cannot be renewed now; nil when it can.
func (o Issued) refusal(p Profile, now time.Time) error {
	from, ever := p.renews(o.Record)
	switch {
	case o.Profile != p.Name || !ever:
		return ErrRenewalUnknown
	case o.Record.Revoked() || !o.Record.ValidAt(now) || !o.Current:
		return ErrRenewalOver
	case now.Before(from):
		return ErrRenewalEarly
	case o.Gone:
		return ErrHolder
	}
	return nil
}

// once issues i unless refused says why not. A request that was answered
// before gets the same certificate, also when both came at once.
func (v *Certifier) once(ctx context.Context, a issuing, i Issuance, refused error) (cert.Record, error) {
	if refused == nil {
		c, err := v.issue(ctx, a, i)
		if !errors.Is(err, ErrChallengeUsed) && !errors.Is(err, ErrRenewalOver) && !errors.Is(err, ErrCertificatesMany) {
			return c, err
		}
		refused = err // another request was faster: perhaps the same one
	}
	if i.Profile != a.Profile {
		return cert.Record{}, refused
	}
	c, found, err := v.Store.Repeated(ctx, i, v.Now().Add(-repeatLife))
	if err != nil {
		return cert.Record{}, err
	}
	if !found || c.Revoked() {
		return cert.Record{}, refused
	}
	return c, nil
}

// issue makes the certificate in the order that makes dying at any point safe:
// write down that one is made, make it, store it. What was begun is ended
// although the client hangs up.
func (v *Certifier) issue(ctx context.Context, a issuing, i Issuance) (cert.Record, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), issueTime)
	defer cancel()
	i.Issuer, i.At, i.Rate = a.issuer.Name(), v.Now(), v.Rate
	if i.At.Before(v.Built) {
		v.Log.ErrorContext(ctx, "no certificates by a clock that is wrong", logx.Profile, a.Profile, logx.Code, ErrOwnClock.Code)
		return cert.Record{}, ErrOwnClock
	}
	i, c, err := a.issuer.make(ctx, a, i)
	if errors.Is(err, ErrCertificatesMany) {
		v.Log.ErrorContext(ctx, "no more certificates within the hour", logx.Profile, a.Profile, logx.User, i.Holder.User,
			logx.Device, i.Holder.Device, logx.Code, fault.Code(err), logx.Remote, a.Remote)
	}
	if err != nil {
		return cert.Record{}, err
	}
	r := record(c, i.Grant, a.profile.Use, i.At)
	e := entry(i.At, device(i.Grant, a.Remote), journal.CertificateIssued, i.Grant)
	e.Cert, e.Due.Devices, e.Detail["serial"] = r.Fingerprint, append(e.Due.Devices, i.Holder.Device), string(r.Serial)
	if err := v.Store.CertificateIssued(ctx, i, r, e); err != nil {
		if i.Issuer == Upstream && fault.Of(err) != nil { // of what failed it can be asked again
			v.unwanted(ctx, a, i, c, err)
		}
		return cert.Record{}, fmt.Errorf("storing certificate %s: %w", r.Serial, err)
	}
	v.Log.InfoContext(ctx, "certificate issued", logx.Profile, a.Profile, logx.User, i.Holder.User, logx.Device, i.Holder.Device,
		logx.Cert, r.Fingerprint.String(), logx.Serial, string(r.Serial), logx.Remote, a.Remote)
	return r, nil
}

// ours is a CA whose key we have.
type ours struct {
	*Certifier
	*ca.Issuer
}

// make prepares and checks, writes down the serial number, and signs.
func (o ours) make(ctx context.Context, a issuing, i Issuance) (Issuance, *x509.Certificate, error) {
	p, err := o.Prepare(a.request(i), i.At)
	if err != nil {
		return i, nil, broken(err)
	}
	i.Serial, i.Shard, i.TBS, i.NotAfter = p.Serial(), p.Shard(), p.TBS(), p.Draft.NotAfter
	if err := o.Store.SerialReserved(ctx, i); err != nil {
		return i, nil, fmt.Errorf("reserving serial number %s: %w", i.Serial, err)
	}
	c, err := o.Issue(p)
	return i, c, err
}

// broken tells the client of a rule that its key breaks; other rules are for
// whoever wrote the profile.
func broken(err error) error {
	if rule, ok := errors.AsType[*ca.BrokenRule](err); ok && rule.OfKey() {
		return ErrKey.With(err)
	}
	return err
}

// device is the actor of a request.
func device(g Grant, remote string) journal.Actor {
	return journal.Actor{Kind: journal.Device, ID: string(g.Holder.Device), Remote: remote}
}

func record(c *x509.Certificate, g Grant, use cert.Use, now time.Time) cert.Record {
	r := cert.RecordOf(c, now)
	r.Holder, r.Source, r.Use, r.Profile = g.Holder, cert.Issued, use, g.Profile
	return r
}
