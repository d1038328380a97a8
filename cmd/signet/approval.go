package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/signet-mdm/signet/internal/httpd/admin"
)

func (a *app) approvalCommand() *cobra.Command {
	return group("approval", "Decide on what nobody may do alone", a.approvalList(), a.approvalShow(), a.approvalApprove(), a.approvalDeny(), a.approvalCancel())
}

func (a *app) approvalList() *cobra.Command {
	var state string
	var limit int
	c := &cobra.Command{
		Use:   "list",
		Short: "List what several people must agree to",
		Long: `Lists what takes the approval of several people, newest first. Each waits for a
day. Requests of SCEP clients, which one person decides on, are under
signet scep requests.`,
		Example: "  signet approval list --state open",
		Args:    takes(),
		RunE: func(c *cobra.Command, _ []string) error {
			client, err := a.client()
			if err != nil {
				return err
			}
			list, err := client.Consents(c.Context(), state, limit)
			if err != nil {
				return err
			}
			return showTable(a, list, []string{"created", "state", "approvals", "kind", "what", "id"}, func(c admin.Consent) []string {
				return []string{moment(c.Created), c.State, approvalsOf(c), c.Kind, c.Sentence, c.ID}
			})
		},
	}
	f := c.Flags()
	f.StringVar(&state, "state", "", "only those in `STATE`: open, used, denied, cancelled or expired")
	f.IntVar(&limit, "limit", 100, "at most `N`")
	return c
}

// approvalsOf is "1 of 2".
func approvalsOf(c admin.Consent) string {
	n := 0
	for _, p := range c.Approvals {
		if p.Counts {
			n++
		}
	}
	return fmt.Sprintf("%d of %d", n, c.Need)
}

func (a *app) approvalShow() *cobra.Command {
	return &cobra.Command{
		Use:   "show ID",
		Short: "Show exactly what is to be agreed to, and who has",
		Args:  takes("ID"),
		RunE: func(c *cobra.Command, args []string) error {
			client, err := a.client()
			if err != nil {
				return err
			}
			found, err := client.Consent(c.Context(), args[0])
			if err != nil {
				return err
			}
			return a.show(found, func(w io.Writer) { writeConsent(w, found) })
		},
	}
}

func writeConsent(w io.Writer, c admin.Consent) {
	var people []string
	for _, p := range c.Approvals {
		note := ""
		if !p.Counts {
			note = " (does not count)"
		}
		people = append(people, p.Approver+" "+moment(p.At)+note)
	}
	writeRecord(w, "id", c.ID, "state", c.State, "kind", c.Kind, "what", c.Sentence, "exactly", c.Request, "digest (SHA-256)", c.Digest,
		"asked by", c.Requester, "approvals", approvalsOf(c), "approved by", strings.Join(people, ", "), "created", moment(c.Created),
		"waits until", moment(c.Expires), "ended", maybe(c.Ended), "by", c.EndedBy, "reason", c.Reason)
}

func (a *app) approvalApprove() *cobra.Command {
	c := a.onOne("approve ID", "Agree to it", "approved", (*admin.Client).ApproveConsent)
	c.Long = `Agrees to exactly what signet approval show says. This needs a person: it goes
over --server with a token of the role approver that says whose it is, not over
the socket, and nobody approves what he asked for himself. An approval counts as
long as its token is good.`
	return c
}

func (a *app) approvalDeny() *cobra.Command {
	var reason string
	c := &cobra.Command{
		Use:   "deny ID",
		Short: "Refuse it, whoever else has agreed",
		Args:  takes("ID"),
		RunE: func(c *cobra.Command, args []string) error {
			client, err := a.client()
			if err != nil {
				return err
			}
			if err := client.DenyConsent(c.Context(), args[0], reason); err != nil {
				return err
			}
			return a.show(map[string]string{"denied": args[0]}, func(w io.Writer) { fmt.Fprintln(w, "denied") })
		},
	}
	c.Flags().StringVar(&reason, "reason", "", "`TEXT` for people, such as \"not agreed with the works council\"")
	return c
}

func (a *app) approvalCancel() *cobra.Command {
	return a.onOne("cancel ID", "Take back what you asked for", "cancelled", (*admin.Client).CancelConsent)
}
