package main

import (
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/signet-mdm/signet/internal/access/federation"
	"github.com/signet-mdm/signet/internal/config"
	"github.com/signet-mdm/signet/internal/dial"
	"github.com/signet-mdm/signet/internal/disk"
	"github.com/signet-mdm/signet/internal/httpd"
	"github.com/signet-mdm/signet/internal/httpd/admin"
	"github.com/signet-mdm/signet/internal/httpd/graph"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/pfxconnector/transport"
)

// wireTransport makes what opens the passwords of importers made for Intune, and
// what they sign in with.
func (s *server) wireTransport() error {
	box, err := seal.NewBox(s.ring.ColumnRoot(), "transport")
	if err != nil {
		return err
	}
	s.transport = transport.New(s.db.Transport(box), time.Now)
	if box, err = seal.NewBox(s.ring.ColumnRoot(), "ticket"); err != nil {
		return err
	}
	s.tickets = s.access.Tickets(box)
	s.issuer, err = vouching(s.cfg.Graph)
	return err
}

// vouching gives who knows the tokens of others; nil when there is no such
// issuer.
func vouching(c config.Graph) (*federation.Verifier, error) {
	if c.Issuer == "" {
		return nil, nil
	}
	pool, err := roots(c.TLSCA)
	if err != nil {
		return nil, fmt.Errorf("reading graph.tls_ca: %w", err)
	}
	networks, err := dial.Networks(c.Networks)
	if err != nil {
		return nil, fmt.Errorf("reading graph.networks: %w", err)
	}
	return federation.New(federation.Config{Issuer: c.Issuer, Audiences: config.List(c.Audience), Tenant: c.Tenant, Programs: config.List(c.Programs),
		Role: c.Role, Scope: c.Scope, TLS: pool, Networks: networks, Now: time.Now}), nil
}

// importers knows who may use the API for importers.
func (s *server) importers() httpd.Tokens {
	if s.issuer == nil {
		return s.tickets
	}
	return s.issuer.Before(s.tickets)
}

// graph gives the API that importers made for Intune speak, and where they get
// their tickets.
func (s *server) graph() []httpd.Area {
	return append(graph.SignIn(s.cfg.Host(), s.access, s.tickets), graph.Area(graph.Config{Keys: s.pfx, Users: s.directory,
		Passwords: s.transport, MaxFile: int64(s.cfg.Limits.ImportFileKiB) << 10}, httpd.Bearer(s.importers())))
}

func (a *app) graphCommand() *cobra.Command {
	key := group("key", "Make, list, export and import transport keys", a.graphKeyCreate(), a.graphKeyList(), a.graphKeyExport(), a.graphKeyImport())
	key.Long = `An importer made for Intune encrypts the password of each PKCS #12 file to a
transport key, which it names by a provider and a name. The public half goes to
the importer; the private one stays in the database, sealed, and is never given.`
	return group("graph", "Tools made for Intune's PFX import", key)
}

// transportFlags are by what importers name a transport key.
func transportFlags(c *cobra.Command, n *admin.NewTransportKey) {
	c.Flags().StringVar(&n.Provider, "provider", "Microsoft Software Key Storage Provider", "`PROVIDER` that importers name it by")
	c.Flags().StringVar(&n.Name, "name", "", "`NAME` that importers name it by")
}

var errKeyName = usagef("a transport key needs --name")

func (a *app) graphKeyCreate() *cobra.Command {
	var n admin.NewTransportKey
	c := &cobra.Command{
		Use:     "create --name NAME",
		Short:   "Make a transport key and print its public half",
		Example: "  signet graph key create --name PFXEncryptionKey > public.pem",
		Args:    takes(),
		RunE: func(c *cobra.Command, _ []string) error {
			if n.Name == "" {
				return errKeyName
			}
			return a.addTransportKey(c, n)
		},
	}
	transportFlags(c, &n)
	c.Flags().IntVar(&n.Bits, "bits", 2048, "`SIZE`: 2048, 3072 or 4096")
	return c
}

func (a *app) addTransportKey(c *cobra.Command, n admin.NewTransportKey) error {
	client, err := a.client()
	if err != nil {
		return err
	}
	k, err := client.AddTransportKey(c.Context(), n)
	if err != nil {
		return err
	}
	return a.show(k, func(w io.Writer) { fmt.Fprint(w, k.PEM) })
}

func (a *app) graphKeyImport() *cobra.Command {
	var n admin.NewTransportKey
	c := &cobra.Command{
		Use:   "import --name NAME FILE",
		Short: "Take a private key that importers use already",
		Long: `Takes the private key of importers that are set up already: PEM, or the file that
Export-IntunePrivateKey writes (RSAFULLPRIVATEBLOB). It is not encrypted there:
destroy the file afterwards. "-" reads standard input.`,
		Example: "  signet graph key import --name PFXEncryptionKey PFXEncryptionKey.key",
		Args:    takes("FILE"),
		RunE: func(c *cobra.Command, args []string) (err error) {
			if n.Name == "" {
				return errKeyName
			}
			if n.File, err = a.read(args[0], maxPush); err != nil {
				return err
			}
			defer clear(n.File)
			return a.addTransportKey(c, n)
		},
	}
	transportFlags(c, &n)
	return c
}

func (a *app) graphKeyList() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List transport keys",
		Args:  takes(),
		RunE: func(c *cobra.Command, _ []string) error {
			client, err := a.client()
			if err != nil {
				return err
			}
			keys, err := client.TransportKeys(c.Context())
			if err != nil {
				return err
			}
			return showTable(a, keys, []string{"provider", "name", "bits", "created"}, func(k admin.TransportKey) []string {
				return []string{k.Provider, k.Name, strconv.Itoa(k.Bits), moment(k.Created)}
			})
		},
	}
}

func (a *app) graphKeyExport() *cobra.Command {
	var n admin.NewTransportKey
	var format, out string
	c := &cobra.Command{
		Use:   "export --name NAME",
		Short: "Give the public half of a transport key",
		Long: `Gives the public half of a transport key as PEM or as the CNG blob
(RSAPUBLICBLOB) that Export-IntunePublicKey writes. New-IntuneUserPfxCertificate
takes both with -KeyFilePath. The private half is never given.`,
		Example: "  signet graph key export --name PFXEncryptionKey --format cng --out public.blob",
		Args:    takes(),
		RunE: func(c *cobra.Command, _ []string) error {
			switch {
			case n.Name == "":
				return errKeyName
			case format != "pem" && format != "cng":
				return usagef("--format is pem or cng, not %q", format)
			}
			k, err := a.transportKey(c, n)
			if err != nil {
				return err
			}
			data := []byte(k.PEM)
			if format == "cng" {
				data = k.CNG
			}
			if out != "" {
				return disk.Create(out, data, 0o644)
			}
			return a.show(k, func(w io.Writer) { w.Write(data) })
		},
	}
	transportFlags(c, &n)
	c.Flags().StringVar(&format, "format", "pem", "`FORMAT`: pem or cng")
	c.Flags().StringVar(&out, "out", "", "new `FILE` to write to, instead of standard output")
	return c
}

// transportKey finds one by its names.
func (a *app) transportKey(c *cobra.Command, n admin.NewTransportKey) (admin.TransportKey, error) {
	client, err := a.client()
	if err != nil {
		return admin.TransportKey{}, err
	}
	keys, err := client.TransportKeys(c.Context())
	for _, k := range keys {
		if k.Provider == n.Provider && k.Name == n.Name {
			return k, nil
		}
	}
	if err == nil {
		err = transport.ErrUnknown
	}
	return admin.TransportKey{}, err
}
