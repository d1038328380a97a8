package main

import (
	"context"
	"time"

	"github.com/signet-mdm/signet/internal/delivery"
	"github.com/signet-mdm/signet/internal/delivery/plan"
	"github.com/signet-mdm/signet/internal/metrics"
	"github.com/signet-mdm/signet/internal/store"
)

// counting adds to what is counted the certificates whose renewal is late.
type counting struct {
	metrics.Source
	store interface {
		// Overdue counts them by what they are for.
		Overdue(ctx context.Context, now time.Time, terms map[string]plan.Terms) (map[string]int, error)
	}
	terms delivery.Terms // nil: the usual ones
}

// Figures implements [metrics.Source].
func (c counting) Figures(ctx context.Context) (metrics.Figures, error) {
	f, err := c.Source.Figures(ctx)
	if err != nil {
		return f, err
	}
	var terms map[string]plan.Terms
	if c.terms != nil {
		if terms, err = c.terms.Terms(ctx); err != nil {
			return f, err
		}
	}
	f.Overdue, err = c.store.Overdue(ctx, time.Now(), terms)
	return f, err
}

// inspected is a database that is only looked at.
type inspected struct {
	store.Inspection
	counting counting
}

// Figures implements [metrics.Source].
func (i inspected) Figures(ctx context.Context) (metrics.Figures, error) {
	return i.counting.Figures(ctx)
}
