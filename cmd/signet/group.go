package main

import (
	"fmt"
	"io"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/signet-mdm/signet/internal/httpd/admin"
)

func (a *app) groupCommand() *cobra.Command {
	return group("group", "Make and list groups of users", a.groupList(), a.groupSet())
}

func (a *app) groupList() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List groups",
		Args:  takes(),
		RunE: func(c *cobra.Command, _ []string) error {
			client, err := a.client()
			if err != nil {
				return err
			}
			groups, err := client.Groups(c.Context())
			if err != nil {
				return err
			}
			return showTable(a, groups, []string{"name", "members", "id"}, func(g admin.Group) []string {
				return []string{g.Name, strconv.Itoa(g.Members), g.ID}
			})
		},
	}
}

func (a *app) groupSet() *cobra.Command {
	return &cobra.Command{
		Use:     "set NAME [USER...]",
		Short:   "Give a group exactly these members",
		Example: "  signet group set Finance alice@example.com bob@example.com",
		Args:    takes("NAME", "[USER...]"),
		RunE: func(c *cobra.Command, args []string) error {
			client, err := a.client()
			if err != nil {
				return err
			}
			g, err := client.SetGroup(c.Context(), args[0], args[1:])
			if err != nil {
				return err
			}
			return a.show(g, func(w io.Writer) {
				fmt.Fprintf(w, "group %s has %s\n", plain(g.Name), count(g.Members, "member"))
			})
		},
	}
}
