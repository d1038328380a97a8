package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/signet-mdm/signet/internal/httpd/admin"
)

func (a *app) userCommand() *cobra.Command {
	return group("user", "Add, show and change users", a.userAdd(), a.userList(), a.userShow(), a.userChange())
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
	onPremisesFlags(f, &u.OnPremises)
	f.StringSliceVar(&u.Aliases, "alias", nil, "another `ADDRESS` that certificates may name; may be repeated")
	return c
}

// onPremisesFlags are for what only variables of profiles and policies use.
func onPremisesFlags(f *pflag.FlagSet, p *admin.OnPremises) {
	f.StringVar(&p.Department, "department", "", "`DEPARTMENT`")
	f.StringVar(&p.SAMAccountName, "sam-account-name", "", "short sign-in `NAME` in the organisation's directory")
	f.StringVar(&p.OnPremisesUPN, "on-premises-upn", "", "user principal `NAME` there")
	f.StringVar(&p.DistinguishedName, "distinguished-name", "", "`DN` there, such as CN=Alice,DC=example,DC=com")
	f.StringVar(&p.SID, "sid", "", "security `IDENTIFIER` there, S-1-5-21-…")
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
				"department", u.Department, "SAM account", u.SAMAccountName, "on-premises UPN", u.OnPremisesUPN,
				"distinguished name", u.DistinguishedName, "SID", u.SID,
				"groups", strings.Join(u.GroupNames, ", "), "id", u.ID, "added", moment(u.Created))
		},
	}
}

func (a *app) userChange() *cobra.Command {
	var name, given, surname, mail, upn string
	var there admin.OnPremises
	var aliases []string
	var disabled bool
	c := &cobra.Command{
		Use:   "change USER",
		Short: "Change a user; what is not named stays",
		Long: `Changes a user. One who is disabled gets nothing: no invitation, no certificate,
and the own page does not open. What was brought to his devices goes; the
devices stay enrolled and the keys in escrow, so that all comes back when he is
enabled again. The primary address of a user with keys stays: invitations go
there. Give a new one with --alias.`,
		Example: "  signet user change alice@example.com --name 'Alice Smith' --alias alice.smith@example.com\n" +
			"  signet user change bob@example.com --disabled",
		Args: takes("USER"),
		RunE: func(c *cobra.Command, args []string) error {
			var u admin.UserChange
			flags := map[string]func(){
				"name": func() { u.Name = &name }, "given-name": func() { u.GivenName = &given }, "surname": func() { u.Surname = &surname },
				"mail": func() { u.Mail = &mail }, "upn": func() { u.UPN = &upn }, "alias": func() { u.Aliases = &aliases },
				"disabled": func() { u.Disabled = &disabled }, "department": func() { u.Department = &there.Department },
				"sam-account-name": func() { u.SAMAccountName = &there.SAMAccountName }, "on-premises-upn": func() { u.OnPremisesUPN = &there.OnPremisesUPN },
				"distinguished-name": func() { u.DistinguishedName = &there.DistinguishedName }, "sid": func() { u.SID = &there.SID },
			}
			changes := 0
			for flag, set := range flags {
				if c.Flags().Changed(flag) {
					set()
					changes++
				}
			}
			if changes == 0 {
				return usagef("say what is to change")
			}
			client, err := a.client()
			if err != nil {
				return err
			}
			changed, err := client.UpdateUser(c.Context(), args[0], u)
			if err != nil {
				return err
			}
			return a.show(changed, func(w io.Writer) { fmt.Fprintf(w, "changed %s  %s\n", changed.Mail, changed.ID) })
		},
	}
	f := c.Flags()
	f.StringVar(&name, "name", "", "display `NAME`")
	f.StringVar(&given, "given-name", "", "given `NAME`")
	f.StringVar(&surname, "surname", "", "`SURNAME`")
	f.StringVar(&mail, "mail", "", "primary `ADDRESS`")
	f.StringVar(&upn, "upn", "", "user principal `NAME`")
	onPremisesFlags(f, &there)
	f.StringSliceVar(&aliases, "alias", nil, "all other `ADDRESSES` that certificates may name; may be repeated")
	f.BoolVar(&disabled, "disabled", false, "gets nothing new; --disabled=false ends that")
	return c
}
