package main

import (
	"github.com/signet-mdm/signet/internal/config"
	"github.com/signet-mdm/signet/internal/httpd"
	"github.com/signet-mdm/signet/internal/httpd/connector"
	"github.com/signet-mdm/signet/internal/httpd/device"
	"github.com/signet-mdm/signet/internal/httpd/peer"
)

// site is what answers on one listener.
type site struct {
	name  string // for people
	flag  string // that sets its address
	addr  string // empty: off
	kind  siteKind
	hosts []string     // it answers to; none: any
	areas []httpd.Area // none: not among this process's roles
}

// siteKind is how a listener is reached.
type siteKind int

const (
	plainSite siteKind = iota
	tlsSite
	socketSite
	keeperSite
)

// sites lists every listener that this server can have, HTTPS first.
// docs/authorization.md is made from it.
func (s *server) sites() []site {
	var public, local, plain, kept []httpd.Area
	if s.cfg.Plays(config.FrontRole) {
		public, plain = append(device.Areas(s.deviceConfig()), s.landing(), httpd.Static()), device.Plain(s.scep)
	}
	if s.cfg.Plays(config.AdminRole) {
		api := s.api()
		public, local = append(public, api.Area(httpd.Bearer(s.access))), []httpd.Area{api.Area(httpd.Local)}
		public = append(public, s.graph()...)
		public = append(public, connector.Area(s.gateway))
		public = append(public, s.console(api)...)
	}
	if s.cfg.Plays(config.KeeperRole) {
		kept = []httpd.Area{peer.Area(s.keeper), peer.Gateway(s.handing)}
	}
	return []site{
		{"HTTPS", "--listen", s.cfg.Listen, tlsSite, serverNames(s.cfg), public},
		{"Unix socket", "--data", s.cfg.Socket(), socketSite, nil, local},
		{"plain HTTP", "--http-listen", s.cfg.HTTPListen, plainSite, nil, plain},
		{"operations", "--ops-listen", s.cfg.OpsListen, plainSite, nil, []httpd.Area{s.operations()}},
		{"keeper", "--keeper-listen", s.cfg.Keeper.Listen, keeperSite, nil, kept},
	}
}

// open takes the address of a site. Those where work comes from nudge it.
func (s *server) open(at site) (*httpd.Listener, error) {
	h := httpd.NewSite(s.log, at.hosts, at.areas...).Observed(s.metrics.Request)
	switch at.kind {
	case socketSite:
		return httpd.ListenUnix(at.flag, at.addr, s.wakes(h))
	case keeperSite:
		return s.openKeeper(at, h)
	case tlsSite:
		certificate, err := s.certificate()
		if err != nil {
			return nil, err
		}
		s.served = certificate
		return httpd.Listen(at.flag, at.addr, s.tls(certificate), s.wakes(h))
	}
	return httpd.Listen(at.flag, at.addr, nil, h)
}
