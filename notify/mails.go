package notify

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/internal/subject"
)

// Failures of the outbox.
var (
	ErrLimit = fault.New(fault.Unavailable, "mail_limit",
		"This user has had as many mails of this kind today as one day allows.", "Wait until tomorrow (UTC), or look why the earlier ones did not help: signet mail list.")
	ErrMailUnknown = fault.New(fault.NotFound, "mail_unknown",
		"There is no such mail.", "signet mail list shows them.")
	ErrMailDone = fault.New(fault.Conflict, "mail_not_kept",
		"What was in this mail is not kept any more.", "Bring about a new one; an invitation by inviting again.")
)

// PerDay is how many mails on one topic a user gets on one day (UTC).
const PerDay = 3

// Topic is what a mail is about.
type Topic string

// The topics. A user who gets none of one any more still gets the others.
const (
	Invitation      Topic = "invitation"       // set up secure mail: the link
	Enrolled        Topic = "enrolled"         // a device was enrolled in your name
	Ready           Topic = "ready"            // the certificates are on the device
	KeysOpened      Topic = "opened"           // keys were opened for your devices
	Exported        Topic = "exported"         // keys of yours were exported for recovery
	ApproverLink    Topic = "approver"         // the link to make one's own token as an approver
	ApproverAdded   Topic = "approver-added"   // another decides as well
	ApproverRemoved Topic = "approver-removed" // another decides no more
	OwnPage         Topic = "page"             // the link to one's own page, which somebody asked for
	Handed          Topic = "handed"           // a device of another MDM got your certificates
)

// Mail is one mail to a user as it is queued. What it says is made of this
// when it is sent.
type Mail struct {
	ID        string // ours; the Message-ID is made of it
	User      subject.UserID
	Device    subject.DeviceID // that it is about
	Topic     Topic
	Link      seal.Secret // single-use, a whole URL; empty: none
	Facts     Facts
	CreatedAt time.Time
}

// Facts is what a mail tells besides its link; its topic says what counts.
type Facts struct {
	Device  string    `json:"device,omitempty"`  // name or model, as the device told it; the MDM for Handed
	OS      string    `json:"os,omitempty"`      // its version of iOS
	At      time.Time `json:"at,omitzero"`       // when it happened
	Coded   bool      `json:"coded,omitempty"`   // the link asks for a code
	Expires time.Time `json:"expires,omitzero"`  // when the link is good for nothing
	History int       `json:"history,omitempty"` // certificates that read mail
	Signs   bool      `json:"signs,omitempty"`   // it can sign
	Again   bool      `json:"again,omitempty"`   // others came before
	Opened  []Opened  `json:"opened,omitempty"`
	Keys    int       `json:"keys,omitempty"`   // that were exported
	Asker   string    `json:"asker,omitempty"`  // who asked for that
	People  string    `json:"people,omitempty"` // who approved it
	Reason  string    `json:"reason,omitempty"`
}

// NewMail makes a mail with an id.
func NewMail(topic Topic, user subject.UserID, device subject.DeviceID, f Facts, now time.Time) Mail {
	return Mail{ID: uuid.Must(uuid.NewV7()).String(), User: user, Device: device, Topic: topic, Facts: f, CreatedAt: now}
}

// content is what is stored of link and facts, in a box.
type content struct {
	Link  string `json:"link,omitempty"`
	Facts Facts  `json:"facts"`
}

// Content gives link and facts as one secret, for a box.
func (m Mail) Content() (seal.Secret, error) {
	b, err := json.Marshal(content{m.Link.RevealString(), m.Facts})
	if err != nil {
		return seal.Secret{}, fmt.Errorf("encoding mail %s: %w", m.ID, err)
	}
	return seal.NewSecret(b), nil
}

// SetContent reads what Content gave.
func (m *Mail) SetContent(s seal.Secret) error {
	var c content
	if err := json.Unmarshal(s.Reveal(), &c); err != nil {
		return fmt.Errorf("decoding mail %s: %w", m.ID, err)
	}
	m.Link, m.Facts = seal.SecretString(c.Link), c.Facts
	return nil
}
