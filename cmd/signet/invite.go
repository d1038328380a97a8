package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

func (a *app) inviteCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "invite USER",
		Short: "Let a user enroll one more device",
		Long: `Makes a link that enrolls one device of the user, once, and a code that the
link asks for. With mail configured the link goes to the user alone and only the
code is shown here: give it on another way, by telephone for example. Without
mail both are shown; then send the link by mail yourself. Whoever has only one
of them gets nothing. To send an invitation again, invite again.`,
		Args: takes("USER"),
		RunE: func(c *cobra.Command, args []string) error {
			client, err := a.client()
			if err != nil {
				return err
			}
			inv, err := client.Invite(c.Context(), args[0])
			if err != nil {
				return err
			}
			return a.show(inv, func(w io.Writer) {
				writeRecord(w, "link", inv.Link, "code", inv.Code, "good until", moment(inv.Expires), "device", inv.Device)
				switch {
				case inv.Mailed && inv.Code != "":
					fmt.Fprintf(w, "\nThe link goes to %s by mail. Give the code on another way.\n", inv.User)
				case inv.Mailed:
					fmt.Fprintf(w, "\nThe link goes to %s by mail.\n", inv.User)
				case inv.Code != "":
					fmt.Fprintf(w, "\nSend the link to %s, and give the code on another way.\n", inv.User)
				}
			})
		},
	}
}
