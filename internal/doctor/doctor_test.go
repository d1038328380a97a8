package doctor_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/signet-mdm/signet/internal/audit"
	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/config"
	"github.com/signet-mdm/signet/internal/doctor"
	"github.com/signet-mdm/signet/internal/keyring"
	"github.com/signet-mdm/signet/internal/metrics"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/pfxconnector/escrow"
)

var start = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// recoveryKey is the example of age's documentation.
const recoveryKey = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"

// installation is a healthy one, for tests to spoil.
type installation struct {
	*doctor.Case
	t    *testing.T
	ring *keyring.Ring
	ca   *x509.Certificate
	key  *ecdsa.PrivateKey
	tls  *x509.Certificate // as a template
	db   *database
	now  time.Time
	up   bool
}

type database struct {
	wraps      map[escrow.KeyID]int
	have, want int64
	damage     string
	figures    metrics.Figures
	newest     time.Time
	backup     time.Time
	err        error
	takes      func()
	owner      cert.Fingerprint
	push       *x509.Certificate
	refused    string
	alarms     int
	chain      audit.State
}

func (d *database) Chain(context.Context, seal.Secret, time.Time) (audit.State, error) {
	return d.chain, d.err
}

func (d *database) Alarms(context.Context, time.Time) (int, time.Time, error) {
	return d.alarms, start, d.err
}

func (d *database) Wraps(context.Context) (map[escrow.KeyID]int, error) { return d.wraps, d.err }

func (d *database) Owner(context.Context) (cert.Fingerprint, error) { return d.owner, d.err }

func (d *database) Schema(context.Context) (int64, int64, error)  { return d.have, d.want, d.err }
func (d *database) Damage(context.Context) (string, error)        { return d.damage, d.err }
func (d *database) Newest(context.Context) (time.Time, error)     { d.takes(); return d.newest, d.err }
func (d *database) LastBackup(context.Context) (time.Time, error) { return d.backup, d.err }
func (d *database) Figures(context.Context) (metrics.Figures, error) {
	return d.figures, d.err
}

func (d *database) Retired(context.Context) ([]string, error) { return []string{"old"}, nil }

func (d *database) PushCertificate(context.Context) (*x509.Certificate, string, error) {
	return d.push, d.refused, d.err
}

func healthy(t *testing.T) *installation {
	t.Helper()
	i := &installation{t: t, now: start, up: true, db: &database{have: 7, want: 7, newest: start, backup: start.AddDate(0, 0, -7), takes: func() {}, push: &x509.Certificate{NotAfter: start.AddDate(1, 0, 0)}}}
	data := filepath.Join(t.TempDir(), "data")
	apart := filepath.Join(t.TempDir(), "unlock.key")
	if err := os.Mkdir(data, 0o700); err != nil {
		t.Fatal(err)
	}
	ring, err := keyring.Create(filepath.Join(data, "keys"), apart)
	if err != nil {
		t.Fatal(err)
	}
	i.ring = ring
	i.authority(start.AddDate(10, 0, 0))
	i.tls = &x509.Certificate{SerialNumber: big.NewInt(2), DNSNames: []string{"mdm.example.org"},
		NotBefore: start.Add(-time.Hour), NotAfter: start.AddDate(0, 3, 0), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	cfg := config.Default()
	cfg.Data, cfg.URL, cfg.Keys.Recovery = data, "https://mdm.example.org", recoveryKey
	i.Case = &doctor.Case{
		Config: cfg, File: "signet.toml", Unlock: apart, Root: "root", Uncertified: func(*keyring.Ring) []string { return nil },
		Keys:     func() (*keyring.Ring, error) { return i.ring, nil },
		Running:  func() bool { return i.up },
		Database: func(context.Context) (doctor.Database, error) { return i.db, nil },
		Served: func(*keyring.Ring) (*tls.Certificate, error) {
			return &tls.Certificate{Certificate: [][]byte{i.sign(i.tls, i.ca)}}, nil
		},
		Fetch:  func(context.Context) ([]byte, error) { return i.ca.Raw, nil },
		Get:    func(context.Context, string) ([]byte, error) { return i.crl(start.AddDate(0, 0, 7)), nil },
		Lookup: func(context.Context, string) ([]string, error) { return []string{"203.0.113.7"}, nil },
		Apple:  doctor.Service{Addr: "api.push.apple.com:443", Lacks: "No device can be woken.", Try: "openssl", Reach: func(context.Context) error { return nil }},
		Now:    func() time.Time { return i.now },
	}
	return i
}

// authority makes the root of the ring.
func (i *installation) authority(until time.Time) {
	i.t.Helper()
	var err error
	if i.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		i.t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Root"}, IsCA: true, BasicConstraintsValid: true,
		SubjectKeyId: []byte{1}, NotBefore: start.Add(-time.Hour), NotAfter: until, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign}
	if i.ca, err = x509.ParseCertificate(i.sign(template, template)); err != nil {
		i.t.Fatal(err)
	}
	i.db.owner = cert.FingerprintOf(i.ca.Raw)
	if err := i.ring.Add("root", i.key, []*x509.Certificate{i.ca}); err != nil {
		i.t.Fatal(err)
	}
}

func (i *installation) sign(template, parent *x509.Certificate) []byte {
	i.t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, parent, i.key.Public(), i.key)
	if err != nil {
		i.t.Fatal(err)
	}
	return der
}

// crl is a list of the root that is good until then.
func (i *installation) crl(until time.Time) []byte {
	i.t.Helper()
	der, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: until.AddDate(0, 0, -7), NextUpdate: until}, i.ca, i.key)
	if err != nil {
		i.t.Fatal(err)
	}
	return der
}

// rotate makes another escrow key and gives the one before.
func (i *installation) rotate() escrow.KeyID {
	i.t.Helper()
	if _, err := i.ring.AddEscrow(); err != nil {
		i.t.Fatal(err)
	}
	return i.ring.Escrow()[0].ID
}

// look runs all checks and gives those of a name.
func (i *installation) look() map[string]doctor.Result {
	all := map[string]doctor.Result{}
	doctor.Run(i.t.Context(), i.Checks(), func(r doctor.Result) { all[r.Group+": "+r.Name] = r })
	return all
}

func TestHealthy(t *testing.T) {
	for name, r := range healthy(t).look() {
		if r.Status != doctor.OK && name != "clock: synchronised" { // that is about the machine the test runs on
			t.Errorf("%d %s: %s %s", r.Number, name, r.Status, r.Cause)
		}
		if r.Cause == "" || r.Status == doctor.OK && r.Command != "" {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

// A file that root made in the service's directory is one that the service
// cannot use.
func TestFileOfRoot(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give files away")
	}
	i := healthy(t)
	if err := os.Chown(i.Config.Data, 65532, 65532); err != nil {
		t.Fatal(err)
	}
	if r := i.look()["disk: rights"]; r.Status != doctor.Fail || !strings.Contains(r.Command, "chown -R 65532 ") {
		t.Errorf("got %+v", r)
	}
}

func TestAilments(t *testing.T) {
	no := errors.New("no\nsuch thing")
	for name, c := range map[string]struct {
		spoil  func(*installation)
		check  string
		status doctor.Status
		cause  string
	}{
		"no configuration": {func(i *installation) { i.Err = no }, "configuration: settings", doctor.Fail, "no such thing"},
		"bad setting":      {func(i *installation) { i.Config.Listen = "x" }, "configuration: settings", doctor.Fail, `listen: "x" is no address`},
		"two bad settings": {func(i *installation) { i.Config.Listen, i.Config.Log.Level = "x", "x" }, "configuration: settings", doctor.Fail, "(and 1 more)"},
		"an address":       {func(i *installation) { i.Config.URL = "https://192.0.2.1" }, "configuration: address", doctor.Warn, "192.0.2.1 is no name"},
		"lab":              {func(i *installation) { i.Config.Enroll.Auth = "lab" }, "configuration: enrollment", doctor.Warn, "lab"},
		"keys away":        {func(i *installation) { i.Keys = func() (*keyring.Ring, error) { return nil, keyring.ErrUnlockWrong } }, "keys: unlock key", doctor.Fail, "does not open these keys"},
		"not looked at":    {func(i *installation) { i.Keys = func() (*keyring.Ring, error) { return nil, no } }, "keys: escrow", doctor.Warn, "Not looked at"},
		"no recovery":      {func(i *installation) { i.Config.Keys.Recovery = "" }, "keys: recovery", doctor.Warn, "keys.recovery is empty"},
		"alarms":           {func(i *installation) { i.db.alarms = 3 }, "escrow: alarms", doctor.Fail, "Alarms of the last seven days: 3, the last at 2026-11-24T12:00:00Z"},
		"an escrow key away": {func(i *installation) { i.db.wraps = map[escrow.KeyID]int{"hpke:00": 2} },
			"escrow: keys", doctor.Fail, "hpke:00 does not open: it is not here (imported keys: 2)"},
		"a destroyed escrow key": {func(i *installation) {
			old := i.rotate()
			if err := i.ring.DestroyEscrow(old); err != nil {
				i.t.Fatal(err)
			}
			i.db.wraps = map[escrow.KeyID]int{old: 2}
		}, "escrow: keys", doctor.Fail, "does not open"},
		"in rotation": {func(i *installation) {
			old := i.rotate()
			i.db.wraps = map[escrow.KeyID]int{old: 2, i.ring.Escrow()[1].ID: 3}
		}, "escrow: keys", doctor.Warn, "still sealed to a retiring escrow key: 2; to the active one: 3"},
		"after a rotation": {func(i *installation) {
			i.rotate()
			i.db.wraps = map[escrow.KeyID]int{i.ring.Escrow()[1].ID: 5, "age:00": 5}
		}, "escrow: keys", doctor.OK, "5 imported keys, all to the active escrow key; nothing to 1 retiring"},
		"another recovery key": {func(i *installation) {
			i.db.wraps = map[escrow.KeyID]int{i.ring.Escrow()[0].ID: 5, "age:00": 5}
		}, "escrow: recovery", doctor.Warn, "not sealed to the recovery key of now: 5 of 5"},
		"sealed alone":    {func(i *installation) { i.Config.Keys.Recovery = "" }, "escrow: recovery", doctor.Warn, "the escrow key alone"},
		"no recovery key": {func(i *installation) { i.Config.Keys.Recovery = "age1" }, "escrow: recovery", doctor.Fail, "no age recipient"},
		"together":        {func(i *installation) { i.Unlock = i.Config.In("keys", "unlock.key") }, "keys: apart", doctor.Warn, "lies in the data directory"},
		"no database": {func(i *installation) {
			i.Database = func(context.Context) (doctor.Database, error) { return nil, no }
		}, "database: connection", doctor.Fail, "no such thing"},
		"database not looked at": {func(i *installation) {
			i.Database = func(context.Context) (doctor.Database, error) { return nil, no }
		}, "queue: deliveries", doctor.Warn, "Not looked at"},
		"old schema":   {func(i *installation) { i.db.have = 6 }, "database: schema", doctor.Warn, "this program brings 7"},
		"nobody's":     {func(i *installation) { i.db.owner = cert.Fingerprint{} }, "database: owner", doctor.Warn, "nobody's yet"},
		"another's":    {func(i *installation) { i.db.owner[0]++ }, "database: owner", doctor.Fail, "another Signet"},
		"newer schema": {func(i *installation) { i.db.have = 8 }, "database: schema", doctor.Fail, "a newer Signet made"},
		"slow":         {func(i *installation) { i.db.takes = func() { i.now = i.now.Add(30 * time.Millisecond) } }, "database: latency", doctor.Warn, "A question takes 30ms"},
		"very slow":    {func(i *installation) { i.db.takes = func() { i.now = i.now.Add(time.Second) } }, "database: latency", doctor.Fail, "A question takes 1s"},
		"damage":       {func(i *installation) { i.db.damage = "page 7" }, "database: integrity", doctor.Fail, "page 7"},
		"database err": {func(i *installation) { i.db.err = no }, "database: integrity", doctor.Fail, "no such thing"},
		"tls for another": {func(i *installation) { i.tls.DNSNames = []string{"www.example.org"} },
			"certificates: tls", doctor.Fail, "is for www.example.org, not for mdm.example.org"},
		"tls without name": {func(i *installation) { i.tls.DNSNames = nil }, "certificates: tls", doctor.Fail, "nobody (it has no SAN)"},
		"tls for devices":  {func(i *installation) { i.Config.MDM.TLSHost = "device.example.org" }, "certificates: tls", doctor.Fail, "not for device.example.org"},
		"tls over":         {func(i *installation) { i.tls.NotAfter = start.Add(-time.Minute) }, "certificates: tls", doctor.Fail, "expired on 2026-11-24"},
		"tls soon over":    {func(i *installation) { i.tls.NotAfter = start.Add(49 * time.Hour) }, "certificates: tls", doctor.Warn, "expires in 2 days"},
		"tls not yet":      {func(i *installation) { i.tls.NotBefore = start.Add(time.Hour) }, "certificates: tls", doctor.Fail, "is good only from"},
		"tls too long":     {func(i *installation) { i.tls.NotAfter = start.AddDate(3, 0, 0) }, "certificates: tls", doctor.Fail, "iPhones refuse more than 825"},
		"tls of a stranger": {func(i *installation) {
			stranger := healthy(i.t)
			i.Served = stranger.Served
		}, "certificates: tls", doctor.Fail, "The chain of the TLS certificate is not complete: CN=Root is missing"},
		"tls gone": {func(i *installation) {
			i.Served = func(*keyring.Ring) (*tls.Certificate, error) { return nil, no }
		}, "certificates: tls", doctor.Fail, "no such thing"},
		"authority soon over": {func(i *installation) { i.now = start.AddDate(10, 0, -10) }, "certificates: authorities", doctor.Warn, "root expires in 10 days"},
		"no push certificate": {func(i *installation) { i.db.push = nil }, "certificates: push", doctor.Warn, "There is no push certificate"},
		"devices not renewed": {func(i *installation) { i.db.figures.Overdue = map[string]int{"signing": 2, "identity": 1} }, "certificates: devices", doctor.Warn, "2 to sign mail with, 1 of the devices"},
		"push soon over":      {func(i *installation) { i.db.push.NotAfter = start.Add(49 * time.Hour) }, "certificates: push", doctor.Warn, "The push certificate expires in 2 days"},
		"Apple refuses":       {func(i *installation) { i.db.refused = "BadCertificate" }, "certificates: push", doctor.Fail, "takes nothing: BadCertificate"},
		"no way to Apple":     {func(i *installation) { i.Apple.Reach = func(context.Context) error { return no } }, "network: push service", doctor.Warn, "api.push.apple.com:443 cannot be reached"},
		"no need of Apple": {func(i *installation) {
			i.db.push, i.Apple.Reach = nil, func(context.Context) error { return no }
		}, "network: push service", doctor.OK, "not needed"},
		"not running":  {func(i *installation) { i.up = false }, "server: process", doctor.Warn, "No server runs"},
		"name unknown": {func(i *installation) { i.Lookup = func(context.Context, string) ([]string, error) { return nil, no } }, "network: name", doctor.Fail, "mdm.example.org is in no DNS"},
		"unreachable":  {func(i *installation) { i.Fetch = func(context.Context) ([]byte, error) { return nil, no } }, "network: own address", doctor.Fail, "The server runs, but not behind"},
		"no list":      {func(i *installation) { i.Get = func(context.Context, string) ([]byte, error) { return nil, no } }, "network: revocation", doctor.Fail, "https://mdm.example.org/pki/root.crl"},
		"no list, down": {func(i *installation) {
			i.up = false
			i.Get = func(context.Context, string) ([]byte, error) { return nil, no }
		}, "network: revocation", doctor.Warn, "finds no good answer"},
		"not a list": {func(i *installation) {
			i.Get = func(context.Context, string) ([]byte, error) { return []byte("x"), nil }
		}, "network: revocation", doctor.Fail, "no revocation list"},
		"an old list": {func(i *installation) {
			i.Get = func(context.Context, string) ([]byte, error) { return i.crl(start), nil }
		}, "network: revocation", doctor.OK, "1 revocation lists"},
		"a list that is over": {func(i *installation) {
			i.Get = func(context.Context, string) ([]byte, error) { return i.crl(start.Add(-time.Hour)), nil }
		}, "network: revocation", doctor.Fail, "is over since"},
		"elsewhere": {func(i *installation) {
			i.Config.CA.URL = "http://pki.example.org"
			i.Get = func(_ context.Context, url string) ([]byte, error) { return []byte(url), nil }
		}, "network: revocation", doctor.Fail, "http://pki.example.org/pki/root.crl"},
		"another there": {func(i *installation) { i.Fetch = func(context.Context) ([]byte, error) { return []byte("x"), nil } }, "network: own address", doctor.Fail, "another server answers"},
		"a changed journal": {func(i *installation) {
			i.db.chain = audit.State{Last: audit.Block{Seq: 2}, Broken: &audit.Broken{Block: 2, Cause: "Entry x of block 2 was changed."}}
		}, "database: audit chain", doctor.Fail, "Somebody changed the journal. Entry x of block 2 was changed."},
		"a journal without a chain": {func(i *installation) { i.db.chain.Oldest = start.Add(-11 * time.Minute) },
			"database: audit chain", doctor.Warn, "an entry of 2026-11-24T11:49:00Z that is not chained"},
		"and nobody to chain it": {func(i *installation) { i.db.chain.Oldest, i.up = start.Add(-11*time.Minute), false },
			"database: audit chain", doctor.Warn, "no server runs"},
		"not chained yet": {func(i *installation) { i.db.chain.Oldest = start.Add(-9 * time.Minute) },
			"database: audit chain", doctor.OK, "nothing is chained yet"},
		"a chain": {func(i *installation) { i.db.chain.Last = audit.Block{Seq: 7, At: start.UnixMicro()} },
			"database: audit chain", doctor.OK, "7 blocks, the last of 2026-11-24T12:00:00Z"},
		"never saved":    {func(i *installation) { i.db.backup = time.Time{} }, "database: backup", doctor.Warn, "No backup was ever made"},
		"saved long ago": {func(i *installation) { i.db.backup = start.AddDate(0, 0, -9) }, "database: backup", doctor.Warn, "9 days old"},
		"clock behind":   {func(i *installation) { i.db.newest = start.Add(time.Hour) }, "clock: time", doctor.Fail, "from 1h0m0s in the future"},
		"open directory": {func(i *installation) { os.Chmod(i.Config.Data, 0o755) }, "disk: rights", doctor.Fail, "mode 0755"},
		"directory gone": {func(i *installation) { i.Config.Data = "/no/such" }, "disk: space", doctor.Fail, "no such file"},
		"old queue":      {func(i *installation) { i.db.figures.ParcelWaits = start.Add(-time.Hour) }, "queue: deliveries", doctor.Warn, "the first for 1h0m0s"},
		"failed":         {func(i *installation) { i.db.figures.Parcels = map[string]int{"failed": 7} }, "queue: deliveries", doctor.Warn, "7 deliveries have failed"},
		"nobody plans":   {func(i *installation) { i.db.figures.DevicesDue, i.up = 3, false }, "queue: planning", doctor.Warn, "3 devices wait for their plan, and no server runs"},
		"service away": {func(i *installation) {
			i.Services = []doctor.Service{{Name: "mail", Addr: "smtp.example.org:587", Lacks: "No mail is sent.", Try: "dig",
				Reach: func(context.Context) error { return no }}}
		}, "network: mail", doctor.Warn, "smtp.example.org:587 cannot be reached: no such thing. No mail is sent."},
	} {
		t.Run(name, func(t *testing.T) {
			i := healthy(t)
			c.spoil(i)
			r, made := i.look()[c.check]
			if !made || r.Status != c.status || !strings.Contains(r.Cause, c.cause) {
				t.Errorf("%s: got %s %q, want %s …%q…", c.check, r.Status, r.Cause, c.status, c.cause)
			}
		})
	}
}
