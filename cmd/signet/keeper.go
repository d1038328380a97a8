package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/signet-mdm/signet/internal/config"
	"github.com/signet-mdm/signet/internal/httpd"
	"github.com/signet-mdm/signet/internal/httpd/peer"
	"github.com/signet-mdm/signet/scep"
)

// wireKeeper gives the half of SCEP that has the keys of the CAs, or the way
// to it.
func (s *server) wireKeeper(store scep.Store, profiles scep.Catalogue) error {
	if !s.cfg.Plays(config.KeeperRole) {
		way, err := keeperTLS(s.cfg.Keeper)
		if err != nil {
			return err
		}
		s.keeper = peer.Dial(s.cfg.Keeper.Address, way)
		return nil
	}
	lab, err := s.lab()
	if err != nil {
		return err
	}
	most := s.cfg.Limits.CertificatesPerHour
	elsewhere, err := s.openIntune()
	if err != nil {
		return err
	}
	s.certifier = scep.NewCertifier(scep.CertifierConfig{Store: store, Profiles: profiles, Outside: s.asking(),
		AllowLegacy: s.cfg.SCEP.AllowLegacyAlgorithms, Rate: scep.Rate{PerDevice: most, PerUser: 10 * most}, Lab: lab, Elsewhere: elsewhere, Log: s.log, Now: time.Now, Built: sourceDate()})
	s.certifier.Succeed(s.keys.Load().seats)
	s.keeper = s.certifier
	return s.warnOfLab()
}

// keeperTLS is how both sides prove themselves over the network; nil when no
// certificate is set, as on a socket.
func keeperTLS(k config.Keeper) (*tls.Config, error) {
	if k.Cert == "" {
		return nil, nil
	}
	own, err := tls.LoadX509KeyPair(k.Cert, k.Key)
	if err != nil {
		return nil, fmt.Errorf("reading keeper.cert and keeper.key: %w", err)
	}
	text, err := os.ReadFile(k.CA)
	if err != nil {
		return nil, fmt.Errorf("reading keeper.ca: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("reading keeper.ca: no certificate in %s", k.CA)
	}
	return &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{own},
		RootCAs: pool, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert}, nil
}

// openKeeper takes the address on which the keeper listens for other roles.
func (s *server) openKeeper(at site, h *httpd.Site) (*httpd.Listener, error) {
	if path, unix := strings.CutPrefix(at.addr, "unix:"); unix {
		return httpd.ListenGroup(at.flag, path, h)
	}
	way, err := keeperTLS(s.cfg.Keeper)
	if err != nil {
		return nil, err
	}
	return httpd.Listen(at.flag, at.addr, way, h)
}
