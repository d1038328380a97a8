package main

import (
	"context"
	"errors"
	"time"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/metrics"
	"github.com/signet-mdm/signet/notify"
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

// countedJournal counts the openings and alarms that an opener writes down.
type countedJournal struct {
	opener.Journal
	to *metrics.Metrics
}

// Record implements [opener.Journal].
func (c countedJournal) Record(ctx context.Context, e journal.Entry) error {
	err := c.Journal.Record(ctx, e)
	switch {
	case e.Action == journal.KeyAlarm: // written down or not
		c.to.Alarm(e.Detail["code"])
	case err == nil && e.Action == journal.KeyOpened:
		c.to.Opened()
	}
	return err
}

// countedMail counts what becomes of mails that are given to the mail server.
type countedMail struct {
	notify.Server
	to *metrics.Metrics
}

const mailService = "smtp"

// Dial implements [notify.Server].
func (c countedMail) Dial(ctx context.Context) (notify.Session, error) {
	s, err := c.Server.Dial(ctx)
	if err != nil {
		c.to.Outbound(mailService, "unreachable")
		return nil, err
	}
	return countedSession{s, c.to}, nil
}

type countedSession struct {
	notify.Session
	to *metrics.Metrics
}

// Send implements [notify.Session].
func (c countedSession) Send(ctx context.Context, l notify.Letter) (string, error) {
	said, err := c.Session.Send(ctx, l)
	c.to.Outbound(mailService, mailOutcome(err))
	return said, err
}

// mailOutcome is one of few words for what a mail server said.
func mailOutcome(err error) string {
	if err == nil {
		return "taken"
	}
	r, told := errors.AsType[*notify.Reply](err)
	switch {
	case !told || r.Code < 400:
		return "broken off"
	case r.Code < 500:
		return "not now"
	}
	return "refused"
}

// countedPusher counts pushes by what became of them.
type countedPusher struct {
	notify.Pusher
	to *metrics.Metrics
}

// Push implements [notify.Pusher].
func (c countedPusher) Push(ctx context.Context, cred notify.Credential, p notify.Push) notify.Answer {
	a := c.Pusher.Push(ctx, cred, p)
	c.to.Outbound("apns", string(a.Kind))
	return a
}

// counted is w with each of its runs counted, and noted as a sign of life.
func (s *server) counted(w step) step {
	work, run := s.metrics.Work(w.name, w.every), w.safely
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
