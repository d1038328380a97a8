package main

import (
	"fmt"
	"io"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/signet-mdm/signet/internal/httpd/admin"
)

func (a *app) mailCommand() *cobra.Command {
	return group("mail", "See what became of mails to users, and try mail out", a.mailList(), a.mailShow(), a.mailRetry(), a.mailTest())
}

func (a *app) mailList() *cobra.Command {
	var user, state string
	var limit int
	c := &cobra.Command{
		Use:   "list",
		Short: "List mails, newest first, without what is in them",
		Args:  takes(),
		RunE: func(c *cobra.Command, _ []string) error {
			client, err := a.client()
			if err != nil {
				return err
			}
			mails, err := client.Mails(c.Context(), user, state, limit)
			if err != nil {
				return err
			}
			return showTable(a, mails, []string{"created", "user", "topic", "state", "tries", "next", "reason", "id"}, func(m admin.Mail) []string {
				return []string{moment(m.Created), m.User, m.Topic, m.State, strconv.Itoa(m.Attempts), maybe(m.Next), m.Reason, m.ID}
			})
		},
	}
	c.Flags().StringVar(&user, "user", "", "only those to `USER`")
	c.Flags().StringVar(&state, "state", "", "only those that are waiting, sent or failed: `STATE`")
	c.Flags().IntVar(&limit, "limit", 100, "at most `N`")
	return c
}

func (a *app) mailShow() *cobra.Command {
	return &cobra.Command{
		Use:   "show MAIL",
		Short: "Show what became of a mail, by its id",
		Args:  takes("MAIL"),
		RunE: func(c *cobra.Command, args []string) error {
			client, err := a.client()
			if err != nil {
				return err
			}
			m, err := client.Mail(c.Context(), args[0])
			if err != nil {
				return err
			}
			return a.showRecord(m, "user", m.User, "topic", m.Topic, "state", m.State, "reason", m.Reason, "tries", strconv.Itoa(m.Attempts),
				"created", moment(m.Created), "next try", maybe(m.Next), "done", maybe(m.Done), "device", m.Device, "id", m.ID)
		},
	}
}

func (a *app) mailRetry() *cobra.Command {
	return a.onOne("retry MAIL", "Send a mail that failed, or waits, at once", "queued", (*admin.Client).RetryMail)
}

func (a *app) mailTest() *cobra.Command {
	return &cobra.Command{
		Use:   "test ADDRESS",
		Short: "Send a test message now and print what the mail server said",
		Args:  takes("ADDRESS"),
		RunE: func(c *cobra.Command, args []string) error {
			client, err := a.client()
			if err != nil {
				return err
			}
			t, err := client.TestMail(c.Context(), args[0])
			if err != nil {
				return err
			}
			return a.show(t, func(w io.Writer) { fmt.Fprintln(w, plain(t.Said)) })
		},
	}
}
