package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/signet-mdm/signet/internal/httpd/admin"
)

func (a *app) approverCommand() *cobra.Command {
	return group("approver", "Say who decides on what nobody may do alone",
		a.approverList(), a.approverAdd(), a.approverRemove(), a.approverLink(), a.approverAccept())
}

func (a *app) approverList() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the approvers",
		Args:  takes(),
		RunE: func(c *cobra.Command, _ []string) error {
			client, err := a.client()
			if err != nil {
				return err
			}
			list, err := client.Approvers(c.Context())
			if err != nil {
				return err
			}
			return showTable(a, list, []string{"appointed", "address", "id"}, func(p admin.Approver) []string {
				return []string{moment(p.Appointed), p.Address, p.User}
			})
		},
	}
}

func (a *app) approverAdd() *cobra.Command {
	c, change := a.approverChange("add USER", "Make a user an approver", (*admin.Client).AddApprover)
	c.Long = `Makes a user an approver. While there are fewer approvers than approval.people says
that must agree, it is done at once; from then on the approvers must agree first
(this command says what to), and it is given again with --approval. The others are
told by mail.

He makes his token himself, with a link that works once: it is mailed to him, to
nobody else. Where no mail is configured this prints it, on the server's own machine
only, and he runs signet approver accept there.`
	c.Flags().StringVar(&change.Approval, "approval", "", "the `ID` of what the approvers agreed to")
	return c
}

func (a *app) approverRemove() *cobra.Command {
	c, change := a.approverChange("remove USER", "Make an approver one no more", (*admin.Client).RemoveApprover)
	c.Long = `Ends a user's being an approver, when the approvers agree: his token ends, and what he
approved counts no more where it was not used yet.`
	c.Flags().StringVar(&change.Approval, "approval", "", "the `ID` of what the approvers agreed to")
	return c
}

func (a *app) approverLink() *cobra.Command {
	c, _ := a.approverChange("link USER", "Send an approver another link to make his token", (*admin.Client).LinkApprover)
	c.Long = `Sends an approver another link, such as after a year, when his token ends. When he
uses it, his token of before ends.`
	return c
}

func (a *app) approverChange(use, short string, do func(*admin.Client, context.Context, admin.NewApprover) (admin.ChangedApprover, error)) (*cobra.Command, *admin.NewApprover) {
	n := &admin.NewApprover{}
	return &cobra.Command{
		Use:   use,
		Short: short,
		Args:  takes("USER"),
		RunE: func(c *cobra.Command, args []string) error {
			n.User = args[0]
			client, err := a.client()
			if err != nil {
				return err
			}
			got, err := do(client, c.Context(), *n)
			if err != nil {
				return err
			}
			return a.show(got, func(w io.Writer) {
				switch {
				case got.Consent != nil:
					fmt.Fprintln(w, got.Consent.ID)
					fmt.Fprintf(a.stderr, "%s\n%d approvers must agree to this by %s; then give this command again with --approval %s\n",
						got.Consent.Sentence, got.Consent.Need, moment(got.Consent.Expires), got.Consent.ID)
				case got.Link != "":
					fmt.Fprintln(w, got.Link)
					fmt.Fprintln(a.stderr, "This is for the approver alone, here and now: signet approver accept LINK. Whoever uses it approves in his name.")
				default:
					fmt.Fprintln(w, "done")
				}
			})
		},
	}, n
}

func (a *app) approverAccept() *cobra.Command {
	return &cobra.Command{
		Use:   "accept LINK",
		Short: "Make your own token as an approver, with the link that you were sent",
		Long: `Makes your own token and prints it, this once. The link works once and for a day. The
page that it leads to does the same.`,
		Args: takes("LINK"),
		RunE: func(c *cobra.Command, args []string) error {
			client, err := a.client()
			if err != nil {
				return err
			}
			made, err := client.TakeCredential(c.Context(), args[0])
			if err != nil {
				return err
			}
			return a.show(made, func(w io.Writer) {
				fmt.Fprintln(w, made.Secret)
				fmt.Fprintf(a.stderr, "good until %s; it is not shown again, and is nobody's but yours\n", moment(made.Expires))
			})
		},
	}
}
