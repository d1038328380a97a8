package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/signet-mdm/signet/appconfig"
	"github.com/signet-mdm/signet/internal/subject"
)

// maxDocuments bounds the file that is applied; the server's own limit is lower.
const maxDocuments = 8 << 20

func (a *app) applyCommand() *cobra.Command {
	var file string
	var dryRun bool
	c := &cobra.Command{
		Use:   "apply [-f] FILE",
		Short: "Make policies, certificate profiles, users and groups be as a file says",
		Long: `Applies a file of YAML or JSON documents, each a Policy, a CertificateProfile, a
User or a Group, and shows what that changes. What the file does not name stays
as it is; applying the same file again changes nothing.`,
		Example: "  signet apply -f policies.yaml --dry-run\n  signet apply -f - < policies.yaml",
		Args:    takes("[FILE]"),
		RunE: func(c *cobra.Command, args []string) error {
			switch {
			case len(args) == 1 && file != "":
				return usagef("%q is one argument too many: give one file", args[0])
			case len(args) == 1:
				file = args[0]
			case file == "":
				return usagef("FILE is missing; - is standard input")
			}
			docs, err := a.read(file, maxDocuments)
			if err != nil {
				return err
			}
			if len(docs) == 0 {
				return errors.New(file + " is empty")
			}
			client, err := a.client()
			if err != nil {
				return err
			}
			diff, err := client.Apply(c.Context(), docs, dryRun)
			if err != nil {
				return err
			}
			return a.show(diff, func(w io.Writer) {
				fmt.Fprint(w, diff)
				for _, warning := range warnings(docs) {
					fmt.Fprintln(a.stderr, "warning: "+plain(warning))
				}
				if diff.Empty() && !dryRun {
					fmt.Fprintln(w, "Nothing had to be changed.")
				}
				if dryRun {
					fmt.Fprintln(w, "Nothing was changed.")
				}
			})
		},
	}
	c.Flags().StringVarP(&file, "file", "f", "", "`FILE` to apply; - for standard input")
	c.Flags().BoolVar(&dryRun, "dry-run", false, "show what would change, but change nothing")
	return c
}

// warnings says what is right by itself but has no effect: a policy that is for
// nobody, and settings that need others which the policy does not have.
func warnings(docs []byte) (list []string) {
	parsed, err := appconfig.Parse(docs)
	if err != nil {
		return nil // the server has said so
	}
	for _, d := range parsed.Policies {
		if d.Remove {
			continue
		}
		if to := d.Assign; !to.All && len(to.Users)+len(to.Groups) == 0 {
			list = append(list, fmt.Sprintf("policy %s is for nobody: it has no assign", d.Name))
		}
		alone := d.Policy
		alone.In, alone.Out = subject.Scope{All: true}, subject.Scope{}
		for _, p := range appconfig.Resolve([]appconfig.Policy{alone}, anybody, anyDevice).Problems {
			list = append(list, fmt.Sprintf("policy %s alone: %s", d.Name, p.Why))
		}
	}
	return list
}

// Somebody with every property that a policy may ask for.
var (
	anybody = subject.User{ID: "x", UPN: "x@example.com", Mail: "x@example.com", Name: "x", GivenName: "x", Surname: "x",
		OnPremises: subject.OnPremises{Department: "x", SAMAccountName: "x", OnPremisesUPN: "x@example.com", DistinguishedName: "CN=x", SID: "S-1-5-21-1"}}

	anyDevice = subject.Device{ID: "x", UDID: "xxxx", Serial: "xxxx", Name: "x", IMEI: "1", MEID: "1", WiFiMAC: "x"}
)
