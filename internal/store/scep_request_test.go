package store_test

import (
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/internal/store"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/scep"
)

// Only so many requests wait; those that expired, or were decided on, make room.
func TestOpenRequestsAreBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "signet.db")
	db := opened(t)(store.OpenSQLite(t.Context(), path))
	raw, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { raw.Close() })
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	if _, err := raw.Exec(fmt.Sprintf(`INSERT INTO scep_request (id, profile, user_id, device_id, names, challenge, renews, transaction_id, signer,
		spki, csr, remote, state, created_at, expires_at, decided_at, actor_kind, actor_id, decider, reason, fingerprint)
		WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d)
		SELECT 'r' || i, 'p', 'u', 'd', '{}', 'c' || i, '', '', '', '', '', '', 'open', 0, %d, 0, '', '', '', '', '' FROM n`,
		scep.MaxRequests, now.Add(time.Hour).UnixMicro())); err != nil {
		t.Fatal(err)
	}
	n := 0
	ask := func() error {
		n++
		e := journal.Entry{At: now, Actor: journal.Worker("test"), Action: journal.RequestPending}
		g := scep.Grant{Profile: "p", Holder: cert.Holder{User: "u", Device: subject.DeviceID(fmt.Sprint("d", n))}}
		c := scep.Ticket{Grant: g, Hash: seal.Random().Hash(), Created: now, Expires: now.Add(time.Hour)}
		if err := db.SCEP().ChallengeMade(t.Context(), c, e); err != nil {
			t.Fatal(err)
		}
		return db.SCEP().RequestMade(t.Context(), scep.Request{Grant: g, ID: fmt.Sprint("new", n), Challenge: c.Hash, CSR: []byte{1},
			State: scep.RequestOpen, Created: now, Expires: now.Add(time.Hour)}, e)
	}
	if err := ask(); !errors.Is(err, scep.ErrRequestsMany) {
		t.Errorf("got %v, want ErrRequestsMany", err)
	}
	for _, room := range []string{`UPDATE scep_request SET state = 'denied' WHERE id = 'r1'`, `UPDATE scep_request SET expires_at = 1 WHERE id = 'r2'`} {
		if _, err := raw.Exec(room); err != nil {
			t.Fatal(err)
		}
		if err := ask(); err != nil {
			t.Errorf("after %s: %v", room, err)
		}
		if err := ask(); !errors.Is(err, scep.ErrRequestsMany) {
			t.Errorf("after %s, once more: got %v, want ErrRequestsMany", room, err)
		}
	}
}
