package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/signet-mdm/signet/internal/config"
	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/httpd"
	"github.com/signet-mdm/signet/internal/httpd/admin"
	"github.com/signet-mdm/signet/internal/httpd/console"
	"github.com/signet-mdm/signet/internal/httpd/device"
	"github.com/signet-mdm/signet/internal/httpd/landing"
	"github.com/signet-mdm/signet/internal/logx"
)

// What is wrong with a data directory; each says with which.
var (
	errNotInitialised = fault.New(fault.NotFound, "not_initialised",
		"There is no Signet in this data directory.", "signet init --url https://… makes one; signet demo needs none.")
	errNoDatabase = fault.New(fault.NotFound, "database_missing",
		"The database is missing, although there are keys.", "Restore signet.db from the backup, or the MariaDB database; nothing was changed.")
)

func (a *app) serveCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "serve",
		Short: "Run the server on a data directory",
		Args:  takes(),
		RunE: func(c *cobra.Command, _ []string) error {
			if err := a.initialised(c); err != nil {
				return err
			}
			cfg, err := a.checked(c)
			if err != nil {
				return err
			}
			cfg.Data = a.dataDir()
			level := new(slog.LevelVar)
			level.Set(logLevel(cfg))
			log := logx.New(a.stderr, cfg.Log.Format == "json", level)
			s, err := assemble(c.Context(), cfg, log, a.unlocker())
			if err != nil {
				return err
			}
			defer s.db.Close()
			manager := service{log, &s.pulse, func() error { return a.reload(c, s, level) }}
			return s.run(c.Context(), func(at net.Addr) {
				log.Info("serving", logx.Addr, at.String(), logx.URL, cfg.Base())
				manager.ready(c.Context())
			})
		},
	}
	addSettings(c)
	return c
}

// initialised tells whether init has finished on the data directory.
func (a *app) initialised(c *cobra.Command) error {
	own := filepath.Join(a.dataDir(), "signet.toml")
	_, err := os.Stat(own)
	switch {
	case err == nil:
		return nil
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("looking for the configuration: %w", err)
	case a.configFile(c) == own:
		return errNotInitialised.Saying("There is no Signet in " + a.dataDir() + ".")
	}
	return nil
}

// logLevel is the least that is logged.
func logLevel(cfg config.Config) slog.Level {
	level := slog.LevelInfo
	if err := level.UnmarshalText([]byte(cfg.Log.Level)); err != nil {
		return slog.LevelInfo // checked before
	}
	return level
}

// run listens, works and serves until ctx ends, then drains. It tells ready
// when every address is taken.
func (s *server) run(ctx context.Context, ready func(net.Addr)) error {
	defer ballast()()
	listeners, err := s.listen()
	if err != nil {
		return err
	}
	for _, l := range listeners {
		s.metrics.TurnedAway(l.Name(), l.TurnedAway)
	}
	ready(s.address(listeners))
	g, ctx := errgroup.WithContext(ctx)
	for _, w := range s.steps() {
		nudge := s.wake.add() // before anything serves and nudges
		g.Go(func() error { loop(ctx, s.log, s.counted(w), nudge); return nil })
	}
	g.Go(func() error { <-ctx.Done(); s.live.Close(); close(s.ending); return nil })
	g.Go(func() error { return httpd.Serve(ctx, s.log, listeners...) })
	return g.Wait()
}

// address is where people and devices come, or who else is served first.
func (s *server) address(listeners []*httpd.Listener) net.Addr {
	if len(listeners) == 0 {
		return &net.UnixAddr{Name: "nowhere", Net: "unix"}
	}
	return listeners[0].Addr()
}

// listen takes every address that the roles need, HTTPS first; none when one cannot be had.
func (s *server) listen() (list []*httpd.Listener, err error) {
	for _, site := range s.sites() {
		if site.addr == "" || len(site.areas) == 0 {
			continue
		}
		l, failed := s.open(site)
		if err = errors.Join(err, failed); failed == nil {
			list = append(list, l)
		}
	}
	if err != nil {
		for _, l := range list {
			l.Close()
		}
		return nil, err
	}
	return list, nil
}

func (s *server) api() *admin.API {
	c := admin.Config{
		Users: s.directory, Tokens: s.access, Consents: s.consents, Recoveries: recoveries{s}, Approvers: approvers{s}, Devices: s.mdm, Keys: s.pfx, Deposits: s.pfx, Transport: s.transport, Connectors: connectors{s, s.gateway}, Tenant: s.tenant,
		Issuing: s.scep, Policies: s.policies, Deliveries: deliveries{s.delivery}, Journal: s.db.Journal(), Audit: s.verifier, Push: s.push, Jobs: s.jobs, Ending: s.ending,
		Backups: backups{s, new(sync.Mutex)},
		MaxFile: int64(s.cfg.Limits.ImportFileKiB) << 10, PlainURL: s.plainURL(), Authorities: s.authorities, Rollovers: rollovers{s.rollover, s}, Now: time.Now,
		Overview: figures{s.counting(), s},
	}
	if s.outbox != nil {
		c.Mails = s.outbox
	}
	return admin.New(c)
}

// landing gives the pages of the people whose devices are enrolled.
func (s *server) landing() httpd.Area {
	c := landing.Config{Sessions: s.access, Deliveries: s.delivery, Devices: s.mdm, Live: s.live, Now: time.Now,
		House: httpd.House{Organization: s.cfg.Organization, Help: s.help()}}
	if s.outbox != nil {
		c.Links = ownLinks{s}
	}
	if s.mdm.Lab {
		c.House.Notice = device.LabNotice
	}
	c.Powers.Can, c.Powers.Cannot = s.mdm.Rights.Words()
	return landing.Area(c)
}

// console gives the administrators' pages, and what they load where no other
// page is; nothing when they are off.
func (s *server) console(api *admin.API) []httpd.Area {
	if !s.cfg.Console.On {
		return nil
	}
	areas := []httpd.Area{console.Area(console.Config{API: api, Inside: api.Inside(s.log), Tokens: s.access, Sessions: s.consents, Credentials: s.consents,
		PKI: s.cfg.PublicPKI(), MaxFile: int64(s.cfg.Limits.ImportFileKiB) << 10, House: httpd.House{Organization: s.cfg.Organization}})}
	if !s.cfg.Plays(config.FrontRole) {
		areas = append(areas, httpd.Static())
	}
	return areas
}

// help is whom people turn to.
func (s *server) help() httpd.Help {
	h := s.cfg.Help
	return httpd.Help{Name: h.Name, Phone: h.Phone, Mail: h.Mail, URL: h.URL}
}

func (s *server) deviceConfig() device.Config {
	c := device.Config{MDM: s.mdm, SCEP: s.scep, Sessions: s.access,
		Live: s.live, Help: s.help(), Progress: landing.DevicePath}
	if s.cfg.Enroll.SignProfile {
		c.Signer = s
	}
	c.Roots = s.roots
	return c
}

// tls asks for client certificates under the devices' own name only: anywhere
// else browsers would ask people for one.
func (s *server) tls(certificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)) *tls.Config {
	c := httpd.TLS(certificate, false)
	if s.cfg.MDM.TLSHost == "" {
		return c
	}
	asking := httpd.TLS(certificate, true)
	c.GetConfigForClient = func(h *tls.ClientHelloInfo) (*tls.Config, error) {
		if strings.EqualFold(h.ServerName, s.cfg.MDM.TLSHost) {
			return asking, nil
		}
		return nil, nil
	}
	return c
}

func (s *server) authorities() []admin.Authority {
	var list []admin.Authority
	for _, a := range s.keys.Load().authorities {
		list = append(list, admin.Authority{Name: a.Issuer.Name(), Certificate: a.Issuer.Certificate(), Line: a.Authority, State: states[a.Standing]})
	}
	return list
}

// plainURL is where the plain listener is, "" when there is none.
func (s *server) plainURL() string {
	if s.cfg.HTTPListen == "" {
		return ""
	}
	return s.cfg.PublicHTTP()
}

// certificate gives the server's TLS certificate: the operator's, read anew
// when its file changes, or one of our own CA.
func (s *server) certificate() (func(*tls.ClientHelloInfo) (*tls.Certificate, error), error) {
	if s.cfg.TLS.Cert != "" {
		s.files = &tlsFiles{cert: s.cfg.TLS.Cert, key: s.cfg.TLS.Key, log: s.log}
		_, err := s.files.get(nil)
		return s.files.get, err
	}
	if s.keys.Load() == nil { // it is only looked at
		c, err := ownTLS(s.ring)
		return func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c, err }, err
	}
	return func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return s.keys.Load().tls, nil }, nil
}
