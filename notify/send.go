package notify

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/logx"
)

// How long mails are ours, how many at once, and how much of the lease must be
// left to begin another: a mail may take that long.
const (
	mailLease = 10 * time.Minute
	mailBatch = 10
	longMail  = 3 * time.Minute
)

// Send sends what is due, over one connection while that holds, and tells how
// many mails it took. That a server refuses, or is away, is no error: it is
// kept with the mail, which is tried again while that may help.
func (o *Outbox) Send(ctx context.Context) (n int, err error) {
	now := o.Now()
	list, err := o.Store.MailsLeased(ctx, now, now.Add(mailLease), mailBatch)
	if err != nil {
		return 0, fmt.Errorf("leasing mails: %w", err)
	}
	line := &line{server: o.Server}
	defer line.hangUp()
	var errs []error
	for _, d := range list {
		if ctx.Err() != nil || o.Now().Add(longMail).After(d.Until) {
			break // the lease ends and it is sent then
		}
		if err := o.one(ctx, line, d); err != nil {
			errs = append(errs, fmt.Errorf("mail %s: %w", d.ID, err))
			continue
		}
		n++
	}
	return n, errors.Join(errs...)
}

// line is the connection of one batch, made when it is needed.
type line struct {
	server  Server
	session Session
	dead    error // the server could not be reached
}

func (l *line) send(ctx context.Context, letter Letter) (err error) {
	if l.session == nil && l.dead == nil {
		l.session, l.dead = l.server.Dial(ctx)
	}
	if l.dead != nil {
		return &unreachable{l.dead}
	}
	if _, err = l.session.Send(ctx, letter); err != nil && replyOf(err).ended() {
		l.hangUp()
	}
	return err
}

func (l *line) hangUp() {
	if l.session != nil {
		l.session.Close()
		l.session = nil
	}
}

// unreachable is a server that cannot be used. Whatever code it gives then is
// not about a mail.
type unreachable struct{ error }

func (u *unreachable) Unwrap() error { return u.error }

func (o *Outbox) one(ctx context.Context, l *line, d Due) error {
	letter, why := o.letter(d)
	if why != "" {
		return o.note(ctx, d, Outcome{State: Failed, Reason: why})
	}
	err := l.send(ctx, letter)
	switch {
	case err == nil:
		return o.note(ctx, d, Outcome{State: Sent})
	case ctx.Err() != nil:
		return nil // the process ends; nothing is wrong with the mail
	}
	reply := replyOf(err)
	_, away := errors.AsType[*unreachable](err)
	if away {
		o.Log.WarnContext(ctx, "the mail server cannot be used", logx.Err, tidy(err))
	}
	out := Outcome{State: Waiting, Code: reply.Code, Reason: tidy(err)}
	switch next := o.Now().Add(pause(d.Attempts + 1)); {
	case reply.permanent() && !away:
		out.State = Failed
	case next.After(d.Since.Add(giveUp)):
		out.State, out.Reason = Failed, "Tried for 48 hours in vain. At last: "+out.Reason
	default:
		out.Next = next
	}
	return o.note(ctx, d, out)
}

// note stores how it went.
func (o *Outbox) note(ctx context.Context, d Due, out Outcome) error {
	out.ID, out.At, out.Until = d.ID, o.Now(), d.Until
	e := journal.Entry{At: out.At, Actor: journal.Worker("mail"), Action: journal.MailSent, User: d.User, Device: d.Device,
		Detail: map[string]string{"mail": d.ID, "topic": string(d.Topic)}}
	if out.State == Failed {
		e.Action, e.Detail["code"] = journal.MailFailed, strconv.Itoa(out.Code)
		o.Log.WarnContext(ctx, "mail not sent", logx.Mail, d.ID, logx.Kind, string(d.Topic), logx.User, string(d.User), logx.Err, out.Reason)
	}
	stored, err := o.Store.MailTried(ctx, out, e)
	if err == nil && !stored {
		o.Log.WarnContext(ctx, "sending a mail took longer than its lease", logx.Mail, d.ID)
	}
	return err
}

// Forget forgets what was in mails that failed long ago, and mails that ended
// longer ago.
func (o *Outbox) Forget(ctx context.Context) (int, error) {
	now := o.Now()
	return o.Store.MailsForgotten(ctx, now.Add(-keepFor), now.Add(-listFor))
}
