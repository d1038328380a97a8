package access_test

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	_ "modernc.org/sqlite" // whoever can write the database

	"github.com/signet-mdm/signet/internal/access"
	"github.com/signet-mdm/signet/internal/directory"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/internal/store"
	"github.com/signet-mdm/signet/internal/store/sqlitetest"
	"github.com/signet-mdm/signet/internal/subject"
)

// council is people who decide, and the database below them.
type council struct {
	*access.Consents
	t    *testing.T
	db   *store.DB
	path string
	time *clock
	id   map[string]string // of users
	who  map[string]access.Caller
}

func newCouncil(t *testing.T) *council {
	t.Helper()
	c := &council{t: t, path: sqlitetest.Path(t), time: &clock{time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)}, id: map[string]string{}, who: map[string]access.Caller{}}
	var err error
	if c.db, err = store.OpenSQLite(t.Context(), c.path); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.db.Close() })
	box, err := seal.NewBox(seal.RandomRoot(), "approval")
	if err != nil {
		t.Fatal(err)
	}
	c.Consents = access.New(c.db.Access(), c.time.now).Consents(box, 2)
	users := directory.New(c.db.Directory(), c.time.now)
	for _, name := range []string{"alice", "bob", "carol", "dave"} {
		u, err := users.Add(t.Context(), by, subject.User{Mail: name + "@example.com", Name: name})
		if err != nil {
			t.Fatal(err)
		}
		c.id[name] = string(u.ID)
	}
	c.who["alice"] = c.caller("alice", access.Admin)
	c.appoint("bob", "")
	c.appoint("carol", "")
	c.appoint("dave", c.change(access.AppointKind, "dave").ID)
	return c
}

// caller is somebody with a token of his own.
func (c *council) caller(name string, role access.Role) access.Caller {
	c.t.Helper()
	_, secret, err := c.CreateTokenOf(c.t.Context(), by, c.id[name], cmp.Or(name, "program"), string(role), 48*time.Hour)
	if err != nil {
		c.t.Fatal(err)
	}
	caller, err := c.Token(c.t.Context(), secret.RevealString(), "192.0.2.1")
	if err != nil {
		c.t.Fatal(err)
	}
	return caller
}

// appoint makes somebody an approver, who makes his token.
func (c *council) appoint(name, consent string) {
	c.t.Helper()
	by := c.who["alice"]
	if consent == "" {
		by = access.Local()
	}
	if err := c.Appoint(c.t.Context(), by, c.id[name], name+"@example.com", consent); err != nil {
		c.t.Fatal(err)
	}
	c.who[name] = c.take(c.link(name))
}

// change is agreed to by the first two.
func (c *council) change(kind, name string) access.Consent {
	c.t.Helper()
	of, err := c.AskChange(c.t.Context(), c.who["alice"], kind, access.Appointee{User: c.id[name], Address: name + "@example.com"}, "Change.")
	if err != nil {
		c.t.Fatal(err)
	}
	c.approve(of.ID, "bob", "carol")
	return of
}

func (c *council) link(name string) (link string) {
	c.t.Helper()
	err := c.Link(c.t.Context(), access.Local(), c.id[name], name+"@example.com", func(_ context.Context, l seal.Secret, _ time.Time) error {
		link = l.RevealString()
		return nil
	})
	if err != nil {
		c.t.Fatal(err)
	}
	return link
}

func (c *council) take(link string) access.Caller {
	c.t.Helper()
	_, secret, err := c.TakeCredential(c.t.Context(), link, "192.0.2.1")
	if err != nil {
		c.t.Fatal(err)
	}
	caller, err := c.Token(c.t.Context(), secret.RevealString(), "192.0.2.1")
	if err != nil {
		c.t.Fatal(err)
	}
	return caller
}

func (c *council) asked() access.Consent {
	c.t.Helper()
	out, err := c.Ask(c.t.Context(), c.who["alice"], access.Ask{Kind: "key.export", Request: "{}", Sentence: "Export it."})
	if err != nil {
		c.t.Fatal(err)
	}
	return out
}

func (c *council) approve(id string, names ...string) {
	c.t.Helper()
	for _, name := range names {
		if err := c.Approve(c.t.Context(), c.who[name], id); err != nil {
			c.t.Fatalf("%s: %v", name, err)
		}
	}
}

// exec writes the database behind our back.
func (c *council) exec(query string, args ...any) {
	c.t.Helper()
	raw, err := sql.Open("sqlite", c.path)
	if err != nil {
		c.t.Fatal(err)
	}
	defer raw.Close()
	if _, err := raw.Exec(query, args...); err != nil {
		c.t.Fatal(err)
	}
}

func TestConsent(t *testing.T) {
	c := newCouncil(t)
	of := c.asked()
	c.approve(of.ID, "bob", "carol")
	got, err := c.Agreed(t.Context(), "key.export", of.ID)
	if err != nil || got.Digest() != of.Digest() || got.Request != "{}" {
		t.Fatalf("got %+v, %v", got, err)
	}
	if _, err := c.Agreed(t.Context(), "tenant.key", of.ID); !errors.Is(err, access.ErrConsentUnknown) {
		t.Errorf("another kind: got %v", err)
	}
}

// The table of what must not be enough.
func TestNotAgreed(t *testing.T) {
	for name, do := range map[string]func(c *council, id string){
		"nobody":                func(*council, string) {},
		"one approver":          func(c *council, id string) { c.approve(id, "bob") },
		"the same person twice": func(c *council, id string) { c.approve(id, "bob"); c.refused(id, c.who["bob"], access.ErrConsentGiven) },
		"with two tokens": func(c *council, id string) {
			c.approve(id, "bob")
			c.who["bob"] = c.take(c.link("bob")) // the first ends
			c.approve(id, "bob")
		},
		"a token that was made for him": func(c *council, id string) {
			c.approve(id, "bob")
			c.refused(id, c.caller("carol", access.Approver), access.ErrApproverSeat)
		},
		"an approver who is one no more": func(c *council, id string) {
			c.approve(id, "bob", "dave")
			if err := c.Dismiss(c.t.Context(), c.who["alice"], c.id["dave"], c.change(access.DismissKind, "dave").ID); err != nil {
				c.t.Error(err)
			}
			c.refused(id, c.who["dave"], access.ErrApproverSeat)
		},
		"who is no approver but in the database": func(c *council, id string) {
			c.approve(id, "bob")
			mallory := c.caller("alice", access.Admin)
			c.exec(`INSERT INTO approver SELECT 'm', 'm', appointed_at, 0, mark FROM approver LIMIT 1`)
			c.exec(`INSERT INTO approver_link (hash, user_id, expires_at, used_at, mark) VALUES (?, 'm', 1e18, 0, x'00')`, seal.SecretString("link").Hash().String())
			if _, _, err := c.TakeCredential(c.t.Context(), "link", ""); !errors.Is(err, access.ErrApproverLink) {
				c.t.Errorf("his own link: got %v", err)
			}
			c.exec(`UPDATE token SET role = 'approver', user_id = 'm', mark = (SELECT mark FROM token WHERE mark IS NOT NULL LIMIT 1) WHERE id = ?`, mallory.Actor.ID)
			mallory.Role, mallory.User = access.Approver, "m"
			c.refused(id, mallory, access.ErrApproverSeat)
			c.exec(`UPDATE token SET user_id = ? WHERE id = ?`, c.id["carol"], mallory.Actor.ID)
			mallory.User = c.id["carol"]
			c.refused(id, mallory, access.ErrApproverSeat)
		},
		"the requester": func(c *council, id string) {
			c.approve(id, "bob")
			c.refused(id, c.caller("alice", access.Approver), access.ErrConsentOwn)
		},
		"an administrator": func(c *council, id string) {
			c.approve(id, "bob")
			c.refused(id, c.caller("carol", access.Admin), access.ErrPerson)
		},
		"the socket": func(c *council, id string) { c.approve(id, "bob"); c.refused(id, access.Local(), access.ErrPerson) },
		"a stranger": func(c *council, id string) {
			c.approve(id, "bob")
			c.refused(id, access.Stranger(""), access.ErrUnauthenticated)
		},
		"a program": func(c *council, id string) {
			c.approve(id, "bob")
			c.refused(id, c.caller("", access.Approver), access.ErrPerson)
		},
		"expired": func(c *council, id string) {
			c.approve(id, "bob", "carol")
			c.time.t = c.time.t.Add(access.ConsentLife)
		},
		"approved after it ended": func(c *council, id string) {
			c.approve(id, "bob")
			c.time.t = c.time.t.Add(access.ConsentLife)
			c.refused(id, c.who["carol"], access.ErrConsentOver)
		},
		"denied": func(c *council, id string) {
			c.approve(id, "bob", "carol")
			if err := c.Deny(c.t.Context(), c.who["dave"], id, "no"); err != nil {
				c.t.Error(err)
			}
		},
		"cancelled": func(c *council, id string) {
			c.approve(id, "bob", "carol")
			if err := c.Cancel(c.t.Context(), c.who["alice"], id); err != nil {
				c.t.Error(err)
			}
		},
		"role removed between": func(c *council, id string) {
			c.approve(id, "bob")
			if err := c.RevokeToken(c.t.Context(), by, c.who["bob"].Actor.ID); err != nil {
				c.t.Error(err)
			}
			c.approve(id, "carol")
		},
		"a row in the database": func(c *council, id string) {
			c.approve(id, "bob")
			c.exec(`INSERT INTO consent_approval SELECT consent_id, ?, ?, at, mark FROM consent_approval WHERE consent_id = ?`, c.who["carol"].Actor.ID, c.id["carol"], id)
		},
		"fewer needed in the database": func(c *council, id string) { c.approve(id, "bob"); c.exec(`UPDATE consent SET need = 1`) },
		"another request in the database": func(c *council, id string) {
			c.approve(id, "bob", "carol")
			c.exec(`UPDATE consent SET request = '{"x":1}'`)
		},
		"longer life in the database": func(c *council, id string) {
			c.approve(id, "bob", "carol")
			c.exec(`UPDATE consent SET expires_at = expires_at + 1`)
		},
		"approvals moved from another": func(c *council, id string) {
			other := c.asked()
			c.approve(other.ID, "bob", "carol")
			c.exec(`UPDATE consent_approval SET consent_id = ? WHERE consent_id = ?`, id, other.ID)
		},
	} {
		c := newCouncil(t)
		of := c.asked()
		do(c, of.ID)
		if _, err := c.Agreed(t.Context(), "key.export", of.ID); !errors.Is(err, access.ErrConsentOver) {
			t.Errorf("%s: got %v, want ErrConsentOver", name, err)
		}
	}
}

// refused tries to approve.
func (c *council) refused(id string, by access.Caller, want error) {
	c.t.Helper()
	if err := c.Approve(c.t.Context(), by, id); !errors.Is(err, want) {
		c.t.Errorf("got %v, want %v", err, want)
	}
}

func TestConsentIsForPeople(t *testing.T) {
	c := newCouncil(t)
	of := c.asked()
	ask := access.Ask{Kind: "key.export", Request: "{}", Sentence: "Export it."}
	for name, by := range map[string]access.Caller{"the socket": access.Local(), "a program": c.caller("", access.Admin)} {
		if _, err := c.Ask(t.Context(), by, ask); !errors.Is(err, access.ErrPerson) {
			t.Errorf("asked by %s: got %v, want ErrPerson", name, err)
		}
		if err := c.Cancel(t.Context(), by, of.ID); !errors.Is(err, access.ErrPerson) {
			t.Errorf("cancelled by %s: got %v, want ErrPerson", name, err)
		}
	}
	if err := c.Cancel(t.Context(), c.caller("bob", access.Admin), of.ID); !errors.Is(err, access.ErrConsentCancel) {
		t.Errorf("cancelled by another: got %v, want ErrConsentCancel", err)
	}
	if err := c.Deny(t.Context(), c.who["bob"], of.ID, strings.Repeat("x", 201)); !errors.Is(err, access.ErrConsentReason) {
		t.Errorf("a long reason: got %v", err)
	}
	ask.Request = strings.Repeat("x", 1<<16+1)
	if _, err := c.Ask(t.Context(), c.who["alice"], ask); !errors.Is(err, access.ErrConsentRequest) {
		t.Errorf("a long request: got %v", err)
	}
}

// Everything that is agreed to is in the digest, and nothing runs into the next.
func TestConsentDigest(t *testing.T) {
	seen := map[seal.Hash]string{}
	base := access.Consent{ID: "i", Ask: access.Ask{Kind: "k", Request: "r", Sentence: "s"}, Person: "p", Token: "t", Need: 2, Created: time.Unix(1, 0), Expires: time.Unix(2, 0)}
	for name, change := range map[string]func(*access.Consent){
		"nothing": func(*access.Consent) {}, "id": func(c *access.Consent) { c.ID = "x" }, "kind": func(c *access.Consent) { c.Kind = "x" },
		"request": func(c *access.Consent) { c.Request = "x" }, "sentence": func(c *access.Consent) { c.Sentence = "x" },
		"person": func(c *access.Consent) { c.Person = "x" }, "token": func(c *access.Consent) { c.Token = "x" },
		"need": func(c *access.Consent) { c.Need = 3 }, "created": func(c *access.Consent) { c.Created = time.Unix(3, 0) },
		"expires": func(c *access.Consent) { c.Expires = time.Unix(3, 0) }, "moved": func(c *access.Consent) { c.Kind, c.Request = "kr", "" },
	} {
		c := base
		change(&c)
		if other, taken := seen[c.Digest()]; taken {
			t.Errorf("%s and %s have one digest", name, other)
		}
		seen[c.Digest()] = name
	}
}

// Each step is in the journal, with the person.
func TestConsentIsAudited(t *testing.T) {
	c := newCouncil(t)
	of := c.asked()
	c.approve(of.ID, "bob")
	if err := c.Deny(t.Context(), c.who["carol"], of.ID, ""); err != nil {
		t.Fatal(err)
	}
	if err := c.Cancel(t.Context(), c.who["alice"], c.asked().ID); err != nil {
		t.Fatal(err)
	}
	lines, err := c.db.Journal().Lines(t.Context(), journal.Query{Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	got := map[journal.Action]string{}
	for _, l := range lines {
		got[l.Action] = l.Detail["person"]
	}
	for action, name := range map[journal.Action]string{journal.ConsentAsked: "alice", journal.ConsentApproved: "bob", journal.ConsentDenied: "carol", journal.ConsentCancelled: "alice"} {
		if got[action] != c.id[name] {
			t.Errorf("%s: got %q, want %s", action, got[action], fmt.Sprint(c.id[name]))
		}
	}
}
