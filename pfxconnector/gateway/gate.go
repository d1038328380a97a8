package gateway

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/subject"
)

// Registrations finds a registration and its revocation lists.
type Registrations interface {
	// Connector gives the one with that id or name. ErrUnknown.
	Connector(ctx context.Context, key string) (Connector, error)
	CRLs
}

// Users finds people.
type Users interface {
	// User gives the user with that id, address or UPN; a fault of kind
	// NotFound when there is none.
	User(ctx context.Context, key string) (subject.User, error)
}

// Key signs what was approved. It is the keeper's alone.
type Key interface {
	// Key gives it. Create makes it when there is none yet; else that is a
	// fault of kind NotFound.
	Key(create bool) (crypto.Signer, error)
}

// Gate proves whose device it is that another MDM speaks for. It is the
// keeper's, and believes the database only what people approved.
type Gate struct {
	store Registrations
	users Users
	key   Key
	now   func() time.Time
}

// NewGate makes the gate.
func NewGate(store Registrations, users Users, key Key, now func() time.Time) *Gate {
	if store == nil || users == nil || key == nil || now == nil {
		panic("gateway: nil dependency")
	}
	return &Gate{store, users, key, now}
}

// Admit proves a device of a connector by its certificate and those above it,
// and gives what to seal to, whose device it is, and which of his certificates
// may go there. What the caller says counts for nothing else.
func (g *Gate) Admit(ctx context.Context, connector string, chain [][]byte) (*x509.Certificate, cert.Holder, func(*x509.Certificate) bool, error) {
	c, err := g.approved(ctx, connector)
	if err != nil {
		return nil, cert.Holder{}, nil, err
	}
	leaf, user, names, err := g.admit(ctx, c, chain)
	if err != nil {
		return nil, cert.Holder{}, nil, err
	}
	return leaf, cert.Holder{User: user.ID, Device: deviceID(c, leaf)}, c.may(names), nil
}

func (g *Gate) admit(ctx context.Context, c Connector, chain [][]byte) (*x509.Certificate, subject.User, []string, error) {
	now := g.now()
	leaf, chains, err := c.proven(chain, now)
	if err != nil {
		return nil, subject.User{}, nil, err
	}
	if err := c.inForce(ctx, g.store, chains, now); err != nil {
		return nil, subject.User{}, nil, err
	}
	names, err := c.named(leaf)
	if err != nil {
		return nil, subject.User{}, nil, err
	}
	u, err := g.user(ctx, c, names)
	return leaf, u, names, err
}

// user finds the one user whom the names mean.
func (g *Gate) user(ctx context.Context, c Connector, names []string) (subject.User, error) {
	var found subject.User
	for _, n := range names {
		u, err := g.users.User(ctx, n)
		if f := fault.Of(err); f != nil && f.Kind == fault.NotFound || err == nil && !c.means(n, u) {
			continue
		}
		if err != nil {
			return found, fmt.Errorf("looking for the device's user: %w", err)
		}
		if found.ID != "" && found.ID != u.ID {
			return found, ErrDeviceUser
		}
		found = u
	}
	if found.ID == "" || found.Disabled {
		return found, ErrDeviceUser
	}
	return found, nil
}

// deviceSpace is where the ids of other MDMs' devices come from.
var deviceSpace = uuid.MustParse("6d0c4c6b-58a9-5f0e-9a0c-4f3e5a0d0b42")

// deviceID is by what a device is known to the journal and its limits.
func deviceID(c Connector, leaf *x509.Certificate) subject.DeviceID {
	f := cert.FingerprintOf(leaf.Raw)
	return subject.DeviceID(uuid.NewSHA1(deviceSpace, append([]byte(c.ID), f[:]...)).String())
}

// approved gives a connector that is what people approved, and in force.
func (g *Gate) approved(ctx context.Context, id string) (Connector, error) {
	c, err := g.store.Connector(ctx, id)
	if err != nil {
		return c, err
	}
	switch c.StateAt(g.now()) {
	case Waiting:
		return c, ErrWaiting
	case Revoked, Expired:
		return c, ErrRevoked
	}
	key, err := g.key.Key(false)
	if err != nil {
		return c, ErrAltered.With(err)
	}
	digest := c.Digest()
	if pub, is := key.Public().(*ecdsa.PublicKey); !is || !ecdsa.VerifyASN1(pub, digest[:], c.Seal) {
		return c, ErrAltered.With(errors.New("the keeper's signature does not fit"))
	}
	return c, nil
}

// sign seals what was approved.
func (g *Gate) sign(c Connector) ([]byte, error) {
	key, err := g.key.Key(true)
	if err != nil {
		return nil, fmt.Errorf("opening the key that seals registrations: %w", err)
	}
	digest := c.Digest()
	sealed, err := key.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil {
		return nil, fmt.Errorf("sealing a registration: %w", err)
	}
	return sealed, nil
}

// asked names a request, so that the same one is answered alike.
func asked(a Ask, c Connector, leaf *x509.Certificate, wanted []cert.Fingerprint) cert.Fingerprint {
	h := sha256.New()
	f := cert.FingerprintOf(leaf.Raw)
	fmt.Fprintf(h, "%s %s %s %d", c.ID, f, a.Form, a.IOS)
	for _, w := range wanted {
		h.Write(w[:])
	}
	return cert.Fingerprint(h.Sum(nil))
}
