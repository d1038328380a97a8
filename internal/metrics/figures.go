package metrics

import (
	"context"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Figures is what is counted in the database.
type Figures struct {
	Users        int
	EscrowedKeys int
	Requests     int // certificate requests that wait for a person

	Devices    map[string]int // by state
	DevicesDue int            // waiting to be planned

	Overdue map[string]int // certificates of devices that end soon and are not renewed, by what they are for

	Parcels       map[string]int // those that are not over, by state
	ParcelWaits   time.Time      // since when the one waits that waits longest for its seal; zero for none
	Commands      map[string]int // those that are not done, by state
	CommandWaits  time.Time      // since when the oldest of them is there; zero for none
	Mails         map[string]int // by state
	MailWaits     time.Time      // since when the oldest that waits does; zero for none
	BackedUp      time.Time      // when signet backup last made a backup; zero for not in the last weeks
	CRLs          map[string]time.Time
	DatabaseBytes int64
}

// Source counts.
type Source interface {
	// Figures gives them, in a constant number of statements.
	Figures(ctx context.Context) (Figures, error)
}

// Watched is what gauges are read from; every field is required.
type Watched struct {
	Source  Source
	CRLLife time.Duration // from this update to the next
	// Expiries gives the end of each certificate that the server lives by.
	Expiries func() map[string]time.Time
	// Usable says why the keys cannot be used, nil when they can.
	Usable func() error
	// Space gives the bytes that are free and that there are where the data is.
	Space func() (free, size uint64, err error)
	Now   func() time.Time
}

// Watch adds the gauges of w. They are read at most every few seconds, however
// often somebody asks, and counting takes at most a twentieth of the time.
func (m *Metrics) Watch(w Watched) {
	if w.Source == nil || w.Expiries == nil || w.Usable == nil || w.Space == nil || w.Now == nil {
		panic("metrics: nil dependency")
	}
	m.MustRegister(&gauges{Watched: w})
}

// Bounds of counting.
const (
	fresh   = 5 * time.Second // figures are as good as new
	share   = 20              // counting takes at most one part in so many
	patient = 20 * time.Second
)

// gauges is a [prometheus.Collector].
type gauges struct {
	Watched

	mu      sync.Mutex
	last    Figures
	up      bool
	took    time.Duration
	expires time.Time // until then last is used again
}

func gauge(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, labels, nil)
}

var (
	usersDesc    = gauge("signet_users", "Users that are known.")
	escrowDesc   = gauge("signet_escrowed_keys", "Private keys in escrow.")
	requestsDesc = gauge("signet_certificate_requests", "Certificate requests that wait for a person to approve them.")
	devicesDesc  = gauge("signet_devices", "Devices, by state.", "state")
	dueDesc      = gauge("signet_devices_due", "Devices whose plan is to be made again.")
	overdueDesc  = gauge("signet_certificates_overdue", "Certificates of devices that expire within 30 days, or did within 90, and should have been renewed by now, by what they are for.", "use")
	parcelsDesc  = gauge("signet_parcels", "What is on its way to devices or there, by state.", "state")
	parcelDesc   = gauge("signet_parcels_oldest_queued_seconds", "How long the oldest parcel has waited for its seal; 0 when none waits.")
	commandsDesc = gauge("signet_commands", "MDM commands that are not done, by state.", "state")
	commandDesc  = gauge("signet_commands_oldest_seconds", "How long the oldest MDM command has waited; 0 when none waits. Devices that are off make it grow.")
	mailsDesc    = gauge("signet_mails", "Mails to users of the last weeks, by state.", "state")
	mailDesc     = gauge("signet_mails_oldest_seconds", "How long the oldest mail has waited to be sent; 0 when none waits.")
	backupDesc   = gauge("signet_backup_last_timestamp_seconds", "When signet backup last made a backup; 0 when it has not for five weeks.")
	crlDesc      = gauge("signet_crl_next_update_timestamp_seconds", "When the published CRL ends to be good.", "issuer")
	expiryDesc   = gauge("signet_certificate_expiry_timestamp_seconds", "When a certificate that the server lives by expires.", "certificate")
	usableDesc   = gauge("signet_keys_usable", "1 when the escrow keys open what is sealed to them.")
	upDesc       = gauge("signet_database_up", "1 when the database answered the last time it was counted in.")
	sizeDesc     = gauge("signet_database_size_bytes", "Size of the database.")
	countingDesc = gauge("signet_database_count_seconds", "How long the database took to count what is shown here.")
	freeDesc     = gauge("signet_data_free_bytes", "Bytes that are free on the disk of the data directory.")
	diskDesc     = gauge("signet_data_size_bytes", "Size of the disk of the data directory.")
)

// Describe implements [prometheus.Collector].
func (g *gauges) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{usersDesc, escrowDesc, requestsDesc, devicesDesc, dueDesc, overdueDesc, parcelsDesc, parcelDesc, commandsDesc,
		commandDesc, mailsDesc, mailDesc, backupDesc, crlDesc, expiryDesc, usableDesc, upDesc, sizeDesc, countingDesc, freeDesc, diskDesc} {
		to <- d
	}
}

// Collect implements [prometheus.Collector].
func (g *gauges) Collect(to chan<- prometheus.Metric) {
	set := func(d *prometheus.Desc, v float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	for name, at := range g.Expiries() {
		set(expiryDesc, float64(at.Unix()), name)
	}
	set(usableDesc, bit(g.Usable() == nil))
	if free, size, err := g.Space(); err == nil {
		set(freeDesc, float64(free))
		set(diskDesc, float64(size))
	}
	f, took, up := g.figures()
	set(upDesc, bit(up))
	if up {
		set(countingDesc, took.Seconds())
		g.counted(f, set)
	}
}

// counted gives what the database holds; it is left out while that is not
// known, so that nothing looks alive that is not.
func (g *gauges) counted(f Figures, set func(*prometheus.Desc, float64, ...string)) {
	set(usersDesc, float64(f.Users))
	set(escrowDesc, float64(f.EscrowedKeys))
	set(requestsDesc, float64(f.Requests))
	set(dueDesc, float64(f.DevicesDue))
	set(sizeDesc, float64(f.DatabaseBytes))
	set(parcelDesc, g.age(f.ParcelWaits))
	set(commandDesc, g.age(f.CommandWaits))
	set(mailDesc, g.age(f.MailWaits))
	set(backupDesc, stamp(f.BackedUp))
	for d, by := range map[*prometheus.Desc]map[string]int{devicesDesc: f.Devices, parcelsDesc: f.Parcels, commandsDesc: f.Commands, mailsDesc: f.Mails} {
		for state, n := range by {
			set(d, float64(n), state)
		}
	}
	for use, n := range f.Overdue {
		set(overdueDesc, float64(n), use)
	}
	for issuer, at := range f.CRLs {
		set(crlDesc, float64(at.Add(g.CRLLife).Unix()), issuer)
	}
}

// figures counts, unless that was done a moment ago. Who asks meanwhile waits.
func (g *gauges) figures() (f Figures, took time.Duration, up bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	start := g.Now()
	if start.Before(g.expires) {
		return g.last, g.took, g.up
	}
	ctx, stop := context.WithTimeout(context.Background(), patient)
	defer stop()
	f, err := g.Source.Figures(ctx)
	g.last, g.up, g.took = f, err == nil, g.Now().Sub(start)
	g.expires = g.Now().Add(max(fresh, share*g.took))
	return g.last, g.took, g.up
}

// age is how long something has waited.
func (g *gauges) age(since time.Time) float64 {
	if since.IsZero() {
		return 0
	}
	return max(0, g.Now().Sub(since).Seconds())
}

// stamp gives an instant in seconds, 0 for none.
func stamp(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.Unix())
}

func bit(on bool) float64 {
	if on {
		return 1
	}
	return 0
}
