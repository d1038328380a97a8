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
	// Latest lists the newest entries, newest first; never nil.
	Latest(ctx context.Context, limit int) ([]journal.Entry, error)
	// OfUser lists the newest entries about a user.
	OfUser(ctx context.Context, id subject.UserID, limit int) ([]journal.Entry, error)
	// OfDevice lists the newest entries about a device.
	OfDevice(ctx context.Context, id subject.DeviceID, limit int) ([]journal.Entry, error)
}

// Entry is one line of the journal.
type Entry struct {
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

func newEntry(e journal.Entry) Entry {
	out := Entry{At: e.At, Actor: Actor{string(e.Actor.Kind), e.Actor.ID, e.Actor.Remote}, Action: string(e.Action),
		User: string(e.User), Device: string(e.Device), Detail: e.Detail}
	if !e.Cert.IsZero() {
		out.Cert = e.Cert.String()
	}
	return out
}

type journalInput struct {
	Limit  int    `query:"limit" default:"50" minimum:"1" maximum:"500" doc:"How many at most"`
	User   string `query:"user" maxLength:"320" doc:"Only what is about this user"`
	Device string `query:"device" maxLength:"64" doc:"Only what is about this device; our id"`
}

func (a *API) journal() {
	register(a, operation{id: "journal", tag: "access", method: http.MethodGet, path: "/journal", summary: "List what was done, newest first",
		permission: access.AuditRead,
		faults:     []*fault.Error{directory.ErrUserUnknown}}, a.listJournal)
}

func (a *API) listJournal(ctx context.Context, _ journal.Actor, in *journalInput) (*body[list[Entry]], error) {
	entries, err := a.entries(ctx, in)
	if err != nil {
		return nil, err
	}
	return listOf(entries, newEntry), nil
}

func (a *API) entries(ctx context.Context, in *journalInput) ([]journal.Entry, error) {
	switch {
	case in.Device != "":
		return a.Journal.OfDevice(ctx, subject.DeviceID(in.Device), in.Limit)
	case in.User != "":
		u, err := a.Users.User(ctx, in.User)
		if err != nil {
			return nil, err
		}
		return a.Journal.OfUser(ctx, u.ID, in.Limit)
	}
	return a.Journal.Latest(ctx, in.Limit)
}
