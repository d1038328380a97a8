package doctor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"time"

	"github.com/signet-mdm/signet/internal/audit"
	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/config"
	"github.com/signet-mdm/signet/internal/keyring"
	"github.com/signet-mdm/signet/internal/metrics"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/pfxconnector/escrow"
)

// Database is what is looked at of it. Nothing is changed.
type Database interface {
	// Schema gives the migration it is at and the one this program brings.
	Schema(ctx context.Context) (have, want int64, err error)
	// Owner gives the root CA of the installation whose database it is, zero
	// for none.
	Owner(ctx context.Context) (cert.Fingerprint, error)
	// Damage says what is damaged, empty when nothing is.
	Damage(ctx context.Context) (string, error)
	// Wraps counts, for each escrow key and recovery key, what is sealed to it.
	Wraps(ctx context.Context) (map[escrow.KeyID]int, error)
	// Alarms counts those that were raised since, and gives the instant of the
	// last.
	Alarms(ctx context.Context, since time.Time) (n int, last time.Time, err error)
	// Figures counts.
	Figures(ctx context.Context) (metrics.Figures, error)
	// Newest gives the instant of the newest journal entry; zero for none.
	Newest(ctx context.Context) (time.Time, error)
	// LastBackup gives the instant of the last backup; zero for none.
	LastBackup(ctx context.Context) (time.Time, error)
	// Chain looks at the end of the chain over the journal, whose marks were
	// made with that root.
	Chain(ctx context.Context, root seal.Secret, now time.Time) (audit.State, error)
	// Retired names the keys that others have followed, so that their end is
	// nobody's trouble.
	Retired(ctx context.Context) ([]string, error)
	// PushCertificate gives that of devices that enroll, nil for none, and why
	// nothing can be pushed, empty when it can.
	PushCertificate(ctx context.Context) (c *x509.Certificate, trouble string, err error)
}

// Service is another server that ours needs.
type Service struct {
	Name  string
	Addr  string                      // host:port
	Reach func(context.Context) error // connects as the server would
	Lacks string                      // what does not work without it
	Vital bool                        // whether that is most of what a server is for
	Try   string
}

// Case is one installation, and the ways to look at it. All is
// required; a function is called only when what comes before it was well.
type Case struct {
	Config config.Config
	File   string // of the configuration
	Err    error  // why it cannot be read, or there is no installation
	Unlock string // file of the unlock key
	Keys   func() (*keyring.Ring, error)
	Root   string // name of the root's key in the ring
	// Uncertified lists the CAs that wait for a certificate of an offline root.
	Uncertified func(*keyring.Ring) []string
	// Running tells whether a server runs on the data directory.
	Running  func() bool
	Database func(ctx context.Context) (Database, error)
	// Served gives the certificate that the server shows, with its chain.
	Served func(*keyring.Ring) (*tls.Certificate, error)
	// Fetch gets the root certificate from the server's own address, without
	// judging the server's certificate.
	Fetch func(ctx context.Context) ([]byte, error)
	// Get gets what is at an address of HTTP or HTTPS, without judging the
	// server's certificate.
	Get      func(ctx context.Context, url string) ([]byte, error)
	Apple    Service // where pushes go
	Services []Service
	Holders  []Holder // that may hold escrow keys
	Lookup   func(ctx context.Context, host string) ([]string, error)
	Now      func() time.Time

	ring *keyring.Ring // once it was opened
	db   Database
}

// Checks lists what there is to look at. They are to be made in order: later
// ones use what earlier ones opened, and say so when it did not open. Without a
// configuration nothing else means anything.
func (c *Case) Checks() []Check {
	if c.Err != nil {
		return []Check{{"configuration", "settings", c.settings}}
	}
	list := []Check{
		{"configuration", "settings", c.settings},
		{"configuration", "address", c.address},
		{"configuration", "enrollment", c.enrollment},
		{"keys", "unlock key", c.open},
		{"keys", "escrow", c.withKeys(c.canary)},
		{"keys", "token", c.withKeys(c.token)},
		{"keys", "recovery", c.recovery},
		{"keys", "apart", c.apart},
		{"database", "connection", c.connect},
		{"database", "schema", c.withDatabase(c.schema)},
		{"database", "owner", c.withKeys(c.withDatabase(c.owner))},
		{"database", "latency", c.withDatabase(c.latency)},
		{"database", "integrity", c.withDatabase(c.integrity)},
		{"database", "audit chain", c.withKeys(c.withDatabase(c.chain))},
		{"database", "backup", c.withDatabase(c.backup)},
		{"escrow", "keys", c.withKeys(c.withDatabase(c.sealed))},
		{"escrow", "recovery", c.withDatabase(c.recoverable)},
		{"escrow", "alarms", c.withDatabase(c.alarms)},
		{"certificates", "tls", c.withKeys(c.tls)},
		{"certificates", "authorities", c.withKeys(c.authorities)},
		{"certificates", "push", c.withDatabase(c.push)},
		{"certificates", "devices", c.withDatabase(c.renewals)},
		{"server", "process", c.process},
		{"network", "name", c.name},
		{"network", "own address", c.withKeys(c.reachable)},
		{"network", "revocation", c.withKeys(c.revocation)},
	}
	list = append(list, Check{"network", "push service", c.withDatabase(c.apple)})
	for _, s := range c.Services {
		list = append(list, Check{"network", s.Name, s.look})
	}
	return append(list,
		Check{"clock", "time", c.withDatabase(c.clock)},
		Check{"clock", "synchronised", synchronised},
		Check{"disk", "space", c.space},
		Check{"disk", "rights", c.rights},
		Check{"queue", "deliveries", c.withDatabase(c.deliveries)},
		Check{"queue", "planning", c.withDatabase(c.planning)})
}

// withKeys looks only when the keys are open.
func (c *Case) withKeys(look func(context.Context) Finding) func(context.Context) Finding {
	return func(ctx context.Context) Finding {
		if c.ring == nil {
			return warn("Not looked at: the keys do not open.", "")
		}
		return look(ctx)
	}
}

// withDatabase looks only when the database is open.
func (c *Case) withDatabase(look func(context.Context) Finding) func(context.Context) Finding {
	return func(ctx context.Context) Finding {
		if c.db == nil {
			return warn("Not looked at: the database does not open.", "")
		}
		return look(ctx)
	}
}
