package gateway

import (
	"bytes"
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"slices"
	"time"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/journal"
)

// MaxCRL bounds a revocation list, in bytes.
const MaxCRL = 4 << 20

// StoreCRL keeps a revocation list, DER or PEM, that a CA of the connector
// signed; who brings it does not matter. ErrCRL for any other, for a part of one,
// and for one that is older than the one that is here.
func (s *Service) StoreCRL(ctx context.Context, by journal.Actor, key string, list []byte) (CRL, error) {
	c, err := s.Store.Connector(ctx, key)
	if err != nil {
		return CRL{}, err
	}
	if len(list) > MaxCRL {
		return CRL{}, ErrCRL
	}
	if block, _ := pem.Decode(list); block != nil && block.Type == "X509 CRL" {
		list = block.Bytes
	}
	l, parsed, err := c.signed(list)
	if err != nil {
		return CRL{}, err
	}
	held, err := s.Store.CRLsOf(ctx, c.ID)
	if err != nil {
		return CRL{}, err
	}
	for _, h := range held {
		if old, err := x509.ParseRevocationList(h.DER); err == nil && h.Issuer == l.Issuer && older(parsed, old) {
			return CRL{}, ErrCRL
		}
	}
	l.At = s.Now()
	e := c.entry(l.At, by, journal.ConnectorCRL)
	e.Detail["issuer"] = l.Issuer.String()
	return l, s.Store.CRLStored(ctx, l, e)
}

// signed finds which CA of the connector signed a list. One that is only a part
// (what changed, or some certificates) says so in a critical extension, and is
// ErrCRL: in the place of a whole one, it would have others not be revoked.
//
// Spec: RFC 5280 sections 5.2 and 6.3.3
func (c Connector) signed(der []byte) (CRL, *x509.RevocationList, error) {
	l, err := x509.ParseRevocationList(der)
	if err != nil {
		return CRL{}, nil, ErrCRL.With(err)
	}
	if slices.ContainsFunc(l.Extensions, func(e pkix.Extension) bool { return e.Critical }) {
		return CRL{}, nil, ErrCRL
	}
	cas, err := c.authorities()
	if err != nil {
		return CRL{}, nil, ErrAltered.With(err)
	}
	for _, ca := range cas {
		if bytes.Equal(ca.RawSubject, l.RawIssuer) && l.CheckSignatureFrom(ca) == nil {
			return CRL{Connector: c.ID, Issuer: cert.FingerprintOf(ca.Raw), DER: der}, l, nil
		}
	}
	return CRL{}, nil, ErrCRL
}

// older tells whether a list comes before another of the same CA.
func older(l, than *x509.RevocationList) bool {
	if l.Number != nil && than.Number != nil {
		return l.Number.Cmp(than.Number) < 0
	}
	return l.ThisUpdate.Before(than.ThisUpdate)
}

// inForce checks a device's chains against the lists that are here. A list that
// is out of date still revokes. One chain that holds is enough.
func (c Connector) inForce(ctx context.Context, lists CRLs, chains [][]*x509.Certificate, now time.Time) error {
	held, err := lists.CRLsOf(ctx, c.ID)
	if err != nil {
		return fmt.Errorf("reading revocation lists: %w", err)
	}
	by := map[cert.Fingerprint]*x509.RevocationList{}
	for _, h := range held {
		if l, parsed, err := c.signed(h.DER); err == nil {
			by[l.Issuer] = parsed
		}
	}
	err = ErrDeviceChain
	for _, chain := range chains {
		if err = c.holds(chain, by, now); err == nil {
			return nil
		}
	}
	return err
}

// holds checks each certificate of a chain but its anchor.
func (c Connector) holds(chain []*x509.Certificate, by map[cert.Fingerprint]*x509.RevocationList, now time.Time) error {
	for i, x := range chain[:len(chain)-1] {
		l := by[cert.FingerprintOf(chain[i+1].Raw)]
		if l == nil {
			if c.RequireCRL {
				return ErrCRLStale
			}
			continue
		}
		for _, r := range l.RevokedCertificateEntries {
			if r.SerialNumber.Cmp(x.SerialNumber) == 0 && r.ReasonCode != 8 { // removeFromCRL
				return ErrDeviceRevoked
			}
		}
		if c.RequireCRL && (l.NextUpdate.IsZero() || now.After(l.NextUpdate)) {
			return ErrCRLStale
		}
	}
	return nil
}
