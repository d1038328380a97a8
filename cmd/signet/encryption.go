package main

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/signet-mdm/signet/internal/config"
	"github.com/signet-mdm/signet/internal/httpd/admin"
	"github.com/signet-mdm/signet/pfxconnector/keymaker"
)

// wireMaker makes what makes keys, where the CA is.
func (s *server) wireMaker() {
	if s.cfg.Plays(config.KeeperRole) {
		s.maker = keymaker.New(keymaker.Config{Store: s.db.PFX(), Users: s.directory, Certifier: s.certifier, Sealer: s.sealing, Log: s.log, Now: time.Now})
	}
}

func (a *app) encryptionCommand() *cobra.Command {
	return group("encryption", "Encryption certificates for people who have none", a.encryptionIssue())
}

func (a *app) encryptionIssue() *cobra.Command {
	var missing, dryRun, wait bool
	var groupName string
	c := &cobra.Command{
		Use:     "issue USER|--missing",
		Short:   "Have keys made for people to whom nobody can encrypt mail",
		Example: "  signet encryption issue alice@example.com\n  signet encryption issue --missing --dry-run\n  signet encryption issue --missing --group Finance --wait",
		Long: `Make an encryption key and certificate for a user who has none that others can
encrypt to, or with --missing for everybody who has none. The key is made where
the CA is, and in escrow before there is a certificate; the devices of the user
get it like an imported one. Shortly before it ends another follows by itself.`,
		Args: takes("[USER]"),
		RunE: func(c *cobra.Command, args []string) error {
			n := admin.NewJob{Kind: "encryption.issue", Group: groupName, All: missing && groupName == ""}
			switch {
			case len(args) == 1 && !missing && groupName == "":
				n.User, wait = args[0], true
			case len(args) == 1 || !missing:
				return usagef("give a USER or --missing, and --group only with --missing")
			}
			return a.startJob(c, n, dryRun, wait)
		},
	}
	f := c.Flags()
	f.BoolVar(&missing, "missing", false, "for everybody who has none, as a job")
	f.StringVar(&groupName, "group", "", "with --missing, only for the members of `GROUP`")
	f.BoolVar(&dryRun, "dry-run", false, "only say for how many that would be")
	f.BoolVar(&wait, "wait", false, "wait until the job has ended; for one USER always")
	return c
}
