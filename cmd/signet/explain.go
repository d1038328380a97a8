package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/signet-mdm/signet/appconfig"
)

func (a *app) explainCommand() *cobra.Command {
	return group("explain", "Say what holds for somebody, and why", a.explainPolicy())
}

func (a *app) explainPolicy() *cobra.Command {
	return &cobra.Command{
		Use:   "policy USER",
		Short: "Say which settings hold for a user, and which policy each comes from",
		Args:  takes("USER"),
		RunE: func(c *cobra.Command, args []string) error {
			client, err := a.client()
			if err != nil {
				return err
			}
			x, err := client.Explain(c.Context(), args[0])
			if err != nil {
				return err
			}
			return a.show(x, func(w io.Writer) { writeExplanation(w, x) })
		},
	}
}

func writeExplanation(w io.Writer, x appconfig.Explanation) {
	if len(x.Policies) == 0 {
		fmt.Fprintf(w, "no policy is for %s\n", x.User)
		return
	}
	writeTable(w, []string{"setting", "value", "policy"}, lines(x.Settings))
	if len(x.Mail) > 0 {
		fmt.Fprintln(w)
	}
	for _, c := range x.Mail {
		fmt.Fprintf(w, "%s, %s: %s. %s\n", c.App, c.Purpose, c.How, c.Why)
	}
	if len(x.Problems) > 0 {
		fmt.Fprintln(w, "\nnot in effect")
		writeTable(w, []string{"setting", "why", "policy"}, lines(x.Problems))
	}
}

func lines(list []appconfig.Line) [][]string {
	rows := make([][]string, len(list))
	for i, l := range list {
		rows[i] = []string{l.Key, l.Value, l.Policy}
	}
	return rows
}
