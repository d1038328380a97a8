package main

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/rollover"
	"github.com/signet-mdm/signet/scep/ca"
)

func (a *app) caCSR() *cobra.Command {
	c := &cobra.Command{
		Use:   "csr device|smime|services",
		Short: "Print the certificate request of a CA whose root is offline",
		Long: `Prints the PKCS #10 request of one of the CAs that signet init --ca-offline-root
made keys for. The owner of the root signs it with the extensions that it asks
for; signet ca import takes what he gives back. No server has to run.`,
		Example: "  signet ca csr device > device.csr",
		Args:    takes("NAME"),
		RunE: func(c *cobra.Command, args []string) error {
			m, b, err := a.belowOffline(c, args[0])
			if err != nil {
				return err
			}
			key, err := m.ring.Signer(b.name)
			if err != nil {
				return err
			}
			der, err := ca.NewCSR(b.kind, key, b.names)
			if err != nil {
				return err
			}
			text := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
			return a.show(map[string]string{"name": b.name, "csr": text}, func(w io.Writer) { fmt.Fprint(w, text) })
		},
	}
	addSettings(c)
	return c
}

// imported is what -o json shows.
type imported struct {
	Name    string   `json:"name"`
	Subject string   `json:"subject"`
	SHA256  string   `json:"sha256"`
	Root    string   `json:"rootSha256"`
	Missing []string `json:"missing"` // CAs that have no certificate yet
}

func (a *app) caImport() *cobra.Command {
	c := &cobra.Command{
		Use:   "import device|smime|services CHAIN",
		Short: "Take the certificate of a CA that the owner of the offline root signed",
		Long: `Takes a PEM file with the certificate, those above it and the self-signed root,
in any order, once everything is right: key, name, path length, usages, validity,
signatures. After the last CA it makes what the server itself needs below them.
No server has to run; one that does takes a next CA within half a minute, and a
renewed certificate when it is restarted.`,
		Example: "  signet ca import device device-chain.pem",
		Args:    takes("NAME", "CHAIN"),
		RunE: func(c *cobra.Command, args []string) error {
			m, b, err := a.belowOffline(c, args[0])
			if err != nil {
				return err
			}
			text, err := a.read(args[1], maxImport)
			if err != nil {
				return err
			}
			key, err := m.ring.Signer(b.name)
			if err != nil {
				return err
			}
			chain, err := chainOf(text, key.Public())
			if err != nil {
				return err
			}
			if err := m.accept(b, chain); err != nil {
				return err
			}
			missing := uncertified(m.ring, m.cfg)
			if len(missing) == 0 {
				err = m.finish(c.Context())
			}
			if err == nil {
				err = handOver(m.cfg.Data)
			}
			if err != nil {
				return err
			}
			return a.showImported(imported{b.name, chain[0].Subject.String(), cert.FingerprintOf(chain[0].Raw).String(),
				cert.FingerprintOf(chain[len(chain)-1].Raw).String(), append([]string{}, missing...)})
		},
	}
	addSettings(c)
	return c
}

func (a *app) showImported(i imported) error {
	return a.show(i, func(w io.Writer) {
		fmt.Fprintf(w, "%s: %s\n  SHA-256       %s\n  root SHA-256  %s\n", i.Name, plain(i.Subject), i.SHA256, i.Root)
		if len(i.Missing) > 0 {
			fmt.Fprintf(w, "Next:  signet ca csr %s\n", i.Missing[0])
			return
		}
		if authority, _, next := strings.Cut(i.Name, "-"); next {
			fmt.Fprintf(w, "Next:  signet ca rollover activate %s, half a minute from now\n", authority)
			return
		}
		fmt.Fprintln(w, "Next:  signet serve")
	})
}

// belowOffline finds a CA whose root is elsewhere.
func (a *app) belowOffline(c *cobra.Command, name string) (maker, below, error) {
	cfg, err := a.local(c)
	if err != nil {
		return maker{}, below{}, err
	}
	m, err := a.offline(cfg)
	if err != nil {
		return m, below{}, err
	}
	for _, b := range m.below() {
		if b.name == name {
			return m, b, nil
		}
		if number, is := strings.CutPrefix(name, b.name+"-"); is && slices.Contains(m.ring.Names(), name) { // made by a roll-over
			n, err := strconv.Atoi(number)
			if err != nil {
				continue
			}
			r := m.recipe(rollover.Generation{Line: b.name, Number: n})
			return m, below{name, b.kind, r.names, r.key}, nil
		}
	}
	return m, below{}, usagef("there is no CA %q below the root: it is device, smime or services", name)
}

// chainOf puts certificates in order, from the one of the key to the root. One
// that does not belong there is refused: it would be somebody's mistake.
func chainOf(text []byte, key any) ([]*x509.Certificate, error) {
	var all, chain []*x509.Certificate
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			return nil, errCARefused.Saying("The file holds more than certificates.")
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, errCARefused.Saying("A certificate of the file cannot be read.").With(err)
		}
		all = append(all, c)
	}
	if strings.TrimSpace(string(text)) != "" && len(all) == 0 {
		return nil, errCARefused.Saying("The file holds no certificate as PEM text.")
	}
	at := func(belongs func(*x509.Certificate) bool) bool {
		for i, c := range all {
			if belongs(c) {
				chain, all = append(chain, c), append(all[:i:i], all[i+1:]...)
				return true
			}
		}
		return false
	}
	if !at(func(c *x509.Certificate) bool { return cert.SameKey(c.PublicKey, key) }) {
		return nil, errCARefused.Saying("No certificate of the file is for the key of this CA.")
	}
	for at(func(c *x509.Certificate) bool { return signs(c, chain[len(chain)-1]) }) {
	}
	if len(all) > 0 {
		return nil, errCARefused.Saying("A certificate of the file is not above that of this CA: " + plain(all[0].Subject.String()) + ".")
	}
	return chain, nil
}

// signs tells whether one certificate says that the other is its issuer. Who
// signed what is judged later.
func signs(c, issued *x509.Certificate) bool {
	return bytes.Equal(issued.RawIssuer, c.RawSubject) &&
		(len(issued.AuthorityKeyId) == 0 || len(c.SubjectKeyId) == 0 || bytes.Equal(issued.AuthorityKeyId, c.SubjectKeyId))
}
