package scep

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/logx"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/scep/ca"
)

const (
	// crlRefresh is how old a published list may get although nothing changed.
	crlRefresh = 24 * time.Hour
	// abandonAfter is when a reservation counts as left behind by a process
	// that died. A signature may exist that nobody stored, so it is revoked.
	abandonAfter = 10 * time.Minute
	maxPublish   = 8 // tries when others publish at the same time
	// maxWhole is how many revocations the whole list of an issuer holds, some
	// 50 bytes each. With more it only holds those of certificates that name
	// it, and says so; the shards have the others.
	maxWhole = 20_000
)

// Revoke revokes a certificate that was issued, and publishes that before it
// returns. The reason is a name of RFC 5280; empty is unspecified. Revoking
// twice changes nothing, but that keyCompromise takes the place of any other
// reason, and nothing takes it back. ErrCertificateUnknown, ErrReason.
//
// Spec: CA/Browser Forum S/MIME BR 7.2.2
func (s *Service) Revoke(ctx context.Context, by journal.Actor, f cert.Fingerprint, reason string) error {
	why, known := ca.ParseReason(reason)
	if !known {
		return ErrReason
	}
	issuer, err := revoke(ctx, s.Store, s.Now(), by, f, why)
	if err != nil {
		return err
	}
	return s.Keeper.Publish(ctx, issuer)
}

// RevokeAll revokes all good certificates of a user, or of a device, its
// identity included, and publishes that before it returns. It gives those that
// it revoked, also when it fails: called again, it goes on.
func (s *Service) RevokeAll(ctx context.Context, by journal.Actor, h cert.Holder, reason string) (done []cert.Fingerprint, err error) {
	why, known := ca.ParseReason(reason)
	if !known {
		return nil, ErrReason
	}
	if h.User == "" && h.Device == "" {
		return nil, ErrCertificateUnknown
	}
	outdated := map[string]bool{}
	for more := true; more && err == nil; {
		var list []cert.Record
		list, err = s.Store.IssuedPage(ctx, IssuedQuery{User: h.User, Device: h.Device, State: Good, Now: s.Now(), Limit: pageOfGood})
		more = len(list) == pageOfGood
		for _, r := range list {
			var issuer string
			if issuer, err = revoke(ctx, s.Store, s.Now(), by, r.Fingerprint, why); err != nil {
				break
			}
			outdated[issuer] = true
			done = append(done, r.Fingerprint)
		}
	}
	for issuer := range outdated {
		err = errors.Join(err, s.Keeper.Publish(ctx, issuer))
	}
	return done, err
}

// pageOfGood is how many certificates are looked up at a time to revoke them.
const pageOfGood = 500

// Certificates lists what was issued, newest first.
func (s *Service) Certificates(ctx context.Context, q IssuedQuery) ([]cert.Record, error) {
	q.Now = s.Now()
	return s.Store.IssuedPage(ctx, q)
}

// Certificate finds one that was issued, by the fingerprint or by the serial
// number, in hexadecimal digits. ErrCertificateUnknown when there is none.
func (s *Service) Certificate(ctx context.Context, key string) (Issued, error) {
	f, err := cert.ParseFingerprint(key)
	if err != nil {
		if f, err = s.Store.IssuedAs(ctx, cert.Serial(strings.TrimLeft(strings.ToLower(key), "0"))); err != nil {
			return Issued{}, err
		}
	}
	return s.Store.Issued(ctx, f)
}

// revoke writes a revocation down and tells whose it is to publish.
func revoke(ctx context.Context, to Store, now time.Time, by journal.Actor, f cert.Fingerprint, why Reason) (issuer string, err error) {
	issued, err := to.Issued(ctx, f)
	if err != nil {
		return "", err
	}
	e := entry(now, by, journal.CertificateRevoked, issued.Grant)
	e.Cert, e.Due, e.Detail["reason"] = f, subject.OfDevice(issued.Holder.Device), string(why)
	if issued.Holder.Device == "" { // all of his devices have it
		e.Due = subject.OfUser(issued.Holder.User)
	}
	if err := to.CertificateRevoked(ctx, f, why, e); err != nil {
		return "", fmt.Errorf("revoking %s: %w", f, err)
	}
	return issued.Issuer, nil
}

// CRL gives a list of an issuer, of type [TypeCRL]: the whole list, or that of a
// shard. A list that does not hold everything any more, or is a day old,
// is replaced first, unless that takes long: then the last good one is served.
// ErrIssuerUnknown, ErrCRLUnknown.
func (s *Service) CRL(ctx context.Context, issuer, shard string) (CRL, error) {
	if _, err := s.issuer(issuer); err != nil {
		return CRL{}, err
	}
	c, err := s.Store.CRL(ctx, issuer, shard)
	if errors.Is(err, ErrCRLUnknown) && shard == "" {
		err = nil // it was never published
	}
	if err != nil || !c.stale(s.Now()) {
		return c, err
	}
	if err := s.publish(ctx, issuer); err != nil {
		if len(c.DER) == 0 || !s.Now().Before(c.ThisUpdate.Add(ca.CRLLife)) {
			return CRL{}, err
		}
		s.Log.WarnContext(ctx, "an old CRL is served, no new one could be published", logx.Kind, issuer, logx.Err, err)
		return c, nil
	}
	return s.Store.CRL(ctx, issuer, shard)
}

// publish has the keeper publish, for a reader who does not wait long.
func (s *Service) publish(ctx context.Context, issuer string) error {
	ctx, cancel := context.WithTimeout(ctx, readTime)
	defer cancel()
	return s.Keeper.Publish(ctx, issuer)
}

func (c CRL) stale(now time.Time) bool {
	return len(c.DER) == 0 || c.Revision != c.Published || now.Sub(c.ThisUpdate).Abs() >= crlRefresh
}

// Refresh revokes what nobody is there for any more, publishes what is due, and
// tells how many lists and answers that were. It is run again and again.
func (v *Certifier) Refresh(ctx context.Context) (n int, err error) {
	err = errors.Join(v.forsake(ctx), v.Store.AnswersForgotten(ctx, v.Now().Add(-ca.OCSPLife)))
	for name, i := range *v.seats.Load() {
		err = errors.Join(err, v.Store.ReservationsAbandoned(ctx, name, v.Now().Add(-abandonAfter)))
		published, failed := v.inTime(ctx, i.Issuer, refreshTime)
		n += published
		err = errors.Join(err, failed)
	}
	return n, err
}

// forsake revokes the certificates of disabled users that are on no device of
// ours: nobody plans for those.
func (v *Certifier) forsake(ctx context.Context) error {
	list, err := v.Store.Forsaken(ctx, v.Now())
	for _, f := range list {
		_, failed := revoke(ctx, v.Store, v.Now(), journal.Worker("crl"), f, ca.AffiliationChanged)
		err = errors.Join(err, failed)
	}
	return err
}

// Publish implements [Keeper].
func (v *Certifier) Publish(ctx context.Context, issuer string) error {
	if issuer == Upstream { // what it revoked is for the other CA to tell
		return nil
	}
	i, err := v.issuer(issuer)
	if err != nil {
		return err
	}
	_, err = v.inTime(ctx, i, publishTime)
	return err
}

// refresh publishes the lists that are due, each alone, and signs the answers
// that are wanted.
func (v *Certifier) refresh(ctx context.Context, p *press, i *ca.Issuer) (n int, err error) {
	now := v.Now()
	p.current(now) // there is another once somebody asks
	due, err := v.Store.CRLsDue(ctx, i.Name(), now.Add(-crlRefresh), now.Add(crlRefresh))
	for _, shard := range due {
		failed := v.publish(ctx, i, shard)
		if failed == nil {
			n++
		}
		err = errors.Join(err, failed)
	}
	signed, failed := v.answer(ctx, p, i)
	return n + signed, errors.Join(err, failed)
}

// publish makes the next list. Numbers are seconds since 1970 where that is
// higher than the last plus one, so that they rise after a restored backup too.
func (v *Certifier) publish(ctx context.Context, i *ca.Issuer, shard string) error {
	for range maxPublish {
		now := v.Now()
		last, list, err := v.Store.Revocations(ctx, i.Name(), shard, maxWhole)
		if err != nil {
			return fmt.Errorf("reading revocations of %s: %w", i.Name(), err)
		}
		next := CRL{Issuer: i.Name(), Shard: shard, Number: max(last.Number+1, now.Unix()), ThisUpdate: now, Published: last.Revision}
		if next.DER, err = i.CRL(ca.List{Number: next.Number, Shard: shard, Partial: last.Partial, Revoked: list}, now); err != nil {
			return err
		}
		if err := v.Store.CRLPublished(ctx, next, last.Number); err == nil {
			return nil
		} else if !errors.Is(err, ErrCRLRaced) {
			return fmt.Errorf("publishing the CRL of %s: %w", i.Name(), err)
		}
	}
	return fmt.Errorf("publishing the CRL of %s: %w", i.Name(), ErrCRLRaced)
}
