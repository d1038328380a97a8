package main

import (
	"fmt"
	"io"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/signet-mdm/signet/internal/httpd/admin"
)

func (a *app) scepProfiles() *cobra.Command {
	return &cobra.Command{
		Use:   "profiles [PROFILE]",
		Short: "List certificate profiles, or show one as a document for signet apply",
		Long: `Lists the certificate profiles: what certificates say, how long they are valid
and which keys are taken. With a name it prints the profile as the document that
signet apply -f takes. device-identity, smime-signing and smime-encryption come
with Signet; documents change them and add others.`,
		Example: "  signet scep profiles\n  signet scep profiles smime-signing > smime-signing.yaml",
		Args:    takes("[PROFILE]"),
		RunE: func(c *cobra.Command, args []string) error {
			client, err := a.client()
			if err != nil {
				return err
			}
			if len(args) == 1 {
				p, err := client.CertificateProfile(c.Context(), args[0])
				if err != nil {
					return err
				}
				return a.show(p, func(w io.Writer) { fmt.Fprint(w, p.Document) })
			}
			list, err := client.CertificateProfiles(c.Context())
			if err != nil {
				return err
			}
			return showTable(a, list, []string{"name", "for", "issuer", "days", "shipped"}, func(p admin.CertificateProfile) []string {
				shipped := ""
				if p.Shipped {
					shipped = "yes"
				}
				return []string{p.Name, p.For, p.Issuer, strconv.Itoa(p.Days), shipped}
			})
		},
	}
}
