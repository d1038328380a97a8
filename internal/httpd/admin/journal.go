package admin

import (
	"context"
	"net/http"
	"time"

	"github.com/signet-mdm/signet/internal/access"
	"github.com/signet-mdm/signet/internal/directory"
	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/subject"
)

// Journal is the record of what was done.
type Journal interface {
	// Lines lists what a query asks for, newest first; never nil.
	Lines(ctx context.Context, q journal.Query) ([]journal.Line, error)
}

// Entry is one line of the journal.
type Entry struct {
	ID     string            `json:"id" doc:"Of this line, for ever"`
	At     time.Time         `json:"at" doc:"When"`
	Actor  Actor             `json:"actor" doc:"Who did it"`
	Action string            `json:"action" doc:"What was done, as noun.verb"`
	User   string            `json:"user,omitempty" doc:"Our id of the user it is about"`
	Device string            `json:"device,omitempty" doc:"Our id of the device it is about"`
	Cert   string            `json:"certSha256,omitempty" doc:"SHA-256 of the certificate it is about, hex"`
	Detail map[string]string `json:"detail,omitempty" doc:"More, by name"`
}

// Actor is who did it.
type Actor struct {
	Kind   string `json:"kind" enum:"system,admin,local,device,person" doc:"What sort of party"`
	ID     string `json:"id" doc:"Of the token, the device, the user or the worker"`
	Remote string `json:"remote,omitempty" doc:"Address it came from"`
}

func newActor(a journal.Actor) Actor { return Actor{string(a.Kind), a.ID, a.Remote} }

func newEntry(e journal.Line) Entry {
	out := Entry{ID: e.ID, At: e.At, Actor: newActor(e.Actor), Action: string(e.Action),
		User: string(e.User), Device: string(e.Device), Detail: e.Detail}
	if !e.Cert.IsZero() {
		out.Cert = e.Cert.String()
	}
	return out
}

type journalInput struct {
	Part
	User   string `query:"user" maxLength:"320" doc:"Only what is about this user"`
	Device string `query:"device" maxLength:"64" doc:"Only what is about this device; our id"`
}

func (a *API) journal() {
	register(a, operation{id: "journal", tag: "access", method: http.MethodGet, path: "/journal", summary: "List what was done, newest first",
		permission: access.AuditRead,
		faults:     []*fault.Error{directory.ErrUserUnknown, ErrCursor}}, a.listJournal)
}

func (a *API) listJournal(ctx context.Context, _ journal.Actor, in *journalInput) (*body[list[Entry]], error) {
	q := journal.Query{Device: subject.DeviceID(in.Device), Limit: in.Limit + 1}
	var err error
	if q.Before, q.ID, err = in.position(); err != nil {
		return nil, err
	}
	if q.User, err = a.userID(ctx, in.User); err != nil {
		return nil, err
	}
	lines, err := a.Journal.Lines(ctx, q)
	if err != nil {
		return nil, err
	}
	return partOf(lines, in.Limit, newEntry, func(l journal.Line) string { return place(l.At, l.ID) }), nil
}
