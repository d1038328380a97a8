package tenant_test

import (
	"slices"
	"testing"

	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/pfxconnector/tenant"
)

// Whoever writes into the database fills nobody's account with another's
// certificate: that names whose it is.
func TestCertificateNamesAccount(t *testing.T) {
	const moved = `UPDATE users SET mail = 'mallory@example.com', upn = 'mallory@example.com' WHERE id = ?`
	differs := []string{"tenant_certificate_differs", "tenant_certificate_differs"}
	t.Run("before it is opened", func(t *testing.T) {
		w := newWorld(t)
		w.cloud.Add("mallory@example.com", "mallory@example.com")
		w.agree()
		w.sql(moved, w.alice.ID)
		w.run()
		if _, codes := w.states(); !slices.Equal(codes, differs) || len(w.cloud.Held()) != 0 || w.entries(journal.KeyOpened) != 0 {
			t.Errorf("got %v, %d there, %d openings", codes, len(w.cloud.Held()), w.entries(journal.KeyOpened))
		}
	})
	t.Run("when it is sealed", func(t *testing.T) {
		w := newWorld(t)
		mallory := w.cloud.Add("mallory@example.com", "mallory@example.com")
		w.agree()
		w.sealed()
		w.sql(moved, w.alice.ID)
		w.sql(`UPDATE tenant_copy SET account = ?`, mallory.ID)
		w.must(second(w.Send(t.Context())))
		if _, codes := w.states(); !slices.Equal(codes, differs) || len(w.cloud.Held()) != 0 {
			t.Errorf("got %v, %d there", codes, len(w.cloud.Held()))
		}
	})
	t.Run("another certificate in its place", func(t *testing.T) {
		w := newWorld(t)
		w.agree()
		w.sealed()
		w.sql(`UPDATE certificate SET der = (SELECT der FROM certificate WHERE fingerprint = ?) WHERE fingerprint = ?`, w.keys[0].String(), w.keys[1].String())
		w.must(second(w.Send(t.Context())))
		if n := len(w.cloud.Held()); n != 1 {
			t.Errorf("%d are there, want that which was not changed", n)
		}
	})
	t.Run("another's package in its place", func(t *testing.T) {
		w := newWorld(t)
		w.agree()
		w.sealed()
		w.sql(`UPDATE tenant_copy SET pfx = b.pfx, password = b.password FROM (SELECT pfx, password FROM tenant_copy WHERE certificate = ?) AS b WHERE certificate = ?`,
			w.keys[0].String(), w.keys[1].String())
		w.must(second(w.Send(t.Context())))
		states, _ := w.states()
		slices.Sort(states)
		if n := len(w.cloud.Held()); n != 1 || !slices.Equal(states, []tenant.State{tenant.Looking, tenant.There}) {
			t.Errorf("%d are there, %v; want the one whose package it is", n, states)
		}
	})
}

// sealed goes on until everything is sealed.
func (w *world) sealed() {
	w.t.Helper()
	w.must(second(w.Plan(w.t.Context())))
	w.must(second(w.Send(w.t.Context())))
	w.must(second(w.Seal(w.t.Context())))
}
