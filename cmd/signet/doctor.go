package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/signet-mdm/signet/internal/config"
	"github.com/signet-mdm/signet/internal/doctor"
	"github.com/signet-mdm/signet/internal/keyring"
	"github.com/signet-mdm/signet/internal/store"
)

func (a *app) doctorCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "doctor",
		Short: "Look at everything a server needs, and say what is wrong and what helps",
		Long: `Looks at configuration, keys, database, certificates, network, clock, disk and
queue: each numbered check is OK, WARN or FAIL, with its cause and a command to
run. It changes nothing, and works beside a running server and without one; run
it as the service's user or as root. The exit status is 1 when a check failed.`,
		Args: takes(),
		RunE: func(c *cobra.Command, _ []string) error { return a.look(c, (*doctor.Case).Checks) },
	}
	addSettings(c)
	c.AddCommand(a.doctorKEK())
	return c
}

func (a *app) doctorKEK() *cobra.Command {
	c := &cobra.Command{
		Use:   "kek",
		Short: "Look at the escrow keys alone: where they are, whether they open, what is sealed to them",
		Long: `Looks at where each escrow key is and under which version of whose key, whether
it opens what is sealed to it, how many imported private keys are sealed to
which, and whether all of them are sealed to the recovery key. It changes
nothing. The exit status is 1 when a check failed.`,
		Args: takes(),
		RunE: func(c *cobra.Command, _ []string) error { return a.look(c, (*doctor.Case).KEKChecks) },
	}
	addSettings(c)
	return c
}

// look makes those checks, and closes what they opened.
func (a *app) look(c *cobra.Command, checks func(*doctor.Case) []doctor.Check) error {
	var opened []io.Closer
	err := a.examine(c.Context(), checks(a.patient(c, &opened)))
	for _, o := range opened {
		err = errors.Join(err, o.Close())
	}
	return err
}

// diagnosis is what -o json shows.
type diagnosis struct {
	OK     bool            `json:"ok"` // no check failed
	Checks []doctor.Result `json:"checks"`
}

// examine makes all checks and shows each as it comes.
func (a *app) examine(ctx context.Context, checks []doctor.Check) error {
	all := diagnosis{OK: true}
	found := map[doctor.Status]int{}
	doctor.Run(ctx, checks, func(r doctor.Result) {
		r.Cause, r.Command = plain(r.Cause), plain(r.Command)
		all.Checks = append(all.Checks, r)
		found[r.Status]++
		if a.output != "json" {
			writeResult(a.stdout, r)
		}
	})
	all.OK = found[doctor.Fail] == 0
	err := a.show(all, func(w io.Writer) {
		fmt.Fprintf(w, "\n%d OK, %d WARN, %d FAIL\n", found[doctor.OK], found[doctor.Warn], found[doctor.Fail])
	})
	if err == nil && !all.OK {
		err = fmt.Errorf("%s failed", count(found[doctor.Fail], "check"))
	}
	return errors.Join(err, ctx.Err())
}

func writeResult(w io.Writer, r doctor.Result) {
	fmt.Fprintf(w, "%2d  %-28s %-4s  %s\n", r.Number, r.Group+": "+r.Name, r.Status, r.Cause)
	if r.Command != "" {
		fmt.Fprintf(w, "%38stry: %s\n", "", r.Command)
	}
}

// patient is the installation that the flags of c name. What it opens is to be
// closed.
func (a *app) patient(c *cobra.Command, opened *[]io.Closer) *doctor.Case {
	cfg, err := a.settings(c)
	if err == nil {
		err = a.initialised(c)
	}
	cfg.Data = a.dataDir()
	unlock := a.unlocker()
	p := &doctor.Case{
		Config: cfg, File: a.configFile(c), Err: err, Root: rootKey, Now: time.Now,
		Unlock: unlock.file(cfg), Lookup: net.DefaultResolver.LookupHost,
	}
	p.Uncertified = func(ring *keyring.Ring) []string { return uncertified(ring, cfg) }
	p.Keys = func() (*keyring.Ring, error) { return unlock.open(cfg) }
	p.Running = func() bool { return answers(cfg.Socket()) }
	p.Database = func(ctx context.Context) (doctor.Database, error) {
		db, err := inspectDatabase(ctx, cfg)
		if err == nil {
			*opened = append(*opened, db)
		}
		return inspected{db, counting{db, db.Operations, nil}}, err
	}
	p.Served = func(ring *keyring.Ring) (*tls.Certificate, error) { return servedBy(cfg, ring) }
	p.Fetch = func(ctx context.Context) ([]byte, error) {
		return fetch(ctx, cfg.Base()+"/pki/"+rootKey+".cer", maxRoot)
	}
	p.Get = func(ctx context.Context, url string) ([]byte, error) { return fetch(ctx, url, maxList) }
	p.Apple = doctor.Service{
		Addr: cfg.Push.Gateway, Lacks: "No device can be woken.", Try: "openssl s_client -connect " + cfg.Push.Gateway,
		Reach: func(ctx context.Context) error { return reachApple(ctx, cfg) },
	}
	p.Services = services(cfg)
	p.Holders = unlock.holdersOf(cfg)
	return p
}

// reachApple connects to the push service.
func reachApple(ctx context.Context, cfg config.Config) error {
	roots, err := roots(cfg.Push.CA)
	if err != nil {
		return err
	}
	return doctor.ReachTLS(ctx, cfg.Push.Gateway, roots)
}

// services are the other servers that the configuration names.
func services(cfg config.Config) (list []doctor.Service) {
	if cfg.Mail.Server != "" {
		addr := net.JoinHostPort(cfg.MailServer())
		list = append(list, doctor.Service{
			Name: "mail server", Addr: addr, Lacks: "Mails wait.", Try: "openssl s_client -starttls smtp -connect " + addr,
			Reach: func(ctx context.Context) error { return greetMail(ctx, cfg) },
		})
	}
	if at := cfg.Graph.Issuer; at != "" {
		list = append(list, doctor.Service{
			Name: "issuer of tokens", Addr: at, Lacks: "Importers with its tokens are turned away.", Try: "curl -v " + strings.TrimSuffix(at, "/") + "/.well-known/openid-configuration",
			Reach: func(ctx context.Context) error { return reachIssuer(ctx, cfg.Graph) },
		})
	}
	list = append(list, tenantService(cfg)...)
	if k := cfg.Keeper; k.Address != "" {
		list = append(list, doctor.Service{
			Name: "keeper", Addr: k.Address, Vital: true, Lacks: "Nothing is issued, sealed or newly revoked.",
			Try:   "signet serve --roles keeper, where the keeper is",
			Reach: func(ctx context.Context) error { return reachKeeper(ctx, k) },
		})
	}
	return list
}

// reachIssuer fetches the keys by which the issuer's tokens are known.
func reachIssuer(ctx context.Context, c config.Graph) error {
	v, err := vouching(c)
	if err != nil {
		return err
	}
	return v.Check(ctx)
}

// reachKeeper connects to the keeper as a front end does.
func reachKeeper(ctx context.Context, k config.Keeper) error {
	network, address := "unix", strings.TrimPrefix(k.Address, "unix:")
	dial := new(net.Dialer).DialContext
	if address == k.Address {
		way, err := keeperTLS(k)
		if err != nil {
			return err
		}
		network, address = "tcp", strings.TrimPrefix(k.Address, "https://")
		dial = (&tls.Dialer{Config: way}).DialContext
	}
	c, err := dial(ctx, network, address)
	if err == nil {
		c.Close()
	}
	return err
}

// greetMail connects to the mail server as the outbox does, login included.
func greetMail(ctx context.Context, cfg config.Config) error {
	server, err := (&server{cfg: cfg, log: slog.New(slog.DiscardHandler)}).mailServer()
	if err != nil {
		return err
	}
	session, err := server.Dial(ctx)
	if err == nil {
		session.Close()
	}
	return err
}

// answers tells whether a server listens on the socket of a data directory.
func answers(socket string) bool {
	c, err := net.Dial("unix", socket)
	if err == nil {
		c.Close()
	}
	return err == nil
}

// inspectDatabase opens the configured database to look at it.
func inspectDatabase(ctx context.Context, cfg config.Config) (db store.Inspection, err error) {
	if cfg.Database.DSNFile != "" {
		return inspectMariaDB(ctx, cfg.Database.DSNFile)
	}
	file := cfg.In("signet.db")
	if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
		return db, errNoDatabase.Saying("The database " + file + " is missing.")
	}
	return store.InspectSQLite(ctx, file)
}

func inspectMariaDB(ctx context.Context, file string) (db store.Inspection, err error) {
	dsn, err := readDSN(file)
	if err != nil {
		return db, err
	}
	db, err = store.InspectMySQL(ctx, dsn)
	if errors.Is(err, store.ErrUnavailable) {
		err = store.ErrUnavailable.Saying("The database of " + file + " does not answer" + because(err) + ".").With(err)
	}
	return db, err
}

// servedBy gives the certificate that a server with these settings shows.
func servedBy(cfg config.Config, ring *keyring.Ring) (*tls.Certificate, error) {
	get, err := (&server{cfg: cfg, ring: ring, log: slog.New(slog.DiscardHandler)}).certificate()
	if err != nil {
		return nil, err
	}
	return get(nil)
}

// What is taken for a root certificate, and for a revocation list, in bytes.
const (
	maxRoot = 64 << 10
	maxList = 64 << 20
)

// fetch gets what is at an address, whoever answers there: the TLS certificate
// is judged elsewhere.
func fetch(ctx context.Context, url string, most int64) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	client := &http.Client{
		Transport:     &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("it answers %s", resp.Status)
	}
	return io.ReadAll(io.LimitReader(resp.Body, most))
}
