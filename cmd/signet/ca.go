package main

import (
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/signet-mdm/signet/internal/httpd/admin"
)

func (a *app) caCommand() *cobra.Command {
	return group("ca", "Show and export our CAs, list and revoke certificates", a.caShow(), a.caExport(), a.caList(), a.caRevoke(), a.caCSR(), a.caImport(), a.rolloverCommand())
}

func (a *app) caShow() *cobra.Command {
	return &cobra.Command{
		Use:     "show [CERTIFICATE]",
		Short:   "List our CAs, the root first, or show a certificate that they issued",
		Example: "  signet ca show\n  signet ca show 5f3c…",
		Args:    takes("[CERTIFICATE]"),
		RunE: func(c *cobra.Command, args []string) error {
			client, err := a.client()
			if err != nil {
				return err
			}
			if len(args) > 0 {
				return a.showIssued(c, client, args[0])
			}
			cas, err := client.Authorities(c.Context())
			if err != nil {
				return err
			}
			return showTable(a, cas, []string{"name", "state", "subject", "from", "to", "sha256"}, func(ca admin.CA) []string {
				return []string{ca.Name, ca.State, ca.Subject, day(ca.NotBefore), day(ca.NotAfter), ca.SHA256}
			})
		},
	}
}

func (a *app) caExport() *cobra.Command {
	return &cobra.Command{
		Use:     "export NAME",
		Short:   "Print the certificate of one of our CAs as PEM",
		Example: "  signet ca export root > root.pem",
		Args:    takes("NAME"),
		RunE: func(c *cobra.Command, args []string) error {
			client, err := a.client()
			if err != nil {
				return err
			}
			cas, err := client.Authorities(c.Context())
			if err != nil {
				return err
			}
			i := slices.IndexFunc(cas, func(ca admin.CA) bool { return ca.Name == args[0] })
			if i < 0 {
				return fmt.Errorf("there is no CA %q; signet ca show lists them", args[0])
			}
			_, err = fmt.Fprint(a.stdout, cas[i].PEM)
			return err
		},
	}
}
