package gateway

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/logx"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/mdm/profile"
)

// How long a sealed answer is kept, and what a user's devices may get within an
// hour, whichever MDM they have.
const (
	kept    = 24 * time.Hour
	perUser = 600 // keys
)

// Delivery is what another MDM gets for a device.
type Delivery struct {
	ID       string
	User     subject.User
	Device   subject.DeviceID
	Again    bool // it was made before; nothing was opened
	Revision string
	Listed   []Listed
	Content
}

// Content is what is sealed to the device.
type Content struct {
	Identifier string `json:"identifier,omitempty"` // of the profile
	Profile    []byte `json:"profile,omitempty"`
	Files      []File `json:"files,omitempty"`
}

// File is a PKCS#12 file with its password, each encrypted to the device.
type File struct {
	Certificate cert.Fingerprint `json:"certificate"`
	PKCS12      []byte           `json:"pkcs12"`
	Password    []byte           `json:"password"`
}

// Begun is a delivery for which keys are about to be opened.
type Begun struct {
	ID        string
	Connector string
	User      subject.UserID
	Device    subject.DeviceID
	Request   cert.Fingerprint // names what was asked
	Keys      int
	At        time.Time
}

// Limits bounds the keys of an hour.
type Limits struct {
	Connector, User int
}

// Ledger keeps registrations and deliveries for the keeper.
type Ledger interface {
	Registrations
	// ConnectorRevoked ends one at e.At. ErrOver when it was ended before.
	ConnectorRevoked(ctx context.Context, id string, e journal.Entry) error
	// ConnectorsWaiting lists those that have no seal and are not ended.
	ConnectorsWaiting(ctx context.Context) ([]Connector, error)
	// ConnectorSealed stores the seal of one, and uses up the consent with that
	// digest. ErrOver when it does not wait any more; what the consent's verb
	// says when it is not agreed to at e.At.
	ConnectorSealed(ctx context.Context, c Connector, consent seal.Hash, e journal.Entry) error
	// DeliveryMadeFor gives what was made for the same request and is kept at
	// that time; false for nothing.
	DeliveryMadeFor(ctx context.Context, request cert.Fingerprint, at time.Time) (id string, content []byte, found bool, err error)
	// DeliveryBegun writes down that keys are about to be opened. ErrLimit, and
	// nothing is stored, when they would be more within an hour than l allows.
	DeliveryBegun(ctx context.Context, b Begun, l Limits, e journal.Entry) error
	// DeliveryMade keeps what came of it until then.
	DeliveryMade(ctx context.Context, id string, content []byte, until time.Time, e journal.Entry) error
	// Record stores an entry that has no other effect.
	Record(ctx context.Context, e journal.Entry) error
	// DeliveriesForgotten forgets contents that are kept no longer at that
	// time, and deliveries that began before drop, and tells how many.
	DeliveriesForgotten(ctx context.Context, now, drop time.Time) (int, error)
}

// Opener opens keys, and seals them to the device that the gate lets in.
type Opener interface {
	// Ready tells whether keys can be opened now, and why not.
	Ready(ctx context.Context) error
	// SealTo fills the identities into frame, encrypts it to the device and
	// signs it.
	SealTo(ctx context.Context, connector string, chain [][]byte, frame profile.Profile, iosMajor int) ([]byte, error)
	// PackTo gives a PKCS#12 file and its password for each of the
	// certificates, each encrypted to the device.
	PackTo(ctx context.Context, connector string, chain [][]byte, wanted []cert.Fingerprint, iosMajor int) (files, passwords [][]byte, err error)
}

// Records finds certificates whose keys are in escrow.
type Records interface {
	// Imported lists a user's, newest first.
	Imported(ctx context.Context, id subject.UserID) ([]cert.Record, error)
}

// Consents knows what people agreed to.
type Consents interface {
	// Agreed gives exactly what was asked for, the digest by which the consent is
	// used up, and whether enough people agree to it now.
	Agreed(ctx context.Context, kind, id string) (request string, digest seal.Hash, agreed bool, err error)
}

// Teller tells people what was done in their name.
type Teller interface {
	// Handed tells a user that a device of an MDM gets so many certificates.
	Handed(ctx context.Context, user subject.UserID, device subject.DeviceID, mdm string, certificates int, at time.Time) error
}

// KeeperConfig is what a keeper needs; all but Organization.
type KeeperConfig struct {
	Ledger       Ledger
	Records      Records
	Opener       Opener
	Consents     Consents
	Teller       Teller
	Identifier   string // what identifiers of our profiles begin with
	Organization string
	Log          *slog.Logger
	Now          func() time.Time
}

// Keeper decides what is handed over. It implements [Handler].
type Keeper struct {
	*Gate
	KeeperConfig
}

// NewKeeper makes the keeper's side.
func NewKeeper(g *Gate, c KeeperConfig) *Keeper {
	if g == nil || c.Ledger == nil || c.Records == nil || c.Opener == nil || c.Consents == nil || c.Teller == nil || c.Identifier == "" || c.Log == nil || c.Now == nil {
		panic("gateway: nil dependency")
	}
	return &Keeper{g, c}
}

// Deliver implements [Handler].
func (k *Keeper) Deliver(ctx context.Context, a Ask) (Delivery, error) {
	d, err := k.deliver(ctx, a)
	if err != nil {
		k.refused(ctx, a, err)
	}
	return d, err
}

// refused writes down what was denied: somebody tried, or somebody changed the
// database.
func (k *Keeper) refused(ctx context.Context, a Ask, err error) {
	f := fault.Of(err)
	if f == nil || f.Kind != fault.Denied {
		return
	}
	level, action := slog.LevelWarn, journal.ConnectorRefused
	if f.Code == ErrAltered.Code {
		level, action = slog.LevelError, journal.KeyAlarm
	}
	k.Log.Log(ctx, level, "nothing handed over", logx.Connector, a.Connector, logx.Code, f.Code, logx.Err, err)
	e := journal.Entry{At: k.Now(), Actor: actor(a), Action: action, Detail: map[string]string{"connector": a.Connector, "code": f.Code}}
	if err := k.Ledger.Record(context.WithoutCancel(ctx), e); err != nil {
		k.Log.ErrorContext(ctx, "refusal not in the journal", logx.Connector, a.Connector, logx.Err, err)
	}
}

func actor(a Ask) journal.Actor {
	return journal.Actor{Kind: journal.Connector, ID: a.Connector, Remote: a.Remote}
}

func (k *Keeper) deliver(ctx context.Context, a Ask) (Delivery, error) {
	c, err := k.approved(ctx, a.Connector)
	if err != nil {
		return Delivery{}, err
	}
	if !slices.Contains(c.Forms, a.Form) {
		return Delivery{}, ErrForm
	}
	leaf, user, names, err := k.admit(ctx, c, a.Chain)
	if err != nil {
		return Delivery{}, err
	}
	if said, err := k.users.User(ctx, a.User); err != nil || said.ID != user.ID {
		return Delivery{}, ErrDeviceUser.With(err)
	}
	records, err := k.Records.Imported(ctx, user.ID)
	if err != nil {
		return Delivery{}, fmt.Errorf("listing certificates of %s: %w", user.ID, err)
	}
	d := Delivery{User: user, Device: deviceID(c, leaf), Listed: listed(records, user, k.Now(), c.may(names))}
	d.Revision = Revision(d.Listed)
	return k.hand(ctx, a, c, leaf, d)
}

// hand gives what was made for the same request, or makes it.
func (k *Keeper) hand(ctx context.Context, a Ask, c Connector, leaf *x509.Certificate, d Delivery) (Delivery, error) {
	wanted := handed(d.Listed)
	if !a.Certificate.IsZero() {
		wanted = slices.DeleteFunc(wanted, func(f cert.Fingerprint) bool { return f != a.Certificate })
	}
	if len(wanted) == 0 {
		return d, ErrNothing
	}
	now, request := k.Now(), asked(a, c, leaf, wanted)
	id, before, found, err := k.Ledger.DeliveryMadeFor(ctx, request, now)
	if err != nil {
		return d, fmt.Errorf("looking for an earlier delivery: %w", err)
	}
	if found {
		d.ID, d.Again = id, true
		return d, json.Unmarshal(before, &d.Content)
	}
	if err := k.Opener.Ready(ctx); err != nil { // what is not opened is not counted, nor told
		return d, err
	}
	made, err := uuid.NewV7()
	if err != nil {
		return d, fmt.Errorf("making delivery id: %w", err)
	}
	d.ID = made.String()
	b := Begun{ID: d.ID, Connector: c.ID, User: d.User.ID, Device: d.Device, Request: request, Keys: len(wanted), At: now}
	if err := k.Ledger.DeliveryBegun(ctx, b, Limits{c.PerHour, perUser}, k.entry(a, b, c, leaf, journal.ConnectorAsked)); err != nil {
		return d, err
	}
	if err := k.Teller.Handed(ctx, d.User.ID, d.Device, c.Name, len(wanted), now); err != nil {
		return d, fmt.Errorf("telling user %s: %w", d.User.ID, err)
	}
	if d.Content, err = k.open(ctx, a, c, wanted); err != nil {
		return d, err
	}
	text, err := json.Marshal(d.Content)
	if err != nil {
		return d, fmt.Errorf("encoding delivery %s: %w", d.ID, err)
	}
	return d, k.Ledger.DeliveryMade(ctx, d.ID, text, now.Add(kept), k.entry(a, b, c, leaf, journal.ConnectorDelivered))
}

func (k *Keeper) entry(a Ask, b Begun, c Connector, leaf *x509.Certificate, action journal.Action) journal.Entry {
	e := c.entry(b.At, actor(a), action)
	e.User, e.Device = b.User, b.Device
	e.Detail["delivery"], e.Detail["form"], e.Detail["keys"] = b.ID, string(a.Form), fmt.Sprint(b.Keys)
	e.Detail["deviceCertificate"] = cert.FingerprintOf(leaf.Raw).String()
	return e
}

// open has the keys opened and sealed to the device.
func (k *Keeper) open(ctx context.Context, a Ask, c Connector, wanted []cert.Fingerprint) (Content, error) {
	if a.Form == PKCS12 {
		files, passwords, err := k.Opener.PackTo(ctx, c.ID, a.Chain, wanted, a.IOS)
		if err != nil {
			return Content{}, err
		}
		out := Content{}
		for i, f := range wanted {
			out.Files = append(out.Files, File{f, files[i], passwords[i]})
		}
		return out, nil
	}
	frame := k.frame(a, wanted)
	sealed, err := k.Opener.SealTo(ctx, c.ID, a.Chain, frame, a.IOS)
	return Content{Identifier: frame.Identifier, Profile: sealed}, err
}

// frame lays out the profile. Its identifiers are stable, so that a device
// replaces what it has: all of it, or the profile of one certificate.
func (k *Keeper) frame(a Ask, wanted []cert.Fingerprint) profile.Profile {
	id := k.Identifier + ".connector"
	if !a.Certificate.IsZero() {
		id += "." + a.Certificate.String()
	}
	p := profile.Profile{Common: profile.Named(id, "Certificates for encrypted mail")}
	p.Organization = k.Organization
	for _, f := range wanted {
		p.Payloads = append(p.Payloads, &profile.PKCS12{Common: profile.Named(id+".pkcs12."+f.String(), "To read your mail"), Fingerprint: f})
	}
	return p
}

// Tidy forgets what is kept no longer. It tells how many it met.
func (k *Keeper) Tidy(ctx context.Context) (int, error) {
	now := k.Now()
	return k.Ledger.DeliveriesForgotten(ctx, now, now.Add(-2*kept))
}
