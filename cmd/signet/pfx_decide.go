package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/signet-mdm/signet/internal/httpd/admin"
	"github.com/signet-mdm/signet/pfxconnector"
)

// keyOf finds the one imported certificate of a user whose fingerprint begins
// so.
func (a *app) keyOf(ctx context.Context, user, text string) (*admin.Client, pfxconnector.Item, error) {
	var none pfxconnector.Item
	if user == "" {
		return nil, none, usagef("whose? give --user")
	}
	prefix, err := fingerprint(text)
	if err != nil {
		return nil, none, err
	}
	client, err := a.client()
	if err != nil {
		return nil, none, err
	}
	keys, err := client.Keys(ctx, user)
	if err != nil {
		return nil, none, err
	}
	cert, err := only(keys, prefix)
	if err != nil {
		return nil, none, err
	}
	for _, k := range keys {
		if k.Cert == cert {
			return client, k, nil
		}
	}
	return nil, none, pfxconnector.ErrKeyUnknown
}

func userFlag(c *cobra.Command, user *string) *cobra.Command {
	c.Flags().StringVar(user, "user", "", "`USER`, by address, UPN or id")
	return c
}

func (a *app) pfxShow() *cobra.Command {
	var user string
	return userFlag(&cobra.Command{
		Use:   "show --user USER SHA256",
		Short: "Show an imported certificate, and why it is current or not",
		Args:  takes("SHA256"),
		RunE: func(c *cobra.Command, args []string) error {
			_, k, err := a.keyOf(c.Context(), user, args[0])
			if err != nil {
				return err
			}
			return a.show(k, func(w io.Writer) { showKey(w, k) })
		},
	}, &user)
}

func showKey(w io.Writer, k pfxconnector.Item) {
	purpose := k.Purpose
	if k.Says != k.Purpose {
		purpose += " (the certificate says " + k.Says + ")"
	}
	for _, line := range [][2]string{
		{"place", string(k.Place)}, {"why", strings.TrimSpace(k.Reason + " " + k.Undelivered)}, {"purpose", purpose},
		{"from", day(k.NotBefore)}, {"to", day(k.NotAfter)}, {"addresses", cmp.Or(strings.Join(k.Addresses, ", "), "-")},
		{"subject", k.Subject}, {"issuer", k.Issuer}, {"serial", k.Serial}, {"came", day(k.ImportedAt) + ", " + k.Source},
		{"sha256", k.Cert}, {"thumbprint", k.Thumbprint},
	} {
		fmt.Fprintf(w, "%-11s %s\n", line[0], plain(line[1]))
	}
}

func (a *app) pfxPin() *cobra.Command {
	var user string
	return userFlag(&cobra.Command{
		Use:   "pin --user USER SHA256",
		Short: "Make a certificate the one that others encrypt new mail to",
		Long: `Makes a certificate the user's current one, which others are to encrypt new mail
to, whatever the rules would choose: even one that does not name his primary
address, or whose key is shorter than it should be. It takes the place of one
that was pinned before. Once it has expired or is revoked, the rules choose
again.`,
		Args: takes("SHA256"),
		RunE: func(c *cobra.Command, args []string) error {
			client, k, err := a.keyOf(c.Context(), user, args[0])
			if err != nil {
				return err
			}
			if err := client.PinKey(c.Context(), user, k.Cert); err != nil {
				return err
			}
			return a.show(map[string]string{"pinned": k.Cert}, func(w io.Writer) { fmt.Fprintln(w, "pinned") })
		},
	}, &user)
}

func (a *app) pfxUnpin() *cobra.Command {
	var user string
	return userFlag(&cobra.Command{
		Use:   "unpin --user USER",
		Short: "Let the rules choose a user's current certificate again",
		Args:  takes(),
		RunE: func(c *cobra.Command, _ []string) error {
			if user == "" {
				return usagef("whose? give --user")
			}
			client, err := a.client()
			if err != nil {
				return err
			}
			if err := client.UnpinKeys(c.Context(), user); err != nil {
				return err
			}
			return a.show(map[string]string{"unpinned": user}, func(w io.Writer) { fmt.Fprintln(w, "unpinned") })
		},
	}, &user)
}

func (a *app) pfxPurpose() *cobra.Command {
	var user string
	var signing bool
	c := userFlag(&cobra.Command{
		Use:   "purpose --user USER SHA256 PURPOSE",
		Short: "Say what an imported certificate is for",
		Long: `Says what an imported certificate is for: signing, encryption or both, or
certificate for what the certificate itself says. A key cannot be used for what
its kind cannot do. Devices get what follows from it with their next delivery.`,
		Args: takes("SHA256", "PURPOSE"),
		RunE: func(c *cobra.Command, args []string) error {
			client, k, err := a.keyOf(c.Context(), user, args[0])
			if err != nil {
				return err
			}
			now, err := client.RepurposeKey(c.Context(), user, k.Cert, admin.NewPurpose{Purpose: args[1], AllowSigningEscrow: signing})
			if err != nil {
				return err
			}
			return a.show(map[string]string{"certSha256": k.Cert, "purpose": now.Purpose}, func(w io.Writer) { fmt.Fprintln(w, "it is for", now.Purpose) })
		},
	}, &user)
	c.Flags().BoolVar(&signing, "allow-signing-escrow", false, "hold the key even if it is for signing only")
	return c
}
