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

var by = journal.Actor{Kind: journal.Local, ID: "test"}

// clock is a time that tests move.
type clock struct{ t time.Time }

func (c *clock) now() time.Time { return c.t }

func open(t *testing.T) (*access.Service, *clock) {
	t.Helper()
	db, err := store.OpenSQLite(t.Context(), sqlitetest.Path(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	c := &clock{time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)}
	return access.New(db.Access(), c.now), c
}

func TestToken(t *testing.T) {
	s, clock := open(t)
	token, secret, err := s.CreateToken(t.Context(), by, "CI", "auditor", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	text := secret.RevealString()
	if !strings.HasPrefix(text, "signet_") || len(text) < 33 {
		t.Errorf("a secret of %d characters", len(text))
	}
	caller, err := s.Token(t.Context(), text, "192.0.2.1")
	want := access.Caller{Actor: journal.Actor{Kind: journal.Admin, ID: token.ID, Remote: "192.0.2.1"}, Role: access.Auditor}
	if err != nil || caller != want {
		t.Errorf("got %+v, %v; want %+v", caller, err, want)
	}
	for name, presented := range map[string]string{"empty": "", "another": text[:len(text)-1] + "0", "longer": text + "A", "id": token.ID} {
		if _, err := s.Token(t.Context(), presented, ""); !errors.Is(err, access.ErrUnauthenticated) {
			t.Errorf("%s: got %v, want ErrUnauthenticated", name, err)
		}
	}
	if list, err := s.Tokens(t.Context(), time.Time{}, "", 10); err != nil || len(list) != 1 || !list[0].Used.Equal(clock.t) {
		t.Errorf("last use: got %v, %v; want %v", list, err, clock.t)
	}
	clock.t = clock.t.Add(time.Hour)
	if _, err := s.Token(t.Context(), text, ""); !errors.Is(err, access.ErrUnauthenticated) {
		t.Errorf("expired: got %v, want ErrUnauthenticated", err)
	}
}

func TestRevokedTokenEndsAtOnce(t *testing.T) {
	s, _ := open(t)
	token, secret, err := s.CreateToken(t.Context(), by, "CI", "admin", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.RevokeToken(t.Context(), by, token.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Token(t.Context(), secret.RevealString(), ""); !errors.Is(err, access.ErrUnauthenticated) {
		t.Errorf("got %v, want ErrUnauthenticated", err)
	}
}

func TestCreateTokenRefuses(t *testing.T) {
	s, _ := open(t)
	for name, c := range map[string]struct {
		name, role string
		life       time.Duration
		want       error
	}{
		"no name":       {"", "admin", time.Hour, access.ErrTokenName},
		"long name":     {strings.Repeat("x", 101), "admin", time.Hour, access.ErrTokenName},
		"line in name":  {"a\nb", "admin", time.Hour, access.ErrTokenName},
		"no role":       {"x", "", time.Hour, access.ErrTokenRole},
		"session role":  {"x", "person", time.Hour, access.ErrTokenRole},
		"socket's role": {"x", "socket", time.Hour, access.ErrTokenRole},
		"no life":       {"x", "admin", 0, access.ErrTokenExpiry},
		"two years":     {"x", "admin", 2 * 365 * 24 * time.Hour, access.ErrTokenExpiry},
	} {
		if _, _, err := s.CreateToken(t.Context(), by, c.name, c.role, c.life); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
}

// A stranger who asks as often as a day allows leaves the user with links that
// are good until more may be asked for.
func TestAskedLinkLastsTheDay(t *testing.T) {
	s, clock := open(t)
	var asked seal.Secret
	err := s.SendLink(t.Context(), "u-1", access.AskedLife, func(_ context.Context, link seal.Secret, _ time.Time) error {
		asked = link
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	clock.t = clock.t.Add(24*time.Hour - time.Second)
	if _, err := s.OpenLink(t.Context(), asked.RevealString(), ""); err != nil {
		t.Errorf("at the end of the day: got %v", err)
	}
}

func TestSessions(t *testing.T) {
	s, clock := open(t)
	link, err := s.MakeLink(t.Context(), "u-1")
	if err != nil {
		t.Fatal(err)
	}
	page, err := s.OpenLink(t.Context(), link.RevealString(), "192.0.2.1")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.OpenLink(t.Context(), link.RevealString(), ""); !errors.Is(err, access.ErrSession) {
		t.Errorf("the link a second time: got %v, want ErrSession", err)
	}
	enroll, err := s.OpenEnrollment(t.Context(), "u-1", "d-1")
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		secret string
		life   time.Duration
		want   access.Caller
	}{
		"page":       {page.RevealString(), access.PageLife, access.Caller{Role: access.Person, User: "u-1"}},
		"enrollment": {enroll.RevealString(), access.EnrollLife, access.Caller{Role: access.Enrolling, User: "u-1", Device: "d-1"}},
	} {
		c.want.Actor = journal.Actor{Kind: journal.Person, ID: "u-1", Remote: "192.0.2.9"}
		c.want.Session = seal.SecretString(c.secret).Hash()
		got, err := s.Session(t.Context(), c.secret, "192.0.2.9")
		if err != nil || got != c.want {
			t.Errorf("%s: got %+v, %v; want %+v", name, got, err, c.want)
		}
		start := clock.t
		clock.t = start.Add(c.life)
		if _, err := s.Session(context.Background(), c.secret, ""); !errors.Is(err, access.ErrSession) {
			t.Errorf("%s after its life: got %v, want ErrSession", name, err)
		}
		clock.t = start
	}
	if _, err := s.Session(t.Context(), link.RevealString(), ""); !errors.Is(err, access.ErrSession) {
		t.Errorf("a link as a session: got %v, want ErrSession", err)
	}
}

// A link that could not be sent opens nothing.
func TestSendLink(t *testing.T) {
	s, clock := open(t)
	broken := errors.New("inner")
	var sent []seal.Secret
	var until time.Time
	send := func(failed error) error {
		return s.SendLink(t.Context(), "u-1", access.AskedLife, func(_ context.Context, link seal.Secret, expires time.Time) error {
			sent, until = append(sent, link), expires
			return failed
		})
	}
	if err := send(broken); !errors.Is(err, broken) {
		t.Errorf("got %v, want what send said", err)
	}
	if err := send(nil); err != nil || !until.Equal(clock.t.Add(access.AskedLife)) {
		t.Errorf("got %v, until %v", err, until)
	}
	for i, want := range []error{access.ErrSession, nil} {
		if _, err := s.OpenLink(t.Context(), sent[i].RevealString(), ""); !errors.Is(err, want) {
			t.Errorf("link %d: got %v, want %v", i, err, want)
		}
	}
}
