package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/signet-mdm/signet/internal/httpd/admin"
)

func (a *app) scepRequests() *cobra.Command {
	var user, state string
	var limit int
	c := &cobra.Command{
		Use:   "requests [ID]",
		Short: "List certificate requests that need approval, or show one",
		Long: `Lists the requests for certificates whose profile says that a person approves
each, newest first. A client asks again by itself until somebody decides; a
request waits for a week.`,
		Example: "  signet scep requests --state open",
		Args:    takes("[ID]"),
		RunE: func(c *cobra.Command, args []string) error {
			client, err := a.client()
			if err != nil {
				return err
			}
			if len(args) == 1 {
				r, err := client.Request(c.Context(), args[0])
				if err != nil {
					return err
				}
				return a.show(r, func(w io.Writer) { writeRequest(w, r) })
			}
			list, err := client.Requests(c.Context(), user, state, limit)
			if err != nil {
				return err
			}
			return showTable(a, list, []string{"created", "state", "profile", "name", "mail", "from", "id"}, func(r admin.Request) []string {
				return []string{moment(r.Created), r.State, r.Profile, r.CommonName, strings.Join(r.Mail, " "), r.Remote, r.ID}
			})
		},
	}
	f := c.Flags()
	f.StringVar(&user, "user", "", "only those for `USER`, by address, UPN or id")
	f.StringVar(&state, "state", "", "only those in `STATE`: open, approved, upstream, issued, denied, void or expired")
	f.IntVar(&limit, "limit", 100, "at most `N`")
	return c
}

func writeRequest(w io.Writer, r admin.Request) {
	by := "a challenge"
	if r.Renewal {
		by = "the certificate that it renews"
	}
	writeRecord(w, "id", r.ID, "state", r.State, "profile", r.Profile, "name", r.CommonName, "mail", strings.Join(r.Mail, " "),
		"user", r.UserID, "device", r.Device, "allowed by", by, "key (SHA-256)", r.SPKI, "transaction", r.Transaction, "from", r.Remote,
		"created", moment(r.Created), "waits until", moment(r.Expires), "decided", maybe(r.Decided), "by", r.Decider, "reason", r.Reason,
		"certificate", r.Certificate)
}

func (a *app) scepApprove() *cobra.Command {
	c := a.onOne("approve ID", "Let the client of a request have its certificate", "approved", (*admin.Client).ApproveRequest)
	c.Long = `Approves a certificate request: the client gets its certificate when it asks
next. This needs a person: it goes over --server with a token of the role
approver that says whose it is (signet approver add), not
over the socket, and nobody approves a certificate in his own name.`
	return c
}

func (a *app) scepDeny() *cobra.Command {
	var reason string
	c := &cobra.Command{
		Use:   "deny ID",
		Short: "Refuse a certificate request",
		Long: `Refuses a certificate request, also one that was approved while its client did
not come back. Its challenge is void from then on. As for signet scep approve, a
token of a person is needed.`,
		Args: takes("ID"),
		RunE: func(c *cobra.Command, args []string) error {
			client, err := a.client()
			if err != nil {
				return err
			}
			if err := client.DenyRequest(c.Context(), args[0], reason); err != nil {
				return err
			}
			return a.show(map[string]string{"denied": args[0]}, func(w io.Writer) { fmt.Fprintln(w, "denied") })
		},
	}
	c.Flags().StringVar(&reason, "reason", "", "`TEXT` for people, of 200 characters at most")
	return c
}
