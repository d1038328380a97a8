package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/signet-mdm/signet/internal/config"
	"github.com/signet-mdm/signet/internal/disk"
	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/httpd"
	"github.com/signet-mdm/signet/internal/logx"
	"github.com/signet-mdm/signet/internal/metrics"
	"github.com/signet-mdm/signet/internal/rollover"
	"github.com/signet-mdm/signet/scep/ca"
)

const (
	readyTime  = 5 * time.Second  // bounds one round of checks
	scrapeTime = 25 * time.Second // bounds one answer of metrics
	maxScrapes = 4                // at a time
	minFree    = 64 << 20         // bytes on the disk of the data directory
)

// operations is the area for those who watch the server: alive, ready to work,
// and how much of it. It says nothing about people, and is off unless
// ops_listen is set.
func (s *server) operations() httpd.Area {
	scrape := promhttp.HandlerFor(s.metrics, promhttp.HandlerOpts{Timeout: scrapeTime, MaxRequestsInFlight: maxScrapes})
	return httpd.Area{Render: httpd.Problem, Routes: []httpd.Route{
		{Method: http.MethodGet, Path: "/healthz", Permission: httpd.Anyone, MaxBody: httpd.NoBody, Handle: alive},
		{Method: http.MethodGet, Path: "/readyz", Permission: httpd.Anyone, MaxBody: httpd.NoBody, Handle: s.ready},
		{Method: http.MethodGet, Path: "/metrics", Permission: httpd.Anyone, MaxBody: httpd.NoBody,
			Handle: func(w http.ResponseWriter, r *http.Request, _ httpd.Caller) error {
				scrape.ServeHTTP(w, r)
				return nil
			}},
	}}
}

// counting is what is counted in the database, for the metrics and the API.
func (s *server) counting() counting {
	return counting{s.db.Operations(), s.db.Operations(), terms{s, s.scep.Profiles}}
}

// watch adds what is read when somebody asks.
func (s *server) watch() {
	s.metrics.Watch(metrics.Watched{
		Source: s.counting(), CRLLife: ca.CRLLife, Usable: s.keysUsable, Now: time.Now,
		Expiries: s.expiries,
		Space:    func() (free, size uint64, err error) { return disk.Space(s.cfg.Data) },
	})
}

// getCertificate gives the TLS certificate that is served now.
type getCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error)

// expiries gives the end of each certificate that the server lives by.
func (s *server) expiries() map[string]time.Time {
	ends := map[string]time.Time{}
	for _, g := range s.keys.Load().all {
		if g.State == rollover.Next || g.State == rollover.Current {
			ends[g.Name] = g.Certificate().NotAfter
		}
	}
	if end, err := s.push.NotAfter(context.Background()); err == nil && !end.IsZero() {
		ends["push"] = end
	}
	if s.certifier != nil {
		for issuer, end := range s.certifier.SignerEnds() {
			ends["ocsp "+issuer] = end
		}
	}
	maps.DeleteFunc(ends, func(name string, _ time.Time) bool { return name == tlsKey || strings.HasPrefix(name, tlsKey+"-") }) // it may not be served
	if s.served == nil {
		return ends
	}
	if c, err := s.served(nil); err == nil && c.Leaf != nil {
		ends[tlsKey] = c.Leaf.NotAfter
	}
	return ends
}

func alive(w http.ResponseWriter, _ *http.Request, _ httpd.Caller) error {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, err := w.Write([]byte("ok\n"))
	return err
}

// readiness is the answer to who asks whether to send people here.
type readiness struct {
	Ready  bool         `json:"ready"`
	Checks []checkState `json:"checks"`
}

type checkState struct {
	Name  string `json:"name"`
	OK    bool   `json:"ok"`
	Cause string `json:"cause,omitempty"` // a code or a sentence of ours
}

// ready answers 200 when every check passes, else 503, with each check by name.
func (s *server) ready(w http.ResponseWriter, r *http.Request, _ httpd.Caller) error {
	ctx, stop := context.WithTimeout(r.Context(), readyTime)
	defer stop()
	answer, status := readiness{Ready: true}, http.StatusOK
	for _, c := range s.checks() {
		state := checkState{Name: c.name, OK: true}
		if err := c.run(ctx); err != nil {
			state.OK, state.Cause = false, cause(err)
			answer.Ready, status = false, http.StatusServiceUnavailable
			s.log.ErrorContext(ctx, "not ready", logx.Kind, c.name, logx.Err, err)
		}
		answer.Checks = append(answer.Checks, state)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	return json.NewEncoder(w).Encode(answer)
}

// Why a server is not ready.
var (
	errSchema   = fault.New(fault.Unavailable, "schema_unexpected", "The database is not at this program's schema.", "Restart the server; it migrates when it starts.")
	errDiskFull = fault.New(fault.Unavailable, "disk_full", "The disk of the data directory is almost full.", "Make room there; nothing has to be repaired afterwards.")
	errSteps    = fault.New(fault.Unavailable, "background_stalled", "Background work is not going on.", "The log says why.")
)

type readyCheck struct {
	name string
	run  func(context.Context) error
}

// checks are what a server needs to be of use, the most telling first.
func (s *server) checks() []readyCheck {
	list := []readyCheck{
		{"database", s.db.Ping},
		{"migrations", s.migrated},
		{"keys", func(context.Context) error { return errors.Join(s.ring.SelfTest(), s.ring.Present()) }},
		{"disk", func(context.Context) error { return roomy(s.cfg.Data) }},
		{"background", func(context.Context) error {
			if err := s.pulse.check(time.Now()); err != nil {
				return errSteps.Saying("Background work is not going on: " + err.Error() + ".")
			}
			return nil
		}},
	}
	if len(s.ring.TokenKeys()) > 0 {
		list = append(list, readyCheck{"token", s.ring.CheckToken})
	}
	if s.cfg.Plays(config.KeeperRole) {
		list = append(list, readyCheck{"escrow", s.escrowHere})
	} else {
		// Nothing has to be published, mostly; but the way is walked.
		list = append(list, readyCheck{"keeper", func(ctx context.Context) error { return s.keeper.Publish(ctx, mailKey) }})
	}
	if len(s.ring.Holders()) > 0 { // comes last: it may take what time there is
		list = append(list, readyCheck{"escrow holder", s.holdersReady})
	}
	return list
}

func (s *server) migrated(ctx context.Context) error {
	have, want, err := s.db.Operations().Schema(ctx)
	if err == nil && have < want { // a newer one is a newer server's, which this one outlives
		err = errSchema.Saying(fmt.Sprintf("The database is at schema %d, this program at %d.", have, want))
	}
	return err
}

// roomy tells whether there is room to write.
func roomy(dir string) error {
	free, _, err := disk.Space(dir)
	if err == nil && free < minFree {
		err = errDiskFull.Saying(fmt.Sprintf("Only %d MiB are free where the data is.", free>>20))
	}
	return err
}

// cause gives what may be told of err; the log has the rest.
func cause(err error) string {
	if f := fault.Of(err); f != nil {
		return f.Code + ": " + f.Msg
	}
	return "internal: the log says more"
}
