package main

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"time"

	"github.com/signet-mdm/signet/internal/config"
	"github.com/signet-mdm/signet/internal/delivery"
	"github.com/signet-mdm/signet/internal/job"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/mdm"
	"github.com/signet-mdm/signet/mdm/profile"
	"github.com/signet-mdm/signet/notify"
	"github.com/signet-mdm/signet/notify/apns"
)

// wireDelivery gives the planner no key, and the sealer what opens them.
func (s *server) wireDelivery() {
	s.delivery = delivery.New(delivery.Config{
		Store: s.db.Delivery().Telling(s.mails), Tells: s.outbox != nil, Policies: s.db.AppConfig(), Identifier: mdm.Prefix(s.cfg.Base()),
		Organization: s.cfg.Organization, Roots: s.roots, Terms: terms{s, s.scep.Profiles},
		Enrollment: func(d subject.Device, topic string) profile.Profile {
			return s.mdm.RenewalProfile(d, topic, s.roots()...)
		},
		Log: s.log, Now: time.Now,
	})
	if s.opener == nil {
		return
	}
	s.sealer = delivery.NewSealer(delivery.SealerConfig{
		Parcels: s.db.Delivery(), Opener: s.opener, Challenger: s.scep, Renewer: s.scep, Signer: s,
		Log: s.log, Now: time.Now,
	})
}

// wireJobs says what the kinds of long work do to one thing.
func (s *server) wireJobs() {
	workers := map[job.Kind]job.Worker{}
	if s.maker != nil {
		workers[job.IssueEncryption] = s.maker.Issue
	}
	if !s.cfg.Plays(config.KeeperRole) || s.cfg.Plays(config.WorkerRole) {
		maps.Copy(workers, s.workers())
	}
	s.jobs = job.New(s.db.Jobs(), workers, s.log, time.Now)
}

// workers are those of the worker's role.
func (s *server) workers() map[job.Kind]job.Worker {
	return map[job.Kind]job.Worker{
		job.RefreshDevices: func(ctx context.Context, by journal.Actor, device string) error {
			return s.mdm.Refresh(ctx, by, subject.DeviceID(device), false)
		},
		job.RenewDevices: func(ctx context.Context, by journal.Actor, device string) error {
			return s.mdm.Refresh(ctx, by, subject.DeviceID(device), true)
		},
		job.CheckKeys: func(ctx context.Context, _ journal.Actor, key string) error { return s.pfx.Check(ctx, key) },
	}
}

// wirePush makes what wakes devices; box is for push tokens.
func (s *server) wirePush(box *seal.Box) error {
	roots, err := roots(s.cfg.Push.CA)
	if err != nil {
		return fmt.Errorf("reading push.ca: %w", err)
	}
	s.push = notify.NewCertificates(notify.CertificatesConfig{Store: s.db.Push(box), Keys: s.ring,
		Organization: s.cfg.Organization, Log: s.log, Now: time.Now})
	s.waker = notify.NewWaker(notify.WakerConfig{Wishes: s.db.Push(box), Credentials: s.push,
		Pusher: countedPusher{apns.New(apns.Config{Gateway: s.cfg.Push.Gateway, Roots: roots}), s.metrics}, Log: s.log, Now: time.Now})
	return nil
}

// steps is all background work of this process, by its roles.
func (s *server) steps() (list []step) {
	list = append(list, step{"keys", 5 * time.Second, s.follow}, step{"escrow", 5 * time.Second, s.followEscrow})
	if s.cfg.Plays(config.FrontRole) {
		list = append(list, step{"pages", time.Second, s.live.Step})
		if s.outside != nil {
			list = append(list, step{"upstream", time.Minute, s.enrollUpstreamRA})
		}
	}
	if s.cfg.Plays(config.KeeperRole) {
		list = append(list, step{"seal", time.Second, s.sealer.Seal}, step{"crl", time.Minute, s.certifier.Refresh}, step{"rollover", time.Minute, s.rollOver},
			step{"rotation", 5 * time.Second, s.rotator.Step}, step{"recovery", 5 * time.Second, s.recoverer.Step}, step{"exports", 2 * time.Second, s.exporter.Step}, step{"check", time.Second, s.checker.Step}, step{"encryption", time.Hour, s.maker.Renew})
		list = append(list, step{"quarantine", time.Second, s.assigner.Step}, step{"audit", 5 * time.Second, s.chainer.Step},
			step{"connectors", 5 * time.Second, s.handing.Seal}, step{"handed over", time.Hour, s.handing.Tidy})
		list = append(append(list, s.intuneSteps()...), s.holderSteps()...)
	}
	if s.cfg.Plays(config.KeeperRole) || s.cfg.Plays(config.WorkerRole) {
		list = append(list, step{"jobs", time.Second, s.jobs.Step}) // of the kinds that this process can do
	}
	if s.cfg.Plays(config.WorkerRole) {
		list = append(list,
			step{"plan", time.Second, s.delivery.Reconcile},
			step{"clock", time.Second, s.delivery.Tick},
			step{"push", time.Second, s.waker.Wake},
			step{"push certificate", time.Hour, s.push.Remind},
			step{"old jobs", time.Hour, s.jobs.Tidy},
			step{"old tickets", time.Hour, s.pfx.Tidy},
			step{"old links", time.Hour, s.access.Tidy})
		list = append(list, s.mailSteps()...)
	}
	return append(list, s.tenantSteps()...)
}

// wakes nudges the background work after each request that may have left some.
func (s *server) wakes(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.ServeHTTP(w, r)
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			s.wake.nudge()
		}
	})
}
