package gateway

import (
	"context"
	"errors"
	"fmt"

	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/logx"
)

// Seal signs the registrations that people have agreed to, if what they agreed to
// is exactly what is registered. It tells how many.
func (k *Keeper) Seal(ctx context.Context) (n int, err error) {
	waiting, err := k.Ledger.ConnectorsWaiting(ctx)
	if err != nil {
		return 0, err
	}
	for _, c := range waiting {
		done, err := k.sealed(ctx, c)
		if err != nil {
			return n, fmt.Errorf("sealing connector %s: %w", c.ID, err)
		}
		if done {
			n++
		}
	}
	return n, nil
}

func (k *Keeper) sealed(ctx context.Context, c Connector) (done bool, err error) {
	now := k.Now()
	if c.StateAt(now) != Waiting {
		return false, nil
	}
	request, digest, agreed, err := k.Consents.Agreed(ctx, ConsentKind, c.Consent)
	if err != nil || !agreed {
		return false, err
	}
	if request != c.Request() {
		k.refused(ctx, Ask{Connector: c.ID}, ErrAltered.With(errors.New("people agreed to something else")))
		return false, k.Ledger.ConnectorRevoked(ctx, c.ID, c.entry(now, journal.Worker("connector"), journal.ConnectorRevoked))
	}
	if c.Seal, err = k.sign(c); err != nil {
		return false, err
	}
	e := c.entry(now, journal.Worker("connector"), journal.ConnectorApproved)
	e.Detail["approval"] = c.Consent
	if err := k.Ledger.ConnectorSealed(ctx, c, digest, e); err != nil {
		if f := fault.Of(err); f != nil && f.Kind == fault.Conflict { // another keeper was faster, or somebody went back on it
			return false, nil
		}
		return false, err
	}
	k.Log.InfoContext(ctx, "connector approved", logx.Connector, c.Name)
	return true, nil
}
