package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/signet-mdm/signet/internal/config"
	"github.com/signet-mdm/signet/internal/doctor"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/pfxconnector/tenant"
	"github.com/signet-mdm/signet/pfxconnector/tenant/msgraph"
)

// wireTenant makes what hands histories to an Intune tenant: what opens keys
// where they are, and what signs in to the tenant where they are not.
func (s *server) wireTenant() error {
	box, err := seal.NewBox(s.ring.ColumnRoot(), "tenant")
	if err != nil {
		return err
	}
	t := s.cfg.Tenant
	s.tenant = tenant.New(tenant.Config{ID: strings.ToLower(t.ID), Want: tenant.Want{All: t.Everybody, Groups: config.List(t.Groups), Remove: t.Remove},
		Store: s.db.Tenant(), Box: box, Log: s.log, Now: time.Now})
	if s.opener != nil {
		s.tenant.Sealer = s.opener.ForTenant(s.tenant)
	}
	if t.ID == "" || !s.cfg.Plays(config.WorkerRole) {
		return nil
	}
	s.tenant.Graph, err = tenantGraph(t)
	return err
}

// tenantGraph gives the way to the tenant.
func tenantGraph(t config.Tenant) (*msgraph.Client, error) {
	c := msgraph.Config{ClientID: t.ClientID, Token: t.SignIn(), Graph: strings.TrimRight(t.GraphURL, "/"), Scope: t.Scope(),
		Product: "Signet/" + newBuild().Version, Now: time.Now}
	var err error
	if c.TLS, err = roots(t.TLSCA); err != nil {
		return nil, fmt.Errorf("reading tenant.tls_ca: %w", err)
	}
	if t.Cert != "" {
		pair, err := tls.LoadX509KeyPair(t.Cert, t.Key)
		if err != nil {
			return nil, errors.New("reading tenant.cert and tenant.key: they cannot be read, or do not fit")
		}
		c.Certificate = &pair
		return msgraph.New(c), nil
	}
	secret, err := os.ReadFile(t.SecretFile)
	if err != nil {
		return nil, fmt.Errorf("reading tenant.secret_file: %w", err)
	}
	if secret = bytes.TrimSpace(secret); len(secret) == 0 {
		return nil, fmt.Errorf("tenant.secret_file: %s is empty", t.SecretFile)
	}
	c.Secret = seal.NewSecret(secret)
	return msgraph.New(c), nil
}

// tenantSteps is the background work for the tenant, by this process's roles.
func (s *server) tenantSteps() (list []step) {
	if s.cfg.Tenant.ID == "" {
		return nil
	}
	if s.tenant.Sealer != nil {
		list = append(list, step{"tenant seal", 5 * time.Second, s.nudging(s.tenant.Seal)})
	}
	if s.tenant.Graph != nil {
		list = append(list, step{"tenant plan", 30 * time.Second, s.nudging(s.tenant.Plan)}, step{"tenant send", 5 * time.Second, s.tenant.Send})
	}
	return list
}

// nudging wakes the steps that go on with what was done.
func (s *server) nudging(run func(context.Context) (int, error)) func(context.Context) (int, error) {
	return func(ctx context.Context) (int, error) {
		n, err := run(ctx)
		if n > 0 {
			s.wake.nudge()
		}
		return n, err
	}
}

// tenantService is how doctor looks at the tenant.
func tenantService(cfg config.Config) []doctor.Service {
	t := cfg.Tenant
	if t.ID == "" || !cfg.Plays(config.WorkerRole) {
		return nil
	}
	return []doctor.Service{{Name: "Intune tenant", Addr: t.GraphURL, Lacks: "Certificates do not come into it.", Try: "signet intune status",
		Reach: func(ctx context.Context) error {
			c, err := tenantGraph(t)
			if err != nil {
				return err
			}
			return c.Check(ctx)
		}}}
}
