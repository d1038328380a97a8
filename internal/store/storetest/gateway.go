package storetest

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-mdm/signet/internal/access"
	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/internal/store"
	"github.com/signet-mdm/signet/pfxconnector/gateway"
)

func connectorOf(name string) gateway.Connector {
	return gateway.Connector{ID: "id-" + name, Created: at, By: journal.Actor{Kind: journal.Admin, ID: "token"}, Consent: "consent-" + name,
		Terms: gateway.Terms{Name: name, CAs: [][]byte{{1, 2, 3}}, Naming: gateway.ByMail, Forms: []gateway.Form{gateway.Profile}, PerHour: 10, Expires: at.Add(time.Hour)}}
}

func addConnector(t *testing.T, db *store.DB, name string) gateway.Connector {
	t.Helper()
	c := connectorOf(name)
	if err := db.Gateway().ConnectorAdded(t.Context(), c, seal.SecretString(name).Hash(), entry(journal.ConnectorAdded)); err != nil {
		t.Fatal(err)
	}
	return c
}

func begun(id string, c gateway.Connector, keys int) gateway.Begun {
	return gateway.Begun{ID: id, Connector: c.ID, User: "u-1", Device: "d-1", Request: cert.Fingerprint{1}, Keys: keys, At: at}
}

func testGateway(t *testing.T, open Open) {
	limits := gateway.Limits{Connector: 10, User: 12}

	t.Run("a connector is found by id, name and secret", func(t *testing.T) {
		db := open(t)
		s := db.Gateway()
		if list, err := s.Connectors(t.Context(), time.Time{}, "", 10); err != nil || list == nil || len(list) != 0 {
			t.Fatalf("at first: got %v, %v", list, err)
		}
		a, b := addConnector(t, db, "a"), addConnector(t, db, "b")
		before := entries(t, db)
		again := connectorOf("a")
		again.ID = "another"
		if err := s.ConnectorAdded(t.Context(), again, seal.SecretString("x").Hash(), entry(journal.ConnectorAdded)); !errors.Is(err, gateway.ErrExists) || entries(t, db) != before {
			t.Errorf("the same name: got %v", err)
		}
		for key, want := range map[string]gateway.Connector{a.ID: a, "a": a, "b": b} {
			got, err := s.Connector(t.Context(), key)
			if diff := cmp.Diff(want, got); err != nil || diff != "" {
				t.Errorf("%s: %v\n%s", key, err, diff)
			}
			if want.Request() != got.Request() {
				t.Errorf("%s: what people agree to is another after it was stored", key)
			}
		}
		if got, err := s.ConnectorOf(t.Context(), seal.SecretString("b").Hash()); err != nil || got.ID != b.ID {
			t.Errorf("by secret: got %v, %v", got.ID, err)
		}
		for _, key := range []string{"", "A", "id-c"} {
			if _, err := s.Connector(t.Context(), key); !errors.Is(err, gateway.ErrUnknown) {
				t.Errorf("%q: got %v, want ErrUnknown", key, err)
			}
		}
		list, err := s.Connectors(t.Context(), time.Time{}, "", 1)
		if err != nil || len(list) != 1 || list[0].ID != b.ID {
			t.Errorf("the newest: got %v, %v", list, err)
		}
		if list, err = s.Connectors(t.Context(), at, b.ID, 10); err != nil || len(list) != 1 || list[0].ID != a.ID {
			t.Errorf("after it: got %v, %v", list, err)
		}
	})

	t.Run("another secret takes the place of the one before", func(t *testing.T) {
		db := open(t)
		c := addConnector(t, db, "a")
		if err := db.Gateway().SecretChanged(t.Context(), c.ID, seal.SecretString("new").Hash(), entry(journal.ConnectorSecret)); err != nil {
			t.Fatal(err)
		}
		if _, err := db.Gateway().ConnectorOf(t.Context(), seal.SecretString("a").Hash()); !errors.Is(err, gateway.ErrUnknown) {
			t.Errorf("the old one: got %v", err)
		}
		if err := db.Gateway().SecretChanged(t.Context(), "none", seal.SecretString("y").Hash(), entry(journal.ConnectorSecret)); !errors.Is(err, gateway.ErrUnknown) {
			t.Errorf("of none: got %v", err)
		}
	})

	t.Run("it is sealed with the consent, once, and both or neither", func(t *testing.T) {
		db := open(t)
		people := newCouncil(t, db)
		c := addConnector(t, db, "a")
		of := people.asked(c.Consent, "alice", "alice")
		c.Seal = []byte("sealed")
		sealed := func() error {
			return db.Gateway().ConnectorSealed(t.Context(), c, of.Digest(), entry(journal.ConnectorApproved))
		}
		if err := sealed(); !errors.Is(err, access.ErrConsentOver) {
			t.Errorf("nobody agreed: got %v", err)
		}
		if got, err := db.Gateway().Connector(t.Context(), c.ID); err != nil || len(got.Seal) != 0 {
			t.Errorf("it has a seal: %v, %v", got.Seal, err)
		}
		for _, name := range []string{"bob", "carol"} {
			a := access.Approval{Token: name, Person: string(people.u[name].ID), At: at, Mark: []byte{1}}
			people.must(people.ConsentApproved(t.Context(), of.ID, of.Digest(), a, entry(journal.ConsentApproved)))
		}
		if list, err := db.Gateway().ConnectorsWaiting(t.Context()); err != nil || len(list) != 1 {
			t.Errorf("waiting: got %v, %v", list, err)
		}
		people.must(sealed())
		if err := sealed(); !errors.Is(err, gateway.ErrOver) {
			t.Errorf("again: got %v", err)
		}
		if list, err := db.Gateway().ConnectorsWaiting(t.Context()); err != nil || list == nil || len(list) != 0 {
			t.Errorf("waiting: got %v, %v", list, err)
		}
		people.must(db.Gateway().ConnectorRevoked(t.Context(), c.ID, entry(journal.ConnectorRevoked)))
		got, err := db.Gateway().Connector(t.Context(), c.ID)
		if err != nil || !got.Revoked.Equal(at) || len(got.Seal) != 0 {
			t.Errorf("revoked: got %v, %v", got, err)
		}
		if err := db.Gateway().ConnectorRevoked(t.Context(), c.ID, entry(journal.ConnectorRevoked)); !errors.Is(err, gateway.ErrOver) {
			t.Errorf("revoked again: got %v", err)
		}
	})

	t.Run("the newest list of an issuer", func(t *testing.T) {
		db := open(t)
		c := addConnector(t, db, "a")
		l := gateway.CRL{Connector: c.ID, Issuer: cert.Fingerprint{7}, DER: []byte("one"), At: at}
		for _, der := range []string{"one", "two"} {
			l.DER = []byte(der)
			if err := db.Gateway().CRLStored(t.Context(), l, entry(journal.ConnectorCRL)); err != nil {
				t.Fatal(err)
			}
		}
		got, err := db.Gateway().CRLsOf(t.Context(), c.ID)
		if diff := cmp.Diff([]gateway.CRL{l}, got); err != nil || diff != "" {
			t.Errorf("%v\n%s", err, diff)
		}
	})

	t.Run("what was made is kept for a while", func(t *testing.T) {
		db := open(t)
		s, c := db.Gateway(), addConnector(t, db, "a")
		b := begun("1", c, 2)
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		must(s.DeliveryBegun(t.Context(), b, limits, entry(journal.ConnectorAsked)))
		if _, _, found, err := s.DeliveryMadeFor(t.Context(), b.Request, at); found || err != nil {
			t.Errorf("not yet: got %v, %v", found, err)
		}
		must(s.DeliveryMade(t.Context(), "1", []byte("sealed"), at.Add(time.Hour), entry(journal.ConnectorDelivered)))
		if id, content, found, err := s.DeliveryMadeFor(t.Context(), b.Request, at); !found || err != nil || id != "1" || string(content) != "sealed" {
			t.Errorf("got %s %s, %v, %v", id, content, found, err)
		}
		if _, _, found, err := s.DeliveryMadeFor(t.Context(), cert.Fingerprint{2}, at); found || err != nil {
			t.Errorf("another request: got %v, %v", found, err)
		}
		if dump := TakeDump(t, db); dump.holds([]byte("sealed")) {
			t.Error("it is in the backup")
		}
		if n, err := s.DeliveriesForgotten(t.Context(), at.Add(time.Minute), at.Add(-time.Hour)); n != 0 || err != nil {
			t.Errorf("forgotten early: %d, %v", n, err)
		}
		if n, err := s.DeliveriesForgotten(t.Context(), at.Add(time.Hour), at.Add(-time.Hour)); n != 1 || err != nil {
			t.Errorf("forgotten: %d, %v", n, err)
		}
		if n, err := s.DeliveriesForgotten(t.Context(), at.Add(time.Hour), at.Add(time.Second)); n != 1 || err != nil {
			t.Errorf("dropped: %d, %v", n, err)
		}
		if n, err := s.DeliveriesForgotten(t.Context(), at.Add(time.Hour), at.Add(time.Second)); n != 0 || err != nil {
			t.Errorf("nothing is left: %d, %v", n, err)
		}
		if err := s.DeliveryMade(t.Context(), "1", nil, at, entry(journal.ConnectorDelivered)); !errors.Is(err, gateway.ErrUnknown) {
			t.Errorf("of none: got %v", err)
		}
	})

	t.Run("the hour's limits, of the connector and of the user", func(t *testing.T) {
		db := open(t)
		s, a, b := db.Gateway(), addConnector(t, db, "a"), addConnector(t, db, "b")
		u := addUser(t, db, "alice@example.com")
		for i, step := range []struct {
			c      gateway.Connector
			keys   int
			after  time.Duration
			refuse bool
		}{
			{a, 10, 0, false}, {a, 1, 0, true}, {b, 3, 0, true}, {b, 2, 0, false}, {b, 1, 0, true}, {a, 10, time.Hour, false}, {a, 1, 0, true},
		} {
			x := begun(fmt.Sprint(i), step.c, step.keys)
			x.User, x.At = u.ID, at.Add(step.after)
			if step.after == 0 && i > 5 {
				x.At = at.Add(time.Hour)
			}
			before := entries(t, db)
			err := s.DeliveryBegun(t.Context(), x, limits, entry(journal.ConnectorAsked))
			if errors.Is(err, gateway.ErrLimit) != step.refuse || err != nil && !step.refuse || step.refuse == (entries(t, db) > before) {
				t.Errorf("step %d: got %v, refuse %v", i, err, step.refuse)
			}
		}
	})

	t.Run("many at once stay within the limit", func(t *testing.T) {
		db := open(t)
		s, c := db.Gateway(), addConnector(t, db, "a")
		u := addUser(t, db, "alice@example.com")
		var done atomic.Int64
		var g sync.WaitGroup
		for i := range 8 {
			g.Go(func() {
				x := begun(fmt.Sprint(i), c, 3)
				x.User = u.ID
				if err := s.DeliveryBegun(t.Context(), x, limits, entry(journal.ConnectorAsked)); err == nil {
					done.Add(1)
				} else if !errors.Is(err, gateway.ErrLimit) {
					t.Error(err)
				}
			})
		}
		g.Wait()
		if done.Load() != 3 {
			t.Errorf("%d of 3 keys each got through, the limit is 10", done.Load())
		}
	})
}
