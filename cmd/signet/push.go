package main

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/httpd/admin"
	"github.com/signet-mdm/signet/pfxconnector/pfx"
)

func (a *app) pushCommand() *cobra.Command {
	c := group("push", "The certificate by which Apple's push service knows us", a.pushCSR(), a.pushImport(), a.pushShow())
	c.Long = `Devices poll when Apple's push service tells them to, and Apple takes pushes from
whoever has a push certificate. Getting one takes four steps; docs/push.md tells
each of them in full:

  1. signet push csr > push.csr         makes the key, which stays here
  2. an MDM vendor signs push.csr       a service that does it for you, or you
                                        with a vendor certificate of your own
  3. identity.apple.com/pushcert        gives a certificate for what the vendor
                                        signed; note the Apple Account
  4. signet push import FILE --account THAT-ACCOUNT

It is good for a year. Then do the same again, and press Renew in step 3, with
the same Apple Account: a new certificate has another topic, and every device
would have to enroll again.`
	return c
}

func (a *app) pushCSR() *cobra.Command {
	return &cobra.Command{
		Use:   "csr",
		Short: "Make a key and print a certificate request for it",
		Long: `Makes a key, which stays in the keyring, and prints a certificate request (PEM)
on standard output. Apple takes it only after an MDM vendor has signed it:
signet push --help. A request that was made before stays good.`,
		Example: "  signet push csr > push.csr",
		Args:    takes(),
		RunE: func(c *cobra.Command, _ []string) error {
			client, err := a.client()
			if err != nil {
				return err
			}
			made, err := client.RequestPush(c.Context())
			if err != nil {
				return err
			}
			return a.show(made, func(w io.Writer) {
				fmt.Fprint(w, made.CSR)
				fmt.Fprintln(a.stderr, "Next: have it signed by an MDM vendor, give that to identity.apple.com/pushcert,\nthen: signet push import FILE. signet push --help tells more.")
			})
		},
	}
}

func (a *app) pushImport() *cobra.Command {
	var n admin.NewPushCertificate
	var p12, key, password string
	c := &cobra.Command{
		Use:   "import [FILE]",
		Short: "Take the certificate that Apple made",
		Long: `Takes the certificate (PEM or DER) that identity.apple.com/pushcert made for a
request of signet push csr. The running server uses it at once.

Who has a push certificate already, from another server, gives it with its key:
as PKCS #12, as one PEM file with both, or the key in a file of its own. That
keeps the topic, and with it the devices of that server can be taken over.`,
		Example: "  signet push import MDM_Example_Certificate.pem --account it@example.com\n" +
			"  signet push import --p12 push.p12 --password-file password",
		Args: takes("[FILE]"),
		RunE: func(c *cobra.Command, args []string) error {
			if (len(args) == 1) == (p12 != "") {
				return usagef("give either the certificate's FILE or --p12")
			}
			if (p12 != "") != (password != "") {
				return usagef("--p12 and --password-file go together")
			}
			var err error
			if p12 != "" {
				err = a.openPush(c.Context(), &n, p12, password)
			} else {
				err = a.readPush(&n, args[0], key)
			}
			if err != nil {
				return err
			}
			defer clear(n.Key)
			return a.importPush(c.Context(), n)
		},
	}
	f := c.Flags()
	f.StringVar(&p12, "p12", "", "PKCS #12 `FILE` with a certificate and its key, made elsewhere")
	f.StringVar(&password, "password-file", "", "`FILE` with the password of --p12")
	f.StringVar(&key, "key", "", "PEM `FILE` with the private key of a certificate made elsewhere")
	f.StringVar(&n.Account, "account", "", "note of the Apple Account that can renew it, such as it@example.com")
	f.BoolVar(&n.ReplaceTopic, "replace-topic", false, "take another topic: devices must enroll again")
	return c
}

// maxPush bounds the files of a push certificate.
const maxPush = 64 << 10

// readPush reads a certificate, and its key from the same file or another.
func (a *app) readPush(n *admin.NewPushCertificate, file, key string) (err error) {
	if n.Certificate, err = a.read(file, maxPush); err != nil {
		return err
	}
	rest := n.Certificate
	if key != "" {
		if rest, err = a.read(key, maxPush); err != nil {
			return err
		}
	}
	n.Certificate, n.Key = split(n.Certificate, rest)
	if key != "" && n.Key == nil {
		return errors.New(plain(key) + " holds no private key in PEM without a password")
	}
	return nil
}

// split gives the first certificate of one text and the first key of another;
// what is no PEM is the certificate as it is.
func split(certificate, key []byte) (c, k []byte) {
	c = certificate
	for b, rest := pem.Decode(certificate); b != nil; b, rest = pem.Decode(rest) {
		if b.Type == "CERTIFICATE" {
			c = pem.EncodeToMemory(b)
			break
		}
	}
	for b, rest := pem.Decode(key); b != nil; b, rest = pem.Decode(rest) {
		switch b.Type {
		case "PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY":
			return c, pem.EncodeToMemory(b)
		}
	}
	return c, nil
}

// openPush reads both from a PKCS #12 file, here: its password goes no further.
func (a *app) openPush(ctx context.Context, n *admin.NewPushCertificate, file, passwordFile string) error {
	data, err := a.read(file, maxPush)
	if err != nil {
		return err
	}
	password, err := a.secretFile(passwordFile)
	if err != nil {
		return err
	}
	defer password.Wipe()
	opened, err := pfx.Read(ctx, data, password, pfx.Default)
	if err != nil {
		return fmt.Errorf("opening %s: %w", plain(file), err)
	}
	id, err := opened.Only()
	if err != nil {
		opened.Wipe()
		return fmt.Errorf("opening %s: %w", plain(file), err)
	}
	n.Certificate, n.Key = cert.PEM(id.Certificate), id.PKCS8.Reveal()
	return nil
}

func (a *app) importPush(ctx context.Context, n admin.NewPushCertificate) error {
	client, err := a.client()
	if err != nil {
		return err
	}
	made, err := client.ImportPush(ctx, n)
	if err != nil {
		return err
	}
	return a.show(made, func(w io.Writer) {
		writePushCertificate(w, made.PushCertificate)
		if made.Others > 0 {
			fmt.Fprintf(a.stderr, "%s enrolled with another topic. They are woken as long as its certificate lasts; to get this one they must enroll again.\n", were(made.Others))
		}
		if made.Stranded > 0 {
			fmt.Fprintf(a.stderr, "%s enrolled with a topic that has no certificate. They must enroll again to be woken.\n", were(made.Stranded))
		}
	})
}

// were begins a sentence about devices.
func were(n int) string {
	if n == 1 {
		return "1 device is"
	}
	return strconv.Itoa(n) + " devices are"
}

func (a *app) pushShow() *cobra.Command {
	return &cobra.Command{
		Use:   "show",
		Short: "Show the push certificate, how long it is good and how many devices it reaches",
		Args:  takes(),
		RunE: func(c *cobra.Command, _ []string) error {
			client, err := a.client()
			if err != nil {
				return err
			}
			all, err := client.PushCertificates(c.Context())
			if err != nil {
				return err
			}
			return a.show(all, func(w io.Writer) {
				if len(all) == 0 {
					fmt.Fprintln(w, "There is no push certificate: devices are not woken, and those that enroll now must enroll again later.\nsignet push --help tells how to get one.")
				}
				for i, p := range all {
					if i > 0 {
						fmt.Fprintln(w)
					}
					writePushCertificate(w, p)
				}
			})
		},
	}
}

func writePushCertificate(w io.Writer, p admin.PushCertificate) {
	use := "devices that enrolled with it"
	if p.Enrolls {
		use = "all devices that enroll"
	}
	left := fmt.Sprintf("%d days left", p.DaysLeft)
	if p.DaysLeft < 0 {
		left = "expired"
	}
	trouble := ""
	if p.Trouble != "" {
		trouble = p.Trouble + ", since " + maybe(p.Troubled)
	}
	writeRecord(w, "topic", p.Topic, "for", use, "subject", p.Subject, "serial", p.Serial, "expires", day(p.NotAfter)+", "+left,
		"apple account", p.Account, "imported", moment(p.Imported), "devices", fmt.Sprintf("%d, %d can be woken", p.Enrolled, p.Reachable), "trouble", trouble)
}
