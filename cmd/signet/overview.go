package main

import (
	"context"

	"github.com/signet-mdm/signet/internal/httpd/admin"
	"github.com/signet-mdm/signet/internal/metrics"
)

// figures gives the API what the metrics count.
type figures struct {
	metrics.Source
	server *server
}

// Counts implements [admin.Figures].
func (f figures) Counts(ctx context.Context) (admin.Counts, error) {
	n, err := f.Figures(ctx)
	if err != nil {
		return admin.Counts{}, err
	}
	c := admin.Counts{Users: n.Users, Keys: n.EscrowedKeys, Devices: n.Devices, Requests: n.Requests, Failed: n.Parcels["failed"],
		MailsFailed: n.Mails["failed"], SealWaits: n.ParcelWaits, BackedUp: n.BackedUp, Ends: f.server.expiries()}
	for _, late := range n.Overdue {
		c.Overdue += late
	}
	return c, nil
}
