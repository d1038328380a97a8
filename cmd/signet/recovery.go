package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/signet-mdm/signet/internal/access"
	"github.com/signet-mdm/signet/internal/disk"
	"github.com/signet-mdm/signet/internal/httpd/admin"
)

func (a *app) recoveryCommand() *cobra.Command {
	return group("recovery", "Export a user's keys, when several people agree", a.recoveryRequest(), a.recoveryTake())
}

func (a *app) recoveryRequest() *cobra.Command {
	var n admin.NewRecovery
	var file string
	var all bool
	c := &cobra.Command{
		Use:   "request USER --recipient age1…|--recipient-cert FILE --reason TEXT",
		Short: "Ask people to agree to an export",
		Long: `Asks for an export of keys of a user. Nothing happens until so many approvers as
approval.people says, others than you, agreed within a day (signet approval). Then
the keeper opens the keys and seals them to the recipient, and to nobody else: an
age file, or CMS for a certificate. The user is told by mail.

This needs a person: --server with a token of the role admin that says whose it is.`,
		Example: "  signet recovery request alice@example.com --all --recipient age1… --reason 'left, see ticket 17'\n" +
			"  signet recovery request alice@example.com --certificate 3f0c… --recipient-cert legal.pem --format pkcs12 --reason 'court order'",
		Args: takes("USER"),
		RunE: func(c *cobra.Command, args []string) error {
			n.User = args[0]
			if all == (len(n.Certificates) > 0) {
				return usagef("say which keys: --all, or --certificate for each")
			}
			if (n.Recipient == "") == (file == "") {
				return usagef("say who is to open the file: --recipient or --recipient-cert")
			}
			if file != "" {
				text, err := a.read(file, maxSecretFile)
				if err != nil {
					return fmt.Errorf("reading the certificate: %w", err)
				}
				n.Recipient = string(text)
			}
			client, err := a.client()
			if err != nil {
				return err
			}
			asked, err := client.AskRecovery(c.Context(), n)
			if err != nil {
				return err
			}
			return a.show(asked, func(w io.Writer) {
				fmt.Fprintln(w, asked.ID)
				fmt.Fprintf(a.stderr, "%s\n%d people must approve this by %s: signet approval approve %s\n", asked.Sentence, asked.Need, moment(asked.Expires), asked.ID)
			})
		},
	}
	f := c.Flags()
	f.StringArrayVar(&n.Certificates, "certificate", nil, "the key of the certificate with this `SHA256`; may be given again")
	f.BoolVar(&all, "all", false, "all keys that the user has now")
	f.StringVar(&n.Recipient, "recipient", "", "seal to this `AGE` recipient")
	f.StringVar(&file, "recipient-cert", "", "seal to the RSA certificate in this PEM `FILE`")
	f.StringVar(&n.Format, "format", "pem", "`FORMAT` of what is sealed: pem, or pkcs12 for a zip of .p12 files and their password")
	f.StringVar(&n.Reason, "reason", "", "`TEXT` that the approvers and the user read")
	return c
}

// takePatience is how long take waits for the keeper.
const takePatience = 20 * time.Second

func (a *app) recoveryTake() *cobra.Command {
	return &cobra.Command{
		Use:   "take ID FILE",
		Short: "Fetch what was exported, for its recipient",
		Long: `Fetches what was sealed to the recipient. It is kept for a day, and opens with the
recipient's key only:

  age -d -i key.txt FILE
  openssl cms -decrypt -inform DER -in FILE -recip cert.pem -inkey key.pem`,
		Args: takes("ID", "FILE"),
		RunE: func(c *cobra.Command, args []string) error {
			file := args[1]
			client, err := a.client()
			if err != nil {
				return err
			}
			got, err := takeExport(c.Context(), client, args[0])
			if err != nil {
				return err
			}
			if err := disk.Create(file, got, 0o600); err != nil {
				return fmt.Errorf("writing %s: %w", file, err)
			}
			return a.show(map[string]string{"written": file}, func(w io.Writer) { fmt.Fprintln(w, "written to", file) })
		},
	}
}

// takeExport waits until the keeper has sealed what was agreed to.
func takeExport(ctx context.Context, client *admin.Client, id string) ([]byte, error) {
	for until := time.Now().Add(takePatience); ; {
		var file bytes.Buffer
		err := client.TakeRecovery(ctx, id, &file)
		f, refused := errors.AsType[*admin.Failure](err)
		if !refused || f.Code != access.ErrConsentOver.Code {
			return file.Bytes(), err
		}
		c, unknown := client.Consent(ctx, id)
		if unknown != nil || !c.Agreed || c.State != string(access.ConsentOpen) && c.State != string(access.ConsentUsed) || time.Now().After(until) {
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
	}
}
