package store

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/delivery/plan"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/mdm"
)

// inUse are the certificates that were issued to enrolled devices and that they
// use: the identity that each is bound to, and of each other profile those after
// which the device shows no newer one.
const inUse = ` FROM certificate c JOIN device d ON d.id = c.device_id LEFT JOIN enrollment e ON e.device_id = d.id
	WHERE c.source = 'issued' AND c.revoked_at = 0 AND d.state = 'enrolled' AND (e.identity = c.fingerprint
		OR c.use_ <> 'identity' AND NOT EXISTS (SELECT 1 FROM certificate n
			JOIN device_certificate h ON h.device_id = n.device_id AND h.fingerprint = n.fingerprint AND h.is_identity = 1
			WHERE n.device_id = c.device_id AND n.profile = c.profile AND n.created_at > c.created_at))`

// ends fills in when the first certificate in use of each device ends, in one
// statement.
func (s MDM) ends(ctx context.Context, list []mdm.Device, which string, values ...any) error {
	type row struct {
		device subject.DeviceID
		end    int64
	}
	rows, err := all(ctx, s.db.read, func(s scanner) (r row, err error) {
		err = s.Scan(&r.device, &r.end)
		return r, err
	}, `SELECT c.device_id, MIN(c.not_after)`+inUse+which+` GROUP BY c.device_id`, values...)
	if err != nil {
		return fmt.Errorf("listing ends of certificates: %w", err)
	}
	end := make(map[subject.DeviceID]time.Time, len(rows))
	for _, r := range rows {
		end[r.device] = instant(r.end)
	}
	for i := range list {
		list[i].Ends = end[list[i].ID]
	}
	return nil
}

// gone is how long after its end a certificate is not counted any more: then it
// is the device that is away.
const gone = 90 * 24 * time.Hour

// Overdue counts, by what they are for, the certificates that are in use and
// whose renewal is late, as [plan.Facts.Overdue] has it, by the last moment that
// the terms of their profile leave. Those that ended 90 days ago are not counted.
func (o Operations) Overdue(ctx context.Context, now time.Time, terms map[string]plan.Terms) (map[string]int, error) {
	n := zeros(cert.Signing.String(), cert.Identity.String())
	query, values := overdue(now, terms)
	if err := o.count(ctx, n, query, values...); err != nil {
		return nil, fmt.Errorf("counting certificates that are not renewed: %w", err)
	}
	return n, nil
}

func overdue(now time.Time, terms map[string]plan.Terms) (query string, values []any) {
	share := strings.Builder{}
	for profile, t := range terms {
		share.WriteString(` WHEN ? THEN ?`)
		values = append(values, profile, t.Share())
	}
	percent := `?`
	if len(terms) > 0 {
		percent = `CASE c.profile` + share.String() + ` ELSE ? END`
	}
	values = append(values, plan.Terms{}.Share(), micros(now.Add(-plan.Grace)), micros(now.Add(plan.EndSoon)), micros(now.Add(-gone)))
	return `SELECT c.use_, COUNT(*)` + inUse + ` AND c.not_after - (c.not_after - c.not_before) / 200 * ` + percent + ` <= ?
		AND c.not_after <= ? AND c.not_after > ? GROUP BY c.use_`, values
}
