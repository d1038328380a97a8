package opener

import (
	"context"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"slices"
	"time"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/subject"
)

// identity finds the identity certificate that a device uses and, in it, whose
// device it is. No other counts: one that was issued and never used may be on no
// device, and one that was revoked is not made up for by an older one.
//
// One that has expired counts, for a while, for what renews it.
func (o *Opener) identity(ctx context.Context, device subject.DeviceID, renews bool) (*x509.Certificate, cert.Holder, error) {
	bound, found, err := o.Identities.Bound(ctx, device)
	switch {
	case err != nil:
		return nil, cert.Holder{}, fmt.Errorf("looking for the device's identity: %w", err)
	case !found || bound.Use != cert.Identity || bound.Source != cert.Issued:
		return nil, cert.Holder{}, ErrNoIdentity
	}
	return o.verify(bound, device, renews)
}

// lateLife is how long an expired identity still gets its device what renews it.
const lateLife = 90 * 24 * time.Hour

// verify proves an identity: issued by a CA we were given, valid, not
// revoked, made out to this device, and fit to encrypt to.
func (o *Opener) verify(r cert.Record, device subject.DeviceID, renews bool) (*x509.Certificate, cert.Holder, error) {
	c, err := r.Certificate()
	if err != nil || cert.FingerprintOf(r.DER) != r.Fingerprint {
		return nil, cert.Holder{}, ErrIdentity.Saying("The device's identity certificate is not the one that was issued.")
	}
	if r.Revoked() {
		return nil, cert.Holder{}, ErrIdentity.Saying("The device's identity certificate is revoked.")
	}
	at := o.Now()
	if renews && at.After(c.NotAfter) && at.Before(c.NotAfter.Add(lateLife)) {
		at = c.NotAfter
	}
	if err := o.chained(c, at); err != nil {
		return nil, cert.Holder{}, ErrIdentity.With(err)
	}
	holder, err := cert.HolderOf(c)
	if err != nil {
		return nil, cert.Holder{}, ErrIdentity.With(err)
	}
	if holder.Device != device || holder.User == "" || holder != r.Holder {
		return nil, cert.Holder{}, ErrIdentity.Saying("The identity certificate is made out to another device or user.")
	}
	if _, ok := c.PublicKey.(*rsa.PublicKey); !ok || c.KeyUsage&x509.KeyUsageKeyEncipherment == 0 {
		return nil, cert.Holder{}, ErrIdentityKey
	}
	return c, holder, nil
}

// chained checks signature, dates and usage. The issuers themselves are the
// anchors, so that another CA below the same root proves nothing.
func (o *Opener) chained(c *x509.Certificate, at time.Time) error {
	anchors := x509.NewCertPool()
	for _, ca := range o.Issuers() {
		anchors.AddCert(ca)
	}
	if c.IsCA || !slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageClientAuth) {
		return fmt.Errorf("serial %x is no client certificate", c.SerialNumber)
	}
	_, err := c.Verify(x509.VerifyOptions{
		Roots: anchors, CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	return err
}
