package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/signet-mdm/signet/internal/httpd/admin"
	"github.com/signet-mdm/signet/pfxconnector"
)

func (a *app) pfxCommand() *cobra.Command {
	return group("pfx", "Import encryption certificates with their keys, and show them", a.pfxImport(), a.pfxList(), a.pfxShow(),
		a.pfxPin(), a.pfxUnpin(), a.pfxPurpose(), a.pfxQuarantine(), a.pfxCheck(), a.pfxRemove())
}

func (a *app) pfxList() *cobra.Command {
	var user string
	c := &cobra.Command{
		Use:   "list --user USER",
		Short: "List the imported certificates of a user, newest first",
		Long: `Lists the imported certificates of a user, newest first, with the first digits of
their fingerprints; -o json has all of it, serial number and issuer too.`,
		Args: takes(),
		RunE: func(c *cobra.Command, _ []string) error {
			if user == "" {
				return usagef("whose? give --user")
			}
			client, err := a.client()
			if err != nil {
				return err
			}
			keys, err := client.Keys(c.Context(), user)
			if err != nil {
				return err
			}
			return showTable(a, keys, []string{"place", "purpose", "from", "to", "addresses", "sha256", "why"}, func(k pfxconnector.Item) []string {
				return []string{string(k.Place), k.Purpose, day(k.NotBefore), day(k.NotAfter), strings.Join(k.Addresses, ", "),
					k.Cert[:shortFingerprint], strings.TrimSpace(k.Reason + " " + k.Undelivered + unchecked(k))}
			})
		},
	}
	c.Flags().StringVar(&user, "user", "", "`USER`, by address, UPN or id")
	return c
}

// unchecked says that nobody knows yet whether a key opens.
func unchecked(k pfxconnector.Item) string {
	if k.Unchecked {
		return " Not yet checked."
	}
	return ""
}

func (a *app) pfxCheck() *cobra.Command {
	var n admin.NewJob
	var dryRun, wait bool
	c := &cobra.Command{
		Use:   "check --all",
		Short: "Look whether imported keys are whole, without opening them",
		Long: `Looks whether what is stored of each imported key fits together and whether it is
sealed to the escrow key and the recovery key that are set now, as a job. It
opens nothing, so it cannot tell whether a key opens: signet restore --verify
proves that.`,
		Example: "  signet pfx check --all --wait",
		Args:    takes(),
		RunE: func(c *cobra.Command, _ []string) error {
			if one, _ := scoped(n); !one {
				return usagef("give one of --all, --group and --user")
			}
			n.Kind = "key.check"
			return a.startJob(c, n, dryRun, wait)
		},
	}
	scopeFlags(c, &n, &dryRun, &wait)
	return c
}

func (a *app) pfxRemove() *cobra.Command {
	var user string
	var sure bool
	c := &cobra.Command{
		Use:   "remove --user USER --yes SHA256",
		Short: "Destroy an imported key for ever",
		Long: `Destroys an imported private key for ever, here and on the user's devices. Mail
that was encrypted to it can then be read only where the key still is. The
first digits of the fingerprint are enough when no other begins with them.`,
		Args: takes("SHA256"),
		RunE: func(c *cobra.Command, args []string) error {
			if user == "" || !sure {
				return usagef("this cannot be undone: give --user and --yes")
			}
			client, key, err := a.keyOf(c.Context(), user, args[0])
			if err != nil {
				return err
			}
			if err := client.RemoveKey(c.Context(), user, key.Cert); err != nil {
				return err
			}
			return a.show(map[string]string{"removed": key.Cert}, func(w io.Writer) { fmt.Fprintln(w, "removed") })
		},
	}
	c.Flags().StringVar(&user, "user", "", "`USER`, by address, UPN or id")
	c.Flags().BoolVar(&sure, "yes", false, "do it")
	return c
}
