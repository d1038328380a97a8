package main

import (
	"bytes"
	"cmp"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/signet-mdm/signet/internal/config"
	"github.com/signet-mdm/signet/internal/httpd/landing"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/logx"
	"github.com/signet-mdm/signet/internal/phone"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/pfxconnector"
	"github.com/signet-mdm/signet/testdata"
)

//go:embed demo-policy.yaml
var demoPolicy []byte

// demoMark lies in a data directory that a demo made and may delete.
const demoMark = "this-is-a-demo"

// demo is one run of the whole story.
type demo struct {
	teller
	app  *app
	once bool

	pfx      string // a file to add to the history
	password string // the file with its password
	oldMail  string // a message to read instead of the sample
	leave    string // where to leave what the phone made

	s          *server
	user       subject.User
	identities int // imported
}

func (a *app) demoCommand() *cobra.Command {
	d := &demo{app: a}
	c := &cobra.Command{
		Use:   "demo",
		Short: "The whole story on loopback: server, a user's history, a simulated iPhone",
		Long: `Sets up a server in a fresh data directory on loopback, imports the history of
alice@example.com (or yours), lets a simulated iPhone enroll over the real
protocols and proves that it reads a message from years ago and signs a new one.
The server stays up until Ctrl-C; with --once it ends after the proof.`,
		Example: "  signet demo\n  signet demo --once\n" +
			"  signet demo --once --pfx old.p12 --password-file pw --old-mail old.eml --out result",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if (d.pfx == "") != (d.password == "") {
				return usagef("--pfx and --password-file go together")
			}
			listen, err := c.Flags().GetString("listen")
			if err != nil {
				return err
			}
			d.teller = teller{a.stdout, time.Now()}
			return d.play(c.Context(), listen)
		},
	}
	f := c.Flags()
	f.BoolVar(&d.once, "once", false, "end after the proof: exit status 0, or 1 with the step that failed")
	f.StringVar(&d.pfx, "pfx", "", "add this PKCS#12 `FILE` to the history")
	f.StringVar(&d.password, "password-file", "", "`FILE` with the password of --pfx")
	f.StringVar(&d.oldMail, "old-mail", "", "let the phone read this encrypted message, an .eml `FILE`")
	f.StringVar(&d.leave, "out", "", "leave old-mail.txt, signed.eml and ca.pem in `DIR`")
	f.String("listen", "", "`ADDRESS` on loopback (default: a free port of 127.0.0.1)")
	return c
}

// play runs the story.
func (d *demo) play(ctx context.Context, listen string) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	served, err := d.start(ctx, listen)
	if err != nil {
		return err
	}
	err = d.act(ctx)
	if err == nil && !d.once {
		d.farewell(ctx)
		select {
		case <-ctx.Done():
		case err = <-served:
			return err
		}
	}
	stop()
	if ended := <-served; err == nil {
		err = ended
	}
	return errors.Join(err, d.s.db.Close())
}

// start makes a data directory and serves on it.
func (d *demo) start(ctx context.Context, listen string) (<-chan error, error) {
	cfg, err := d.settings(listen)
	if err != nil {
		return nil, err
	}
	if err := fresh(cfg.Data); err != nil {
		return nil, err
	}
	made, err := initialise(ctx, cfg, d.app.getenv)
	if err != nil {
		return nil, fmt.Errorf("setting up: %w", err)
	}
	cfg = made.cfg
	if err := writeFile(cfg.In(demoMark), nil); err != nil {
		return nil, err
	}
	d.tell("made", "data directory %s, root CA SHA-256 %s…", cfg.Data, colons(made.root[:8]))
	logFile, err := os.OpenFile(cfg.In("signet.log"), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the log: %w", err)
	}
	if d.s, err = assemble(ctx, cfg, logx.New(logFile, false, nil), d.app.getenv); err != nil {
		return nil, err
	}
	up, served := make(chan net.Addr, 1), make(chan error, 1)
	go func() {
		defer logFile.Close()
		served <- d.s.run(ctx, func(at net.Addr) { up <- at })
	}()
	select {
	case err := <-served:
		return nil, errors.Join(err, d.s.db.Close())
	case <-up:
		d.tell("serving", "%s", cfg.Base())
		return served, nil
	}
}

// settings are those of an ordinary server, on loopback.
func (d *demo) settings(listen string) (config.Config, error) {
	cfg := config.Default()
	cfg.Data = cmp.Or(d.app.data, d.app.getenv("SIGNET_DATA"), "signet-demo")
	cfg.Organization = "Example Demo"
	free, err := freeAddresses(2)
	if err != nil {
		return cfg, err
	}
	cfg.Listen, cfg.HTTPListen = cmp.Or(listen, free[0]), free[1]
	if host, _, err := net.SplitHostPort(cfg.Listen); err != nil || !net.ParseIP(host).IsLoopback() {
		return cfg, usagef("--listen takes a loopback address such as 127.0.0.1:8443")
	}
	cfg.URL = "https://" + cfg.Listen
	return cfg, nil
}

// freeAddresses gives different loopback addresses that nobody listens on.
func freeAddresses(n int) ([]string, error) {
	var list []string
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("looking for a free port: %w", err)
		}
		defer l.Close() // only at the end, so that no two are the same
		list = append(list, l.Addr().String())
	}
	return list, nil
}

// fresh empties what an earlier demo left, and refuses anything else.
func fresh(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(entries) == 0 {
		return nil
	}
	if err != nil {
		return fmt.Errorf("looking into %s: %w", dir, err)
	}
	if _, err := os.Stat(filepath.Join(dir, demoMark)); err != nil {
		return usagef("%s is not the data directory of a demo; name another with --data", dir)
	}
	return os.RemoveAll(dir)
}

// act is the story after the curtain went up.
func (d *demo) act(ctx context.Context) error {
	for _, scene := range []func(context.Context) error{d.hire, d.bring, d.decide, d.enroll} {
		if err := scene(ctx); err != nil {
			return err
		}
	}
	return nil
}

var demoActor = journal.Actor{Kind: journal.Local, ID: "demo"}

func (d *demo) hire(ctx context.Context) error {
	u, err := d.s.directory.Add(ctx, demoActor, subject.User{Mail: testdata.Owner, Name: "Alice Example",
		GivenName: "Alice", Surname: "Example"})
	if err != nil {
		return fmt.Errorf("adding the user: %w", err)
	}
	d.user = u
	d.tell("added", "user %s", u.Mail)
	return nil
}

// bring imports the history, each file as its program wrote it.
func (d *demo) bring(ctx context.Context) error {
	for _, f := range testdata.History() {
		if err := d.take(ctx, f.Name, f.Data, seal.SecretString(f.Password)); err != nil {
			return err
		}
	}
	if d.pfx == "" {
		return nil
	}
	data, err := os.ReadFile(d.pfx)
	if err != nil {
		return fmt.Errorf("reading --pfx: %w", err)
	}
	password, err := d.app.secretFile(d.password)
	if err != nil {
		return fmt.Errorf("reading --password-file: %w", err)
	}
	return d.take(ctx, filepath.Base(d.pfx), data, password)
}

func (d *demo) take(ctx context.Context, name string, data []byte, password seal.Secret) error {
	r, err := d.s.pfx.Import(ctx, demoActor, pfxconnector.File{Name: name, Data: data, Password: password, User: &d.user})
	if err != nil {
		return fmt.Errorf("importing %s: %w", name, err)
	}
	if r.Status != pfxconnector.Imported && r.Status != pfxconnector.Unchanged {
		return fmt.Errorf("importing %s: refused with %s", name, deref(r.Code))
	}
	items, err := d.s.pfx.List(ctx, d.user)
	if err != nil {
		return fmt.Errorf("listing the history: %w", err)
	}
	d.identities = len(items)
	for _, id := range r.Identities {
		for _, it := range items {
			if it.Cert == id.Cert {
				d.tell("imported", "%-24s %s certificate of %d–%d%s", name, it.Purpose,
					it.NotBefore.Year(), it.NotAfter.Year(), expired(it.NotAfter))
			}
		}
	}
	return nil
}

func expired(end time.Time) string {
	if time.Now().After(end) {
		return ", expired"
	}
	return ""
}

func deref(s *string) string {
	if s == nil {
		return "no code"
	}
	return *s
}

func (d *demo) decide(ctx context.Context) error {
	if _, err := d.s.policies.Apply(ctx, demoActor, demoPolicy, false); err != nil {
		return fmt.Errorf("applying the policy: %w", err)
	}
	d.tell("applied", "policy for Apple Mail and Outlook")
	return nil
}

// enroll is the part of the phone.
func (d *demo) enroll(ctx context.Context) error {
	_, link, code, err := d.s.mdm.Invite(ctx, demoActor, d.user)
	if err != nil {
		return fmt.Errorf("inviting the user: %w", err)
	}
	d.tell("invited", "with a link by mail and a code by another way")
	p := phone.New(phone.Config{OSVersion: "18.2", Name: "Alice's iPhone", VisitAnyway: true})
	defer p.Close()
	file, err := p.Open(ctx, link.RevealString(), code.RevealString())
	if err != nil {
		return fmt.Errorf("the phone opens the link: %w", err)
	}
	if err := p.Enroll(ctx, file); err != nil {
		return fmt.Errorf("the phone enrolls: %w", err)
	}
	d.s.wake.nudge()
	d.tell("enrolled", "a simulated iPhone with iOS 18.2")
	err = serve(ctx, p, d.identities, func(id phone.Identity) {
		how := "received, sealed to this phone"
		if id.Kind == "scep" {
			how = "made on the phone, certified over SCEP"
		}
		d.tell("installed", "%s  %d–%d, %s", certName(id), id.Certificate.NotBefore.Year(), id.Certificate.NotAfter.Year(), how)
	}, d.delivered)
	if err != nil {
		return err
	}
	d.tell("configured", "Outlook: S/MIME switched on by managed app configuration (%d keys)", len(p.AppConfig(outlook)))
	return d.prove(ctx, p)
}

// delivered tells whether the server has seen everything on the phone.
func (d *demo) delivered(ctx context.Context) (bool, error) {
	list, err := d.s.delivery.User(ctx, d.user.ID)
	return len(list) == 1 && list[0].Done(), err
}

func certName(id phone.Identity) string {
	if id.Kind == "scep" {
		return "signing key"
	}
	return "encryption key"
}

func (d *demo) prove(ctx context.Context, p *phone.Phone) error {
	mail := testdata.OldMail()
	if d.oldMail != "" {
		var err error
		if mail, err = os.ReadFile(d.oldMail); err != nil {
			return fmt.Errorf("reading --old-mail: %w", err)
		}
	}
	root := d.s.root.Certificate()
	pr, err := prove(ctx, p, d.user.Mail, mail, root)
	if err != nil {
		return err
	}
	d.tell("read", "an old message with the certificate of %d–%d:", pr.opened.NotBefore.Year(), pr.opened.NotAfter.Year())
	quote(d.out, pr.oldMail)
	d.tell("signed", "a new message; %s", pr.judge)
	if d.leave == "" {
		return nil
	}
	d.tell("left", "old-mail.txt, signed.eml and ca.pem in %s", d.leave)
	return pr.leave(d.leave, root)
}

// quote shows a text of somebody else, so that it cannot pass for ours or play
// with the terminal.
func quote(out io.Writer, text []byte) {
	text = bytes.TrimSpace(text)
	for line := range strings.Lines(string(text[:min(len(text), 2000)])) {
		line = strings.Map(func(r rune) rune {
			if r < ' ' || r == 0x7f {
				return -1
			}
			return r
		}, line)
		fmt.Fprintf(out, "         | %s\n", line)
	}
}

// farewell prints every address and one-time login.
func (d *demo) farewell(ctx context.Context) {
	base, data := d.s.cfg.Base(), d.s.cfg.Data
	fmt.Fprintf(d.out, "\nThe server is up until Ctrl-C. Everything is in %s; the next demo starts it over.\n\n", data)
	if inv, link, code, err := d.s.mdm.Invite(ctx, demoActor, d.user); err == nil {
		fmt.Fprintf(d.out, "  Enroll another phone  %s\n                        code %s, good once until %s\n",
			link.RevealString(), code.RevealString(), inv.ExpiresAt.Format(time.DateOnly))
	}
	if link, err := d.s.access.MakeLink(ctx, string(d.user.ID)); err == nil {
		fmt.Fprintf(d.out, "  What the user sees    %s%s/link/%s (opens once)\n", base, landing.Path, link.RevealString())
	}
	fmt.Fprintf(d.out, "  Command line          signet status %s --data %s\n", d.user.Mail, data)
	fmt.Fprintf(d.out, "                        signet device list --data %s\n", data)
	fmt.Fprintf(d.out, "  API                   %s/api/v1/openapi.json\n", base)
	fmt.Fprintf(d.out, "  CA certificates       %s/pki/%s.cer\n", d.s.cfg.PublicHTTP(), rootKey)
	fmt.Fprintf(d.out, "  Log                   %s\n", d.s.cfg.In("signet.log"))
}
