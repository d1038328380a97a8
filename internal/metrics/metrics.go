// Package metrics is what monitoring reads of a server: counters that the
// rooms' wiring turns, and gauges that are worked out when somebody asks. It
// is the only door to the Prometheus client, apart from the handler that
// answers with it.
//
// Labels say what kind of thing is counted, never who: no user, device, name
// or address is in any. Start at [New].
package metrics

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// unrouted is the route of requests that no route took; their paths are
// strangers' inventions.
const unrouted = "none"

// Metrics is one server's registry. It is safe for concurrent use.
type Metrics struct {
	*prometheus.Registry

	requests  *prometheus.CounterVec
	durations *prometheus.HistogramVec
	refused   *prometheus.CounterVec

	runs     *prometheus.CounterVec
	failures *prometheus.CounterVec
	items    *prometheus.CounterVec
	success  *prometheus.GaugeVec
	interval *prometheus.GaugeVec

	issued   *prometheus.CounterVec
	opened   prometheus.Counter
	alarms   *prometheus.CounterVec
	outcomes *prometheus.CounterVec
}

// New makes a registry with what the Go runtime and the process tell, the
// build, and everything that is counted here.
func New(version, commit, goVersion string) *Metrics {
	m := &Metrics{
		Registry: prometheus.NewRegistry(),

		requests: counters("signet_http_requests_total", "Requests that were answered.", "method", "route", "status"),
		durations: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "signet_http_request_duration_seconds", Help: "How long requests took.",
			Buckets: []float64{.005, .02, .1, .5, 2, 10},
		}, []string{"route"}),
		refused: counters("signet_http_refused_total", "Requests that ended in an error, by its code (docs/errors.md).", "code"),

		runs:     counters("signet_step_runs_total", "Runs of background work.", "step"),
		failures: counters("signet_step_failures_total", "Runs of background work that failed.", "step"),
		items:    counters("signet_step_items_total", "Things that background work has dealt with.", "step"),
		success: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "signet_step_last_success_timestamp_seconds", Help: "When a run of background work last ended well."}, []string{"step"}),

		interval: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "signet_step_interval_seconds", Help: "How long background work rests when there is nothing to do."}, []string{"step"}),

		issued: counters("signet_certificates_issued_total", "Certificates issued over SCEP, by certificate profile.", "profile"),
		opened: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "signet_keys_opened_total", Help: "Escrowed keys that were opened for a device."}),
		alarms:   counters("signet_key_alarms_total", "Keys that were not opened although nothing innocent explains it, by the code of the refusal (docs/errors.md).", "code"),
		outcomes: counters("signet_outbound_total", "Attempts to reach another server (apns, smtp), by outcome.", "service", "outcome"),
	}
	build := prometheus.NewGauge(prometheus.GaugeOpts{Name: "signet_build_info", Help: "Always 1; the labels tell the build.",
		ConstLabels: prometheus.Labels{"version": version, "commit": commit, "go": goVersion}})
	build.Set(1)
	m.MustRegister(build, m.requests, m.durations, m.refused, m.runs, m.failures, m.items, m.success, m.interval, m.issued, m.opened, m.alarms, m.outcomes,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

func counters(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
}

// Request counts an answered request. Route is the template that took it, empty
// for none; code is empty when nothing was wrong.
func (m *Metrics) Request(method, route string, status int, code string, took time.Duration) {
	if route == "" {
		method, route = "", unrouted
	}
	m.requests.WithLabelValues(method, route, strconv.Itoa(status)).Inc()
	m.durations.WithLabelValues(route).Observe(took.Seconds())
	if code != "" {
		m.refused.WithLabelValues(code).Inc()
	}
}

// TurnedAway counts the connections that a listener closed because it held too
// many, in all or of one address.
func (m *Metrics) TurnedAway(listener string, read func() int64) {
	m.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name: "signet_connections_refused_total", Help: "Connections that were closed at once, because there were too many in all or of one address.",
		ConstLabels: prometheus.Labels{"listener": listener}}, func() float64 { return float64(read()) }))
}

// Work is one background step being counted. It is there, with zeros, from the
// start, so that one that never ran can be told from one that is not there.
type Work struct {
	m    *Metrics
	name string
}

// Work gives the counters of a step that rests that long when there is nothing
// to do.
func (m *Metrics) Work(name string, every time.Duration) Work {
	m.interval.WithLabelValues(name).Set(every.Seconds())
	m.runs.WithLabelValues(name)
	m.failures.WithLabelValues(name)
	m.items.WithLabelValues(name)
	m.success.WithLabelValues(name)
	return Work{m, name}
}

// Ran counts a run that dealt with n things and ended at an instant.
func (w Work) Ran(n int, err error, at time.Time) {
	w.m.runs.WithLabelValues(w.name).Inc()
	w.m.items.WithLabelValues(w.name).Add(float64(n))
	if err != nil {
		w.m.failures.WithLabelValues(w.name).Inc()
		return
	}
	w.m.success.WithLabelValues(w.name).Set(float64(at.UnixMilli()) / 1000)
}

// Issued counts a certificate that was issued by a certificate profile.
func (m *Metrics) Issued(profile string) { m.issued.WithLabelValues(profile).Inc() }

// Opened counts a key that was opened.
func (m *Metrics) Opened() { m.opened.Inc() }

// Alarm counts an alarm of that code.
func (m *Metrics) Alarm(code string) { m.alarms.WithLabelValues(code).Inc() }

// NoAlarms begins to count alarms of these codes, so that the first one shows.
func (m *Metrics) NoAlarms(codes ...string) {
	for _, c := range codes {
		m.alarms.WithLabelValues(c)
	}
}

// Outbound counts an attempt to reach another server. Outcome is one of few
// fixed words or codes, never what that server said.
func (m *Metrics) Outbound(service, outcome string) {
	m.outcomes.WithLabelValues(service, outcome).Inc()
}
