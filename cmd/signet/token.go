package main

import (
	"fmt"
	"io"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/signet-mdm/signet/internal/access"
	"github.com/signet-mdm/signet/internal/httpd/admin"
)

func (a *app) tokenCommand() *cobra.Command {
	return group("token", "Make, list and revoke API tokens", a.tokenCreate(), a.tokenList(), a.tokenRevoke())
}

func (a *app) tokenCreate() *cobra.Command {
	var n admin.NewToken
	var expires string
	c := &cobra.Command{
		Use:   "create --name NAME --role ROLE",
		Short: "Make an API token and print it, this once",
		Long: `Makes an API token and prints it on standard output, this once. The roles:

  admin     everything but approving
  helpdesk  sees users and devices, asks devices again, and invites where links
            go by mail
  auditor   reads everything, changes nothing
  importer  sees users, brings encryption keys and removes them; for programs

An approver makes his own: signet approver add. With --user the token is a person's,
who may ask approvers for their consent.`,
		Example: "  signet token create --name ci --role auditor --expires 30d > token",
		Args:    takes(),
		RunE: func(c *cobra.Command, _ []string) error {
			if n.Name == "" || n.Role == "" {
				return usagef("a token needs --name and --role")
			}
			if len(n.Name) > 100 {
				return usagef("--name is longer than 100 characters")
			}
			if !slices.Contains(access.TokenRoles(), access.Role(n.Role)) || n.Role == string(access.Approver) {
				return usagef("there is no role %q: the roles are admin, helpdesk, auditor and importer", n.Role)
			}
			var err error
			if n.Days, err = days(expires); err != nil {
				return err
			}
			client, err := a.client()
			if err != nil {
				return err
			}
			made, err := client.CreateToken(c.Context(), n)
			if err != nil {
				return err
			}
			return a.show(made, func(w io.Writer) {
				fmt.Fprintln(w, made.Secret)
				fmt.Fprintf(a.stderr, "token %s, role %s, good until %s; it is not shown again\n", made.ID, made.Role, moment(made.Expires))
			})
		},
	}
	f := c.Flags()
	f.StringVar(&n.Name, "name", "", "what it is for")
	f.StringVar(&n.Role, "role", "", "`ROLE`: admin, helpdesk, auditor or importer")
	f.StringVar(&n.User, "user", "", "the `USER` who holds it, by address, UPN or id")
	f.StringVar(&expires, "expires", "90d", "`TIME` for which it is good, such as 30d, 4w or 1y; a year at most")
	return c
}

// days reads the life of a token.
func days(s string) (int, error) {
	n, ok := span(s)
	switch {
	case !ok:
		return 0, usagef("--expires takes a number of days, weeks or years, such as 30d, 4w or 1y, not %q", s)
	case n > 366:
		return 0, usagef("--expires %s is more than a year; a token lives a year at most", s)
	}
	return n, nil
}

// span reads "30d", "4w" or "1y" as a number of days, up to a hundred years.
func span(s string) (days int, ok bool) {
	if s == "" {
		return 0, false
	}
	unit := map[byte]int{'d': 1, 'w': 7, 'y': 365}[s[len(s)-1]]
	n, err := strconv.Atoi(s[:len(s)-1])
	return n * unit, err == nil && unit > 0 && n > 0 && n <= 36500/unit
}

func (a *app) tokenList() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List API tokens",
		Args:  takes(),
		RunE: func(c *cobra.Command, _ []string) error {
			client, err := a.client()
			if err != nil {
				return err
			}
			tokens, err := client.Tokens(c.Context())
			if err != nil {
				return err
			}
			return showTable(a, tokens, []string{"name", "role", "expires", "used", "revoked", "id"}, func(t admin.Token) []string {
				return []string{t.Name, t.Role, moment(t.Expires), maybe(t.Used), maybe(t.Revoked), t.ID}
			})
		},
	}
}

func (a *app) tokenRevoke() *cobra.Command {
	return a.onOne("revoke ID", "End an API token at once", "revoked", (*admin.Client).RevokeToken)
}
