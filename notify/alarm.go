package notify

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/signet-mdm/signet/internal/journal"
)

// AlarmBook is the journal, as far as alarms go.
type AlarmBook interface {
	// Alarms lists those raised after since and not after until, oldest first.
	Alarms(ctx context.Context, since, until time.Time, limit int) ([]journal.Entry, error)
	// AlarmsTold gives when the last [journal.AlarmTold] was, zero for never.
	AlarmsTold(ctx context.Context) (time.Time, error)
	// Record writes an entry.
	Record(ctx context.Context, e journal.Entry) error
}

const (
	alarmsShown = 20                 // in one mail
	alarmsApart = time.Hour          // between two mails
	alarmsKept  = 7 * 24 * time.Hour // how old one may be that is told
	// alarmsLate is how long after it was raised an alarm is in the journal for
	// all to see, at the latest.
	alarmsLate = 2 * time.Minute
)

// Alarmer tells those who run the server of alarms.
type Alarmer struct {
	Book   AlarmBook
	Outbox *Outbox
	To     string // an address
}

// alarm is one as it is told. Nothing in it comes from outside.
type alarm struct {
	At                       time.Time
	Code, User, Device, Cert string
}

// Step sends one mail about the alarms of which none was sent yet, an hour after
// the last at the earliest, and tells how many they were. It is sent again when
// it cannot be noted that it was.
func (a *Alarmer) Step(ctx context.Context) (int, error) {
	now := a.Outbox.Now()
	told, err := a.Book.AlarmsTold(ctx)
	if err != nil || now.Sub(told) < alarmsApart {
		return 0, err
	}
	since, until := now.Add(-alarmsKept), now.Add(-alarmsLate)
	if from := told.Add(-alarmsLate); from.After(since) {
		since = from
	}
	list, err := a.Book.Alarms(ctx, since, until, alarmsShown+1)
	if err != nil || len(list) == 0 {
		return 0, err
	}
	p := page{Topic: alarmTopic, More: len(list) > alarmsShown}
	for _, e := range list[:min(len(list), alarmsShown)] {
		p.Alarms = append(p.Alarms, alarm{e.At, e.Detail["code"], string(e.User), string(e.Device), shownCert(e)})
	}
	if err := a.Outbox.now(ctx, p, a.To); err != nil {
		return 0, fmt.Errorf("telling of alarms: %w", err)
	}
	return len(p.Alarms), a.Book.Record(ctx, journal.Entry{At: now, Actor: journal.Worker("mail"), Action: journal.AlarmTold,
		Detail: map[string]string{"alarms": strconv.Itoa(len(p.Alarms))}})
}

func shownCert(e journal.Entry) string {
	if e.Cert.IsZero() {
		return ""
	}
	return e.Cert.String()
}

// now sends a mail that is not queued.
func (o *Outbox) now(ctx context.Context, p page, address string) error {
	now := o.Now()
	l, err := o.write(p, address, NewMail(p.Topic, "", "", Facts{}, now).ID, now)
	if err != nil {
		return err
	}
	s, err := o.Server.Dial(ctx)
	if err != nil {
		return errors.New("the mail server cannot be used: " + tidy(err))
	}
	defer s.Close()
	if _, err = s.Send(ctx, l); err != nil {
		return errors.New("the mail server does not take it: " + tidy(err))
	}
	return nil
}
