package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/signet-mdm/signet/internal/httpd/admin"
)

func (a *app) userCommand() *cobra.Command {
	return group("user", "Add and show users", a.userAdd(), a.userList(), a.userShow())
}

func (a *app) userAdd() *cobra.Command {
	var u admin.NewUser
	c := &cobra.Command{
		Use:     "add ADDRESS",
		Short:   "Add a user",
		Example: `  signet user add alice@example.com --name "Alice Example"`,
		Args:    takes("ADDRESS"),
		RunE: func(c *cobra.Command, args []string) error {
			client, err := a.client()
			if err != nil {
				return err
			}
			u.Mail = args[0]
			made, err := client.AddUser(c.Context(), u)
			if err != nil {
				return err
			}
			return a.show(made, func(w io.Writer) { fmt.Fprintf(w, "added %s  %s\n", made.Mail, made.ID) })
		},
	}
	f := c.Flags()
	f.StringVar(&u.Name, "name", "", "display `NAME` (default: the address)")
	f.StringVar(&u.GivenName, "given-name", "", "given `NAME`")
	f.StringVar(&u.Surname, "surname", "", "`SURNAME`")
	f.StringVar(&u.UPN, "upn", "", "user principal `NAME` (default: the address)")
	f.StringSliceVar(&u.Aliases, "alias", nil, "another `ADDRESS` that certificates may name; may be repeated")
	return c
}

func (a *app) userList() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List users",
		Args:  takes(),
		RunE: func(c *cobra.Command, _ []string) error {
			client, err := a.client()
			if err != nil {
				return err
			}
			users, err := client.Users(c.Context())
			if err != nil {
				return err
			}
			return showTable(a, users, []string{"mail", "name", "id"}, func(u admin.User) []string {
				return []string{u.Mail, u.Name, u.ID}
			})
		},
	}
}

func (a *app) userShow() *cobra.Command {
	return &cobra.Command{
		Use:   "show USER",
		Short: "Show a user, by address, UPN or id",
		Args:  takes("USER"),
		RunE: func(c *cobra.Command, args []string) error {
			client, err := a.client()
			if err != nil {
				return err
			}
			u, err := client.User(c.Context(), args[0])
			if err != nil {
				return err
			}
			return a.showRecord(u, "mail", u.Mail, "name", u.Name, "upn", u.UPN, "aliases", strings.Join(u.Aliases, ", "),
				"groups", strings.Join(u.GroupNames, ", "), "id", u.ID, "added", moment(u.Created))
		},
	}
}
