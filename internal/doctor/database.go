package doctor

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/signet-mdm/signet/internal/audit"
	"github.com/signet-mdm/signet/internal/cert"
)

func (c *Case) connect(ctx context.Context) Finding {
	db, err := c.Database(ctx)
	if err != nil {
		try := "ls -l " + c.Config.Data
		if c.Config.Database.DSNFile != "" {
			try = "systemctl status mariadb, ls -l " + c.Config.Database.DSNFile
		}
		return trouble(err, try)
	}
	c.db = db
	return ok("it answers")
}

func (c *Case) schema(ctx context.Context) Finding {
	have, want, err := c.db.Schema(ctx)
	switch {
	case err != nil:
		return trouble(err, "restore the database from the backup")
	case have > want:
		return fails(fmt.Sprintf("It is at schema %d, which a newer Signet made; this program knows %d.", have, want), "signet version")
	case have < want:
		return warn(fmt.Sprintf("It is at schema %d; this program brings %d when it serves.", have, want), "signet backup, then start the server")
	}
	return ok(fmt.Sprintf("schema %d", have))
}

// owner asks whether the records belong to these keys.
func (c *Case) owner(ctx context.Context) Finding {
	if have, want, err := c.db.Schema(ctx); err != nil || have < want {
		return warn("Not looked at: the schema is not this program's.", "")
	}
	owner, err := c.db.Owner(ctx)
	if err != nil {
		return trouble(err, "")
	}
	own, err := c.ring.Certificates(c.Root)
	switch {
	case len(c.Uncertified(c.ring)) > 0:
		return ok("it is nobody's until there is a root")
	case err != nil:
		return trouble(err, "")
	case owner.IsZero():
		return warn("It is nobody's yet; the server takes it when it starts.", "systemctl start signet")
	case owner != cert.FingerprintOf(own[0].Raw):
		return fails("It holds another Signet than these keys belong to.", "put keys and database of the same backup together")
	}
	return ok("it belongs to these keys")
}

// Bounds of what is quick enough.
const (
	probes  = 5
	slow    = 20 * time.Millisecond // SQLite takes 0.1, a database next door 1
	tooSlow = 250 * time.Millisecond
)

// latency asks a question with a short answer several times and judges the
// middle one.
func (c *Case) latency(ctx context.Context) Finding {
	took := make([]time.Duration, probes)
	for i := range took {
		start := c.Now()
		if _, err := c.db.Newest(ctx); err != nil {
			return trouble(err, "")
		}
		took[i] = c.Now().Sub(start)
	}
	slices.Sort(took)
	middle := took[probes/2].Round(10 * time.Microsecond)
	const try = "put the database nearer, or look at what else the machine does: uptime, iostat 1"
	switch {
	case middle > tooSlow:
		return fails(fmt.Sprintf("A question takes %v.", middle), try)
	case middle > slow:
		return warn(fmt.Sprintf("A question takes %v.", middle), try)
	}
	return ok(fmt.Sprintf("%v for a question", middle))
}

func (c *Case) integrity(ctx context.Context) Finding {
	damage, err := c.db.Damage(ctx)
	switch {
	case ctx.Err() != nil:
		return warn("It is too large to be looked through in a moment.", "sqlite3 "+c.Config.In("signet.db")+" 'PRAGMA integrity_check'")
	case err != nil:
		return trouble(err, "restore the database from the backup")
	case damage != "":
		return fails("It is damaged: "+damage, "stop the server and restore the database from the backup")
	}
	return ok("nothing is damaged")
}

// chain looks whether the journal is chained, and whether the newest block is as
// it was made; all blocks are for who has the time.
func (c *Case) chain(ctx context.Context) Finding {
	if have, want, err := c.db.Schema(ctx); err != nil || have < want {
		return warn("Not looked at: the schema is not this program's.", "")
	}
	s, err := c.db.Chain(ctx, c.ring.ColumnRoot(), c.Now())
	switch {
	case err != nil:
		return trouble(err, "")
	case s.Broken != nil:
		return fails("Somebody changed the journal. "+s.Broken.Cause, "signet audit verify; docs/operations.md, The audit chain")
	case !s.Oldest.IsZero() && c.Now().Sub(s.Oldest) > audit.Stalled && !c.Running():
		return warn("The journal has entries that are not chained, and no server runs.", "systemctl start signet")
	case !s.Oldest.IsZero() && c.Now().Sub(s.Oldest) > audit.Stalled:
		return warn(fmt.Sprintf("The journal has an entry of %s that is not chained.", s.Oldest.Format(time.RFC3339)),
			"journalctl -u signet --grep 'background work failed', on the keeper; its step is audit")
	case s.Last.Seq == 0:
		return ok("nothing is chained yet")
	}
	return ok(fmt.Sprintf("%d blocks, the last of %s; signet audit verify looks at all", s.Last.Seq, s.Last.Time().Format(time.RFC3339)))
}

// maxBackup is how old the last backup may be.
const maxBackup = 8 * 24 * time.Hour

// backup asks when the last one was begun, whatever became of the file.
func (c *Case) backup(ctx context.Context) Finding {
	const try = "signet backup DIR, every night; docs/backup.md"
	last, err := c.db.LastBackup(ctx)
	age := c.Now().Sub(last)
	switch {
	case err != nil:
		return trouble(err, "")
	case last.IsZero():
		return warn("No backup was ever made.", try)
	case age > maxBackup:
		return warn(fmt.Sprintf("The last backup is %d days old.", int(age/(24*time.Hour))), try)
	}
	return ok("the last one was made " + last.UTC().Format(time.RFC3339))
}

// Bounds of how far clocks may differ.
const maxSkew = 5 * time.Minute

func (c *Case) clock(ctx context.Context) Finding {
	newest, err := c.db.Newest(ctx)
	if err != nil {
		return trouble(err, "")
	}
	if ahead := newest.Sub(c.Now()); ahead > maxSkew {
		return fails(fmt.Sprintf("The journal has an entry from %v in the future: this clock is behind, or was ahead.", ahead.Round(time.Second)), "timedatectl")
	}
	return ok(c.Now().UTC().Format(time.RFC3339))
}

// Bounds of what waits.
const (
	maxWait   = 10 * time.Minute
	manyFails = 5
)

func (c *Case) deliveries(ctx context.Context) Finding {
	f, err := c.db.Figures(ctx)
	if err != nil {
		return trouble(err, "")
	}
	if !f.ParcelWaits.IsZero() && c.Now().Sub(f.ParcelWaits) > maxWait {
		return warn(fmt.Sprintf("%d deliveries wait for their seal, the first for %v.", f.Parcels["queued"], c.Now().Sub(f.ParcelWaits).Round(time.Second)),
			"journalctl -u signet --grep 'background work failed'")
	}
	if n := f.Parcels["failed"]; n >= manyFails {
		return warn(fmt.Sprintf("%d deliveries have failed.", n), "signet device list, then signet device show of one of them")
	}
	return ok(fmt.Sprintf("%d queued, %d failed", f.Parcels["queued"], f.Parcels["failed"]))
}

func (c *Case) planning(ctx context.Context) Finding {
	f, err := c.db.Figures(ctx)
	if err != nil {
		return trouble(err, "")
	}
	if f.DevicesDue > 0 && !c.Running() {
		return warn(fmt.Sprintf("%d devices wait for their plan, and no server runs.", f.DevicesDue), "systemctl start signet")
	}
	return ok(fmt.Sprintf("%d devices to plan, %d commands not fetched yet", f.DevicesDue, f.Commands["queued"]))
}
