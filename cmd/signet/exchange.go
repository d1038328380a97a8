package main

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/signet-mdm/signet/appconfig/exchange"
	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/disk"
	"github.com/signet-mdm/signet/internal/httpd/admin"
	"github.com/signet-mdm/signet/internal/subject"
)

// The files of a bundle.
const (
	sstFile    = "signet-cas.sst"
	scriptFile = "Set-SmimeConfig.ps1"
	ldifFile   = "user-certificates.ldif"
)

// bundler makes one bundle.
type bundler struct {
	kind      string // of the directory
	dn        string // template
	directory string // export file
	addCA     string // PEM file
	now       time.Time
}

func (a *app) exchangeCommand() *cobra.Command {
	return group("exchange", "Make what Exchange and a directory need to know", a.exchangeBundle())
}

func (a *app) exchangeBundle() *cobra.Command {
	b := bundler{now: time.Now()}
	c := &cobra.Command{
		Use:   "bundle DIR",
		Short: "Write the CA collection, the script and the LDIF for Exchange and its directory",
		Long: `Writes three files into DIR: the CA certificates that Exchange validates against,
the PowerShell script that loads them, and an LDIF that puts each user's current
encryption certificate into the directory. Nothing is changed anywhere else; see
docs/exchange.md for who runs what.

Directory entries are found in an export of the directory (--directory), made by
a template (--dn), or else guessed from display name and domain.`,
		Example: "  signet exchange bundle out\n" +
			"  signet exchange bundle out --directory users.ldif\n" +
			"  signet exchange bundle out --format openldap --dn 'mail={{mail}},ou=people,dc=example,dc=com'",
		Args: takes("DIR"),
		RunE: func(c *cobra.Command, args []string) error {
			if b.kind != string(exchange.ActiveDirectory) && b.kind != string(exchange.OpenLDAP) {
				return usagef("--format is ad or openldap")
			}
			if b.dn != "" && b.directory != "" {
				return usagef("give --dn or --directory, not both")
			}
			if _, err := subject.Uses(b.dn); err != nil {
				sentence, _ := explain(err)
				return usagef("--dn: %s", sentence)
			}
			client, err := a.client()
			if err != nil {
				return err
			}
			authorities, err := client.Authorities(c.Context())
			if err != nil {
				return err
			}
			public, err := client.Publication(c.Context())
			if err != nil {
				return err
			}
			made, err := b.write(args[0], authorities, public)
			if err != nil {
				return err
			}
			return a.showBundle(made)
		},
	}
	f := c.Flags()
	f.StringVar(&b.kind, "format", string(exchange.ActiveDirectory), "`KIND` of directory the LDIF is for: ad or openldap")
	f.StringVar(&b.dn, "dn", "", "`TEMPLATE` of users' distinguished names, such as 'CN={{displayName}},OU=Staff,DC=example,DC=com'")
	f.StringVar(&b.directory, "directory", "", "LDIF `FILE` with the users' entries, as ldapsearch or ldifde exports them")
	f.StringVar(&b.addCA, "add-ca", "", "PEM `FILE` of further CA certificates for Exchange to trust")
	return c
}

// write makes the bundle in dir.
func (b bundler) write(dir string, authorities []admin.CA, public admin.Publication) (*bundle, error) {
	collection, err := b.collect(authorities, public)
	if err != nil {
		return nil, err
	}
	plan, err := b.plan(public)
	if err != nil {
		return nil, err
	}
	script, err := exchange.Script(collection, sstFile, b.now)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("making the directory: %w", err)
	}
	for name, data := range map[string][]byte{
		sstFile: exchange.SST(collection.CAs), scriptFile: script, ldifFile: plan.LDIF(exchange.Kind(b.kind), b.now),
	} {
		if err := disk.Replace(filepath.Join(dir, name), data, 0o644); err != nil {
			return nil, fmt.Errorf("writing %s: %w", name, err)
		}
	}
	return b.report(dir, collection, plan), nil
}

// collect gives the CAs in use: ours for mail up to the root, those above the
// imported certificates that are in force, and what --add-ca names.
func (b bundler) collect(authorities []admin.CA, public admin.Publication) (exchange.Collection, error) {
	var start, known []*x509.Certificate
	for _, ca := range authorities {
		list, err := parsePEM([]byte(ca.PEM))
		if err != nil {
			return exchange.Collection{}, fmt.Errorf("reading CA %s: %w", ca.Name, err)
		}
		if known = append(known, list...); ca.Authority == mailKey {
			start = append(start, list...)
		}
	}
	for _, der := range public.Issuers {
		if c, err := x509.ParseCertificate(der); err == nil { // else no chain leads through it
			known = append(known, c)
		}
	}
	for _, u := range public.Users {
		for _, p := range u.Certificates {
			if c, err := x509.ParseCertificate(p.DER); err == nil {
				start = append(start, c)
			}
		}
	}
	more, err := b.further()
	collection := exchange.Collect(start, append(known, more...), b.now)
	for _, c := range more {
		collection.Add(c, b.now)
	}
	return collection, err
}

func (b bundler) further() ([]*x509.Certificate, error) {
	if b.addCA == "" {
		return nil, nil
	}
	text, err := os.ReadFile(b.addCA)
	if err != nil {
		return nil, err
	}
	list, err := parsePEM(text)
	if err == nil && len(list) == 0 {
		err = fmt.Errorf("there is no PEM certificate in it")
	}
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", b.addCA, err)
	}
	return list, nil
}

// parsePEM reads the certificates of a PEM file.
func parsePEM(text []byte) (list []*x509.Certificate, err error) {
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		list = append(list, c)
	}
	return list, nil
}

// plan works out what changes in the directory.
func (b bundler) plan(public admin.Publication) (exchange.Plan, error) {
	find, err := b.finder()
	if err != nil {
		return exchange.Plan{}, err
	}
	persons := make([]exchange.Person, len(public.Users))
	for i, u := range public.Users {
		p := exchange.Person{User: subject.User{ID: subject.UserID(u.User.ID), Mail: u.User.Mail, UPN: u.User.UPN, Name: u.User.Name,
			GivenName: u.User.GivenName, Surname: u.User.Surname, Disabled: u.User.Disabled}}
		for _, c := range u.Certificates {
			if !c.Current {
				continue
			}
			if p.Current, err = x509.ParseCertificate(c.DER); err != nil {
				return exchange.Plan{}, fmt.Errorf("reading the certificate of %s: %w", u.User.Mail, err)
			}
		}
		for _, text := range u.Past {
			f, err := cert.ParseFingerprint(text)
			if err != nil {
				return exchange.Plan{}, err
			}
			p.Past = append(p.Past, f)
		}
		persons[i] = p
	}
	return exchange.NewPlan(persons, find), nil
}

// finder gives the way to users' entries that was asked for.
func (b bundler) finder() (exchange.Finder, error) {
	switch {
	case b.directory != "":
		f, err := os.Open(b.directory)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		d, err := exchange.ReadDirectory(f)
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", b.directory, err)
		}
		return d.Find, nil
	case b.dn != "":
		return func(u subject.User) (exchange.Entry, string) {
			dn, err := exchange.ExpandDN(b.dn, u)
			if err != nil {
				sentence, _ := explain(err)
				return exchange.Entry{}, sentence
			}
			return exchange.Entry{DN: dn}, ""
		}, nil
	}
	return func(u subject.User) (exchange.Entry, string) {
		return exchange.Entry{DN: exchange.GuessDN(exchange.Kind(b.kind), u)}, ""
	}, nil
}
