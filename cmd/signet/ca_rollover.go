package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/signet-mdm/signet/internal/httpd/admin"
)

func (a *app) rolloverCommand() *cobra.Command {
	c := group("rollover", "Replace a CA by the next one", a.rolloverStart(), a.rolloverActivate(), a.rolloverCancel(), a.rolloverStatus())
	c.Long = `Replaces a CA without a new enrollment of anybody: start makes the next one and
publishes it, activate has it issue. What the old one issued stays good and can
be revoked until the last of it has ended; devices get certificates of the new
one within a week.`
	return c
}

func (a *app) rolloverStatus() *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Show the CAs that each authority has, had and is to have",
		Args:  takes(),
		RunE: func(c *cobra.Command, _ []string) error {
			client, err := a.client()
			if err != nil {
				return err
			}
			all, err := client.Rollovers(c.Context())
			if err != nil {
				return err
			}
			return a.show(all, func(w io.Writer) { writeRollovers(w, all) })
		},
	}
}

func writeRollovers(w io.Writer, all []admin.Succession) {
	var rows [][]string
	for _, s := range all {
		for _, g := range s.Generations {
			to := ""
			if g.NotAfter != nil {
				to = day(*g.NotAfter)
			}
			rows = append(rows, []string{s.Authority, g.Name, g.State, day(g.Since), to, g.Above})
		}
	}
	writeTable(w, []string{"authority", "ca", "state", "since", "to", "above"}, rows)
	for _, s := range all {
		if s.Waiting > 0 {
			fmt.Fprintf(w, "\n%s: %s without the root certificate of the next one\n", s.Authority, count(s.Waiting, "device"))
		}
	}
}

// makeTime is how long start waits for the server to make the keys.
const makeTime = 30 * time.Second

func (a *app) rolloverStart() *cobra.Command {
	return &cobra.Command{
		Use:     "start AUTHORITY",
		Short:   "Make the next CA and publish it; it issues nothing yet",
		Long:    "Makes the next CA and publishes it; it issues nothing yet. Below an offline root\nit makes the key alone: the owner of the root signs what signet ca csr writes.",
		Example: "  signet ca rollover start smime",
		Args:    takes("AUTHORITY"),
		RunE: func(c *cobra.Command, args []string) error {
			client, err := a.client()
			if err != nil {
				return err
			}
			g, err := client.StartRollover(c.Context(), args[0])
			if err != nil {
				return err
			}
			all, err := client.Rollovers(c.Context())
			if err != nil {
				return err
			}
			if !slices.ContainsFunc(all, func(s admin.Succession) bool { return s.Authority == "root" }) {
				return a.show(g, func(w io.Writer) {
					fmt.Fprintf(w, "the key of %s is made within seconds; then, for the owner of the root: signet ca csr %[1]s, signet ca import %[1]s\n", g.Name)
				})
			}
			if g, err = made(c.Context(), client, g); err != nil {
				return err
			}
			return a.show(g, func(w io.Writer) {
				fmt.Fprintf(w, "%s is there; signet ca rollover activate %s lets it issue\n", g.Name, args[0])
			})
		},
	}
}

// made waits until the server has made a CA.
func made(ctx context.Context, client *admin.Client, g admin.Generation) (admin.Generation, error) {
	for end := time.Now().Add(makeTime); time.Now().Before(end); {
		all, err := client.Rollovers(ctx)
		if err != nil {
			return g, err
		}
		for _, s := range all {
			for _, now := range s.Generations {
				if now.Name == g.Name && s.Ready {
					return now, nil
				}
			}
		}
		select {
		case <-ctx.Done():
			return g, ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
	}
	return g, fmt.Errorf("the server has not made %s within %s; its log says why, and signet ca rollover status when it has", g.Name, makeTime)
}

func (a *app) rolloverActivate() *cobra.Command {
	var force bool
	c := &cobra.Command{
		Use:     "activate AUTHORITY",
		Short:   "Let the next CA issue from now on",
		Example: "  signet ca rollover activate smime",
		Args:    takes("AUTHORITY"),
		RunE: a.rolloverAct(func(ctx context.Context, client *admin.Client, authority string) (admin.Generation, error) {
			return client.ActivateRollover(ctx, authority, force)
		}, "%s issues from now on"),
	}
	c.Flags().BoolVar(&force, "force", false, "although devices do not have its root certificate yet")
	return c
}

func (a *app) rolloverCancel() *cobra.Command {
	return &cobra.Command{
		Use:   "cancel AUTHORITY",
		Short: "Give up the next CA before it issues anything",
		Args:  takes("AUTHORITY"),
		RunE: a.rolloverAct(func(ctx context.Context, client *admin.Client, authority string) (admin.Generation, error) {
			return client.CancelRollover(ctx, authority)
		}, "%s is given up"),
	}
}

func (a *app) rolloverAct(act func(context.Context, *admin.Client, string) (admin.Generation, error), said string) func(*cobra.Command, []string) error {
	return func(c *cobra.Command, args []string) error {
		client, err := a.client()
		if err != nil {
			return err
		}
		g, err := act(c.Context(), client, args[0])
		if err != nil {
			return err
		}
		return a.show(g, func(w io.Writer) { fmt.Fprintf(w, said+"\n", g.Name) })
	}
}
