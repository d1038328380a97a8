package scep

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"time"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/logx"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/scep/ca"
)

// Upstream is the name of the issuer that is not ours: the CA of the
// organisation, behind a SCEP server to which requests are handed on.
const Upstream = "upstream"

// What can go wrong with a CA that is not ours.
var (
	ErrUpstreamRA = fault.New(fault.Unavailable, "scep_upstream_ra",
		"The other certification authority has not given us a registration certificate yet.", "The server's log says why; it is asked again within the hour.")
	ErrUpstreamIdentity = fault.New(fault.Invalid, "scep_upstream_identity",
		"Identities of devices are issued by our own CA only: keys are opened by them.", "Use the other certification authority for S/MIME signing certificates.")
	ErrUpstreamStatic = fault.New(fault.Unavailable, "scep_upstream_static",
		"The other certification authority gave the same challenge as before.", "Every challenge must be good once: switch off a password that all share, such as NDES's UseSinglePassword.")
	ErrUpstreamNames = fault.New(fault.Denied, "scep_upstream_names",
		"The request asks for other names than the challenge is for, and the other certification authority would take them.", "Let the client ask for exactly the names that the certificate profile gives the user.")
	ErrUpstreamCertificate = fault.New(fault.Denied, "scep_upstream_certificate",
		"The certificate of the other certification authority is not what it should be.", "Nobody gets it. Revoke it there; the journal has its serial number. Mend the template there.")
)

// Outside is a CA that is not ours, as the keeper sees it.
type Outside struct {
	CA   *ca.Public // named [Upstream]
	SCEP Enroller
}

// Enroller asks a CA that is not ours.
type Enroller interface {
	// Enroll hands a certificate request on and gives what came back: of the
	// key of the request and signed by the CA, and nobody's word for more.
	// Decided tells whether that, or the error, is the CA's last word; with
	// neither, a person there decides first. Errors are faults. It ends when ctx
	// does.
	Enroll(ctx context.Context, csr []byte) (c *x509.Certificate, decided bool, err error)
	// Poll asks what became of a request that was handed on, and answers as
	// Enroll does. Not every CA knows this question.
	Poll(ctx context.Context, csr []byte) (c *x509.Certificate, decided bool, err error)
}

// Beyond is a CA that is not ours, as the RA sees it.
type Beyond struct {
	CA *ca.Public // named [Upstream]
	// RA gives ours under that CA. ErrUpstreamRA while it has made none.
	RA         func() (RA, error)
	Challenges Challenges
}

// Challenges gives the challenges of a CA that is not ours.
type Challenges interface {
	// Challenge gives a fresh one for a certificate about that (profile, user,
	// device, commonName, mail), and how long it lasts; an empty one where the
	// CA wants none.
	Challenge(ctx context.Context, about map[string]string) (secret seal.Secret, life time.Duration, err error)
}

// handingOn is the bottom of issuance by a CA that is not ours.
type handingOn struct {
	*Certifier
	*Outside
}

// Name implements signing.
func (h handingOn) Name() string { return Upstream }

// make hands the request on as it is: it is signed by its key, so that neither
// we nor anybody else can change it. That is why it must ask for the right
// names. What comes back and is not right is written into the journal, and
// goes nowhere. It is written down before that it is handed on, so that
// afterwards only its outcome is asked for: a challenge there is good once.
func (h handingOn) make(ctx context.Context, a issuing, i Issuance) (Issuance, *x509.Certificate, error) {
	if err := asksFor(a.CSR, i.Names); err != nil {
		return i, nil, err
	}
	i.Serial, i.TBS, i.NotAfter = unknownSerial(), a.CSR, i.At.Add(a.profile.Life)
	c, decided, err := h.question(ctx, a, i)
	switch {
	case err != nil && decided:
		return i, nil, h.over(ctx, i, err)
	case err != nil:
		return i, nil, err
	case !decided:
		return i, nil, h.wait(ctx, a, i)
	}
	if err := h.fits(a, i, c); err != nil {
		h.unwanted(ctx, a, i, c, err)
		return i, nil, h.over(ctx, i, err)
	}
	if a.handedOn { // a client asks often, and each of these counts
		if err := h.Store.SerialReserved(ctx, i); err != nil {
			return i, nil, fmt.Errorf("writing down a certificate of the other CA: %w", err)
		}
	}
	return i, c, nil
}

// question hands a request on, or asks what became of it.
func (h handingOn) question(ctx context.Context, a issuing, i Issuance) (*x509.Certificate, bool, error) {
	asked := a.handedOn
	if !asked {
		var err error
		if asked, err = h.Store.Reserved(ctx, i); err != nil {
			return nil, false, err
		}
		if err := h.Store.SerialReserved(ctx, i); err != nil {
			return nil, false, fmt.Errorf("writing down a request to the other CA: %w", err)
		}
	}
	if asked {
		c, decided, err := h.SCEP.Poll(ctx, a.CSR)
		if err == nil || a.handedOn {
			return c, decided, asking(err)
		}
	} // it may not have come that far, or the other CA knows no such question
	c, decided, err := h.SCEP.Enroll(ctx, a.CSR)
	return c, decided, asking(err)
}

func asking(err error) error {
	if err != nil {
		err = fmt.Errorf("asking the other CA: %w", err)
	}
	return err
}

// wait writes down that a person over there decides, and gives ErrPending.
func (h handingOn) wait(ctx context.Context, a issuing, i Issuance) error {
	if a.handedOn {
		return ErrPending
	}
	if i.Request == "" {
		if _, err := h.ask(ctx, a, i, RequestUpstream); err != nil {
			if _, found := h.asked(ctx, a, i); found != nil { // the same message was not faster either
				return err
			}
		}
		return ErrPending
	}
	e := entry(h.Now(), device(i.Grant, a.Remote), journal.RequestPending, i.Grant)
	e.Detail["request"], e.Detail["issuer"] = i.Request, Upstream
	if err := h.Store.RequestHandedOn(ctx, i.Request, e); err != nil && !errors.Is(err, ErrRequestDecided) {
		return err
	}
	return ErrPending
}

// over ends a request to which the other CA gave its last word, and gives why.
func (h handingOn) over(ctx context.Context, i Issuance, why error) error {
	if i.Request == "" {
		return why // the challenge is as good as before
	}
	d := Decision{ID: i.Request, State: RequestDenied, By: journal.Worker(Upstream), At: h.Now()}
	if f := fault.Of(why); f != nil {
		d.Reason = f.Msg
	}
	e := entry(d.At, d.By, journal.RequestDenied, i.Grant)
	e.Detail["request"], e.Detail["code"] = i.Request, fault.Code(why)
	if err := h.Store.RequestDecided(ctx, d, e); err != nil && !errors.Is(err, ErrRequestDecided) {
		return fmt.Errorf("ending request %s: %w", i.Request, err)
	}
	h.Log.WarnContext(ctx, "the other CA refused a certificate request", logx.Profile, i.Profile, logx.User, i.Holder.User,
		logx.Device, i.Holder.Device, logx.Request, i.Request, logx.Err, why)
	return why
}

// unknownSerial stands for the serial number until the other CA has said it.
func unknownSerial() cert.Serial {
	b := make([]byte, 20)
	rand.Read(b)
	return cert.SerialOf(new(big.Int).SetBytes(b))
}

// asksFor wants the names of the request to be those, whatever the order and
// the form that they are written in.
func asksFor(csr []byte, want ca.Names) error {
	r, err := x509.ParseCertificateRequest(csr)
	if err != nil {
		return ErrUnreadable
	}
	if name, differ := namesDiffer(r.RawSubject, r.Extensions, want); differ {
		return ErrUpstreamNames.With(errors.New(name))
	}
	return nil
}

// maxOutside is the longest life of a certificate of a CA that is not ours.
const maxOutside = 3*365*day + day

// fits tells whether the certificate is what the profile is for.
func (h handingOn) fits(a issuing, i Issuance, c *x509.Certificate) error {
	name, differ := namesDiffer(c.RawSubject, c.Extensions, i.Names)
	const mail = x509.ExtKeyUsageEmailProtection
	odd := func(u x509.ExtKeyUsage) bool { return u != mail && u != x509.ExtKeyUsageClientAuth }
	for _, rule := range []struct {
		broken bool
		what   string
	}{
		{!h.CA.Made(c) || !cert.SameKey(a.wanted.key, c.PublicKey), "another key or another issuer"},
		{differ, "other names: " + name},
		{c.IsCA, "a CA's powers"},
		{c.KeyUsage&x509.KeyUsageDigitalSignature == 0 || c.KeyUsage&^(x509.KeyUsageDigitalSignature|x509.KeyUsageContentCommitment) != 0,
			"a key usage that is not for signing alone"},
		{!slices.Contains(c.ExtKeyUsage, mail) || slices.ContainsFunc(c.ExtKeyUsage, odd), "an extended key usage that is not for mail"},
		{c.SerialNumber.Sign() <= 0, "no serial number"},
		{i.At.Before(c.NotBefore.Add(-time.Hour)) || !i.At.Before(c.NotAfter) || c.NotAfter.Sub(c.NotBefore) > maxOutside, "a validity that is not now, or over three years"},
	} {
		if rule.broken {
			return ErrUpstreamCertificate.Saying("The certificate of the other certification authority has " + rule.what + ".")
		}
	}
	return nil
}

// unwanted writes down that the other CA made a certificate which nobody gets.
func (v *Certifier) unwanted(ctx context.Context, a issuing, i Issuance, c *x509.Certificate, why error) {
	f := cert.FingerprintOf(c.Raw)
	if _, err := v.Store.Issued(ctx, f); err == nil { // it went to the right one, by the same message
		return
	}
	e := entry(v.Now(), device(i.Grant, a.Remote), journal.CertificateRefused, i.Grant)
	e.Cert, e.Detail["serial"], e.Detail["issuer"], e.Detail["code"] = f, string(cert.SerialOf(c.SerialNumber)), Upstream, fault.Code(why)
	v.Log.WarnContext(ctx, "a certificate of the other CA is refused: revoke it there", logx.Profile, a.Profile, logx.User, i.Holder.User,
		logx.Device, i.Holder.Device, logx.Cert, f.String(), logx.Serial, string(cert.SerialOf(c.SerialNumber)), logx.Err, why)
	if err := v.Store.Noted(ctx, e); err != nil {
		v.Log.ErrorContext(ctx, "a refused certificate is not in the journal", logx.Cert, f.String(), logx.Err, err)
	}
}

// beyond gives a profile of the CA that is not ours.
func (s *Service) beyond(p Profile) (*line, error) {
	if s.Beyond == nil {
		return nil, fmt.Errorf("certificate profile %s: upstream.url is not set", p.Name)
	}
	ra, err := s.Beyond.RA()
	if err != nil {
		return nil, err
	}
	return &line{p, s.Beyond.CA, ra, []desk{{s.Beyond.CA, ra}}}, nil
}

// secret makes the secret of a challenge and says until when it is good. Where
// the CA is not ours it is one of its own: the request that carries it is
// handed on unchanged.
func (s *Service) secret(ctx context.Context, l *line, g Grant, until time.Time) (seal.Secret, time.Time, error) {
	if l.Issuer != Upstream {
		return seal.Random(), until, nil
	}
	about := map[string]string{"profile": g.Profile, "user": string(g.Holder.User), "device": string(g.Holder.Device), "commonName": commonNameOf(g.Names.DN())}
	if len(g.Names.Mail) > 0 {
		about["mail"] = g.Names.Mail[0]
	}
	secret, life, err := s.Beyond.Challenges.Challenge(ctx, about)
	switch {
	case err != nil:
		return secret, until, fmt.Errorf("getting a challenge of the other CA: %w", err)
	case secret.Empty():
		return seal.Random(), until, nil
	}
	switch _, err := s.Store.Ticket(ctx, secret.Hash()); {
	case err == nil:
		return seal.Secret{}, until, ErrUpstreamStatic
	case !errors.Is(err, ErrChallengeUnknown):
		return seal.Secret{}, until, fmt.Errorf("looking for the other CA's challenge: %w", err)
	}
	if end := s.Now().Add(life); life > 0 && end.Before(until) {
		until = end
	}
	return secret, until, nil
}

// SigningNames gives the names that an S/MIME signing certificate of that
// profile, "" for the usual one, and device will have, as a SCEP payload asks
// for them; none where our own CA takes them from our records.
func (s *Service) SigningNames(ctx context.Context, profile string, u subject.User, d subject.Device) (name [][][]string, mail, uris []string, err error) {
	p, err := s.Profiles.Profile(ctx, cmp.Or(profile, MailSigning))
	if err != nil || p.Issuer != Upstream {
		return nil, nil, nil, err
	}
	n, err := p.names(u, d)
	if err != nil {
		return nil, nil, nil, err
	}
	for _, rdn := range n.DN() {
		var step [][]string
		for _, a := range rdn {
			step = append(step, []string{a.Type, a.Value})
		}
		name = append(name, step)
	}
	return name, n.Mail, n.URIs, nil
}
