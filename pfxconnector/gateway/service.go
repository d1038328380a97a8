package gateway

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/logx"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/internal/subject"
)

// secretPrefix lets secret scanners know one of ours when they see it.
const secretPrefix = "signet_connector_"

// Store keeps registrations.
type Store interface {
	// ConnectorAdded stores a registration that is found by the hash of its
	// secret. ErrExists when its name is taken.
	ConnectorAdded(ctx context.Context, c Connector, secret seal.Hash, e journal.Entry) error
	// Connector gives the one with that id or name. ErrUnknown.
	Connector(ctx context.Context, key string) (Connector, error)
	// Connectors lists at most limit, newest first, those that follow the one
	// that was made at before and has that id; the newest for the zero time.
	// Empty, never nil.
	Connectors(ctx context.Context, before time.Time, id string, limit int) ([]Connector, error)
	// ConnectorOf gives the one whose secret has that hash. ErrUnknown.
	ConnectorOf(ctx context.Context, secret seal.Hash) (Connector, error)
	// SecretChanged gives a connector another secret in place of the one it has.
	SecretChanged(ctx context.Context, id string, secret seal.Hash, e journal.Entry) error
	// ConnectorRevoked ends one at e.At. ErrOver when it was ended before.
	ConnectorRevoked(ctx context.Context, id string, e journal.Entry) error
	// CRLStored keeps a list in place of the one that its issuer had.
	CRLStored(ctx context.Context, l CRL, e journal.Entry) error
	CRLs
}

// CRLs finds revocation lists.
type CRLs interface {
	// CRLsOf gives those of a connector.
	CRLsOf(ctx context.Context, connector string) ([]CRL, error)
}

// CRL is a revocation list that a connector's CA signed.
type CRL struct {
	Connector string
	Issuer    cert.Fingerprint // of the CA's certificate
	DER       []byte
	At        time.Time // when it came
}

// Ask is what another MDM asks for.
type Ask struct {
	Connector   string
	Chain       [][]byte // the device's certificate, and those above it; DER
	User        string   // address, UPN or our id
	Form        Form
	IOS         int              // major version; 0: unknown
	Certificate cert.Fingerprint // only this one; zero: all
	Remote      string
}

// Handler is the keeper, in this process or another.
type Handler interface {
	// Deliver hands over certificates. Asked again within a day, it gives the
	// same again.
	Deliver(ctx context.Context, a Ask) (Delivery, error)
}

// Config is what a service needs; all of it.
type Config struct {
	Store   Store
	Records Records
	Users   Users
	Keeper  Handler
	Log     *slog.Logger
	Now     func() time.Time
}

// Service registers other MDMs and answers them. It has no key.
type Service struct{ Config }

// New makes the service.
func New(c Config) *Service {
	if c.Store == nil || c.Records == nil || c.Users == nil || c.Keeper == nil || c.Log == nil || c.Now == nil {
		panic("gateway: nil dependency")
	}
	return &Service{c}
}

// Register stores a registration, which waits until other people have agreed,
// and gives it with its secret, which is not kept. Ask asks them for consent to
// exactly what request says, and gives the id of that.
func (s *Service) Register(ctx context.Context, by journal.Actor, t Terms, ask func(ctx context.Context, request, sentence string) (string, error)) (Connector, seal.Secret, error) {
	now := s.Now().UTC().Truncate(time.Microsecond)
	if err := t.check(now); err != nil {
		return Connector{}, seal.Secret{}, err
	}
	if _, err := s.Store.Connector(ctx, t.Name); !errors.Is(err, ErrUnknown) { // before anybody is asked
		return Connector{}, seal.Secret{}, cmp.Or(err, error(ErrExists))
	}
	id, err := uuid.NewV7()
	if err != nil {
		return Connector{}, seal.Secret{}, fmt.Errorf("making connector id: %w", err)
	}
	c := Connector{ID: id.String(), Terms: t.normal(), Created: now, By: journal.Actor{Kind: by.Kind, ID: by.ID}}
	if c.Consent, err = ask(ctx, c.Request(), c.Sentence()); err != nil {
		return Connector{}, seal.Secret{}, err
	}
	secret := newSecret()
	if err := s.Store.ConnectorAdded(ctx, c, secret.Hash(), c.entry(now, by, journal.ConnectorAdded)); err != nil {
		return Connector{}, seal.Secret{}, err
	}
	return c, secret, nil
}

func newSecret() seal.Secret { return seal.SecretString(secretPrefix + seal.Random().RevealString()) }

// entry is one about the connector.
func (c Connector) entry(at time.Time, by journal.Actor, a journal.Action) journal.Entry {
	return journal.Entry{At: at, Actor: by, Action: a, Detail: map[string]string{
		"connector": c.ID, "name": c.Name, "digest": c.Digest().String()}}
}

// Connectors lists at most limit registrations, newest first: those that follow
// the one that was made at before and has that id, or the newest for the zero
// time.
func (s *Service) Connectors(ctx context.Context, before time.Time, id string, limit int) ([]Connector, error) {
	return s.Store.Connectors(ctx, before, id, limit)
}

// Connector gives the one with that id or name. ErrUnknown.
func (s *Service) Connector(ctx context.Context, key string) (Connector, error) {
	return s.Store.Connector(ctx, key)
}

// Revoke ends a connector at once.
func (s *Service) Revoke(ctx context.Context, by journal.Actor, key string) error {
	c, err := s.Store.Connector(ctx, key)
	if err != nil {
		return err
	}
	return s.Store.ConnectorRevoked(ctx, c.ID, c.entry(s.Now(), by, journal.ConnectorRevoked))
}

// NewSecret gives a connector another secret; the one before opens nothing from
// now on. It needs no approval: a secret alone seals no key to anybody else.
func (s *Service) NewSecret(ctx context.Context, by journal.Actor, key string) (seal.Secret, error) {
	c, err := s.Store.Connector(ctx, key)
	if err != nil {
		return seal.Secret{}, err
	}
	secret := newSecret()
	return secret, s.Store.SecretChanged(ctx, c.ID, secret.Hash(), c.entry(s.Now(), by, journal.ConnectorSecret))
}

// Client gives the connector whose secret is presented from that address.
// ErrUnknown for what is none; ErrRevoked, ErrNetwork.
func (s *Service) Client(ctx context.Context, presented, remote string) (Connector, error) {
	if !strings.HasPrefix(presented, secretPrefix) {
		return Connector{}, ErrUnknown
	}
	c, err := s.Store.ConnectorOf(ctx, seal.SecretString(presented).Hash())
	if err != nil {
		return Connector{}, err
	}
	switch state := c.StateAt(s.Now()); {
	case state == Revoked || state == Expired:
		return Connector{}, ErrRevoked
	case !c.admits(remote):
		s.Log.WarnContext(ctx, "a connector is used from elsewhere", logx.Connector, c.Name, logx.Remote, remote)
		return Connector{}, ErrNetwork
	}
	return c, nil
}

// Deliver asks the keeper. [Handler].
func (s *Service) Deliver(ctx context.Context, a Ask) (Delivery, error) {
	return s.Keeper.Deliver(ctx, a)
}

// Certificates lists what the user has, and where each one stands. A device may
// get less: [Delivery] tells.
func (s *Service) Certificates(ctx context.Context, user string) (subject.User, []Listed, error) {
	u, err := s.Users.User(ctx, user)
	if err != nil {
		return u, nil, err
	}
	records, err := s.Records.Imported(ctx, u.ID)
	if err != nil {
		return u, nil, fmt.Errorf("listing certificates of %s: %w", u.ID, err)
	}
	return u, listed(records, u, s.Now(), nil), nil
}
