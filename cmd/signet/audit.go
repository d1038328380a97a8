package main

import (
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/signet-mdm/signet/internal/httpd/admin"
)

func (a *app) auditCommand() *cobra.Command {
	return group("audit", "Read the journal of what was done", a.auditList(), a.auditVerify())
}

func (a *app) auditList() *cobra.Command {
	var user, device string
	var limit int
	c := &cobra.Command{
		Use:   "list",
		Short: "List what was done, newest first",
		Args:  takes(),
		RunE: func(c *cobra.Command, _ []string) error {
			if limit < 1 {
				return usagef("--limit is a number from 1 on")
			}
			client, err := a.client()
			if err != nil {
				return err
			}
			entries, err := client.Journal(c.Context(), limit, user, device)
			if err != nil {
				return err
			}
			return showTable(a, entries, []string{"when", "who", "what", "user", "device", "detail"}, func(e admin.Entry) []string {
				return []string{moment(e.At), e.Actor.Kind + ":" + e.Actor.ID, e.Action, e.User, e.Device, detail(e.Detail)}
			})
		},
	}
	f := c.Flags()
	f.IntVar(&limit, "limit", 50, "at most `N`")
	f.StringVar(&user, "user", "", "only what is about `USER`")
	f.StringVar(&device, "device", "", "only what is about the device with that `ID`")
	return c
}

func detail(d map[string]string) string {
	parts := make([]string, 0, len(d))
	for _, k := range slices.Sorted(maps.Keys(d)) {
		parts = append(parts, k+"="+d[k])
	}
	return strings.Join(parts, " ")
}
