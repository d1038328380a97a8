package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/signet-mdm/signet/internal/httpd/admin"
	"github.com/signet-mdm/signet/pfxconnector/gateway"
)

func (a *app) connectorCommand() *cobra.Command {
	c := group("connector", "Serve certificates to the devices of another MDM", a.connectorAdd(), a.connectorList(), a.connectorShow(),
		a.connectorSecret(), a.connectorCRL(), a.connectorRevoke())
	c.Long = `Another MDM hands over the certificate of one of its devices and gets the
certificates of its user, sealed to that device. Other people approve each such
MDM before it gets anything. docs/connector.md has an example.`
	return c
}

const maxCAs = 200_000 // bytes

func (a *app) connectorAdd() *cobra.Command {
	var n admin.NewConnector
	var cas []string
	var expires string
	c := &cobra.Command{
		Use:   "add NAME --device-ca FILE --naming HOW",
		Short: "Register another MDM, which other people approve",
		Long: `Registers another MDM and prints its secret on standard output, this once. It
gets nothing until other people have approved exactly this (signet approval),
within a day; what was registered is never changed. Who registers is a person:
use --server with a token of the role admin that names one.

--device-ca is the CA that issues certificates to its devices. Whoever can have
that CA issue a certificate that names a user gets that user's keys, so take one
that issues to managed devices alone. --naming says how those certificates name
their user; others are not served:

  mail          an address in the SubjectAltName
  upn           a user principal name in the SubjectAltName
  subject-mail  an address in the subject
  id            urn:uuid: and Signet's id of the user, as URI in the SubjectAltName

A device gets the certificates that name an address which its own certificate
names. With --other-addresses it gets all of its user's: then one administrator
who changes a user's addresses can point deliveries elsewhere.`,
		Example: "  signet connector add workspace-one --device-ca devices.pem --naming mail --network 192.0.2.0/24 > secret",
		Args:    takes("NAME"),
		RunE: func(c *cobra.Command, args []string) error {
			if len(cas) == 0 || n.Naming == "" {
				return usagef("a connector needs --device-ca and --naming")
			}
			life, ok := span(expires)
			if !ok {
				return usagef("--expires takes a number of days, weeks or years, such as 90d, 4w or 1y, not %q", expires)
			}
			n.Name, n.Expires = args[0], time.Now().Add(time.Duration(life)*24*time.Hour)
			for _, file := range cas {
				text, err := a.read(file, maxCAs)
				if err != nil {
					return err
				}
				n.CAs += string(text) + "\n"
			}
			client, err := a.client()
			if err != nil {
				return err
			}
			made, err := client.AddConnector(c.Context(), n)
			if err != nil {
				return err
			}
			return a.show(made, func(w io.Writer) {
				fmt.Fprintln(w, made.Secret)
				fmt.Fprintf(a.stderr, "registered; the secret is not shown again. Others approve it:\n  signet approval approve %s\n", made.Approval)
			})
		},
	}
	f := c.Flags()
	f.StringArrayVar(&cas, "device-ca", nil, "PEM `FILE` of a CA of its devices; several times for several")
	f.StringVar(&n.Naming, "naming", "", "`HOW` device certificates name their user: mail, upn, subject-mail or id")
	f.BoolVar(&n.OtherAddresses, "other-addresses", false, "hand over certificates of the user with other addresses, too; weaker")
	f.StringSliceVar(&n.Forms, "form", []string{string(gateway.Profile)}, "`FORM` in which certificates may leave: profile or pkcs12")
	f.StringSliceVar(&n.Networks, "network", nil, "`NETWORK` from where it may be used, such as 192.0.2.0/24; anywhere when left out")
	f.IntVar(&n.PerHour, "per-hour", 500, "at most `N` keys within an hour")
	f.BoolVar(&n.RequireCRL, "require-crl", false, "serve no device without a current revocation list of its CA")
	f.StringVar(&expires, "expires", "1y", "`TIME` after which it ends, such as 90d or 1y; five years at most")
	return c
}

func (a *app) connectorList() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List other MDMs",
		Args:  takes(),
		RunE: func(c *cobra.Command, _ []string) error {
			client, err := a.client()
			if err != nil {
				return err
			}
			list, err := client.Connectors(c.Context())
			if err != nil {
				return err
			}
			return showTable(a, list, []string{"name", "state", "naming", "forms", "per hour", "expires", "id"}, func(x admin.Connector) []string {
				return []string{x.Name, x.State, x.Naming, strings.Join(x.Forms, " "), strconv.Itoa(x.PerHour), moment(x.Expires), x.ID}
			})
		},
	}
}

func (a *app) connectorShow() *cobra.Command {
	return &cobra.Command{
		Use:   "show NAME",
		Short: "Show what another MDM may do",
		Args:  takes("NAME"),
		RunE: func(c *cobra.Command, args []string) error {
			client, err := a.client()
			if err != nil {
				return err
			}
			x, err := client.Connector(c.Context(), args[0])
			if err != nil {
				return err
			}
			return a.show(x, func(w io.Writer) { writeConnector(w, x) })
		},
	}
}

func writeConnector(w io.Writer, x admin.Connector) {
	rows := []string{"name", x.Name, "state", x.State}
	for _, ca := range x.CAs {
		rows = append(rows, "CA", ca.Subject+" until "+day(ca.NotAfter), "SHA-256", ca.SHA256)
	}
	addresses, networks, crl := "those that the device's certificate names", "anywhere", "used when there is one"
	if x.OtherAddresses {
		addresses = "any of the user (weaker)"
	}
	if len(x.Networks) > 0 {
		networks = strings.Join(x.Networks, " ")
	}
	if x.RequireCRL {
		crl = "required"
	}
	rows = append(rows, "naming", x.Naming, "addresses", addresses, "forms", strings.Join(x.Forms, " "), "used from", networks,
		"keys an hour", strconv.Itoa(x.PerHour), "revocation list", crl, "registered", moment(x.Created), "approval", x.Approval, "expires", moment(x.Expires))
	writeRecord(w, append(rows, "revoked", maybe(x.Revoked), "id", x.ID)...)
}

func (a *app) connectorSecret() *cobra.Command {
	return &cobra.Command{
		Use:   "secret NAME",
		Short: "Give another MDM another secret and print it, this once",
		Args:  takes("NAME"),
		RunE: func(c *cobra.Command, args []string) error {
			client, err := a.client()
			if err != nil {
				return err
			}
			made, err := client.NewConnectorSecret(c.Context(), args[0])
			if err != nil {
				return err
			}
			return a.show(made, func(w io.Writer) { fmt.Fprintln(w, made.Secret) })
		},
	}
}

func (a *app) connectorCRL() *cobra.Command {
	return &cobra.Command{
		Use:   "crl NAME FILE",
		Short: "Store a revocation list of a CA of another MDM's devices",
		Long: `Stores a revocation list, DER or PEM, in place of an older one. The other MDM can
bring it, too. "-" reads standard input.`,
		Args: takes("NAME", "FILE"),
		RunE: func(c *cobra.Command, args []string) error {
			list, err := a.read(args[1], gateway.MaxCRL+1)
			if err != nil {
				return err
			}
			client, err := a.client()
			if err != nil {
				return err
			}
			if err := client.StoreConnectorCRL(c.Context(), args[0], list); err != nil {
				return err
			}
			return a.show(map[string]string{"stored": args[0]}, func(w io.Writer) { fmt.Fprintln(w, "stored") })
		},
	}
}

func (a *app) connectorRevoke() *cobra.Command {
	return a.onOne("revoke NAME", "End another MDM's access at once", "revoked", (*admin.Client).RevokeConnector)
}
