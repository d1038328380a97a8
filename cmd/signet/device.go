package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/signet-mdm/signet/internal/httpd/admin"
)

func (a *app) deviceCommand() *cobra.Command {
	return group("device", "List, show, refresh and remove devices", a.deviceList(), a.deviceShow(), a.deviceRefresh(), a.deviceRemove())
}

func (a *app) deviceList() *cobra.Command {
	var user string
	c := &cobra.Command{
		Use:   "list",
		Short: "List devices",
		Args:  takes(),
		RunE: func(c *cobra.Command, _ []string) error {
			client, err := a.client()
			if err != nil {
				return err
			}
			devices, err := client.Devices(c.Context(), user)
			if err != nil {
				return err
			}
			return showTable(a, devices, []string{"user", "state", "model", "os", "serial", "seen", "id"}, func(d admin.Device) []string {
				return []string{d.User, d.State, d.Model, d.OS, d.Serial, maybe(d.Seen), d.ID}
			})
		},
	}
	c.Flags().StringVar(&user, "user", "", "only those of `USER`")
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
	writeRecord(w, "user", d.User, "state", d.State, "name", d.Name, "model", d.Model, "os", d.OS, "serial", d.Serial,
		"udid", d.UDID, "id", d.ID, "invited", moment(d.Created), "enrolled", maybe(d.Enrolled), "seen", maybe(d.Seen),
		"open commands", strconv.Itoa(d.Open))
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

func (a *app) deviceRefresh() *cobra.Command {
	return a.onOne("refresh DEVICE", "Ask a device about itself and its certificates again", "asked", (*admin.Client).RefreshDevice)
}

func (a *app) deviceRemove() *cobra.Command {
	return a.onOne("remove DEVICE", "End the management of a device, with all that it brought", "removed", (*admin.Client).RemoveDevice)
}
