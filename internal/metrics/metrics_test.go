package metrics_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/signet-mdm/signet/internal/metrics"
)

var start = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

type source struct {
	asked int
	err   error
	takes func()
}

func (s *source) Figures(context.Context) (metrics.Figures, error) {
	s.asked++
	if s.takes != nil {
		s.takes()
	}
	return metrics.Figures{
		Users: 3, EscrowedKeys: 12, Requests: 2, DevicesDue: 1,
		Devices: map[string]int{"enrolled": 2}, Parcels: map[string]int{"queued": 4, "failed": 0},
		Overdue: map[string]int{"signing": 2, "identity": 0}, ParcelWaits: start.Add(-time.Minute), Commands: map[string]int{"queued": 5},
		CRLs: map[string]time.Time{"smime": start}, DatabaseBytes: 4096,
	}, s.err
}

// watched gives a registry over s with a clock that the test moves.
func watched(s *source, now *time.Time) *metrics.Metrics {
	m := metrics.New("v1", "abc", "go1")
	m.Watch(metrics.Watched{
		Source: s, CRLLife: time.Hour, Usable: func() error { return errors.New("no") },
		Expiries: func() map[string]time.Time { return map[string]time.Time{"tls": start.Add(time.Hour)} },
		Space:    func() (uint64, uint64, error) { return 10, 100, nil },
		Now:      func() time.Time { return *now },
	})
	return m
}

func same(t *testing.T, m *metrics.Metrics, want string, names ...string) {
	t.Helper()
	if err := testutil.GatherAndCompare(m, strings.NewReader(want), names...); err != nil {
		t.Error(err)
	}
}

func TestCounters(t *testing.T) {
	m := metrics.New("v1", "abc", "go1")
	m.Request("PUT", "/mdm/checkin", 200, "", 3*time.Millisecond)
	m.Request("PUT", "/mdm/checkin", 400, "body_too_large", 3*time.Millisecond)
	m.Request("BREW", "", 404, "not_found", time.Second) // a stranger's words make no series
	w := m.Work("seal", time.Second)
	m.Work("plan", time.Hour)
	w.Ran(2, nil, start)
	w.Ran(0, errors.New("x"), start.Add(time.Hour))
	m.Issued("mail-signing")
	m.Opened()
	m.Outbound("apns", "200")
	m.TurnedAway("--listen", func() int64 { return 7 })
	m.TurnedAway("--ops-listen", func() int64 { return 0 })
	same(t, m, `
# HELP signet_http_requests_total Requests that were answered.
# TYPE signet_http_requests_total counter
signet_http_requests_total{method="",route="none",status="404"} 1
signet_http_requests_total{method="PUT",route="/mdm/checkin",status="200"} 1
signet_http_requests_total{method="PUT",route="/mdm/checkin",status="400"} 1
# HELP signet_http_refused_total Requests that ended in an error, by its code (docs/errors.md).
# TYPE signet_http_refused_total counter
signet_http_refused_total{code="body_too_large"} 1
signet_http_refused_total{code="not_found"} 1
# HELP signet_step_failures_total Runs of background work that failed.
# TYPE signet_step_failures_total counter
signet_step_failures_total{step="plan"} 0
signet_step_failures_total{step="seal"} 1
# HELP signet_step_items_total Things that background work has dealt with.
# TYPE signet_step_items_total counter
signet_step_items_total{step="plan"} 0
signet_step_items_total{step="seal"} 2
# HELP signet_step_last_success_timestamp_seconds When a run of background work last ended well.
# TYPE signet_step_last_success_timestamp_seconds gauge
signet_step_last_success_timestamp_seconds{step="plan"} 0
signet_step_last_success_timestamp_seconds{step="seal"} 1.7955216e+09
# HELP signet_step_interval_seconds How long background work rests when there is nothing to do.
# TYPE signet_step_interval_seconds gauge
signet_step_interval_seconds{step="plan"} 3600
signet_step_interval_seconds{step="seal"} 1
# HELP signet_outbound_total Attempts to reach another server (apns, smtp), by outcome.
# TYPE signet_outbound_total counter
signet_outbound_total{outcome="200",service="apns"} 1
# HELP signet_connections_refused_total Connections that were closed at once, because there were too many in all or of one address.
# TYPE signet_connections_refused_total counter
signet_connections_refused_total{listener="--listen"} 7
signet_connections_refused_total{listener="--ops-listen"} 0
`, "signet_http_requests_total", "signet_http_refused_total", "signet_step_failures_total", "signet_step_items_total",
		"signet_step_last_success_timestamp_seconds", "signet_step_interval_seconds", "signet_outbound_total", "signet_connections_refused_total")
	if problems, err := testutil.GatherAndLint(m); err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
}

func TestGauges(t *testing.T) {
	now := start
	m := watched(&source{}, &now)
	same(t, m, `
# HELP signet_parcels What is on its way to devices or there, by state.
# TYPE signet_parcels gauge
signet_parcels{state="failed"} 0
signet_parcels{state="queued"} 4
# HELP signet_parcels_oldest_queued_seconds How long the oldest parcel has waited for its seal; 0 when none waits.
# TYPE signet_parcels_oldest_queued_seconds gauge
signet_parcels_oldest_queued_seconds 60
# HELP signet_commands_oldest_seconds How long the oldest MDM command has waited; 0 when none waits. Devices that are off make it grow.
# TYPE signet_commands_oldest_seconds gauge
signet_commands_oldest_seconds 0
# HELP signet_certificates_overdue Certificates of devices that expire within 30 days, or did within 90, and should have been renewed by now, by what they are for.
# TYPE signet_certificates_overdue gauge
signet_certificates_overdue{use="identity"} 0
signet_certificates_overdue{use="signing"} 2
# HELP signet_crl_next_update_timestamp_seconds When the published CRL ends to be good.
# TYPE signet_crl_next_update_timestamp_seconds gauge
signet_crl_next_update_timestamp_seconds{issuer="smime"} 1.7955252e+09
# HELP signet_certificate_expiry_timestamp_seconds When a certificate that the server lives by expires.
# TYPE signet_certificate_expiry_timestamp_seconds gauge
signet_certificate_expiry_timestamp_seconds{certificate="tls"} 1.7955252e+09
# HELP signet_keys_usable 1 when the escrow keys open what is sealed to them.
# TYPE signet_keys_usable gauge
signet_keys_usable 0
`, "signet_parcels", "signet_parcels_oldest_queued_seconds", "signet_commands_oldest_seconds",
		"signet_crl_next_update_timestamp_seconds", "signet_certificates_overdue", "signet_certificate_expiry_timestamp_seconds", "signet_keys_usable")
	if problems, err := testutil.GatherAndLint(m); err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
}

// What the database does not tell is not shown as if it were known.
func TestDatabaseDown(t *testing.T) {
	now := start
	m := watched(&source{err: errors.New("away")}, &now)
	same(t, m, `
# HELP signet_database_up 1 when the database answered the last time it was counted in.
# TYPE signet_database_up gauge
signet_database_up 0
`, "signet_database_up", "signet_users", "signet_parcels", "signet_database_count_seconds")
}

// However often somebody asks, counting takes at most its share of the time.
func TestCountingIsBounded(t *testing.T) {
	for name, c := range map[string]struct {
		takes time.Duration // to count
		again time.Duration // when it is counted again
	}{
		"quick": {10 * time.Millisecond, 6 * time.Second},
		"slow":  {2 * time.Second, 43 * time.Second},
	} {
		now := start
		s := &source{}
		s.takes = func() { now = now.Add(c.takes) }
		m := watched(s, &now)
		ask := func(want int) {
			t.Helper()
			if _, err := m.Gather(); err != nil || s.asked != want {
				t.Errorf("%s: counted %d times, want %d (%v)", name, s.asked, want, err)
			}
		}
		ask(1)
		now = start.Add(c.again - 2*time.Second)
		ask(1)
		now = start.Add(c.again)
		ask(2)
	}
}
