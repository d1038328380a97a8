package storetest

import (
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"testing"

	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/internal/store"
	"github.com/signet-mdm/signet/pfxconnector/transport"
)

func testTransport(t *testing.T, open Open) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	facet := func(t *testing.T, db *store.DB, root seal.Secret) store.Transport {
		box, err := seal.NewBox(root, "transport")
		if err != nil {
			t.Fatal(err)
		}
		return db.Transport(box)
	}
	made := func(provider, name string) transport.Key {
		return transport.Key{Provider: provider, Name: name, Public: &key.PublicKey, CreatedAt: at}
	}

	t.Run("a key is found by provider and name, and never overwritten", func(t *testing.T) {
		db := open(t)
		s := facet(t, db, seal.RandomRoot())
		if list, err := s.TransportKeys(t.Context()); err != nil || list == nil || len(list) != 0 {
			t.Fatalf("at first: got %v, %v, want an empty list", list, err)
		}
		for _, k := range []transport.Key{made("P", "b"), made("P", "a"), made("p", "a")} {
			if err := s.TransportKeyAdded(t.Context(), k, seal.SecretString(k.Provider+k.Name), entry(journal.TransportKeyMade)); err != nil {
				t.Fatal(err)
			}
		}
		before := entries(t, db)
		if err := s.TransportKeyAdded(t.Context(), made("P", "a"), seal.SecretString("x"), entry(journal.TransportKeyMade)); !errors.Is(err, transport.ErrExists) {
			t.Errorf("again: got %v, want %v", err, transport.ErrExists)
		}
		if n := entries(t, db); n != before {
			t.Errorf("what was refused left %d entries", n-before)
		}
		k, private, err := s.TransportKey(t.Context(), "P", "a")
		if err != nil || private.RevealString() != "Pa" || !k.Public.Equal(&key.PublicKey) || !k.CreatedAt.Equal(at) {
			t.Errorf("got %v, %v", k, err)
		}
		if _, _, err := s.TransportKey(t.Context(), "p", "b"); !errors.Is(err, transport.ErrUnknown) {
			t.Errorf("an unknown one: got %v, want %v", err, transport.ErrUnknown)
		}
		list, err := s.TransportKeys(t.Context())
		if err != nil || len(list) != 3 || list[0].Name != "a" || list[0].Provider != "P" || list[1].Name != "b" || list[2].Provider != "p" {
			t.Errorf("got %v, %v", list, err)
		}
	})

	t.Run("a private half opens with the installation's keys only", func(t *testing.T) {
		db := open(t)
		if err := facet(t, db, seal.RandomRoot()).TransportKeyAdded(t.Context(), made("P", "a"), seal.SecretString("x"), entry(journal.TransportKeyMade)); err != nil {
			t.Fatal(err)
		}
		if _, private, err := facet(t, db, seal.RandomRoot()).TransportKey(t.Context(), "P", "a"); err == nil || !private.Empty() {
			t.Error("it opened with another root")
		}
	})
}
