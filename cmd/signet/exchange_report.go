package main

import (
	"crypto/x509"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"github.com/signet-mdm/signet/appconfig/exchange"
	"github.com/signet-mdm/signet/internal/cert"
)

// soon is how long before a CA expires somebody should hear of it.
const soon = 60 * 24 * time.Hour

// bundle is what was made, as -o json shows it.
type bundle struct {
	Files   []bundleFile `json:"files"`
	CAs     []bundleCA   `json:"cas"`
	LeftOut []bundleCA   `json:"leftOut"`
	Guessed bool         `json:"guessed"` // the names of the entries
	Changes int          `json:"changes"` // entries that the LDIF changes
	Same    int          `json:"unchanged"`
	None    []bundleUser `json:"none"`    // users who have nothing to publish
	Missing []bundleUser `json:"missing"` // users whose entry is not known
	Notes   []bundleUser `json:"notes"`
	Gaps    []string     `json:"gaps"` // certificates whose issuer is not known
}

type bundleFile struct {
	Name string `json:"name"`
	For  string `json:"for"`
}

type bundleCA struct {
	Subject  string    `json:"subject"`
	SHA256   string    `json:"sha256"`
	NotAfter time.Time `json:"notAfter"`
	Reason   string    `json:"reason,omitempty"`
}

type bundleUser struct {
	Mail string `json:"mail"`
	Text string `json:"text"`
}

func (b bundler) report(dir string, c exchange.Collection, p exchange.Plan) *bundle {
	out := &bundle{
		Files: []bundleFile{
			{filepath.Join(dir, sstFile), "the CA certificates that Exchange is to validate against"},
			{filepath.Join(dir, scriptFile), "loads them; an Exchange administrator runs it in PowerShell"},
			{filepath.Join(dir, ldifFile), "puts users' certificates into the directory; ldifde -i or ldapmodify"},
		},
		CAs: []bundleCA{}, LeftOut: []bundleCA{}, Guessed: b.dn == "" && b.directory == "", Changes: len(p.Changes), Same: p.Same,
		None: remarks(p.None), Missing: remarks(p.Missing), Notes: remarks(p.Notes), Gaps: []string{},
	}
	for _, ca := range c.CAs {
		line := newBundleCA(ca, "")
		if left := ca.NotAfter.Sub(b.now); left < soon {
			line.Reason = fmt.Sprintf("It expires in %s.", count(int(left/(24*time.Hour)), "day"))
		}
		out.CAs = append(out.CAs, line)
	}
	for _, l := range c.LeftOut {
		out.LeftOut = append(out.LeftOut, newBundleCA(l.CA, l.Reason))
	}
	for _, g := range c.Gaps {
		out.Gaps = append(out.Gaps, g.Subject.String()+", issued by "+g.Issuer.String())
	}
	return out
}

func newBundleCA(c *x509.Certificate, reason string) bundleCA {
	return bundleCA{Subject: c.Subject.String(), SHA256: cert.FingerprintOf(c.Raw).String(), NotAfter: c.NotAfter, Reason: reason}
}

func remarks(list []exchange.Remark) []bundleUser {
	out := make([]bundleUser, len(list))
	for i, r := range list {
		out[i] = bundleUser{r.User.Mail, r.Text}
	}
	return out
}

// showBundle tells what was made; exit status 3 when somebody is missing.
func (a *app) showBundle(b *bundle) error {
	err := a.show(b, func(w io.Writer) { b.print(w) })
	if err == nil && len(b.Missing) > 0 {
		return errRejects
	}
	return err
}

func (b *bundle) print(w io.Writer) {
	for _, f := range b.Files {
		fmt.Fprintf(w, "%s\n    %s\n", f.Name, f.For)
	}
	fmt.Fprintf(w, "\n%s, trusted for everybody's mail once loaded:\n", count(len(b.CAs), "CA"))
	for _, ca := range b.CAs {
		fmt.Fprintf(w, "  %s\n", strings.TrimRight(ca.SHA256[:shortFingerprint]+"  until "+day(ca.NotAfter)+"  "+plain(ca.Subject)+"  "+ca.Reason, " "))
	}
	for _, ca := range b.LeftOut {
		fmt.Fprintf(w, "  left out: %s  %s\n", plain(ca.Subject), ca.Reason)
	}
	for _, g := range b.Gaps {
		fmt.Fprintf(w, "  issuer not known, give it with --add-ca: %s\n", plain(g))
	}
	fmt.Fprintf(w, "\n%s changed, %d as they should be, %d without a certificate, %d not found\n",
		count(b.Changes, "entry"), b.Same, len(b.None), len(b.Missing))
	if b.Guessed && b.Changes > 0 {
		fmt.Fprintln(w, "The names of the entries are guessed: look at the file before you load it, or give --directory or --dn.")
	}
	for _, list := range [][]bundleUser{b.Missing, b.Notes, b.None} {
		for _, u := range list {
			fmt.Fprintf(w, "  %s: %s\n", plain(u.Mail), plain(u.Text))
		}
	}
}
