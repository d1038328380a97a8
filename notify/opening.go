package notify

import (
	"context"
	"fmt"
	"time"

	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/subject"
)

// Untold is what a user has not been told of: that keys of his were opened.
type Untold struct {
	User     subject.UserID
	Openings []Opening // one for each device
}

// Opening is how many keys were opened for a device, from when to when.
type Opening struct {
	Device      subject.Device
	Keys        int
	First, Last time.Time
}

// Opened is an opening as a mail tells it.
type Opened struct {
	Device string    `json:"device,omitempty"` // name or model, as the device told it
	Keys   int       `json:"keys"`
	At     time.Time `json:"at"` // the last
}

// Openings is the list of what users have not been told of.
type Openings interface {
	// OpeningsUntold gives at most limit users who have not been told of an
	// opening from before first, and were queued no mail about openings after
	// mailed, with all openings that they have not been told of.
	OpeningsUntold(ctx context.Context, first, mailed time.Time, limit int) ([]Untold, error)
	// OpeningsTold takes these openings off the list and queues the mail, or
	// does nothing and tells so: when the list is another by now.
	OpeningsTold(ctx context.Context, u Untold, m Mail, e journal.Entry) (told bool, err error)
	// OpeningsForgotten takes off the list what ended before, and tells how many
	// that were: from when no mail was configured.
	OpeningsForgotten(ctx context.Context, before time.Time) (int, error)
}

const (
	// untold is how long a user may not know of an opening, unless he had a mail
	// about others within a day. Within it most are told by [Ready].
	untold        = time.Hour
	openingsApart = 24 * time.Hour
	openingsBatch = 50
	openingsKept  = 7 * 24 * time.Hour
)

// TellOpenings queues a mail to each user for whose devices keys were opened
// that nobody has told him of: one a day at most, with all that came together.
// It tells how many users that were.
func (o *Outbox) TellOpenings(ctx context.Context, list Openings) (n int, err error) {
	now := o.Now()
	if _, err := list.OpeningsForgotten(ctx, now.Add(-openingsKept)); err != nil {
		return 0, err
	}
	users, err := list.OpeningsUntold(ctx, now.Add(-untold), now.Add(-openingsApart), openingsBatch)
	if err != nil {
		return 0, err
	}
	for _, u := range users {
		m := NewMail(KeysOpened, u.User, "", Facts{}, now)
		for _, of := range u.Openings {
			m.Facts.Opened = append(m.Facts.Opened, Opened{of.Device.Called(), of.Keys, of.Last})
		}
		told, err := list.OpeningsTold(ctx, u, m, queued(journal.Worker("openings"), m))
		if err != nil {
			return n, fmt.Errorf("telling %s of openings: %w", u.User, err)
		}
		if told {
			n++
		}
	}
	return n, nil
}
