package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/signet-mdm/signet/internal/config"
	"github.com/signet-mdm/signet/internal/httpd/landing"
	"github.com/signet-mdm/signet/internal/logx"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/testdata"
)

// demo is one run of the whole story.
type demo struct {
	teller
	app  *app
	once bool

	pfx      string // a file to add to the history
	password string // the file with its password
	oldMail  string // a message to read instead of the sample
	leave    string // where to leave what the phone made

	mine       brought
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
		Args: takes(),
		RunE: func(c *cobra.Command, _ []string) error {
			if (d.pfx == "") != (d.password == "") {
				return usagef("--pfx and --password-file go together")
			}
			listen, err := c.Flags().GetString("listen")
			if err != nil {
				return err
			}
			if err := d.read(); err != nil {
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

// brought is what the flags name, read before anything is set up.
type brought struct {
	pfx      []byte
	password seal.Secret
	oldMail  []byte
}

func (d *demo) read() (err error) {
	if d.pfx != "" {
		if d.mine.pfx, err = readBounded(d.pfx); err != nil {
			return fmt.Errorf("reading --pfx: %w", err)
		}
		if d.mine.password, err = d.app.secretFile(d.password); err != nil {
			return fmt.Errorf("reading --password-file: %w", err)
		}
	}
	d.mine.oldMail = testdata.OldMail()
	if d.oldMail != "" {
		if d.mine.oldMail, err = readBounded(d.oldMail); err != nil {
			return fmt.Errorf("reading --old-mail: %w", err)
		}
	}
	if d.leave != "" {
		if err = os.MkdirAll(d.leave, 0o700); err != nil {
			return fmt.Errorf("making the folder of --out: %w", err)
		}
	}
	return nil
}

// play runs the story in a folder of its own.
func (d *demo) play(ctx context.Context, listen string) error {
	cfg, err := d.settings(listen)
	if err != nil {
		return err
	}
	claim, err := claim(cfg)
	if err != nil {
		return err
	}
	defer claim.Close()
	if err = d.perform(ctx, cfg); err != nil && ctx.Err() != nil {
		return ctx.Err() // whatever broke off because of it
	}
	return err
}

func (d *demo) perform(ctx context.Context, cfg config.Config) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	served, err := d.start(ctx, cfg)
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
func (d *demo) start(ctx context.Context, cfg config.Config) (<-chan error, error) {
	made, err := initialise(ctx, cfg, d.app.unlocker())
	if err != nil {
		return nil, fmt.Errorf("setting up: %w", err)
	}
	cfg = made.cfg
	d.tell("made", "data directory %s, root CA SHA-256 %s…", cfg.Data, colons(made.root[:8]))
	logFile, err := os.OpenFile(cfg.In("signet.log"), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the log: %w", err)
	}
	if d.s, err = assemble(ctx, cfg, logx.New(logFile, false, nil), d.app.unlocker()); err != nil {
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
	fmt.Fprintf(d.out, "  CA certificates       %s/pki/%s.cer\n", d.s.cfg.PublicPKI(), rootKey)
	fmt.Fprintf(d.out, "  Log                   %s\n", d.s.cfg.In("signet.log"))
}
