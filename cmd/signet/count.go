package main

import (
	"context"
	"time"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/metrics"
	"github.com/signet-mdm/signet/pfxconnector/opener"
	"github.com/signet-mdm/signet/scep"
)

// countedSCEP counts what is issued.
type countedSCEP struct {
	scep.Store
	to *metrics.Metrics
}

// CertificateIssued implements [scep.IssuanceStore].
func (c countedSCEP) CertificateIssued(ctx context.Context, i scep.Issuance, r cert.Record, e journal.Entry) error {
	err := c.Store.CertificateIssued(ctx, i, r, e)
	if err == nil {
		c.to.Issued(i.Profile)
	}
	return err
}

// countedJournal counts the openings that an opener writes down.
type countedJournal struct {
	opener.Journal
	to *metrics.Metrics
}

// Record implements [opener.Journal].
func (c countedJournal) Record(ctx context.Context, e journal.Entry) error {
	err := c.Journal.Record(ctx, e)
	if err == nil && e.Action == journal.KeyOpened {
		c.to.Opened()
	}
	return err
}

// counted is w with each of its runs counted, and noted as a sign of life.
func (s *server) counted(w step) step {
	work, run := s.metrics.Work(w.name), w.safely
	s.pulse.expect(w, time.Now())
	w.run = func(ctx context.Context) (int, error) {
		n, err := run(ctx)
		if ctx.Err() == nil { // at the end everything may fail
			work.Ran(n, err, time.Now())
			s.pulse.beat(w.name, err, time.Now())
		}
		return n, err
	}
	return w
}
