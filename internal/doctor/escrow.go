package doctor

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/signet-mdm/signet/internal/keyring"
	"github.com/signet-mdm/signet/pfxconnector/escrow"
)

// sealed looks whether the escrow keys are here that the imported private keys
// are sealed to.
func (c *Case) sealed(ctx context.Context) Finding {
	wraps, err := c.db.Wraps(ctx)
	if err != nil {
		return trouble(err, "")
	}
	states := map[escrow.KeyID]keyring.State{}
	for _, k := range c.ring.Escrow() {
		states[k.ID] = k.State
	}
	active, retiring := 0, 0
	for _, id := range slices.Sorted(maps.Keys(wraps)) {
		switch n := wraps[id]; {
		case id.Offline():
		case states[id] == keyring.Active:
			active = n
		case states[id] == keyring.Retiring:
			retiring += n
		default:
			return fails(fmt.Sprintf("What is sealed to the escrow key %s does not open: it is not here (imported keys: %d).", id, n),
				"restore the keys of the backup that the database belongs to")
		}
	}
	if retiring > 0 {
		return warn(fmt.Sprintf("Imported keys that are still sealed to a retiring escrow key: %d; to the active one: %d.", retiring, active),
			"signet keys escrow list, after the keeper has run for a while")
	}
	if n := len(c.ring.Retiring()); n > 0 {
		return ok(fmt.Sprintf("%d imported keys, all to the active escrow key; nothing to %d retiring, which can be destroyed", active, n))
	}
	return ok(fmt.Sprintf("%d imported keys, all to the active escrow key", active))
}

// alarmed is how long an alarm is spoken of.
const alarmed = 7 * 24 * time.Hour

// alarms looks whether keys were not opened although nothing innocent explains
// it.
func (c *Case) alarms(ctx context.Context) Finding {
	n, last, err := c.db.Alarms(ctx, c.Now().Add(-alarmed))
	switch {
	case err != nil:
		return trouble(err, "")
	case n > 0:
		return fails(fmt.Sprintf("Alarms of the last seven days: %d, the last at %s. Somebody changed what is stored of keys, or asks for too much.", n, last.UTC().Format(time.RFC3339)),
			"signet audit list has them as key.alarm; docs/operations.md, SignetKeyAlarm")
	}
	return ok("none within seven days")
}

// recoverable looks whether each imported key is sealed to the recovery key
// too.
func (c *Case) recoverable(ctx context.Context) Finding {
	if c.Config.Keys.Recovery == "" {
		return warn("Imported keys are sealed to the escrow key alone.", "set keys.recovery")
	}
	to, err := escrow.ParseRecovery(c.Config.Keys.Recovery)
	if err != nil {
		return fails("keys.recovery is no age recipient.", "age-keygen -y recovery.txt shows it")
	}
	wraps, err := c.db.Wraps(ctx)
	if err != nil {
		return trouble(err, "")
	}
	all := 0
	for id, n := range wraps {
		if !id.Offline() {
			all += n
		}
	}
	if lacks := all - wraps[to.ID()]; lacks > 0 {
		return warn(fmt.Sprintf("Imported keys that are not sealed to the recovery key of now: %d of %d.", lacks, all),
			"signet keys recovery rotate "+c.Config.Keys.Recovery)
	}
	for id, n := range wraps {
		if id.Offline() && id != to.ID() {
			return warn(fmt.Sprintf("Imported keys that are still sealed to another recovery key: %d.", n), "signet keys recovery rotate "+c.Config.Keys.Recovery)
		}
	}
	return ok("all imported keys are sealed to the recovery key")
}
