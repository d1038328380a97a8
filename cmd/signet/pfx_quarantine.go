package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/signet-mdm/signet/internal/httpd/admin"
	"github.com/signet-mdm/signet/pfxconnector"
)

func (a *app) pfxQuarantine() *cobra.Command {
	return group("quarantine", "Keys whose users were not known when they came", a.quarantineList(), a.quarantineShow(), a.quarantineAssign(), a.quarantineDiscard())
}

func (a *app) quarantineList() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the keys whose users are not known, oldest first",
		Args:  takes(),
		RunE: func(c *cobra.Command, _ []string) error {
			client, err := a.client()
			if err != nil {
				return err
			}
			list, err := client.Quarantine(c.Context())
			if err != nil {
				return err
			}
			return showTable(a, list, []string{"id", "came", "file", "addresses", "could be", "state", "why"}, func(w pfxconnector.Waiting) []string {
				return []string{w.ID, day(w.ImportedAt), w.File, strings.Join(w.Addresses, ", "), strings.Join(w.Candidates, ", "), w.State, stuck(w)}
			})
		},
	}
}

// stuck is why a key is in quarantine, and still is.
func stuck(w pfxconnector.Waiting) string {
	text := w.Reason
	if w.Failure != "" {
		text += " It was not assigned: " + w.Failure + "."
	}
	if len(w.Holders) > 0 {
		text += " Somebody has it already."
	}
	return text
}

func (a *app) quarantineShow() *cobra.Command {
	return &cobra.Command{
		Use:   "show ID",
		Short: "Show a key whose user is not known",
		Args:  takes("ID"),
		RunE: func(c *cobra.Command, args []string) error {
			client, err := a.client()
			if err != nil {
				return err
			}
			w, err := client.Quarantined(c.Context(), args[0])
			if err != nil {
				return err
			}
			return a.show(w, func(out io.Writer) {
				for _, line := range [][2]string{
					{"state", w.State}, {"why", stuck(w)}, {"could be", cmp.Or(strings.Join(w.Candidates, ", "), "-")}, {"addresses", strings.Join(w.Addresses, ", ")},
					{"purpose", w.Purpose}, {"from", day(w.NotBefore)}, {"to", day(w.NotAfter)}, {"subject", w.Subject}, {"issuer", w.Issuer},
					{"file", w.File}, {"came", day(w.ImportedAt) + ", " + w.ImportedBy}, {"sha256", w.Cert}, {"thumbprint", w.Thumbprint},
				} {
					fmt.Fprintf(out, "%-11s %s\n", line[0], plain(line[1]))
				}
			})
		},
	}
}

// assignWait is how long a person waits for the keeper.
const assignWait = 30 * time.Second

var errAssigning = errors.New("the keeper has not sealed it to the user yet; signet pfx quarantine show tells how it stands")

func (a *app) quarantineAssign() *cobra.Command {
	var user string
	c := userFlag(&cobra.Command{
		Use:   "assign --user USER ID",
		Short: "Say whose a key in quarantine is",
		Long: `Says whose a key in quarantine is, and waits until the keeper has sealed it to
him. So that nobody gets at another's key that way, it is for who imported it; or
for a user whom the certificate named when it came; or for one whose primary
address the certificate names and who has no device yet, nor an invitation.
Otherwise whoever has the file imports it again, with --user.`,
		Args: takes("ID"),
		RunE: func(c *cobra.Command, args []string) error {
			if user == "" {
				return usagef("whose? give --user")
			}
			client, err := a.client()
			if err != nil {
				return err
			}
			w, err := client.AssignKey(c.Context(), args[0], user)
			if err != nil {
				return err
			}
			if err := assigned(c.Context(), client, args[0]); err != nil {
				return err
			}
			return a.show(map[string]string{"certSha256": w.Cert, "user": w.To}, func(out io.Writer) { fmt.Fprintln(out, "assigned") })
		},
	}, &user)
	return c
}

// assigned waits until a key has left the quarantine.
func assigned(ctx context.Context, client *admin.Client, id string) error {
	ctx, stop := context.WithTimeout(ctx, assignWait)
	defer stop()
	for {
		w, err := client.Quarantined(ctx, id)
		switch f, _ := errors.AsType[*admin.Failure](err); {
		case f != nil && f.Code == pfxconnector.ErrQuarantineUnknown.Code:
			return nil
		case err != nil:
			return err
		case w.Failure != "":
			return fmt.Errorf("the keeper did not do it: %s", w.Failure)
		}
		select {
		case <-ctx.Done():
			return errAssigning
		case <-time.After(200 * time.Millisecond):
		}
	}
}

func (a *app) quarantineDiscard() *cobra.Command {
	var sure bool
	c := &cobra.Command{
		Use:   "discard --yes ID",
		Short: "Destroy a key in quarantine for ever",
		Args:  takes("ID"),
		RunE: func(c *cobra.Command, args []string) error {
			if !sure {
				return usagef("this cannot be undone: give --yes")
			}
			client, err := a.client()
			if err != nil {
				return err
			}
			if err := client.DiscardKey(c.Context(), args[0]); err != nil {
				return err
			}
			return a.show(map[string]string{"discarded": args[0]}, func(w io.Writer) { fmt.Fprintln(w, "discarded") })
		},
	}
	c.Flags().BoolVar(&sure, "yes", false, "do it")
	return c
}
