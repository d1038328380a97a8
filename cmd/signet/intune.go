package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/logx"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/scep"
	"github.com/signet-mdm/signet/scep/intune"
)

// openIntune gives how the keeper asks Intune; nil when it is not configured.
func (s *server) openIntune() (*scep.Elsewhere, error) {
	c := s.cfg.Intune
	if c.Tenant == "" {
		return nil, nil
	}
	secret, err := os.ReadFile(c.SecretFile)
	if err != nil {
		return nil, fmt.Errorf("reading intune.secret_file: %w", err)
	}
	if secret = bytes.TrimSpace(secret); len(secret) == 0 {
		return nil, fmt.Errorf("intune.secret_file: %s is empty", c.SecretFile)
	}
	pool, err := roots(c.TLSCA)
	if err != nil {
		return nil, fmt.Errorf("reading intune.tls_ca: %w", err)
	}
	box, err := seal.NewBox(s.ring.ColumnRoot(), "reports")
	if err != nil {
		return nil, err
	}
	s.reports = s.db.Reports(box)
	s.intune = intune.New(intune.Config{Tenant: c.Tenant, ClientID: c.ClientID, Secret: seal.NewSecret(secret), Product: "Signet/" + newBuild().Version,
		Login: strings.TrimRight(c.LoginURL, "/"), Graph: strings.TrimRight(c.GraphURL, "/"), Resource: c.Resource, TLS: pool, Log: s.log, Now: time.Now})
	return &scep.Elsewhere{Validator: s.intune, ReportStore: s.reports, User: s.directory.User}, nil
}

// intuneSteps is the background work for Intune, which is the keeper's.
func (s *server) intuneSteps() []step {
	if s.intune == nil {
		return nil
	}
	return []step{{"intune reports", 30 * time.Second, s.certifier.Report}, {"intune revocations", 5 * time.Minute, s.revokeForIntune}}
}

// wishesAtOnce is how many revocations are fetched at a time.
const wishesAtOnce = 100

// revokeForIntune revokes what Intune wants revoked, and tells it so. What was
// revoked and not told is fetched again, and told then.
func (s *server) revokeForIntune(ctx context.Context) (int, error) {
	wishes, err := s.intune.Revocations(ctx, wishesAtOnce)
	if err != nil || len(wishes) == 0 {
		return 0, err
	}
	done := 0
	outcomes := make([]intune.Outcome, 0, len(wishes))
	for _, w := range wishes {
		result, revoked := s.grant(ctx, w)
		if revoked {
			done++
		}
		outcomes = append(outcomes, intune.Outcome{Context: w.Context, Code: result})
	}
	if err := s.intune.Revoked(ctx, outcomes); err != nil {
		return 0, err
	}
	return done, nil
}

// grant revokes one, if it is a certificate that was made for Intune: others are
// none of its business. It tells whether it was good before.
func (s *server) grant(ctx context.Context, w intune.Revocation) (r intune.Result, revoked bool) {
	if w.Serial == "" {
		return intune.Invalid, false
	}
	c, err := s.wanted(ctx, w.Serial)
	if err == nil {
		err = s.scep.Revoke(ctx, journal.Worker("intune"), c.Fingerprint, "cessationOfOperation")
	}
	switch {
	case errors.Is(err, scep.ErrCertificateUnknown):
		s.log.WarnContext(ctx, "Intune wants a certificate revoked that was not made for it", logx.Serial, string(w.Serial))
		return intune.NotFound, false
	case err != nil:
		s.log.ErrorContext(ctx, "a certificate cannot be revoked for Intune", logx.Serial, string(w.Serial), logx.Code, fault.Code(err), logx.Err, err)
		return intune.TryAgain, false
	}
	s.log.InfoContext(ctx, "certificate revoked for Intune", logx.Cert, c.Fingerprint.String(), logx.Serial, string(w.Serial))
	return intune.Done, !c.Revoked()
}

// wanted finds a certificate that was made for Intune.
func (s *server) wanted(ctx context.Context, serial cert.Serial) (cert.Record, error) {
	issued, err := s.scep.Certificate(ctx, string(serial))
	if err != nil {
		return cert.Record{}, err
	}
	reported, err := s.reports.IsReported(ctx, issued.Record.Fingerprint)
	if err == nil && !reported {
		err = scep.ErrCertificateUnknown
	}
	return issued.Record, err
}
