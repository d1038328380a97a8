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
link asks for. Send the link by mail and give the code on another way: whoever
has only one of them gets nothing.`,
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
				if inv.Code != "" {
					fmt.Fprintf(w, "\nSend the link to %s, and give the code on another way.\n", inv.User)
				}
			})
		},
	}
}
