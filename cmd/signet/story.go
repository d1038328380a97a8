package main

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/phone"
)

// teller prints the steps of the demo as they happen, each with its time.
type teller struct {
	out   io.Writer
	start time.Time
}

// tell prints one line: seconds since the start, what was done, to what.
func (t teller) tell(did, format string, args ...any) {
	fmt.Fprintf(t.out, "%6.2fs  %-10s %s\n", time.Since(t.start).Seconds(), did, fmt.Sprintf(format, args...))
}

// patience is how long the demo's phone waits for what it should get.
const patience = 30 * time.Second

// serve polls for the phone, as push would make it, until it has that many
// imported identities, a signing certificate and Outlook's settings, and the
// server knows.
func serve(ctx context.Context, p *phone.Phone, identities int, say func(phone.Identity), known func(context.Context) (bool, error)) error {
	ctx, stop := context.WithTimeout(ctx, patience)
	defer stop()
	told := map[string]bool{}
	for {
		if _, err := p.Poll(ctx); err != nil {
			return fmt.Errorf("the phone asks for work: %w", err)
		}
		have, signing := 0, 0
		for _, id := range p.Identities() {
			switch {
			case id.Kind == "pkcs12":
				have++
			case canSignMail(id.Certificate):
				signing++
			default:
				continue // the device identity
			}
			if key := string(id.Certificate.Raw); !told[key] {
				told[key] = true
				say(id)
			}
		}
		if have >= identities && signing > 0 && len(p.AppConfig(outlook)) > 0 {
			if done, err := known(ctx); done || err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("after %s the phone has %d of %d imported identities and %d signing certificates, and the server does not know it as done", patience, have, identities, signing)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// outlook is Outlook for iOS.
const outlook = "com.microsoft.Office.Outlook"

func canSignMail(c *x509.Certificate) bool {
	for _, u := range c.ExtKeyUsage {
		if u == x509.ExtKeyUsageEmailProtection {
			return c.KeyUsage&x509.KeyUsageDigitalSignature != 0
		}
	}
	return false
}

// proof is what the phone can do in the end that it could not before.
type proof struct {
	oldMail []byte // the text of the old message
	opened  *x509.Certificate
	signed  []byte // a message signed on the phone, as .eml
	judge   string // who verified it
}

// prove lets the phone read the old message and sign a new one, and has the
// signature verified.
func prove(ctx context.Context, p *phone.Phone, from string, oldMail []byte, root *x509.Certificate) (proof, error) {
	var pr proof
	entity, used, err := p.ReadMail(oldMail)
	if err != nil {
		return pr, fmt.Errorf("reading the old message: %w", err)
	}
	pr.opened, pr.oldMail = used, textOf(entity)
	if pr.signed, err = p.SignMail(from, "bob@example.com", "Signed on the phone",
		"This message was signed with a key that never left the phone.\r\n"); err != nil {
		return pr, fmt.Errorf("signing a message: %w", err)
	}
	pr.judge, err = verifyMail(ctx, pr.signed, root)
	return pr, err
}

// textOf gives the body of a MIME entity.
func textOf(entity []byte) []byte {
	for _, gap := range []string{"\r\n\r\n", "\n\n"} {
		if _, body, ok := bytes.Cut(entity, []byte(gap)); ok {
			return body
		}
	}
	return entity
}

// verifyMail asks OpenSSL whether the signature is good under the root. The
// demo needs another program's word for it and says so when there is none.
func verifyMail(ctx context.Context, mail []byte, root *x509.Certificate) (string, error) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		return "nobody: openssl is not installed", nil
	}
	dir, err := os.MkdirTemp("", "signet-demo-")
	if err != nil {
		return "", fmt.Errorf("making a folder for openssl: %w", err)
	}
	defer os.RemoveAll(dir)
	ca := filepath.Join(dir, "ca.pem")
	if err := os.WriteFile(ca, cert.PEM(root), 0o600); err != nil {
		return "", fmt.Errorf("writing the CA for openssl: %w", err)
	}
	cmd := exec.CommandContext(ctx, openssl, "cms", "-verify", "-CAfile", ca, "-out", filepath.Join(dir, "text"))
	cmd.Stdin = bytes.NewReader(mail)
	said, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("openssl cms -verify refuses the phone's message: %s: %w", strings.TrimSpace(string(said)), err)
	}
	return "openssl cms -verify: " + strings.TrimSpace(string(said)), nil
}

// leave writes what the phone produced to dir.
func (pr proof) leave(dir string, root *x509.Certificate) error {
	return errors.Join(
		os.WriteFile(filepath.Join(dir, "old-mail.txt"), pr.oldMail, 0o600),
		os.WriteFile(filepath.Join(dir, "signed.eml"), pr.signed, 0o600),
		os.WriteFile(filepath.Join(dir, "ca.pem"), cert.PEM(root), 0o600))
}
