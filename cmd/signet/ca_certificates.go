package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/signet-mdm/signet/internal/httpd/admin"
)

func (a *app) caList() *cobra.Command {
	var f admin.CertificateFilter
	var limit int
	c := &cobra.Command{
		Use:     "list",
		Short:   "List the certificates that we issued, newest first",
		Example: "  signet ca list --user alice@example.com --state good\n  signet ca list --state revoked --limit 0 -o csv",
		Args:    takes(),
		RunE: func(c *cobra.Command, _ []string) error {
			if states := []string{"", "good", "revoked", "expired"}; !slices.Contains(states, f.State) {
				return usagef("--state is good, revoked or expired, not %q", f.State)
			}
			client, err := a.client()
			if err != nil {
				return err
			}
			list, err := client.Certificates(c.Context(), f, limit)
			if err != nil {
				return err
			}
			return showTable(a, list, []string{"state", "profile", "subject", "to", "device", "serial", "sha256"}, func(x admin.Certificate) []string {
				return []string{standing(x), x.Profile, x.Subject, day(x.NotAfter), x.Device, x.Serial, x.SHA256}
			})
		},
	}
	c.Flags().StringVar(&f.User, "user", "", "only those of `USER`")
	c.Flags().StringVar(&f.Device, "device", "", "only those of `DEVICE`: an id, UDID or serial number, or the id that a challenge came with")
	c.Flags().StringVar(&f.Profile, "profile", "", "only those of the certificate profile `NAME`")
	c.Flags().StringVar(&f.State, "state", "", "only those in `STATE`: good, revoked or expired")
	c.Flags().IntVar(&limit, "limit", 1000, "at most `N`; 0 is all")
	return c
}

// standing tells how a certificate stands, with the reason when it is revoked.
func standing(c admin.Certificate) string {
	if c.Reason == "" {
		return c.State
	}
	return c.State + " (" + c.Reason + ")"
}

func (a *app) showIssued(c *cobra.Command, client *admin.Client, key string) error {
	key, err := digits(key)
	if err != nil {
		return err
	}
	d, err := client.Certificate(c.Context(), key)
	if err != nil {
		return err
	}
	return a.show(d, func(w io.Writer) {
		writeRecord(w, "state", standing(d.Certificate), "revoked", maybe(d.Revoked), "profile", d.Profile, "subject", d.Subject, "issuer", d.Issuer,
			"addresses", strings.Join(d.Addresses, ", "), "user", d.User, "device", d.Device, "serial", d.Serial, "sha256", d.SHA256,
			"from", day(d.NotBefore), "to", day(d.NotAfter), "issued", moment(d.Issued), "crl", d.CRL, "ocsp", d.OCSP)
		if d.Elsewhere != nil {
			fmt.Fprintln(w, "another CA issued it, and alone can put it on a revocation list")
		}
		fmt.Fprint(w, "\n", d.PEM)
	})
}

func (a *app) caRevoke() *cobra.Command {
	var r admin.Revocation
	c := &cobra.Command{
		Use:   "revoke [CERTIFICATE]",
		Short: "Revoke certificates that we issued and publish that",
		Long: `Revokes one certificate, named by its SHA-256 or its serial number, or all of a
user or of a device. When it ends, the revocation is published. It cannot be
taken back. What another CA issued (upstream.url) is noted as revoked, and has to
be revoked there too: the serial number and the CA's name are printed.

A device whose identity is revoked is not managed any more and keeps what it has;
signet device remove takes that away first, and revokes then.`,
		Example: "  signet ca revoke 5f3c… --reason keyCompromise\n  signet ca revoke --user alice@example.com --reason affiliationChanged",
		Args:    takes("[CERTIFICATE]"),
		RunE: func(c *cobra.Command, args []string) error {
			named := len(args)
			for _, flag := range []string{r.User, r.Device} {
				if flag != "" {
					named++
				}
			}
			if named != 1 {
				return usagef("name one certificate, or --user, or --device")
			}
			client, err := a.client()
			if err != nil {
				return err
			}
			if len(args) == 0 {
				return a.revokeAll(c, client, r)
			}
			key, err := digits(args[0])
			if err != nil {
				return err
			}
			done, err := client.Revoke(c.Context(), key, r.Reason)
			if err != nil {
				return err
			}
			return a.show(done, func(w io.Writer) {
				if done.Elsewhere == nil {
					fmt.Fprintln(w, "revoked")
					return
				}
				fmt.Fprintln(w, "noted as revoked")
				showElsewhere(w, *done.Elsewhere)
			})
		},
	}
	c.Flags().StringVar(&r.Reason, "reason", "", "`REASON` of RFC 5280, such as keyCompromise or cessationOfOperation")
	c.Flags().StringVar(&r.User, "user", "", "all certificates of `USER`")
	c.Flags().StringVar(&r.Device, "device", "", "all certificates of `DEVICE`, its identity included")
	return c
}

func (a *app) revokeAll(c *cobra.Command, client *admin.Client, r admin.Revocation) error {
	done, err := client.RevokeAll(c.Context(), r)
	if err != nil {
		return err
	}
	return a.show(done, func(w io.Writer) {
		for _, sha := range done.Revoked {
			fmt.Fprintln(w, "revoked", sha)
		}
		showElsewhere(w, done.Elsewhere...)
		if len(done.Revoked) == 0 {
			fmt.Fprintln(w, "there was nothing to revoke")
		}
	})
}

// showElsewhere says what is still to be done where a CA is not ours.
func showElsewhere(w io.Writer, list ...admin.Elsewhere) {
	for _, x := range list {
		fmt.Fprintf(w, "NOT ours: it is good for everybody else until its own CA revokes it too. Revoke there serial number %s of issuer %s\n", x.Serial, x.Issuer)
	}
}

// Serial numbers of ours have 31 or 32 digits; other CAs give shorter ones.
const (
	minSerial = 8
	maxSerial = 40
)

// digits reads a SHA-256 or a serial number as programs print them.
func digits(text string) (string, error) {
	d := strings.ToLower(strings.NewReplacer(":", "", " ", "").Replace(text))
	long := len(d) == fullFingerprint || len(d) >= minSerial && len(d) <= maxSerial
	if strings.Trim(d, "0123456789abcdef") != "" || !long {
		return "", usagef("%q is neither a SHA-256, which has 64 digits, nor a serial number, which has 31 or 32 with our CAs; give all hexadecimal digits", text)
	}
	return d, nil
}
