package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/signet-mdm/signet/appconfig"
	"github.com/signet-mdm/signet/internal/access"
	"github.com/signet-mdm/signet/internal/access/federation"
	"github.com/signet-mdm/signet/internal/audit"
	"github.com/signet-mdm/signet/internal/config"
	"github.com/signet-mdm/signet/internal/delivery"
	"github.com/signet-mdm/signet/internal/directory"
	"github.com/signet-mdm/signet/internal/httpd"
	"github.com/signet-mdm/signet/internal/job"
	"github.com/signet-mdm/signet/internal/keyring"
	"github.com/signet-mdm/signet/internal/metrics"
	"github.com/signet-mdm/signet/internal/rollover"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/internal/store"
	"github.com/signet-mdm/signet/mdm"
	"github.com/signet-mdm/signet/notify"
	"github.com/signet-mdm/signet/pfxconnector"
	"github.com/signet-mdm/signet/pfxconnector/escrow"
	"github.com/signet-mdm/signet/pfxconnector/gateway"
	"github.com/signet-mdm/signet/pfxconnector/keymaker"
	"github.com/signet-mdm/signet/pfxconnector/opener"
	"github.com/signet-mdm/signet/pfxconnector/pfx"
	"github.com/signet-mdm/signet/pfxconnector/tenant"
	"github.com/signet-mdm/signet/pfxconnector/transport"
	"github.com/signet-mdm/signet/scep"
	"github.com/signet-mdm/signet/scep/ca"
	"github.com/signet-mdm/signet/scep/intune"
)

// server is all the rooms of one data directory, wired from the bottom up.
type server struct {
	cfg config.Config
	log *slog.Logger

	ring *keyring.Ring
	db   *store.DB

	rollover  *rollover.Service
	keys      atomic.Pointer[generations] // that are in use now
	following sync.Mutex

	directory *directory.Service
	access    *access.Service
	consents  *access.Consents
	verifier  *audit.Verifier
	chainer   *audit.Chainer // nil unless this is the keeper
	policies  *appconfig.Service
	scep      *scep.Service
	profiles  *scep.Book
	certifier *scep.Certifier // nil unless this is the keeper
	outside   *outside        // the CA that is not ours; nil when there is none
	intune    *intune.Client  // nil: not configured, or not the keeper
	reports   store.Reports   // to intune
	keeper    scep.Keeper     // the certifier, or the way to it
	mdm       *mdm.Service
	pfx       *pfxconnector.Service
	transport *transport.Service
	tickets   *access.Tickets
	tenant    *tenant.Service
	issuer    *federation.Verifier // nil: there is none but ourselves
	gate      *gateway.Gate        // nil unless this is the keeper
	handing   *gateway.Keeper      // nil unless this is the keeper
	gateway   *gateway.Service
	opener    *opener.Opener // nil unless this is the keeper
	sealing   *escrow.Sealer
	rotator   *opener.Rotator   // nil unless this is the keeper
	exporter  *opener.Exporter  // nil unless this is the keeper
	assigner  *opener.Assigner  // nil unless this is the keeper
	recoverer *opener.Recoverer // nil unless this is the keeper
	checker   *opener.Checker   // nil unless this is the keeper
	maker     *keymaker.Maker   // nil unless this is the keeper
	delivery  *delivery.Service
	sealer    *delivery.Sealer // nil unless this is the keeper
	outbox    *notify.Outbox   // nil: no mail is configured
	mails     store.Mail
	jobs      *job.Service
	push      *notify.Certificates
	waker     *notify.Waker

	live    *httpd.Live   // pages that are open
	ending  chan struct{} // closed when the server stops
	wake    nudger
	metrics *metrics.Metrics
	pulse   pulse
	served  getCertificate // of the HTTPS listener, once it is open
	files   *tlsFiles      // what served reads; nil for a certificate of our own
}

// assemble opens a data directory. With a wrong key nothing is written.
func assemble(ctx context.Context, cfg config.Config, log *slog.Logger, keys unlocker) (*server, error) {
	b := newBuild()
	s := &server{cfg: cfg, log: log, ending: make(chan struct{}), live: httpd.NewLive(), metrics: metrics.New(b.Version, b.Commit, b.Go)}
	var err error
	if s.ring, err = keys.open(cfg); err != nil {
		return nil, fmt.Errorf("opening the keys: %w", err)
	}
	if err := s.ring.SelfTest(); err != nil {
		return nil, fmt.Errorf("trying the escrow keys: %w", err)
	}
	if err := held(ctx, s.ring, log); err != nil {
		return nil, err
	}
	if err := certified(s.ring, cfg); err != nil {
		return nil, err
	}
	if err := usable(ctx, s.ring, cfg, log); err != nil {
		return nil, err
	}
	if s.db, err = openDatabase(ctx, cfg, s.ring); err != nil {
		return nil, err
	}
	if err = s.wireKeys(ctx); err == nil {
		err = s.wire(cfg.In("keys"))
	}
	if err != nil {
		return nil, errors.Join(err, s.db.Close())
	}
	return s, nil
}

// wire makes the services.
func (s *server) wire(keys string) error {
	s.directory = directory.New(s.db.Directory(), time.Now)
	s.access = access.New(s.db.Access(), time.Now)
	for _, part := range []func() error{s.wireAudit, s.wireConsents, s.wireSCEP, s.wireMDM, s.wireMail, func() error { return s.wirePFX(keys) }, s.wireTenant} {
		if err := part(); err != nil {
			return err
		}
	}
	s.wireGateway()
	s.policies = appconfig.New(s.db.AppConfig(), s.directory, time.Now, s.profiles)
	s.wireDelivery()
	s.wireJobs()
	s.watch()
	return nil
}

func (s *server) wireSCEP() error {
	store := countedSCEP{s.db.SCEP(), s.metrics}
	if err := s.wireUpstream(); err != nil {
		return err
	}
	s.profiles = scep.NewBook(s.db.SCEP(), s.shipped(), s.issuing, time.Now)
	if err := s.wireKeeper(store, s.profiles); err != nil {
		return err
	}
	var err error
	s.scep, err = scep.New(scep.Config{
		Store: store, Keeper: s.keeper, Authorities: s.keys.Load().authorities, Profiles: s.profiles,
		Beyond: s.beyond(), URL: s.cfg.Base() + "/scep", AllowLegacy: s.cfg.SCEP.AllowLegacyAlgorithms, Log: s.log, Now: time.Now,
	})
	return err
}

// issuing gives the CA that issues for an authority now.
func (s *server) issuing(authority string) (*ca.Public, bool) {
	if authority == scep.Upstream && s.outside != nil {
		return s.outside.ca, true
	}
	for _, a := range s.keys.Load().authorities {
		if a.Authority == authority && a.Standing == scep.Current && authority != rootKey {
			return a.Issuer, true
		}
	}
	return nil, false
}

// openRA gives an RA of the ring.
func openRA(ring *keyring.Ring, name string) (scep.RA, error) {
	signer, err := ring.Signer(name)
	if errors.Is(err, keyring.ErrKeyUnknown) {
		err = keyring.ErrKeyUnknown.Saying("The key " + name + ", which opens certificate requests, is not here.")
	}
	if err != nil {
		return scep.RA{}, fmt.Errorf("opening key of RA %s: %w", name, err)
	}
	decrypter, err := ring.Decrypter(name)
	if err != nil {
		return scep.RA{}, fmt.Errorf("opening key of RA %s: %w", name, err)
	}
	chain, err := ring.Certificates(name)
	if err != nil {
		return scep.RA{}, fmt.Errorf("reading certificate of RA %s: %w", name, err)
	}
	return scep.RA{Certificate: chain[0], Signer: signer, Decrypter: decrypter}, nil
}

func (s *server) wireMDM() error {
	box, err := seal.NewBox(s.ring.ColumnRoot(), "push")
	if err != nil {
		return err
	}
	lab := s.cfg.Enroll.Auth == "lab"
	if lab {
		s.log.Warn("enroll.auth is lab: an enrollment link alone lets a device in, without a code")
	}
	if err := s.wirePush(box); err != nil {
		return err
	}
	s.mdm = mdm.New(mdm.Config{
		Store: s.db.MDM(box), BaseURL: s.cfg.Base(), DeviceURL: s.cfg.DeviceBase(), Organization: s.cfg.Organization,
		Topic: s.push.Topic, Lab: lab, LinkLife: s.cfg.InvitationLife(), Now: time.Now,
	})
	return nil
}

// wirePFX gives the importer the public half of the escrow key only.
func (s *server) wirePFX(keys string) error {
	recipient, err := keyring.Recipient(keys)
	if err != nil {
		return fmt.Errorf("reading the escrow recipient: %w", err)
	}
	var recovery []escrow.Recovery
	if s.cfg.Keys.Recovery == "" {
		s.log.Warn("keys.recovery is empty: whoever loses the data directory loses the users' keys")
	} else {
		r, err := escrow.ParseRecovery(s.cfg.Keys.Recovery)
		if err != nil {
			return fmt.Errorf("reading keys.recovery: %w", err)
		}
		recovery = append(recovery, r)
	}
	limits := pfx.Default
	limits.FileBytes = s.cfg.Limits.ImportFileKiB << 10
	s.sealing = escrow.NewSealer(recipient, recovery...)
	marks, err := seal.NewBox(s.ring.ColumnRoot(), "assignment")
	if err != nil {
		return err
	}
	s.pfx = pfxconnector.New(pfxconnector.Config{
		Store: s.db.PFX(), Users: s.directory, Sealer: s.sealing, Marks: marks,
		Limits: limits, Now: time.Now,
	})
	s.wireMaker()
	if err := s.wireTransport(); err != nil {
		return err
	}
	if !s.cfg.Plays(config.KeeperRole) {
		return nil
	}
	s.metrics.NoAlarms(opener.Alarms()...)
	s.gate = s.newGate()
	s.opener = opener.New(opener.Config{
		Issuers: func() []*x509.Certificate { return s.keys.Load().devices }, Identities: s.db.Certificates(),
		Deposits: s.db.PFX(), Journal: countedJournal{s.db.Journal(), s.metrics}, Keys: s.ring, Signer: s, Gate: s.gate,
		Limits: opener.Limits{PerDevice: s.cfg.Limits.OpeningsPerHour, Total: s.cfg.Limits.AllOpeningsPerHour}, Log: s.log, Now: time.Now,
	})
	s.exporter = opener.NewExporter(s.opener, agreements{s}, s.db.Recovery(), wordOfExport{s})
	s.assigner = opener.NewAssigner(opener.AssignerConfig{Quarantine: s.db.PFX(), Keys: s.ring, Sealer: s.sealing, Marks: marks, Journal: s.db.Journal(), Log: s.log, Now: time.Now})
	s.wireRecovery()
	s.checker = opener.NewChecker(opener.CheckerConfig{Records: s.db.PFX(), Keys: s.ring, Log: s.log, Now: time.Now})
	s.rotator = opener.NewRotator(opener.RotatorConfig{Wraps: s.db.PFX(), Keys: s.ring, Log: s.log, Now: time.Now})
	return nil
}
