package main

import (
	"bytes"
	"context"
	_ "embed"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/phone"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/pfxconnector"
	"github.com/signet-mdm/signet/testdata"
)

//go:embed demo-policy.yaml
var demoPolicy []byte

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
	return d.take(ctx, filepath.Base(d.pfx), d.mine.pfx, d.mine.password)
}

func (d *demo) take(ctx context.Context, name string, data []byte, password seal.Secret) error {
	r, err := d.s.pfx.Import(ctx, demoActor, pfxconnector.File{Name: name, Data: data, Password: password, User: &d.user})
	if err != nil {
		return fmt.Errorf("importing %s: %w", name, err)
	}
	if r.Code != nil {
		return fmt.Errorf("%s: %s", plain(r.File), refusal(r.Message, *r.Code, r.Hint))
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
	root := d.s.root()
	pr, err := prove(ctx, p, d.user.Mail, d.mine.oldMail, root)
	if err != nil {
		return err
	}
	d.tell("read", "an old message with the certificate of %d–%d:", pr.opened.NotBefore.Year(), pr.opened.NotAfter.Year())
	quote(d.out, pr.oldMail)
	d.tell("signed", "a new message; %s", pr.judge)
	if d.leave == "" {
		return nil
	}
	if err := pr.leave(d.leave, root); err != nil {
		return err
	}
	d.tell("left", "old-mail.txt, signed.eml and ca.pem in %s", d.leave)
	return nil
}

// quote shows a text of somebody else, so that it cannot pass for ours or play
// with the terminal.
func quote(out io.Writer, text []byte) {
	text = bytes.TrimSpace(text)
	for line := range strings.Lines(string(text[:min(len(text), 2000)])) {
		fmt.Fprintf(out, "         | %s\n", plain(strings.TrimRight(line, "\r\n")))
	}
}
