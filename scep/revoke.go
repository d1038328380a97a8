package scep

import (
	"context"
	"errors"
	"fmt"
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
)

// Revoke revokes a certificate that was issued, and publishes the CRL with it
// before it returns. The reason is a name of RFC 5280; empty is unspecified.
// Revoking twice changes nothing. ErrCertificateUnknown, ErrReason.
func (s *Service) Revoke(ctx context.Context, by journal.Actor, f cert.Fingerprint, reason string) error {
	why, known := ca.ParseReason(reason)
	if !known {
		return ErrReason
	}
	issued, err := s.Store.Issued(ctx, f)
	if err != nil {
		return err
	}
	e := entry(s.Now(), by, journal.CertificateRevoked, issued.Grant)
	e.Cert, e.Due, e.Detail["reason"] = f, subject.OfDevice(issued.Holder.Device), string(why)
	if err := s.Store.CertificateRevoked(ctx, f, why, e); err != nil {
		return fmt.Errorf("revoking %s: %w", f, err)
	}
	return s.Keeper.Publish(ctx, issued.Issuer)
}

// CRL gives the DER list of an issuer, of type [TypeCRL]. A list that does not
// hold everything any more, or is a day old, is replaced first.
func (s *Service) CRL(ctx context.Context, issuer string) ([]byte, error) {
	if _, err := s.issuer(issuer); err != nil {
		return nil, err
	}
	c, err := s.Store.CRL(ctx, issuer)
	if err != nil || !c.stale(s.Now()) {
		return c.DER, err
	}
	if err := s.Keeper.Publish(ctx, issuer); err != nil {
		if len(c.DER) == 0 || !s.Now().Before(c.ThisUpdate.Add(ca.CRLLife)) {
			return nil, err
		}
		s.Log.WarnContext(ctx, "an old CRL is served, no new one could be published", logx.Kind, issuer, logx.Err, err)
		return c.DER, nil
	}
	c, err = s.Store.CRL(ctx, issuer)
	return c.DER, err
}

// Refresh publishes the lists that are due, and tells how many. It is run
// again and again.
func (v *Certifier) Refresh(ctx context.Context) (n int, err error) {
	for _, i := range v.issuers {
		published, failed := v.refresh(ctx, i)
		if published {
			n++
		}
		err = errors.Join(err, failed)
	}
	return n, err
}

// Publish implements [Keeper].
func (v *Certifier) Publish(ctx context.Context, issuer string) error {
	i, err := v.issuer(issuer)
	if err != nil {
		return err
	}
	_, err = v.refresh(ctx, i)
	return err
}

// refresh publishes the list if it is due.
func (v *Certifier) refresh(ctx context.Context, i *ca.Issuer) (published bool, err error) {
	v.publishing.Lock()
	defer v.publishing.Unlock()
	c, err := v.Store.CRL(ctx, i.Name())
	if err != nil || !c.stale(v.Now()) {
		return false, err
	}
	err = v.publish(ctx, i)
	return err == nil, err
}

func (c CRL) stale(now time.Time) bool {
	return len(c.DER) == 0 || c.Revision != c.Published || now.Sub(c.ThisUpdate).Abs() >= crlRefresh
}

// publish makes the next list. Numbers are seconds since 1970 where that is
// higher than the last plus one, so that they rise after a restored backup too.
func (v *Certifier) publish(ctx context.Context, i *ca.Issuer) error {
	for range maxPublish {
		now := v.Now()
		last, list, err := v.Store.Revocations(ctx, i.Name(), now.Add(-abandonAfter))
		if err != nil {
			return fmt.Errorf("reading revocations of %s: %w", i.Name(), err)
		}
		next := CRL{Issuer: i.Name(), Number: max(last.Number+1, now.Unix()), ThisUpdate: now, Published: last.Revision}
		if next.DER, err = i.CRL(next.Number, list, now); err != nil {
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
