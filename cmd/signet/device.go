package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/signet-mdm/signet/internal/httpd/admin"
)

func (a *app) deviceCommand() *cobra.Command {
	return group("device", "List, show, refresh and remove devices", a.deviceList(), a.deviceShow(), a.deviceRefresh(), a.deviceRemove())
}

func (a *app) deviceList() *cobra.Command {
	var f admin.DeviceFilter
	var silent, expiring string
	c := &cobra.Command{
		Use:     "list",
		Short:   "List devices, newest first",
		Example: "  signet device list --silent 7d -o csv\n  signet device list --expiring 30d",
		Args:    takes(),
		RunE: func(c *cobra.Command, _ []string) error {
			if silent != "" {
				days, ok := span(silent)
				if !ok {
					return usagef("--silent takes a number of days, weeks or years, such as 7d, not %q", silent)
				}
				f.SeenBefore = time.Now().AddDate(0, 0, -days)
			}
			if expiring != "" {
				days, ok := span(expiring)
				if !ok {
					return usagef("--expiring takes a number of days, weeks or years, such as 30d, not %q", expiring)
				}
				f.EndsBefore = time.Now().AddDate(0, 0, days)
			}
			if states := []string{"", "invited", "enrolling", "enrolled", "removed"}; !slices.Contains(states, f.State) {
				return usagef("--state is invited, enrolling, enrolled or removed, not %q", f.State)
			}
			client, err := a.client()
			if err != nil {
				return err
			}
			devices, err := client.Devices(c.Context(), f)
			if err != nil {
				return err
			}
			return showTable(a, devices, []string{"user", "state", "model", "os", "serial", "seen", "expires", "id"}, func(d admin.Device) []string {
				return []string{d.User, d.State, d.Model, d.OS, d.Serial, maybe(d.Seen), maybe(d.Ends), d.ID}
			})
		},
	}
	c.Flags().StringVar(&f.User, "user", "", "only those of `USER`")
	c.Flags().StringVar(&f.State, "state", "", "only those in `STATE`: invited, enrolling, enrolled or removed")
	c.Flags().StringVar(&silent, "silent", "", "only enrolled ones that have said nothing for that `TIME`, such as 7d")
	c.Flags().StringVar(&expiring, "expiring", "", "only enrolled ones that use a certificate from here which expires within that `TIME`, such as 30d")
	return c
}

func (a *app) deviceShow() *cobra.Command {
	return &cobra.Command{
		Use:   "show DEVICE",
		Short: "Show a device, by id, UDID or serial number",
		Args:  takes("DEVICE"),
		RunE: func(c *cobra.Command, args []string) error {
			client, err := a.client()
			if err != nil {
				return err
			}
			d, err := client.Device(c.Context(), args[0])
			if err != nil {
				return err
			}
			return a.show(d, func(w io.Writer) { writeDevice(w, d) })
		},
	}
}

func writeDevice(w io.Writer, d admin.DeviceDetail) {
	writeRecord(w, "user", d.User, "state", deviceState(d.Device), "name", d.Name, "model", d.Model, "os", d.OS, "serial", d.Serial,
		"udid", d.UDID, "id", d.ID, "invited", moment(d.Created), "enrolled", maybe(d.Enrolled), "seen", maybe(d.Seen),
		"identity until", maybe(d.Identity), "first certificate until", maybe(d.Ends), "open commands", strconv.Itoa(d.Open), "last error", lastError(d.Error),
		"push", pushing(d.Push), "last push", lastPush(d.Push), "next push", nextPush(d.Push))
	if len(d.Parcels) > 0 {
		fmt.Fprintln(w, "\nwhat it should have")
		writeParcels(w, d.Parcels)
	}
	for _, note := range d.Notes {
		fmt.Fprintf(w, "  %s\n", note)
	}
	if len(d.Certificates) > 0 {
		fmt.Fprintf(w, "\ncertificates it said it holds (%s)\n", maybe(d.Listed))
		for _, h := range d.Certificates {
			fmt.Fprintf(w, "  %s  %s\n", h.Cert, map[bool]string{true: "with its key", false: "alone"}[h.Identity])
		}
	}
	if len(d.Apps) > 0 {
		fmt.Fprintln(w, "\nmanaged apps")
		for _, app := range d.Apps {
			fmt.Fprintf(w, "  %s  %s  %s\n", plain(app.Bundle), plain(app.State), map[bool]string{true: "configured", false: ""}[app.Configured])
		}
	}
	if len(d.Commands) > 0 {
		fmt.Fprintln(w)
		rows := make([][]string, len(d.Commands))
		for i, c := range d.Commands {
			rows[i] = []string{moment(c.Created), c.Type, c.State, maybe(c.Done), strings.Join(c.Errors, "; ")}
		}
		writeTable(w, []string{"queued", "command", "state", "done", "error"}, rows)
	}
}

func deviceState(d admin.Device) string {
	if d.Pending {
		return d.State + ", and has not heard of it"
	}
	return d.State
}

// lastError is a line about the last command that failed.
func lastError(c *admin.Command) string {
	if c == nil {
		return ""
	}
	return fmt.Sprintf("%s %s: %s", maybe(c.Done), c.Type, plain(strings.Join(c.Errors, "; ")))
}

// canPush is said of a device that can be woken.
const canPush = "yes"

// pushing says whether a device can be woken, "" for one that never enrolled.
func pushing(p admin.DevicePush) string {
	switch {
	case p.Topic == "":
		return ""
	case !p.Certified:
		return "no: there is no push certificate for the topic it enrolled with"
	case p.Token == nil:
		return "no: it told no push token"
	case p.Refused != nil:
		return "no: Apple refuses its push token since " + maybe(p.Refused) + "; it may bring another"
	}
	return canPush
}

// nextPush tells when the next push is due, "" when none is or can be.
func nextPush(p admin.DevicePush) string {
	if pushing(p) != canPush {
		return ""
	}
	return maybe(p.Wanted)
}

// lastPush tells of the last push, "" when there was none.
func lastPush(p admin.DevicePush) string {
	if p.Tried == nil {
		return ""
	}
	text := maybe(p.Tried)
	if p.Answer != "" {
		text += ", " + p.Answer
	}
	if p.Failures > 1 {
		text += fmt.Sprintf(", %d times in a row", p.Failures)
	}
	if p.Pushes > 1 {
		text += fmt.Sprintf(", %d since the device spoke", p.Pushes)
	}
	return text
}

func (a *app) deviceRefresh() *cobra.Command {
	var n admin.NewJob
	var dryRun, wait, renew bool
	single := a.onOne("refresh DEVICE", "", "asked", func(client *admin.Client, ctx context.Context, device string) error {
		return client.RefreshDevice(ctx, device, renew)
	})
	c := &cobra.Command{
		Use:     "refresh [DEVICE]",
		Short:   "Ask a device, or many, about themselves again, and bring them again what they refused too often",
		Example: "  signet device refresh F2LXC0WAHG --renew\n  signet device refresh --group Finance --dry-run\n  signet device refresh --all --wait",
		Args:    takes("[DEVICE]"),
		RunE: func(c *cobra.Command, args []string) error {
			one, many := scoped(n)
			switch {
			case len(args) == 1 && !many && !dryRun && !wait:
				return single.RunE(c, args)
			case len(args) == 1 || !one:
				return usagef("give a DEVICE, or one of --all, --group and --user")
			}
			n.Kind = map[bool]string{false: "device.refresh", true: "device.renew"}[renew]
			return a.startJob(c, n, dryRun, wait)
		},
	}
	scopeFlags(c, &n, &dryRun, &wait)
	c.Flags().BoolVar(&renew, "renew", false, "renew its certificates now, though their time has not come")
	return c
}

func (a *app) deviceRemove() *cobra.Command {
	var many bool
	c := a.onOne("remove DEVICE", "End the management of a device, with all that it brought", "removed",
		func(client *admin.Client, ctx context.Context, device string) error {
			return client.RemoveDevice(ctx, device, many)
		})
	c.Flags().BoolVar(&many, "many", false, "it is meant that many are removed within an hour")
	return c
}
