package main

import (
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/cms"
	"github.com/signet-mdm/signet/internal/config"
	"github.com/signet-mdm/signet/internal/delivery/plan"
	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/keyring"
	"github.com/signet-mdm/signet/internal/logx"
	"github.com/signet-mdm/signet/internal/rollover"
	"github.com/signet-mdm/signet/mdm/profile"
	"github.com/signet-mdm/signet/scep"
	"github.com/signet-mdm/signet/scep/ca"
)

// raPart is what the names of RAs end with: each CA has its own.
const raPart = "ra"

// keyLines are the keys that follow each other: a person replaces CAs, the rest
// is renewed by itself. A root that is elsewhere is nobody's here to replace.
func keyLines(cfg config.Config) []rollover.Line {
	own := rootKey
	list := []rollover.Line{
		{Name: rootKey, Fixed: cfg.CA.OfflineRoot},
		{Name: deviceKey, Above: rootKey, Parts: []string{raPart}},
		{Name: mailKey, Above: rootKey, Parts: []string{raPart}},
	}
	if cfg.CA.OfflineRoot {
		own = servicesKey
		list = append(list, rollover.Line{Name: own, Above: rootKey})
	}
	return append(list,
		rollover.Line{Name: profileKey, Above: own, Notice: rollover.PartNotice},
		rollover.Line{Name: tlsKey, Above: own, Notice: 30 * 24 * time.Hour})
}

// errOtherKeys is returned for keys that are not those of the database.
var errOtherKeys = fault.New(fault.Conflict, "keys_of_another",
	"A key in this data directory is not the one that the database knows by its name.",
	"Servers of one database have the same keys: copy those of the server that made them.")

// generations is what of these keys is in use now.
type generations struct {
	all         []rollover.Generation
	mark        int64
	authorities []scep.Authority // the roots first
	seats       []scep.Seat      // those whose keys are here
	roots       []*x509.Certificate
	devices     []*x509.Certificate // CAs that issue identities, or did
	signer      profileSigner
	tls         *tls.Certificate
	lacks       bool // a key is not here, and may come
	opened      time.Time
}

// wireKeys adopts the keys that an installation begins with.
func (s *server) wireKeys(ctx context.Context) error {
	s.rollover = rollover.New(rollover.Config{Store: s.db.Rollover(), Lines: keyLines(s.cfg), Log: s.log, Now: time.Now,
		Make: func(_ context.Context, g rollover.Generation) ([]*x509.Certificate, error) {
			return maker{s.ring, s.cfg, time.Now()}.generation(g)
		}})
	all, err := s.db.Rollover().Generations(ctx)
	if err != nil {
		return err
	}
	if err := s.recertified(ctx, all); err != nil {
		return err
	}
	var missing []rollover.Generation
	for _, g := range s.rollover.First() {
		if slices.ContainsFunc(all, func(o rollover.Generation) bool { return o.Name == g.Name }) {
			continue
		}
		if g.Certs, err = s.ring.Certificates(g.Name); err != nil {
			return fmt.Errorf("reading certificates of %s: %w", g.Name, err)
		}
		missing = append(missing, g)
	}
	if len(missing) > 0 {
		if err := s.db.Rollover().GenerationsAdopted(ctx, missing); err != nil {
			return err
		}
	}
	g, err := s.load(ctx)
	s.keys.Store(g)
	return err
}

// load reads the generations and opens their keys.
func (s *server) load(ctx context.Context) (*generations, error) {
	mark, err := s.db.Rollover().Mark(ctx) // first: what changes meanwhile is noticed later
	if err != nil {
		return nil, err
	}
	all, err := s.db.Rollover().Generations(ctx)
	if err != nil {
		return nil, err
	}
	g, err := s.using(all)
	if err == nil {
		g.mark = mark
	}
	return g, err
}

// recertified stores the certificates that the owner of an offline root renewed.
func (s *server) recertified(ctx context.Context, all []rollover.Generation) error {
	for _, g := range all {
		chain, err := s.ring.Certificates(g.Name)
		if !s.cfg.CA.OfflineRoot || err != nil || !g.Made() || g.Above != rootKey || len(chain) == 0 ||
			chain[0].Equal(g.Certificate()) || !cert.SameKey(chain[0].PublicKey, g.Certificate().PublicKey) {
			continue
		}
		g.Certs = chain
		if err := s.db.Rollover().GenerationCertified(ctx, g); err != nil {
			return err
		}
	}
	return nil
}

// follow takes notice of keys that were made, activated or ended, here or by
// another server. It is run again and again.
func (s *server) follow(ctx context.Context) (int, error) {
	s.following.Lock()
	defer s.following.Unlock()
	mark, err := s.db.Rollover().Mark(ctx)
	if now := s.keys.Load(); err != nil || mark == now.mark && (!now.lacks || time.Since(now.opened) < time.Minute) {
		return 0, err
	}
	g, err := s.load(ctx)
	if err != nil {
		return 0, err
	}
	if err := s.scep.Succeed(g.authorities); err != nil {
		return 0, err
	}
	if s.certifier != nil {
		s.certifier.Succeed(g.seats)
	}
	s.keys.Store(g)
	return 0, nil
}

// using opens what is needed of the keys.
func (s *server) using(all []rollover.Generation) (*generations, error) {
	u := &generations{all: all, opened: time.Now()}
	for _, line := range []string{rootKey, deviceKey, mailKey, servicesKey} {
		for _, g := range all {
			if g.Line != line || !g.Made() {
				continue
			}
			if err := s.add(u, g); err != nil {
				return nil, err
			}
		}
	}
	key, chain, err := newest(s.ring, profileKey)
	if err != nil {
		return nil, err
	}
	u.signer = profileSigner{cms.Signer{Certificate: chain[0], Key: key, Include: chain[1:]}}
	if s.cfg.TLS.Cert == "" {
		u.tls, err = ownTLS(s.ring)
	}
	return u, err
}

var standings = map[rollover.State]scep.Standing{rollover.Next: scep.Next, rollover.Current: scep.Current, rollover.Past: scep.Past}

var states = map[scep.Standing]rollover.State{scep.Next: rollover.Next, scep.Current: rollover.Current, scep.Past: rollover.Past}

// add adds a CA. Who it is stands in the database; that it is the one whose key
// is here, the keeper sees for itself.
func (s *server) add(u *generations, g rollover.Generation) error {
	place := scep.Place{Authority: g.Line, Standing: standings[g.State], Since: g.Since}
	public, err := ca.NewPublic(g.Name, g.Certs, published(s.cfg, g.Name))
	if err != nil {
		return err
	}
	var own *ca.Issuer
	if s.cfg.Plays(config.KeeperRole) && !(g.Line == rootKey && s.cfg.CA.OfflineRoot) {
		if own, err = s.seat(u, g); own == nil {
			return err
		}
		public = own.Public
	}
	a := scep.Authority{Issuer: public, Place: place}
	switch g.Line {
	case rootKey:
		u.roots = append(u.roots, public.Certificate())
	case deviceKey:
		u.devices = append(u.devices, public.Certificate())
	}
	if err := s.desks(u, g, &a); err != nil {
		return err
	}
	u.authorities = append(u.authorities, a)
	if own != nil {
		u.seats = append(u.seats, scep.Seat{Issuer: own, RA: a.RA, Former: a.Former, Place: place})
	}
	return nil
}

// seat opens a CA's key; nil when it is not here.
func (s *server) seat(u *generations, g rollover.Generation) (*ca.Issuer, error) {
	own, err := openIssuer(s.ring, g.Name, s.cfg)
	if errors.Is(err, keyring.ErrKeyUnknown) && g.Number > 1 {
		u.lacks = true
		s.log.Error("a key that another server made is not here", logx.Kind, g.Name, logx.Err, err)
		return nil, nil
	}
	if err == nil && !own.Certificate().Equal(g.Certificate()) {
		err = errOtherKeys.With(fmt.Errorf("key %s", g.Name))
	}
	return own, err
}

// desks gives a CA its RAs: of those whose keys are here the newest, and the
// ones before. One that is over is better than none, where a newer one is not
// here.
func (s *server) desks(u *generations, g rollover.Generation, a *scep.Authority) error {
	line := g.Name + "-" + raPart
	for _, r := range slices.Backward(u.all) { // the newest first
		if r.Line != line || !r.Made() && !(r.State == rollover.Over && a.RA.Certificate == nil) {
			continue
		}
		ra, err := openRA(s.ring, r.Name)
		switch {
		case errors.Is(err, keyring.ErrKeyUnknown) && r.Name != g.Line+"-"+raPart:
			u.lacks = true
			s.log.Error("a key that another server made is not here", logx.Kind, r.Name, logx.Err, err)
		case err != nil:
			return err
		case a.RA.Certificate == nil:
			a.RA = ra
		default:
			a.Former = append(a.Former, scep.Former{RA: ra, Since: r.Since})
		}
	}
	return nil
}

// newest opens the last key of a line that is here.
func newest(ring *keyring.Ring, line string) (key crypto.Signer, chain []*x509.Certificate, err error) {
	name := line
	for n := 2; ; n++ {
		next := line + "-" + strconv.Itoa(n)
		if _, err := ring.Signer(next); err != nil {
			break
		}
		name = next
	}
	if key, err = ring.Signer(name); err != nil {
		return nil, nil, fmt.Errorf("opening key %s: %w", name, err)
	}
	chain, err = ring.Certificates(name)
	return key, chain, err
}

// ownTLS gives the certificate of our own CA for our own address.
func ownTLS(ring *keyring.Ring) (*tls.Certificate, error) {
	key, chain, err := newest(ring, tlsKey)
	if err != nil {
		return nil, err
	}
	c := &tls.Certificate{PrivateKey: key, Leaf: chain[0]}
	for _, x := range chain {
		c.Certificate = append(c.Certificate, x.Raw)
	}
	return c, nil
}

// root is the CA above those that issue now.
func (s *server) root() *x509.Certificate {
	g, _ := rollover.In(s.keys.Load().all, rootKey, rollover.Current)
	return g.Certificate()
}

// roots are all that devices are to trust.
func (s *server) roots() []*x509.Certificate { return s.keys.Load().roots }

// SignProfile implements the signers of all rooms, with the key of now.
func (s *server) SignProfile(encoded []byte) ([]byte, error) {
	return s.keys.Load().signer.SignProfile(encoded)
}

// profileSigner signs configuration profiles.
type profileSigner struct{ cms.Signer }

// SignProfile wraps an encoded profile in our signature.
func (p profileSigner) SignProfile(encoded []byte) ([]byte, error) {
	return profile.Sign(encoded, p.Signer)
}

// terms tells of each profile since when its certificates are by the CA of now:
// what is older is renewed within a week. It is asked after devices were taken
// to be planned for, so from then on nothing older counts.
type terms struct {
	s        *server
	profiles scep.Catalogue
}

// Terms implements [delivery.Terms].
func (t terms) Terms(ctx context.Context) (map[string]plan.Terms, error) {
	list, err := t.profiles.Profiles(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := t.s.follow(ctx); err != nil {
		return nil, err
	}
	m := map[string]plan.Terms{}
	for _, p := range list {
		of := plan.Terms{Percent: p.RenewalShare(), Ours: p.Delivers()}
		if g, is := rollover.In(t.s.keys.Load().all, p.Issuer, rollover.Current); is && g.Number > 1 {
			of.Since = g.Since
		}
		m[p.Name] = of
	}
	return m, nil
}

// rollOver does what there is to do about keys, and takes notice of it.
func (s *server) rollOver(ctx context.Context) (int, error) {
	n, err := s.rollover.Step(ctx)
	if n > 0 {
		_, followed := s.follow(ctx)
		err = errors.Join(err, followed)
	}
	return n, err
}

// rollovers takes notice at once of what a person does.
type rollovers struct {
	*rollover.Service
	s *server
}

// Status implements [admin.Rollovers].
func (r rollovers) Status(ctx context.Context) ([]rollover.Status, error) {
	if _, err := r.s.follow(ctx); err != nil {
		return nil, err
	}
	return r.Service.Status(ctx)
}

// Activate implements [admin.Rollovers].
func (r rollovers) Activate(ctx context.Context, by journal.Actor, authority string, force bool) (rollover.Generation, error) {
	g, err := r.Service.Activate(ctx, by, authority, force)
	if err == nil {
		_, err = r.s.follow(ctx)
	}
	return g, err
}
