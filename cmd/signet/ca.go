package main

import (
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"github.com/signet-mdm/signet/internal/httpd/admin"
)

func (a *app) caCommand() *cobra.Command {
	return group("ca", "Show and export our CAs, revoke certificates", a.caShow(), a.caExport(), a.caRevoke(), a.caCSR(), a.caImport())
}

func (a *app) caShow() *cobra.Command {
	return &cobra.Command{
		Use:   "show",
		Short: "List our CAs, the root first",
		Args:  takes(),
		RunE: func(c *cobra.Command, _ []string) error {
			client, err := a.client()
			if err != nil {
				return err
			}
			cas, err := client.Authorities(c.Context())
			if err != nil {
				return err
			}
			return showTable(a, cas, []string{"name", "subject", "from", "to", "sha256"}, func(ca admin.CA) []string {
				return []string{ca.Name, ca.Subject, day(ca.NotBefore), day(ca.NotAfter), ca.SHA256}
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

func (a *app) caRevoke() *cobra.Command {
	var reason string
	c := &cobra.Command{
		Use:     "revoke SHA256",
		Short:   "Revoke a certificate that we issued and publish that",
		Example: "  signet ca revoke 5f3c… --reason keyCompromise",
		Args:    takes("SHA256"),
		RunE: func(c *cobra.Command, args []string) error {
			cert, err := fingerprint(args[0])
			if err != nil {
				return err
			}
			if len(cert) < fullFingerprint {
				return usagef("give the whole fingerprint, 64 digits, of the certificate to revoke")
			}
			client, err := a.client()
			if err != nil {
				return err
			}
			if err := client.Revoke(c.Context(), cert, reason); err != nil {
				return err
			}
			return a.show(map[string]string{"revoked": cert}, func(w io.Writer) { fmt.Fprintln(w, "revoked") })
		},
	}
	c.Flags().StringVar(&reason, "reason", "", "`REASON` of RFC 5280, such as keyCompromise or cessationOfOperation")
	return c
}
