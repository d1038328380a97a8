package admin

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/signet-mdm/signet/internal/access"
	"github.com/signet-mdm/signet/internal/directory"
	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/mdm"
	"github.com/signet-mdm/signet/notify"
)

// Devices is the mobile device management.
type Devices interface {
	// Invite makes a device of the user and the link and code to enroll it,
	// which are not kept; the code is empty where none is needed.
	Invite(ctx context.Context, by journal.Actor, u subject.User) (inv mdm.Invitation, link, code seal.Secret, err error)
	// DevicePage lists what a query asks for, newest first; never nil.
	DevicePage(ctx context.Context, q mdm.Query) ([]mdm.Device, error)
	// Device gives one by our id, its UDID or its serial number.
	Device(ctx context.Context, key string) (mdm.Detail, error)
	// Refresh asks a device about itself and its certificates again; with renew
	// it gets other certificates.
	Refresh(ctx context.Context, by journal.Actor, id subject.DeviceID, renew bool) error
	// Remove ends the management of a device; twice is no error.
	Remove(ctx context.Context, by journal.Actor, id subject.DeviceID, many bool) error
}

// Invitation lets one device of a user enroll.
type Invitation struct {
	User    string    `json:"user" doc:"Address"`
	Device  string    `json:"device" doc:"Our id of the device to be"`
	Mailed  bool      `json:"mailed" doc:"The link goes to the user by mail, and to nobody else"`
	Link    string    `json:"link,omitempty" doc:"Good once; shown this once; not there when it was mailed"`
	Code    string    `json:"code,omitempty" doc:"Give it to the user on another way; shown this once"`
	Expires time.Time `json:"expires" doc:"Until when the link can be redeemed"`
}

// Device is an iPhone or iPad.
type Device struct {
	ID       string     `json:"id" doc:"Our id; never the UDID"`
	User     string     `json:"user" doc:"Address of its user"`
	UserID   string     `json:"userId" doc:"Our id of its user"`
	State    string     `json:"state" enum:"invited,enrolling,enrolled,removed" doc:"How far its enrollment is"`
	Name     string     `json:"name" doc:"As its user calls it"`
	Model    string     `json:"model" doc:"Such as iPhone14,5"`
	OS       string     `json:"osVersion" doc:"Of iOS or iPadOS"`
	Serial   string     `json:"serial" doc:"Serial number"`
	UDID     string     `json:"udid" doc:"Unique device identifier, empty before enrollment"`
	Created  time.Time  `json:"created" doc:"When it was invited"`
	Enrolled *time.Time `json:"enrolled,omitempty" doc:"When its enrollment was complete"`
	Seen     *time.Time `json:"seen,omitempty" doc:"Last message, to the minute"`
	Ends     *time.Time `json:"certificateExpires,omitempty" doc:"When the first of the certificates expires that it got from here and uses; they are renewed before"`
	Open     int        `json:"openCommands" doc:"How many commands are not done"`
	Pending  bool       `json:"removalPending,omitempty" doc:"It was removed and has not heard of it"`
	Error    *Command   `json:"lastError,omitempty" doc:"The last command that failed"`
}

// DeviceDetail is everything about one device.
type DeviceDetail struct {
	Device
	Parcels      []ParcelLine `json:"parcels" nullable:"false" doc:"What it should have, and how far that is, while it is enrolled"`
	Notes        []string     `json:"notes" nullable:"false" doc:"What else is to be said, such as of a certificate whose renewal is late"`
	Commands     []Command    `json:"commands" nullable:"false" doc:"Newest first, at most 100"`
	Certificates []Held       `json:"certificates" nullable:"false" doc:"That the device said it holds"`
	Identity     *time.Time   `json:"identityExpires,omitempty" doc:"When the certificate expires that it proves itself with"`
	Listed       *time.Time   `json:"certificatesListed,omitempty" doc:"When it said so"`
	Apps         []App        `json:"apps" nullable:"false" doc:"Managed apps that it told of"`
	Push         DevicePush   `json:"push" doc:"How waking it goes"`
}

// Command is one MDM command without what it carries.
type Command struct {
	UUID     string     `json:"uuid" doc:"Its id on the wire"`
	Type     string     `json:"type" doc:"Request type of the MDM protocol"`
	State    string     `json:"state" enum:"queued,sent,acknowledged,failed,cancelled" doc:"What became of it"`
	Attempts int        `json:"attempts" doc:"How often the device fetched it"`
	Errors   []string   `json:"errors" nullable:"false" doc:"What the device said, outermost first"`
	Created  time.Time  `json:"created" doc:"When it was queued"`
	Done     *time.Time `json:"done,omitempty" doc:"When the device answered"`
}

// Held is a certificate on a device.
type Held struct {
	Cert     string `json:"certSha256" doc:"SHA-256, hex"`
	Identity bool   `json:"identity" doc:"With its private key"`
}

// App is a managed app on a device.
type App struct {
	Bundle     string `json:"bundle" doc:"Bundle identifier"`
	State      string `json:"state" doc:"Apple's word, such as Managed"`
	Configured bool   `json:"configured" doc:"With a configuration of ours"`
}

func newDevice(d mdm.Device) Device {
	out := Device{ID: string(d.ID), User: d.Owner, UserID: string(d.User), State: string(d.State), Name: d.Name, Model: d.Model,
		OS: d.OSVersion, Serial: d.Serial, UDID: d.UDID, Created: d.CreatedAt, Enrolled: when(d.EnrolledAt), Seen: when(d.SeenAt), Ends: when(d.Ends), Open: d.Open,
		Pending: d.State == mdm.Removed && d.Open > 0}
	if d.LastError != nil {
		c := newCommand(*d.LastError)
		out.Error = &c
	}
	return out
}

func newDetail(d mdm.Detail) DeviceDetail {
	out := DeviceDetail{Device: newDevice(d.Device), Parcels: []ParcelLine{}, Notes: []string{}, Commands: []Command{}, Certificates: []Held{}, Listed: when(d.ListedAt), Identity: when(d.IdentityEnd), Apps: []App{}}
	for _, c := range d.Commands {
		out.Commands = append(out.Commands, newCommand(c))
	}
	for _, h := range d.Certificates {
		out.Certificates = append(out.Certificates, Held{h.Fingerprint.String(), h.Identity})
	}
	for _, app := range d.Apps {
		out.Apps = append(out.Apps, App(app))
	}
	return out
}

func newCommand(c mdm.Command) Command {
	out := Command{UUID: c.UUID, Type: c.RequestType, State: string(c.State), Attempts: c.Attempts, Errors: []string{},
		Created: c.CreatedAt, Done: when(c.DoneAt)}
	for _, e := range c.Errors {
		out.Errors = append(out.Errors, e.Description)
	}
	return out
}

// devicePath is the parameter of operations on one device.
type devicePath struct {
	Device string `path:"device" maxLength:"64" doc:"Our id, its UDID or its serial number"`
}

func (a *API) devices() {
	register(a, operation{id: "invite", once: true, tag: "devices", method: http.MethodPost, path: "/users/{user}/invitations",
		summary: "Invite a user to enroll a device", permission: access.DeviceInvite, status: http.StatusCreated,
		faults: []*fault.Error{directory.ErrUserUnknown, mdm.ErrUserDisabled, ErrSeesBoth, notify.ErrLimit}}, a.invite)
	register(a, operation{id: "listDevices", tag: "devices", method: http.MethodGet, path: "/devices", summary: "List devices",
		permission: access.DeviceRead,
		faults:     []*fault.Error{directory.ErrUserUnknown, ErrCursor}}, a.listDevices)
	register(a, operation{id: "getDevice", tag: "devices", method: http.MethodGet, path: "/devices/{device}", summary: "Show a device",
		permission: access.DeviceRead,
		faults:     []*fault.Error{mdm.ErrDeviceUnknown}}, a.getDevice)
	register(a, operation{id: "refreshDevice", tag: "devices", method: http.MethodPost, path: "/devices/{device}/refresh",
		summary: "Ask a device about itself and its certificates again", permission: access.DeviceRefresh,
		faults: []*fault.Error{mdm.ErrDeviceUnknown, mdm.ErrNotEnrolled}}, a.refreshDevice)
	register(a, operation{id: "removeDevice", tag: "devices", method: http.MethodDelete, path: "/devices/{device}",
		summary: "End the management of a device", permission: access.DeviceWrite,
		faults: []*fault.Error{mdm.ErrDeviceUnknown, mdm.ErrManyRemoved}}, a.removeDevice)
}

func (a *API) invite(ctx context.Context, by journal.Actor, in *userPath) (*body[Invitation], error) {
	if a.Mails == nil && !callOf(ctx).caller.May(access.InviteSeen) {
		return nil, ErrSeesBoth
	}
	u, err := a.Users.User(ctx, in.User)
	if err != nil {
		return nil, err
	}
	inv, link, code, err := a.Devices.Invite(ctx, by, u)
	if err != nil {
		return nil, err
	}
	out := Invitation{User: u.Mail, Device: string(inv.Device.ID), Code: code.RevealString(), Expires: inv.ExpiresAt}
	if a.Mails == nil {
		out.Link = link.RevealString()
		return &body[Invitation]{out}, nil
	}
	if err := a.Mails.Invite(ctx, by, u, inv.Device.ID, link, !code.Empty(), inv.ExpiresAt); err != nil {
		return nil, errors.Join(err, a.Devices.Remove(ctx, by, inv.Device.ID, false)) // nobody has its link
	}
	out.Mailed = true
	return &body[Invitation]{out}, nil
}

type devicesInput struct {
	Part
	User       string    `query:"user" maxLength:"320" doc:"Only those of this user"`
	State      string    `query:"state" enum:"invited,enrolling,enrolled,removed" doc:"Only those in this state"`
	SeenBefore time.Time `query:"seenBefore" doc:"Only enrolled ones that have said nothing since then"`
	EndsBefore time.Time `query:"expiresBefore" doc:"Only enrolled ones that use a certificate from here which expires before then"`
}

func (a *API) listDevices(ctx context.Context, _ journal.Actor, in *devicesInput) (*body[list[Device]], error) {
	before, id, err := in.position()
	if err != nil {
		return nil, err
	}
	q := mdm.Query{State: mdm.State(in.State), Silent: in.SeenBefore, Ending: in.EndsBefore, Before: before, ID: subject.DeviceID(id), Limit: in.Limit + 1}
	if q.User, err = a.userID(ctx, in.User); err != nil {
		return nil, err
	}
	devices, err := a.Devices.DevicePage(ctx, q)
	if err != nil {
		return nil, err
	}
	return partOf(devices, in.Limit, newDevice, func(d mdm.Device) string { return place(d.CreatedAt, string(d.ID)) }), nil
}

func (a *API) getDevice(ctx context.Context, _ journal.Actor, in *devicePath) (*body[DeviceDetail], error) {
	d, err := a.Devices.Device(ctx, in.Device)
	if err != nil {
		return nil, err
	}
	out := newDetail(d)
	push, err := a.Push.Device(ctx, d.ID)
	if err != nil {
		return nil, err
	}
	out.Push = newDevicePush(push, d.WakeAt)
	devices, err := a.Deliveries.Status(ctx, d.User)
	for _, s := range devices {
		if s.ID == out.ID {
			out.Parcels, out.Notes = s.Parcels, s.Notes
		}
	}
	return &body[DeviceDetail]{out}, err
}

func (a *API) refreshDevice(ctx context.Context, by journal.Actor, in *struct {
	Device string `path:"device" maxLength:"64" doc:"Our id, its UDID or its serial number"`
	Renew  bool   `query:"renew" doc:"Its certificates are renewed though their time has not come"`
}) (*struct{}, error) {
	d, err := a.Devices.Device(ctx, in.Device)
	if err != nil {
		return nil, err
	}
	return &struct{}{}, a.Devices.Refresh(ctx, by, d.ID, in.Renew)
}

func (a *API) removeDevice(ctx context.Context, by journal.Actor, in *struct {
	Device string `path:"device" maxLength:"64" doc:"Our id, its UDID or its serial number"`
	Many   bool   `query:"many" doc:"That many are removed within the hour is meant"`
}) (*struct{}, error) {
	d, err := a.Devices.Device(ctx, in.Device)
	if err != nil {
		return nil, err
	}
	return &struct{}{}, a.Devices.Remove(ctx, by, d.ID, in.Many)
}
