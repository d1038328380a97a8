package main

import (
	"github.com/spf13/cobra"

	"github.com/signet-mdm/signet/internal/httpd/admin"
)

func (a *app) scepCommand() *cobra.Command {
	return group("scep", "Let other SCEP clients get certificates", a.scepChallenge(), a.scepRequests(), a.scepApprove(), a.scepDeny(), a.scepProfiles())
}

func (a *app) scepChallenge() *cobra.Command {
	var n admin.NewChallenge
	c := &cobra.Command{
		Use:   "challenge --profile PROFILE --user USER [--device DEVICE]",
		Short: "Make a one-time challenge for a standard SCEP client",
		Long: `Makes a challenge that lets a standard SCEP client get one certificate in the
name of a user. What the certificate says comes from the user's record and the
certificate profile; the client brings nothing but its key.

The certificate is for a device of its own, unless --device names an enrolled
one of that user. A profile may want that; the identities of devices and the
signing certificates that Signet gives them are not to be had this way.`,
		Example: "  signet scep challenge --profile smime-signing --user alice@example.com -o json",
		Args:    takes(),
		RunE: func(c *cobra.Command, _ []string) error {
			if n.Profile == "" || n.User == "" {
				return usagef("a challenge needs --profile and --user")
			}
			client, err := a.client()
			if err != nil {
				return err
			}
			made, err := client.CreateChallenge(c.Context(), n)
			if err != nil {
				return err
			}
			return a.showRecord(made, "url", made.URL, "without TLS", made.HTTPURL, "challenge", made.Challenge,
				"good until", moment(made.Expires), "user", made.User, "device", made.Device)
		},
	}
	c.Flags().StringVar(&n.Profile, "profile", "", "certificate `PROFILE`")
	c.Flags().StringVar(&n.User, "user", "", "`USER`, by address, UPN or id")
	c.Flags().StringVar(&n.Device, "device", "", "enrolled `DEVICE` of that user, by id, UDID or serial number")
	c.Flags().IntVar(&n.Hours, "hours", 1, "how many `HOURS` it is good for, 72 at most")
	return c
}
