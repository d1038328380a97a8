package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/signet-mdm/signet/pfxconnector"
)

func (a *app) pfxCommand() *cobra.Command {
	return group("pfx", "Import encryption certificates with their keys, and show them", a.pfxImport(), a.pfxList(), a.pfxRemove())
}

func (a *app) pfxList() *cobra.Command {
	var user string
	c := &cobra.Command{
		Use:   "list --user USER",
		Short: "List the imported certificates of a user, newest first",
		Args:  cobra.NoArgs,
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
			return showTable(a, keys, []string{"place", "purpose", "from", "to", "serial", "issuer", "sha256"}, func(k pfxconnector.Item) []string {
				return []string{string(k.Place), k.Purpose, day(k.NotBefore), day(k.NotAfter), k.Serial, k.Issuer, k.Cert}
			})
		},
	}
	c.Flags().StringVar(&user, "user", "", "`USER`, by address, UPN or id")
	return c
}

func (a *app) pfxRemove() *cobra.Command {
	var user string
	var sure bool
	c := &cobra.Command{
		Use:   "remove --user USER --yes SHA256",
		Short: "Destroy an imported key for ever",
		Long: `Destroys an imported private key for ever, here and on the user's devices. Mail
that was encrypted to it can then be read only where the key still is.`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if user == "" || !sure {
				return usagef("this cannot be undone: give --user and --yes")
			}
			client, err := a.client()
			if err != nil {
				return err
			}
			if err := client.RemoveKey(c.Context(), user, args[0]); err != nil {
				return err
			}
			return a.show(map[string]string{"removed": args[0]}, func(w io.Writer) { fmt.Fprintln(w, "removed") })
		},
	}
	c.Flags().StringVar(&user, "user", "", "`USER`, by address, UPN or id")
	c.Flags().BoolVar(&sure, "yes", false, "do it")
	return c
}
