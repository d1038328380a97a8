package mdm_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/mdm"
)

// Two devices say anything in any order, also of each other's commands. A command
// never goes backwards, nobody moves another's, no device changes its UDID, and
// in the end everything that was queued gets done.
func TestAnyConversation(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 7))
			w := newWorld(t)
			talk := conversation{w: w, r: r, last: map[string]mdm.Command{},
				phones: []*iphone{w.enrolled(w.user("alice@example.com"), "U-1"), w.enrolled(w.user("bob@example.com"), "U-2")}}
			for range 60 {
				talk.step()
				talk.look()
			}
			w.now = w.now.Add(2 * time.Hour)
			for _, p := range talk.phones {
				if _, last := p.series(nil); last == "NotNow" {
					t.Error("the last series does not end")
				}
				if d := p.stored(); d.Open != 0 || d.State != mdm.Enrolled {
					t.Errorf("in the end %d commands are open, and the device is %s", d.Open, d.State)
				}
			}
			talk.who = both
			talk.look()
		})
	}
}

type conversation struct {
	w      *world
	r      *rand.Rand
	phones []*iphone
	uuids  []string
	last   map[string]mdm.Command
	who    int // who spoke last
}

const both = -1

// step lets one device say one thing, or an administrator ask something.
func (c *conversation) step() {
	c.who = c.r.IntN(len(c.phones))
	p := c.phones[c.who]
	statuses := []string{"Idle", "Acknowledged", "Error", "NotNow", "CommandFormatError"}
	switch n := c.r.IntN(20); {
	case n < 4:
		for _, q := range p.queue("CertificateList", "InstallApplication")[:1+c.r.IntN(2)] {
			c.uuids = append(c.uuids, q.UUID)
		}
	case n < 14:
		uuid := "0B1C6B0E-5B0A-4B67-9C55-0D1B3F4E0001"
		if len(c.uuids) > 0 {
			uuid = c.uuids[c.r.IntN(len(c.uuids))]
		}
		_, err := p.says(statuses[c.r.IntN(len(statuses))], uuid, nil)
		c.fine(err)
	case n < 16:
		c.fine(p.checkIn("Authenticate", nil))
	case n < 18:
		c.fine(p.checkIn("TokenUpdate", tokens))
	case n == 18:
		p.id = c.w.identity(p.id.Holder.User, p.id.Holder.Device)
		c.fine(p.checkIn("Authenticate", nil))
	default:
		c.w.now = c.w.now.Add(time.Duration(c.r.IntN(90)) * time.Second)
	}
}

// fine allows only the refusal of what is another's.
func (c *conversation) fine(err error) {
	if err != nil && fault.Code(err) != mdm.ErrCommandForeign.Code {
		c.w.t.Fatalf("got %v", err)
	}
}

// look compares with what was before.
func (c *conversation) look() {
	c.w.t.Helper()
	for i, p := range c.phones {
		d := p.stored()
		if d.UDID != p.udid || d.Identity != p.id.Fingerprint {
			c.w.t.Fatalf("the device became %s", d.UDID)
		}
		for _, now := range d.Commands {
			was, known := c.last[now.UUID]
			switch {
			case known && was.State.Done() && (now.State != was.State || !now.DoneAt.Equal(was.DoneAt)):
				c.w.t.Fatalf("%s went from %s to %s", now.RequestType, was.State, now.State)
			case known && c.who != both && i != c.who && now.State != was.State:
				c.w.t.Fatalf("another device made %s %s", now.RequestType, now.State)
			case known && now.Attempts < was.Attempts:
				c.w.t.Fatalf("%s was handed out less often", now.RequestType)
			}
			c.last[now.UUID] = now
		}
	}
}
