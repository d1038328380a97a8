package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"strings"

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
		writeParcels(w, d.Parcels)
		for _, note := range append(d.Notes, d.Hint) {
			if note != "" {
				fmt.Fprintf(w, "  %s\n", note)
			}
		}
	}
}

func writeParcels(w io.Writer, list []admin.ParcelLine) {
	rows := make([][]string, len(list))
	for i, p := range list {
		rows[i] = []string{"  " + p.State, p.Words, explained(p)}
	}
	writeTable(w, nil, rows)
}

// explained says why a parcel is where it is, and what comes next.
func explained(p admin.ParcelLine) string {
	switch {
	case p.Reason == "":
		return p.Why
	case p.Next != nil:
		return fmt.Sprintf("%s; failed %s, tried again from %s on", strings.TrimSuffix(p.Reason, "."), times(p.Tries), moment(*p.Next))
	case p.Tries > 0:
		return fmt.Sprintf("%s; failed %s and given up, signet device refresh tries it again", strings.TrimSuffix(p.Reason, "."), times(p.Tries))
	}
	return p.Reason
}

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
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
		line := admin.ParcelLine{Words: l.Words, Kind: string(l.Kind), State: string(l.State), Reason: l.Reason, Why: l.Why, Tries: l.Tries}
		if !l.Next.IsZero() {
			line.Next = &l.Next
		}
		s.Parcels = append(s.Parcels, line)
	}
	return s
}
