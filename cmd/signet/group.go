package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

func (a *app) groupCommand() *cobra.Command {
	return group("group", "Make groups of users", a.groupSet())
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
