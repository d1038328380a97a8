package main

import (
	"context"
	"crypto"
	"errors"
	"time"

	"github.com/signet-mdm/signet/internal/access"
	"github.com/signet-mdm/signet/internal/config"
	"github.com/signet-mdm/signet/internal/httpd/admin"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/keyring"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/mdm"
	"github.com/signet-mdm/signet/notify"
	"github.com/signet-mdm/signet/pfxconnector/gateway"
)

// gatewayKey seals what people agreed to about other MDMs. Only the keeper has it.
const gatewayKey = "connectors"

// wireGateway makes what serves other MDMs. Where the keeper is elsewhere, it is
// asked over the same way as for certificates.
func (s *server) wireGateway() {
	var keeper gateway.Handler
	if s.cfg.Plays(config.KeeperRole) {
		s.handing = gateway.NewKeeper(s.gate, gateway.KeeperConfig{Ledger: s.db.Gateway(), Records: s.db.PFX(), Opener: s.opener,
			Consents: consented{s}, Teller: handed{s}, Identifier: mdm.Prefix(s.cfg.Base()), Organization: s.cfg.Organization, Log: s.log, Now: time.Now})
		keeper = s.handing
	} else {
		keeper = s.keeper.(gateway.Handler) // the way to it
	}
	s.gateway = gateway.New(gateway.Config{Store: s.db.Gateway(), Records: s.db.PFX(), Users: s.directory, Keeper: keeper, Log: s.log, Now: time.Now})
}

// connectors asks people about what is registered.
type connectors struct {
	*server
	*gateway.Service
}

var _ admin.Connectors = connectors{}

// Register implements [admin.ConnectorRegister].
func (s connectors) Register(ctx context.Context, by access.Caller, t gateway.Terms) (gateway.Connector, seal.Secret, error) {
	return s.gateway.Register(ctx, by.Actor, t, func(ctx context.Context, request, sentence string) (string, error) {
		c, err := s.consents.Ask(ctx, by, access.Ask{Kind: gateway.ConsentKind, Request: request, Sentence: sentence})
		return c.ID, err
	})
}

// consented is what the keeper believes of what people agreed to.
type consented struct{ *server }

// Agreed implements [gateway.Consents].
func (s consented) Agreed(ctx context.Context, kind, id string) (string, seal.Hash, bool, error) {
	c, err := s.consents.Agreed(ctx, kind, id)
	if errors.Is(err, access.ErrConsentOver) || errors.Is(err, access.ErrConsentUnknown) {
		return "", seal.Hash{}, false, nil
	}
	return c.Request, c.Digest(), err == nil, err
}

// newGate makes the keeper's gate.
func (s *server) newGate() *gateway.Gate {
	return gateway.NewGate(s.db.Gateway(), s.directory, gateKey{s.ring}, time.Now)
}

// gateKey has the key in the ring. It is made with the first approval.
type gateKey struct{ ring *keyring.Ring }

// Key implements [gateway.Key].
func (k gateKey) Key(create bool) (crypto.Signer, error) {
	key, err := k.ring.Signer(gatewayKey)
	if !create || !errors.Is(err, keyring.ErrKeyUnknown) {
		return key, err
	}
	if key, err = p256(); err != nil {
		return nil, err
	}
	if err := k.ring.Add(gatewayKey, key, nil); !errors.Is(err, keyring.ErrKeyExists) {
		return key, err
	}
	return k.ring.Signer(gatewayKey) // another keeper was faster
}

// handed tells people by mail, where mail is configured.
type handed struct{ *server }

// Handed implements [gateway.Teller]. Who has had as many mails on it as one day
// allows knows by now.
func (s handed) Handed(ctx context.Context, user subject.UserID, device subject.DeviceID, name string, certificates int, at time.Time) error {
	if s.outbox == nil {
		return nil
	}
	m := notify.NewMail(notify.Handed, user, device, notify.Facts{Device: name, History: certificates, At: at}, at)
	if err := s.outbox.Queue(ctx, journal.Worker("connector"), m); !errors.Is(err, notify.ErrLimit) {
		return err
	}
	return nil
}
