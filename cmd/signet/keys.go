package main

import (
	"cmp"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/signet-mdm/signet/internal/config"
	"github.com/signet-mdm/signet/internal/keyring"
	"github.com/signet-mdm/signet/internal/rollover"
	"github.com/signet-mdm/signet/scep/ca"
)

// Names of the keys in the ring, for ever: issuers are known by them in URLs.
const (
	rootKey    = "root"
	deviceKey  = "device"
	mailKey    = "smime"
	deviceRA   = "device-ra"
	mailRA     = "smime-ra"
	profileKey = "profile-signer"
	tlsKey     = "tls"

	servicesKey = "services" // in the root's place, where that is elsewhere
)

// maker makes the keys and certificates that an installation begins with.
// Those that are there already stay, so that it can be run again after a crash.
type maker struct {
	ring *keyring.Ring
	cfg  config.Config
	now  time.Time
}

// all makes what is missing.
func (m maker) all() error {
	if m.cfg.CA.OfflineRoot {
		return m.request()
	}
	for _, g := range []rollover.Generation{first(rootKey, ""), first(deviceKey, rootKey), first(mailKey, rootKey)} {
		if _, err := m.generation(g); err != nil {
			return err
		}
	}
	return m.rest(rootKey)
}

// rest makes what the CAs sign for the server itself; own signs what is for no
// SCEP client.
func (m maker) rest(own string) error {
	for _, g := range []rollover.Generation{first(deviceRA, deviceKey), first(mailRA, mailKey), first(profileKey, own), first(tlsKey, own)} {
		if _, err := m.generation(g); err != nil {
			return err
		}
	}
	return nil
}

// first is the first generation of a line.
func first(line, above string) rollover.Generation {
	return rollover.Generation{Line: line, Number: 1, Name: line, Above: above}
}

// generation makes a key with its certificates, unless it is there. Below a root
// that is elsewhere it makes a CA's key only: [rollover.ErrAway], until the
// certificate is imported.
func (m maker) generation(g rollover.Generation) ([]*x509.Certificate, error) {
	r := m.recipe(g)
	certify := func(key crypto.Signer) (*x509.Certificate, error) { return ca.NewRoot(key, r.names, m.now) }
	switch {
	case g.Above == rootKey && m.cfg.CA.OfflineRoot:
		certify = nil
	case g.Above != "":
		issuer, err := openIssuer(m.ring, g.Above, m.cfg)
		if err != nil {
			return nil, err
		}
		certify = func(key crypto.Signer) (*x509.Certificate, error) {
			return r.make(issuer, key.Public(), r.names, m.now)
		}
	}
	if err := m.ensure(g.Name, r.key, certify, g.Above); err != nil {
		return nil, err
	}
	certs, err := m.ring.Certificates(g.Name)
	if err == nil && len(certs) == 0 {
		err = rollover.ErrAway
	}
	return certs, err
}

// recipe is how a key and its certificate are made.
type recipe struct {
	key   func() (crypto.Signer, error)
	names ca.Names
	make  func(*ca.Issuer, crypto.PublicKey, ca.Names, time.Time) (*x509.Certificate, error)
}

// recipe gives that of a generation. No two CAs have the same name.
func (m maker) recipe(g rollover.Generation) recipe {
	org, again := m.organization(), ""
	if g.Number > 1 {
		again = " " + strconv.Itoa(g.Number)
	}
	switch g.Line {
	case rootKey:
		return recipe{m.key(g.Name, m.cfg.CA.RootKey), m.names(org + " Root CA" + again), nil}
	case deviceKey:
		return recipe{m.key(g.Name, m.cfg.CA.DeviceKey), m.names(org + " Device CA" + again), ca.NewDeviceCA}
	case mailKey:
		return recipe{m.key(g.Name, m.cfg.CA.MailKey), m.mailNames(org + " S/MIME CA" + again), ca.NewMailCA}
	case servicesKey:
		return recipe{m.key(g.Name, "ecdsa-p256"), m.names(org + " Services CA" + again), nil}
	case profileKey:
		return recipe{rsaKey(2048), m.names(org), ca.NewProfileSigner}
	case tlsKey:
		return recipe{p256, ca.Names{}, m.server}
	}
	of := " S/MIME RA"
	if strings.HasPrefix(g.Line, deviceKey+"-") {
		of = " Device RA"
	}
	return recipe{rsaKey(2048), m.names(org + of), ca.NewRA}
}

// ensure makes one key with its certificate unless it is there; without one
// when there is nobody to certify it.
func (m maker) ensure(name string, key func() (crypto.Signer, error), certify func(crypto.Signer) (*x509.Certificate, error), above string) error {
	if _, err := m.ring.Signer(name); !errors.Is(err, keyring.ErrKeyUnknown) {
		return err
	}
	k, err := key()
	if err != nil {
		return fmt.Errorf("making key %s: %w", name, err)
	}
	if certify == nil {
		return m.ring.Add(name, k, nil)
	}
	c, err := certify(k)
	if err != nil {
		return fmt.Errorf("certifying key %s: %w", name, err)
	}
	chain := []*x509.Certificate{c}
	if above != "" {
		parents, err := m.ring.Certificates(above)
		if err != nil {
			return err
		}
		chain = append(chain, parents...)
	}
	return m.ring.Add(name, k, chain)
}

// server makes the certificate of our own TLS.
func (m maker) server(root *ca.Issuer, pub crypto.PublicKey, _ ca.Names, now time.Time) (*x509.Certificate, error) {
	return ca.NewTLSServer(root, pub, serverNames(m.cfg), now)
}

// serverNames are the host names that our TLS certificate is for.
func serverNames(cfg config.Config) []string {
	names := []string{cfg.Host()}
	if cfg.MDM.TLSHost != "" {
		names = append(names, cfg.MDM.TLSHost)
	}
	return names
}

func (m maker) organization() string { return cmp.Or(m.cfg.Organization, "Signet "+m.cfg.Host()) }

func (m maker) names(common string) ca.Names {
	return ca.Names{CommonName: common, Organization: m.cfg.Organization}
}

// mailNames are those of the S/MIME CA, with the domains that it is bound to.
func (m maker) mailNames(common string) ca.Names {
	names := m.names(common)
	names.Permitted = m.cfg.CA.Domains()
	return names
}

// key makes the key of a CA where the configuration says.
func (m maker) key(name, kind string) func() (crypto.Signer, error) {
	if m.cfg.CA.KeyStore == "pkcs11" {
		return func() (crypto.Signer, error) { return m.ring.MakeOnToken(name, kind) }
	}
	return kinds[kind]
}

// kinds make a key of the kind that the configuration names.
var kinds = map[string]func() (crypto.Signer, error){
	"ecdsa-p256": p256, "ecdsa-p384": p384, "rsa-3072": rsaKey(3072), "rsa-4096": rsaKey(4096),
}

func p256() (crypto.Signer, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) }

func p384() (crypto.Signer, error) { return ecdsa.GenerateKey(elliptic.P384(), rand.Reader) }

func rsaKey(bits int) func() (crypto.Signer, error) {
	return func() (crypto.Signer, error) { return rsa.GenerateKey(rand.Reader, bits) }
}

// openIssuer gives a CA of the ring.
func openIssuer(ring *keyring.Ring, name string, cfg config.Config) (*ca.Issuer, error) {
	key, err := ring.Signer(name)
	if err != nil {
		return nil, fmt.Errorf("opening key of CA %s: %w", name, err)
	}
	chain, err := ring.Certificates(name)
	if err != nil {
		return nil, fmt.Errorf("reading certificates of CA %s: %w", name, err)
	}
	return ca.NewIssuer(name, key, chain, published(cfg, name))
}

// published is where what an issuer publishes is found.
func published(cfg config.Config, name string) ca.URLs {
	u := ca.URLsBelow(cfg.PublicPKI(), name)
	u.Shards = cfg.CA.CRLShards
	if !cfg.CA.OCSP {
		u.OCSP = ""
	}
	return u
}
