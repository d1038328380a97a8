package access_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/signet-mdm/signet/internal/access"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/internal/store"
	"github.com/signet-mdm/signet/internal/store/sqlitetest"
)

// A ticket opens what its token opens, for an hour, and ends with it.
func TestTicket(t *testing.T) {
	db, err := store.OpenSQLite(t.Context(), sqlitetest.Path(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	s := access.New(db.Access(), func() time.Time { return now })
	tickets := func() *access.Tickets {
		box, err := seal.NewBox(seal.RandomRoot(), "ticket")
		if err != nil {
			t.Fatal(err)
		}
		return s.Tickets(box)
	}
	ours, others := tickets(), tickets()
	by := journal.Actor{Kind: journal.Local, ID: "test"}
	token, secret, err := s.CreateToken(t.Context(), by, "x", string(access.Importer), 90*time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	ticket, life, err := ours.Ticket(t.Context(), token.ID)
	if err != nil || life != time.Hour {
		t.Fatalf("got %v, %v, want an hour", life, err)
	}
	opens := func(k httpTokens, presented string, want bool) {
		t.Helper()
		c, err := k.Token(t.Context(), presented, "192.0.2.1")
		if want && (err != nil || c.Role != access.Importer || c.Actor.ID != token.ID || c.Actor.Remote != "192.0.2.1") || !want && !errors.Is(err, access.ErrUnauthenticated) {
			t.Errorf("got %+v, %v, want it to open: %v", c, err, want)
		}
	}
	opens(ours, ticket.RevealString(), true)
	opens(ours, secret.RevealString(), true)
	opens(others, ticket.RevealString(), false)
	opens(s, ticket.RevealString(), false) // where tickets are not taken
	for _, bad := range []string{"signet_ticket_", "signet_ticket_%", strings.ToUpper(ticket.RevealString()), ticket.RevealString() + "AAAA"} {
		opens(ours, bad, false)
	}
	now = now.Add(time.Hour)
	opens(ours, ticket.RevealString(), false)
	again, life, err := ours.Ticket(t.Context(), token.ID)
	if err != nil || life != 30*time.Minute {
		t.Errorf("before the end of the token: got %v, %v, want half an hour", life, err)
	}
	opens(ours, again.RevealString(), true)
	if err := s.RevokeToken(t.Context(), by, token.ID); err != nil {
		t.Fatal(err)
	}
	opens(ours, again.RevealString(), false)
	admin, _, err := s.CreateToken(t.Context(), by, "x", string(access.Admin), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{token.ID, admin.ID, "none"} {
		if _, _, err := ours.Ticket(t.Context(), id); !errors.Is(err, access.ErrUnauthenticated) {
			t.Errorf("a ticket for %q: got %v, want %v", id, err, access.ErrUnauthenticated)
		}
	}
}

// httpTokens is as the guards know callers.
type httpTokens interface {
	Token(ctx context.Context, presented, remote string) (access.Caller, error)
}
