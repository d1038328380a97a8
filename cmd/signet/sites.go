package main

import (
	"github.com/signet-mdm/signet/internal/httpd"
	"github.com/signet-mdm/signet/internal/httpd/device"
)

// site is what answers on one listener.
type site struct {
	name  string // for people
	flag  string // that sets its address
	addr  string // empty: off
	kind  siteKind
	hosts []string // it answers to; none: any
	areas []httpd.Area
}

// siteKind is how a listener is reached.
type siteKind int

const (
	plainSite siteKind = iota
	tlsSite
	socketSite
)

// sites lists every listener that this server can have, HTTPS first.
// docs/authorization.md is made from it.
func (s *server) sites() []site {
	api := s.api()
	public := append(device.Areas(s.deviceConfig()), s.landing(), httpd.Static(), api.Area(httpd.Bearer(s.access)))
	return []site{
		{"HTTPS", "--listen", s.cfg.Listen, tlsSite, serverNames(s.cfg), public},
		{"Unix socket", "--data", s.cfg.Socket(), socketSite, nil, []httpd.Area{api.Area(httpd.Local)}},
		{"plain HTTP", "--http-listen", s.cfg.HTTPListen, plainSite, nil, device.Plain(s.scep)},
		{"operations", "--ops-listen", s.cfg.OpsListen, plainSite, nil, []httpd.Area{s.operations()}},
	}
}

// open takes the address of a site. Those where work comes from nudge it.
func (s *server) open(at site) (*httpd.Listener, error) {
	h := httpd.NewSite(s.log, at.hosts, at.areas...).Observed(s.metrics.Request)
	switch at.kind {
	case socketSite:
		return httpd.ListenUnix(at.flag, at.addr, s.wakes(h))
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
