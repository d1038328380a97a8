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

// Deliveries knows what becomes of devices.
type Deliveries interface {
	// Status tells of each enrolled device of a user what it has and what is on
	// its way; never nil.
	Status(ctx context.Context, id subject.UserID) ([]DeviceStatus, error)
}

// Status is how far the delivery to a user is.
type Status struct {
	User    User           `json:"user" doc:"Whose devices these are"`
	Devices []DeviceStatus `json:"devices" nullable:"false" doc:"Those that are enrolled"`
}

// DeviceStatus is how far the delivery to one device is.
type DeviceStatus struct {
	ID        string       `json:"id" doc:"Our id"`
	Name      string       `json:"name" doc:"As its user calls it"`
	Model     string       `json:"model" doc:"Such as iPhone14,5"`
	OS        string       `json:"osVersion" doc:"Of iOS or iPadOS"`
	Seen      *time.Time   `json:"seen,omitempty" doc:"Last message, to the minute"`
	Installed int          `json:"installed" doc:"How many of the parcels are on the device"`
	Parcels   []ParcelLine `json:"parcels" nullable:"false" doc:"What it should have, or is to lose"`
	Hint      string       `json:"hint,omitempty" doc:"What the user can do now"`
	Notes     []string     `json:"notes" nullable:"false" doc:"What nobody can do, or is not in effect"`
}

// ParcelLine is one thing that a device should have, or is to lose.
type ParcelLine struct {
	Words  string     `json:"words" doc:"What it is, for people"`
	Kind   string     `json:"kind" doc:"roots, mail, history or outlook"`
	State  string     `json:"state" enum:"queued,sealed,sent,installed,failed,removing,removed" doc:"How far it is"`
	Reason string     `json:"reason,omitempty" doc:"Of a failure"`
	Why    string     `json:"why,omitempty" doc:"What the planner says"`
	Tries  int        `json:"tries,omitempty" doc:"How often it failed"`
	Next   *time.Time `json:"nextTry,omitempty" doc:"When it is tried again after that; absent when only refreshing the device does that"`
}

func (a *API) status() {
	register(a, operation{id: "status", tag: "devices", method: http.MethodGet, path: "/users/{user}/status",
		summary: "Say how far the delivery to a user's devices is", permission: access.DeviceRead,
		faults: []*fault.Error{directory.ErrUserUnknown}}, a.showStatus)
}

func (a *API) showStatus(ctx context.Context, _ journal.Actor, in *userPath) (*body[Status], error) {
	u, err := a.Users.User(ctx, in.User)
	if err != nil {
		return nil, err
	}
	devices, err := a.Deliveries.Status(ctx, u.ID)
	return &body[Status]{Status{newUser(u), devices}}, err
}
