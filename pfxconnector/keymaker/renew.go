package keymaker

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/logx"
)

// renewBatch is how many keys a call of Renew makes at most.
const renewBatch = 20

// Renew makes keys for users whose own certificate ends before long, and tells
// how many; the one before becomes history. Who has another current one by now
// gets none. It is run again and again.
func (m *Maker) Renew(ctx context.Context) (n int, err error) {
	percent, err := m.Certifier.EncryptionRenewal(ctx)
	if err != nil || percent == 0 {
		return 0, err
	}
	now := m.Now()
	list, err := m.Store.MadeEnding(ctx, now, percent)
	if err != nil {
		return 0, fmt.Errorf("looking for certificates that end: %w", err)
	}
	for _, e := range list {
		if n == renewBatch || ctx.Err() != nil {
			break
		}
		if now.Before(e.turn(percent)) {
			continue
		}
		made, failed := m.follow(ctx, e)
		if errors.Is(failed, ErrRaced) || errors.Is(failed, ErrUser) {
			failed = nil // nothing is left to do
		}
		if failed != nil {
			err = errors.Join(err, fmt.Errorf("following %s: %w", e.Cert, failed))
		} else if made {
			n++
		}
	}
	return n, err
}

// follow makes what follows e, if that is what others encrypt to now.
func (m *Maker) follow(ctx context.Context, e Ending) (bool, error) {
	u, err := m.Users.User(ctx, string(e.User))
	if err != nil {
		return false, err
	}
	current, err := m.current(ctx, u)
	if err != nil || current == nil || current.Fingerprint != e.Cert {
		return false, err
	}
	if err := m.make(ctx, journal.Worker("encryption"), u); err != nil {
		return false, err
	}
	m.Log.InfoContext(ctx, "encryption certificate renewed", logx.User, u.ID, logx.Cert, e.Cert.String())
	return true, nil
}

// turn is when e is followed: somewhere in the first half of the time that is
// left for it, so that those which were made together are not renewed together.
func (e Ending) turn(percent int) time.Time {
	window := e.NotAfter.Sub(e.NotBefore) / 100 * time.Duration(percent)
	share := time.Duration(binary.BigEndian.Uint16(e.Cert[:]))
	return e.NotAfter.Add(-window + window/2*share/(1<<16))
}
