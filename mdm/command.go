package mdm

import (
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/signet-mdm/signet/internal/plist"
	"github.com/signet-mdm/signet/internal/subject"
)

// CommandState is where a command stands.
type CommandState string

// The states. NotNow leaves a command queued, with a NotBefore.
const (
	Queued       CommandState = "queued"
	Sent         CommandState = "sent" // handed out; the device may come back for it
	Acknowledged CommandState = "acknowledged"
	Failed       CommandState = "failed"
	Cancelled    CommandState = "cancelled" // the device was removed before it was done
)

// Done tells whether no report can change it any more.
func (s CommandState) Done() bool { return s != Queued && s != Sent }

// Command is one MDM command to one device.
type Command struct {
	UUID        string
	Device      subject.DeviceID
	RequestType string
	Fields      map[string]any // the command's keys besides RequestType and Payload
	Parcel      string         // whose sealed bytes become the key Payload; "": none
	Renews      bool           // that parcel renews the device's identity
	Payload     []byte         // those bytes, when the command is handed out
	State       CommandState
	NotBefore   time.Time // after NotNow: not in this series of messages, and no push before it
	Attempts    int       // how often it was handed out
	Errors      []ErrorItem
	CreatedAt   time.Time
	SentAt      time.Time // handed out last; zero: never
	DoneAt      time.Time // zero: not done
}

// ErrorItem is one element of a device's ErrorChain, the first being the
// outermost. Codes change between releases of iOS: show them, never branch
// on them.
type ErrorItem struct {
	Code        int64  `json:"code"`
	Domain      string `json:"domain"`
	Description string `json:"description"` // in English where the device told so
}

// What an ErrorItem of ours says, where the device says too little.
const (
	OwnDomain  = "signet"
	CodeFormat = 1 // CommandFormatError
)

// NewCommand makes a command that is to be queued. Fields must be fit for a
// property list.
func NewCommand(device subject.DeviceID, requestType string, fields map[string]any) Command {
	return Command{UUID: uuid.NewString(), Device: device, RequestType: requestType, Fields: fields, State: Queued}
}

// InstallProfile installs the profile that is sealed in a parcel.
func InstallProfile(device subject.DeviceID, parcel string) Command {
	c := NewCommand(device, "InstallProfile", nil)
	c.Parcel = parcel
	return c
}

// RemoveProfile removes the profile with that PayloadIdentifier.
func RemoveProfile(device subject.DeviceID, identifier string) Command {
	return NewCommand(device, "RemoveProfile", map[string]any{"Identifier": identifier})
}

// CertificateList asks which certificates our profiles brought: the only proof
// that a key arrived.
func CertificateList(device subject.DeviceID) Command {
	return NewCommand(device, "CertificateList", map[string]any{"ManagedOnly": true})
}

// ProfileList asks which of our profiles are there: the proof that one is gone.
func ProfileList(device subject.DeviceID) Command {
	return NewCommand(device, "ProfileList", map[string]any{"ManagedOnly": true})
}

// DeviceInformation asks for what [Information] holds.
func DeviceInformation(device subject.DeviceID) Command {
	return NewCommand(device, "DeviceInformation", map[string]any{
		"Queries": []string{"DeviceName", "OSVersion", "ProductName", "SerialNumber", "IMEI", "MEID", "WiFiMAC", "ServiceSubscriptions"}})
}

// ManagedApplicationList asks for the state of the apps with these bundle
// identifiers.
func ManagedApplicationList(device subject.DeviceID, bundles ...string) Command {
	return NewCommand(device, "ManagedApplicationList", map[string]any{"Identifiers": bundles})
}

// EncodeFields gives the stored form of the fields. What no property list can
// hold is ErrCommand.
func (c Command) EncodeFields() ([]byte, error) {
	fields := c.Fields
	if fields == nil {
		fields = map[string]any{}
	}
	b, err := plist.Marshal(fields)
	if err != nil {
		return nil, ErrCommand.With(fmt.Errorf("encoding %s: %w", c.RequestType, err))
	}
	return b, nil
}

// DecodeFields is the way back.
func DecodeFields(stored []byte) (map[string]any, error) {
	var fields map[string]any
	if err := plist.Unmarshal(stored, &fields, plist.Upload); err != nil {
		return nil, fmt.Errorf("reading stored command: %w", err)
	}
	return fields, nil
}

// encode writes what the device gets.
//
// Spec: Apple MDM, command protocol
func (c Command) encode() ([]byte, error) {
	body := make(map[string]any, len(c.Fields)+2)
	for k, v := range c.Fields {
		body[k] = v
	}
	body["RequestType"] = c.RequestType
	if c.Parcel != "" {
		body["Payload"] = c.Payload
	}
	b, err := plist.Marshal(map[string]any{"CommandUUID": c.UUID, "Command": body})
	if err != nil {
		return nil, fmt.Errorf("encoding command %s: %w", c.UUID, err)
	}
	return b, nil
}
