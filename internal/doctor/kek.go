package doctor

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/signet-mdm/signet/internal/keyring"
	"github.com/signet-mdm/signet/pfxconnector/escrow"
)

// Holder is a server or a token that may hold escrow keys.
type Holder struct {
	Name string
	Look func(ctx context.Context) (Holding, error)
}

// Holding is what there is to say of one.
type Holding struct {
	What   string        // in words
	Latest int           // version of its key; 0: it has none
	Loose  []string      // what can be done with its key and should not
	Ends   time.Duration // how long what signs us in lasts; 0: it does not end
	Renews bool          // whether that can be renewed
}

// soonEnds is when what signs us in and cannot be renewed is worth a word.
const soonEnds = 7 * 24 * time.Hour

// KEKChecks lists what there is to look at of the escrow keys alone: where they
// are, whether they open, and whether all can be recovered without them.
func (c *Case) KEKChecks() []Check {
	if c.Err != nil {
		return c.Checks()
	}
	list := []Check{
		{"configuration", "settings", c.settings},
		{"keys", "unlock key", c.open},
		{"escrow", "where", c.withKeys(c.where)},
	}
	for _, h := range c.Holders {
		list = append(list, Check{"escrow", h.Name, c.withKeys(func(ctx context.Context) Finding { return c.holder(ctx, h) })})
	}
	return append(list,
		Check{"escrow", "canary", c.withKeys(c.canary)},
		Check{"database", "connection", c.connect},
		Check{"escrow", "keys", c.withKeys(c.withDatabase(c.sealed))},
		Check{"escrow", "recovery", c.withDatabase(c.recoverable)})
}

// where says where each escrow key is.
func (c *Case) where(context.Context) Finding {
	list, err := c.ring.Where()
	if err != nil {
		return trouble(err, "restore the keys from the backup")
	}
	var words []string
	for _, k := range list {
		if len(k.Extra) > 0 {
			return warn("There is a copy of an escrow key that should be gone: "+strings.Join(k.Extra, ", ")+".", again(k))
		}
		if k.State == keyring.Destroyed {
			continue
		}
		at := k.Holder
		if k.Version > 0 {
			at += fmt.Sprintf(" v%d", k.Version)
		}
		words = append(words, fmt.Sprintf("%s %s in %s", short(k.ID), k.State, at))
	}
	return ok(strings.Join(words, "; "))
}

// again is the command that erases what is left over of a key.
func again(k keyring.Held) string {
	if k.State == keyring.Destroyed {
		return "signet keys escrow destroy " + string(k.ID)
	}
	return "signet keys escrow move --to " + k.Holder + " " + string(k.ID)
}

// short is enough of an id for people to tell keys apart.
func short(id escrow.KeyID) string { return string(id)[:min(len(id), len("hpke:")+12)] + "…" }

// holder looks at who holds escrow keys.
func (c *Case) holder(ctx context.Context, h Holder) Finding {
	look, err := h.Look(ctx)
	if err != nil {
		return trouble(err, "signet config check; then look at "+h.Name+" itself")
	}
	list, err := c.ring.Where()
	if err != nil {
		return trouble(err, "")
	}
	for _, k := range list {
		if k.Holder == h.Name && k.State != keyring.Destroyed && k.Version < look.Latest {
			return warn(fmt.Sprintf("The escrow key %s is under version %d of the key, the newest is %d.", short(k.ID), k.Version, look.Latest),
				"signet keys escrow move --to "+h.Name+" "+string(k.ID))
		}
	}
	switch {
	case len(look.Loose) > 0:
		return warn("The key "+strings.Join(look.Loose, ", ")+".", "forbid it where the key is")
	case look.Ends > 0 && !look.Renews && look.Ends < soonEnds:
		return warn(fmt.Sprintf("What signs us in ends in %s and cannot be renewed.", look.Ends.Round(time.Minute)), "have a new token written into its file")
	}
	return ok(look.What)
}
