package main

import (
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/signet-mdm/signet/internal/store"
)

func (a *app) databaseCommand() *cobra.Command {
	return group("database", "Give each role a database account of its own", a.databaseGrants(), a.databaseMigrate())
}

// names are what is put into a statement: nothing that has to be quoted.
var (
	databaseWord = regexp.MustCompile(`^[A-Za-z0-9_]{1,64}$`)
	accountWord  = regexp.MustCompile(`^[A-Za-z0-9_]{1,80}@[A-Za-z0-9_.:%-]{1,255}$`)
)

func (a *app) databaseGrants() *cobra.Command {
	var role, account, name string
	c := &cobra.Command{
		Use:   "grants --role ROLE --account USER@HOST",
		Short: "Print what lets a database account work as a role, and as nothing else",
		Long: `Prints the GRANT statements for an account of MariaDB that a process with that
role uses; a process with several roles has those of each. The account has to be
there, without rights. Tables are made and changed by another account: signet
init, and signet database migrate before each upgrade.`,
		Example: "  signet database grants --role keeper --account signet_keeper@localhost | mariadb",
		Args:    takes(),
		RunE: func(*cobra.Command, []string) error {
			switch {
			case !slices.Contains(store.Roles(), store.Role(role)):
				return usagef("--role is front, worker, admin or keeper")
			case !accountWord.MatchString(account):
				return usagef("--account is USER@HOST, such as signet_front@10.0.0.7")
			case !databaseWord.MatchString(name):
				return usagef("--name is letters, digits and underscores")
			}
			user, host, _ := strings.Cut(account, "@")
			list := store.Grants(store.Role(role), "`"+name+"`", "'"+user+"'@'"+host+"'")
			return a.show(list, func(w io.Writer) {
				for _, s := range list {
					fmt.Fprintln(w, s)
				}
			})
		},
	}
	f := c.Flags()
	f.StringVar(&role, "role", "", "`ROLE`: front, worker, admin or keeper")
	f.StringVar(&account, "account", "", "`USER@HOST` of the account")
	f.StringVar(&name, "name", "signet", "`NAME` of the database")
	return c
}

func (a *app) databaseMigrate() *cobra.Command {
	c := &cobra.Command{
		Use:   "migrate --database-dsn-file FILE",
		Short: "Bring the tables up to date, with an account that may change them",
		Long: `Does what a server does when it starts with an account that may change tables.
Where each role has an account of its own, none may: then run this, of the new
version, before the servers of the new version are started.`,
		Args: takes(),
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := a.local(c)
			if err != nil {
				return err
			}
			db, err := connect(c.Context(), cfg)
			if err != nil {
				return err
			}
			defer db.Close()
			return a.show(map[string]int64{"schema": store.NewestSchema()}, func(w io.Writer) {
				fmt.Fprintf(w, "the database is at schema %d\n", store.NewestSchema())
			})
		},
	}
	addSettings(c)
	return c
}
