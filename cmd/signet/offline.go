package main

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/config"
	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/keyring"
	"github.com/signet-mdm/signet/internal/store"
	"github.com/signet-mdm/signet/scep/ca"
)

// Failures of CAs whose root is elsewhere.
var (
	errUncertified = fault.New(fault.Unavailable, "ca_certificate_missing",
		"A CA has no certificate yet: the root is offline, and its owner has to sign.",
		"signet ca csr NAME writes the request, signet ca import NAME chain.pem takes the certificate.")
	errRootOther = fault.New(fault.Conflict, "ca_root_other",
		"This chain ends at another root than the certificates that are here.", "All CAs of an installation are below one root; nothing was changed.")
	errNotBelow = fault.New(fault.Invalid, "ca_not_offline",
		"The certificates of this installation are under a root of its own.", "signet init --ca-offline-root sets up one whose root is elsewhere.")
	errCARefused = fault.New(fault.Invalid, "ca_certificate_refused",
		"The certificate cannot be taken.", "Let the owner of the root sign the request again; nothing was changed.")
)

// below are the CAs of an installation whose root is elsewhere.
func (m maker) below() []below {
	org := m.organization()
	return []below{
		{deviceKey, ca.DeviceCA, m.names(org + " Device CA"), m.key(deviceKey, m.cfg.CA.DeviceKey)},
		{mailKey, ca.MailCA, m.mailNames(org + " S/MIME CA"), m.key(mailKey, m.cfg.CA.MailKey)},
		{servicesKey, ca.ServicesCA, m.names(org + " Services CA"), m.key(servicesKey, "ecdsa-p256")},
	}
}

// below is one of them.
type below struct {
	name  string
	kind  ca.Kind
	names ca.Names
	key   func() (crypto.Signer, error)
}

// request makes their keys, and all the rest once they have certificates.
func (m maker) request() error {
	for _, b := range m.below() {
		err := m.ensure(b.name, b.key, nil, "")
		if err != nil {
			return err
		}
	}
	if len(uncertified(m.ring, m.cfg)) > 0 {
		return nil
	}
	return m.rest(servicesKey)
}

// uncertified lists the CAs whose certificates were not imported yet.
func uncertified(ring *keyring.Ring, cfg config.Config) (names []string) {
	if !cfg.CA.OfflineRoot {
		return nil
	}
	for _, name := range []string{deviceKey, mailKey, servicesKey} {
		if chain, err := ring.Certificates(name); err != nil || len(chain) == 0 {
			names = append(names, name)
		}
	}
	return names
}

// certified refuses a ring whose CAs cannot issue yet.
func certified(ring *keyring.Ring, cfg config.Config) error {
	if names := uncertified(ring, cfg); len(names) > 0 {
		return errUncertified.Saying(fmt.Sprintf("The root is offline, and its owner has not signed these CAs yet: %s.", strings.Join(names, ", ")))
	}
	if _, err := ring.Certificates(tlsKey); cfg.CA.OfflineRoot && err != nil {
		return errUncertified.Saying("The import of the last CA certificate was interrupted; do it again.")
	}
	return nil
}

// accept takes the certificate of one of them with its chain up to the root.
func (m maker) accept(b below, chain []*x509.Certificate) error {
	key, err := m.ring.Signer(b.name)
	if err != nil {
		return err
	}
	if err := ca.Accept(b.kind, key.Public(), b.names, chain, m.now); err != nil {
		if rule, ok := errors.AsType[*ca.BrokenRule](err); ok {
			return errCARefused.Saying("The certificate cannot be taken. " + rule.Why).With(err)
		}
		return err
	}
	root := chain[len(chain)-1]
	if have, err := m.ring.Certificates(rootKey); err != nil {
		if err := m.ring.Certify(rootKey, []*x509.Certificate{root}); err != nil {
			return err
		}
	} else if !have[0].Equal(root) {
		return errRootOther.Saying(fmt.Sprintf("This chain ends at another root (SHA-256 %s) than the certificates that are here (%s).",
			cert.FingerprintOf(root.Raw), cert.FingerprintOf(have[0].Raw)))
	}
	if err := m.ring.Certify(b.name, chain); err != nil {
		return err
	}
	return m.rechain(b.name)
}

// rechain puts a renewed CA certificate above those that it signed before.
func (m maker) rechain(above string) error {
	parents, err := m.ring.Certificates(above)
	if err != nil {
		return err
	}
	for name, by := range map[string]string{deviceRA: deviceKey, mailRA: mailKey, profileKey: servicesKey, tlsKey: servicesKey} {
		chain, err := m.ring.Certificates(name)
		if by != above || err != nil {
			continue
		}
		if err := m.ring.Certify(name, append(chain[:1:1], parents...)); err != nil {
			return err
		}
	}
	return nil
}

// unclaimed prepares a database that is nobody's yet: whose it is shows when
// there is a root.
func unclaimed(ctx context.Context, cfg config.Config) (*store.DB, error) {
	db, err := connect(ctx, cfg)
	if err != nil {
		return nil, err
	}
	owner, err := db.Owner(ctx)
	if err == nil && !owner.IsZero() {
		err = store.ErrOtherInstallation
	}
	if err != nil {
		db.Close()
		return nil, err
	}
	return db, nil
}

// finish makes what the CAs sign for the server itself, and the database ours.
func (m maker) finish(ctx context.Context) error {
	if err := m.request(); err != nil {
		return err
	}
	db, err := foundDatabase(ctx, m.cfg, m.ring)
	if err != nil {
		return err
	}
	return db.Close()
}

// offline gives the ring of an installation whose root is elsewhere.
func (a *app) offline(cfg config.Config) (maker, error) {
	if !cfg.CA.OfflineRoot {
		return maker{}, errNotBelow
	}
	ring, err := a.unlocker().open(cfg)
	return maker{ring, cfg, time.Now()}, err
}
