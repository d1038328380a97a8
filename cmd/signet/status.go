package main

import (
	"cmp"
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/signet-mdm/signet/internal/delivery"
	"github.com/signet-mdm/signet/internal/httpd/admin"
	"github.com/signet-mdm/signet/internal/subject"
)

func (a *app) statusCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "status USER",
		Short: "Say what has arrived on a user's devices, and what has not",
		Args:  takes("USER"),
		RunE: func(c *cobra.Command, args []string) error {
			client, err := a.client()
			if err != nil {
				return err
			}
			s, err := client.Status(c.Context(), args[0])
			if err != nil {
				return err
			}
			return a.show(s, func(w io.Writer) { writeStatus(w, s) })
		},
	}
}

func writeStatus(w io.Writer, s admin.Status) {
	fmt.Fprintf(w, "%s  %s\n", s.User.Mail, plain(s.User.Name))
	if len(s.Devices) == 0 {
		fmt.Fprintln(w, "no device is enrolled; signet invite lets one in")
	}
	for _, d := range s.Devices {
		fmt.Fprintf(w, "\n%s  %s  iOS %s  seen %s  %d of %d\n", plain(cmp.Or(d.Name, d.ID)), plain(d.Model), plain(cmp.Or(d.OS, "?")),
			cmp.Or(maybe(d.Seen), "never"), d.Installed, len(d.Parcels))
		rows := make([][]string, len(d.Parcels))
		for i, p := range d.Parcels {
			rows[i] = []string{"  " + p.State, p.Words, cmp.Or(p.Reason, p.Why)}
		}
		writeTable(w, nil, rows)
		for _, note := range append(d.Notes, d.Hint) {
			if note != "" {
				fmt.Fprintf(w, "  %s\n", note)
			}
		}
	}
}

// deliveries shows the progress of deliveries as the admin API does.
type deliveries struct{ *delivery.Service }

// Status implements [admin.Deliveries].
func (d deliveries) Status(ctx context.Context, id subject.UserID) ([]admin.DeviceStatus, error) {
	list, err := d.User(ctx, id)
	if err != nil {
		return nil, err
	}
	out := make([]admin.DeviceStatus, len(list))
	for i, p := range list {
		out[i] = deviceStatus(p)
	}
	return out, nil
}

func deviceStatus(p delivery.Progress) admin.DeviceStatus {
	s := admin.DeviceStatus{ID: string(p.Device.ID), Name: p.Device.Name, Model: p.Device.Model, OS: p.Device.OSVersion,
		Installed: p.Installed, Parcels: []admin.ParcelLine{}, Hint: p.Hint, Notes: append([]string{}, p.Notes...)}
	if !p.Seen.IsZero() {
		s.Seen = &p.Seen
	}
	for _, l := range p.Lines {
		s.Parcels = append(s.Parcels, admin.ParcelLine{Words: l.Words, Kind: string(l.Kind), State: string(l.State), Reason: l.Reason, Why: l.Why})
	}
	return s
}
