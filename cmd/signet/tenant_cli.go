package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/signet-mdm/signet/internal/httpd/admin"
)

func (a *app) intuneCommand() *cobra.Command {
	key := group("key", "The key of the tenant's connectors that keys are sealed to", a.intuneKeyAsk(), a.intuneKeyRegister(), a.intuneKeyWithdraw())
	c := group("intune", "Hand users' certificates to a Microsoft Intune tenant", a.intuneStatus(), a.intuneList(), a.intuneSync(), key)
	c.Long = `An organisation that has Microsoft Intune can have it bring the encryption
certificates of its users to their devices: the only documented way by which they
come into Outlook for iOS by themselves. It is off until the section tenant of
the configuration is filled in and several people have agreed to the key of the
tenant's connectors. docs/intune-tenant.md tells what that means.`
	return c
}

func (a *app) intuneKeyAsk() *cobra.Command {
	var n admin.NewTenantKey
	c := &cobra.Command{
		Use:   "ask --name NAME FILE",
		Short: "Ask people to agree to the key of the tenant's connectors",
		Long: `Asks for the approval of several people (approval.people) to seal users' private
keys to the public key in FILE, which Export-IntunePublicKey wrote on a machine
with the Intune connector. Whoever has its private half can read their mail. It
needs a token that names a person; signet approval tells how it goes on, and
signet intune key register uses the key once they have agreed.`,
		Example: "  signet intune key ask --name PFXEncryptionKey PFXEncryptionKey.pub --server https://mdm.example.org --token-file admin.token",
		Args:    takes("FILE"),
		RunE: func(c *cobra.Command, args []string) (err error) {
			if n.Name == "" {
				return usagef("the key needs --name")
			}
			if n.File, err = a.read(args[0], maxPush); err != nil {
				return err
			}
			client, err := a.client()
			if err != nil {
				return err
			}
			made, err := client.AskTenantKey(c.Context(), n)
			if err != nil {
				return err
			}
			return a.show(made, func(w io.Writer) {
				fmt.Fprintln(w, made.ID)
				fmt.Fprintf(a.stderr, "%s\nNext: %d approvers other than you run signet approval approve %s; then: signet intune key register %s\n",
					made.Sentence, made.Need, made.ID, made.ID)
			})
		},
	}
	f := c.Flags()
	f.StringVar(&n.Provider, "provider", "Microsoft Software Key Storage Provider", "`PROVIDER` by which the connector knows the key")
	f.StringVar(&n.Name, "name", "", "`NAME` by which the connector knows the key")
	f.StringVar(&n.Padding, "padding", "oaepSha512", "`SCHEME` of the passwords: oaepSha256, oaepSha384 or oaepSha512")
	return c
}

func (a *app) intuneKeyRegister() *cobra.Command {
	return &cobra.Command{
		Use:   "register APPROVAL",
		Short: "Use the key that people agreed to",
		Args:  takes("APPROVAL"),
		RunE: func(c *cobra.Command, args []string) error {
			client, err := a.client()
			if err != nil {
				return err
			}
			k, err := client.RegisterTenantKey(c.Context(), args[0])
			if err != nil {
				return err
			}
			return a.show(k, func(w io.Writer) { writeTenantKey(w, k) })
		},
	}
}

func writeTenantKey(w io.Writer, k admin.TenantKey) {
	writeRecord(w, "tenant", k.Tenant, "key", k.Name, "provider", k.Provider, "padding", k.Padding, "SHA-256", k.SHA256, "approval", k.Approval, "since", moment(k.At))
}

func (a *app) intuneKeyWithdraw() *cobra.Command {
	return &cobra.Command{
		Use:   "withdraw",
		Short: "Stop sealing to the key; what the tenant has stays there",
		Args:  takes(),
		RunE: func(c *cobra.Command, _ []string) error {
			client, err := a.client()
			if err != nil {
				return err
			}
			if err := client.WithdrawTenantKey(c.Context()); err != nil {
				return err
			}
			return a.show(map[string]string{"withdrawn": "key"}, func(w io.Writer) { fmt.Fprintln(w, "withdrawn") })
		},
	}
}

func (a *app) intuneStatus() *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Tell how it stands",
		Args:  takes(),
		RunE: func(c *cobra.Command, _ []string) error {
			client, err := a.client()
			if err != nil {
				return err
			}
			s, err := client.Tenant(c.Context())
			if err != nil {
				return err
			}
			return a.show(s, func(w io.Writer) { writeTenant(w, s) })
		},
	}
}

func writeTenant(w io.Writer, s admin.TenantStatus) {
	if s.Key != nil {
		writeTenantKey(w, *s.Key)
	}
	var failed []string
	for _, code := range slices.Sorted(maps.Keys(s.Failed)) {
		failed = append(failed, fmt.Sprintf("%d %s", s.Failed[code], code))
	}
	n := func(state string) string { return strconv.Itoa(s.Copies[state]) }
	writeRecord(w, "nothing is handed over", s.Code, "there", n("there"), "account looked for", n("looking"), "wanted", n("wanted"), "sealed", n("sealed"), "to be removed", n("removing"),
		"failed", strings.Join(failed, ", "))
}

func (a *app) intuneList() *cobra.Command {
	var user string
	var limit int
	c := &cobra.Command{
		Use:   "list",
		Short: "List the certificates that the tenant has or is to have",
		Args:  takes(),
		RunE: func(c *cobra.Command, _ []string) error {
			client, err := a.client()
			if err != nil {
				return err
			}
			list, err := client.TenantCopies(c.Context(), user, limit)
			if err != nil {
				return err
			}
			return showTable(a, list, []string{"user", "state", "thumbprint", "failed", "again", "since"}, func(c admin.TenantCopy) []string {
				return []string{c.User, c.State, c.Thumbprint, c.Code, maybe(c.Next), moment(c.Changed)}
			})
		},
	}
	f := c.Flags()
	f.StringVar(&user, "user", "", "only those of `USER`: address, UPN or id")
	f.IntVar(&limit, "limit", 100, "at most `N`")
	return c
}

func (a *app) intuneSync() *cobra.Command {
	var n admin.TenantSync
	c := &cobra.Command{
		Use:   "sync",
		Short: "Try now what waits after a failure",
		Long: `Tries now what waits after a failure; the rest goes by itself. With --everything
what is there is sent again as well: each key is opened again, and users are told.`,
		Args: takes(),
		RunE: func(c *cobra.Command, _ []string) error {
			client, err := a.client()
			if err != nil {
				return err
			}
			due, err := client.SyncTenant(c.Context(), n)
			if err != nil {
				return err
			}
			return a.show(due, func(w io.Writer) { fmt.Fprintln(w, count(due.Copies, "certificate")) })
		},
	}
	f := c.Flags()
	f.StringVar(&n.User, "user", "", "only for `USER`: address, UPN or id")
	f.BoolVar(&n.Everything, "everything", false, "send what is there again")
	return c
}
