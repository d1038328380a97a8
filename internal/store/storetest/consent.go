package storetest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-mdm/signet/internal/access"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/internal/store"
	"github.com/signet-mdm/signet/internal/subject"
)

// council is a database with people who can agree: each has a token of his name.
type council struct {
	access.Store
	t  *testing.T
	db *store.DB
	u  map[string]subject.User
}

func newCouncil(t *testing.T, db *store.DB) *council {
	c := &council{db.Access(), t, db, map[string]subject.User{}}
	for _, name := range []string{"alice", "bob", "carol", "dave"} {
		c.u[name] = addUser(t, db, name+"@example.com")
		c.token(name, name, access.Approver, journal.Actor{Kind: journal.Local, ID: "socket"})
		c.must(c.ApproverAppointed(t.Context(), access.Appointee{User: string(c.u[name].ID), Address: name, Appointed: at, Mark: []byte("mark")}, 4, access.Backing{},
			entry(journal.ApproverAdded)))
	}
	return c
}

func (c *council) must(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
}

// token makes the token of that id, of the person.
func (c *council) token(id, person string, role access.Role, by journal.Actor) {
	c.t.Helper()
	e := entry(journal.TokenCreated)
	e.Actor = by
	c.must(c.TokenCreated(c.t.Context(), access.Token{ID: id, Name: id, Role: role, User: string(c.u[person].ID), Created: at, Expires: at.Add(time.Hour)},
		seal.SecretString(id).Hash(), e))
}

// asked is what a person wants with that token.
func (c *council) asked(id, person, token string) access.Consent {
	c.t.Helper()
	out := access.Consent{ID: id, Ask: access.Ask{Kind: "key.export", Request: "exactly " + id, Sentence: "Export it."}, Person: string(c.u[person].ID),
		Token: token, Need: 2, Created: at, Expires: at.Add(24 * time.Hour), State: access.ConsentOpen, Approved: []access.Approval{}}
	c.must(c.ConsentAsked(c.t.Context(), out, entry(journal.ConsentAsked)))
	return out
}

func (c *council) approve(of access.Consent, person, token string) error {
	return c.ConsentApproved(c.t.Context(), of.ID, of.Digest(), access.Approval{Token: token, Person: string(c.u[person].ID), At: at, Mark: []byte("mark")},
		entry(journal.ConsentApproved))
}

func (c *council) use(of access.Consent, when time.Time) error {
	e := entry(journal.KeyOpened)
	e.At = when
	return c.ConsentUsed(c.t.Context(), of.ID, of.Digest(), e)
}

func testConsents(t *testing.T, open Open) {
	t.Run("approvers are appointed, and removed with what they have", func(t *testing.T) { testApprovers(t, newCouncil(t, open(t))) })

	t.Run("a consent comes back whole", func(t *testing.T) {
		c := newCouncil(t, open(t))
		want := c.asked("c-1", "alice", "alice")
		c.must(c.approve(want, "bob", "bob"))
		want.Approved = []access.Approval{{Token: "bob", Person: string(c.u["bob"].ID), At: at, Mark: []byte("mark"), Counts: true}}
		got, err := c.Consent(t.Context(), "c-1", at)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%v\n%s", err, diff)
		}
		if got.Digest() != want.Digest() {
			t.Error("the digest is another")
		}
		end := access.ConsentEnd{ID: "c-1", State: access.ConsentDenied, Person: string(c.u["carol"].ID), Reason: "no", At: at}
		c.must(c.ConsentEnded(t.Context(), end, entry(journal.ConsentDenied)))
		want.State, want.Ended, want.EndedBy, want.Reason = end.State, at, end.Person, "no"
		list, err := c.Consents(t.Context(), access.ConsentQuery{State: access.ConsentDenied, Now: at, Limit: 10})
		if diff := cmp.Diff([]access.Consent{want}, list); err != nil || diff != "" {
			t.Errorf("%v\n%s", err, diff)
		}
		if _, err := c.Consent(t.Context(), "c-2", at); !errors.Is(err, access.ErrConsentUnknown) {
			t.Errorf("unknown: got %v", err)
		}
	})

	t.Run("consents are listed by state, newest first", func(t *testing.T) {
		c := newCouncil(t, open(t))
		for i := range 3 {
			c.asked(fmt.Sprint("c-", i), "alice", "alice")
		}
		list, err := c.Consents(t.Context(), access.ConsentQuery{State: access.ConsentOpen, Now: at, Before: at, ID: "c-2", Limit: 1})
		if err != nil || len(list) != 1 || list[0].ID != "c-1" {
			t.Errorf("got %v, %v, want c-1", list, err)
		}
		for state, want := range map[access.ConsentState]int{access.ConsentOpen: 0, access.ConsentExpired: 3, "": 3, access.ConsentUsed: 0} {
			list, err := c.Consents(t.Context(), access.ConsentQuery{State: state, Now: at.Add(24 * time.Hour), Limit: 10})
			if err != nil || list == nil || len(list) != want {
				t.Errorf("%q a day later: got %d, %v, want %d", state, len(list), err, want)
			}
		}
	})

	t.Run("who may not approve does not", func(t *testing.T) {
		c := newCouncil(t, open(t))
		byToken := func(id string) journal.Actor { return journal.Actor{Kind: journal.Admin, ID: id} }
		c.token("alices", "alice", access.Admin, byToken("dave"))
		c.token("carols", "carol", access.Admin, byToken("alices"))
		of := c.asked("c-1", "carol", "carols")
		c.must(c.approve(of, "bob", "bob"))
		other := of
		other.Sentence = "Export another."
		for name, try := range map[string]struct {
			of            access.Consent
			person, token string
			want          error
		}{
			"who asked":                      {of, "carol", "carol", access.ErrConsentOwn},
			"who made the token that asked":  {of, "alice", "alice", access.ErrConsentOwn},
			"who made the token before that": {of, "dave", "dave", access.ErrConsentOwn},
			"twice":                          {of, "bob", "bob", access.ErrConsentGiven},
			"another digest":                 {other, "dave", "dave", access.ErrConsentOver},
		} {
			if err := c.approve(try.of, try.person, try.token); !errors.Is(err, try.want) {
				t.Errorf("%s: got %v, want %v", name, err, try.want)
			}
		}
	})

	t.Run("a consent is used once, when enough agree", func(t *testing.T) {
		c := newCouncil(t, open(t))
		of := c.asked("c-1", "alice", "alice")
		for _, name := range []string{"bob", "carol"} {
			if err := c.use(of, at); !errors.Is(err, access.ErrConsentOver) {
				t.Errorf("before %s: got %v, want ErrConsentOver", name, err)
			}
			c.must(c.approve(of, name, name))
		}
		if err := c.use(of, of.Expires); !errors.Is(err, access.ErrConsentOver) {
			t.Errorf("expired: got %v, want ErrConsentOver", err)
		}
		c.must(c.use(of, at))
		if err := c.use(of, at); !errors.Is(err, access.ErrConsentOver) {
			t.Errorf("again: got %v, want ErrConsentOver", err)
		}
		if err := c.approve(of, "dave", "dave"); !errors.Is(err, access.ErrConsentOver) {
			t.Errorf("approved afterwards: got %v, want ErrConsentOver", err)
		}
		end := access.ConsentEnd{ID: of.ID, State: access.ConsentCancelled, At: at}
		if err := c.ConsentEnded(t.Context(), end, entry(journal.ConsentCancelled)); !errors.Is(err, access.ErrConsentOver) {
			t.Errorf("cancelled afterwards: got %v, want ErrConsentOver", err)
		}
	})

	t.Run("an approval counts as long as its giver may approve", func(t *testing.T) {
		for name, lose := range map[string]func(*council) error{
			"token revoked": func(c *council) error { return c.TokenRevoked(t.Context(), "bob", entry(journal.TokenRevoked)) },
			"user disabled": func(c *council) error {
				u := c.u["bob"]
				u.Disabled = true
				return c.db.Directory().UserSaved(t.Context(), u, entry(journal.UserChanged))
			},
		} {
			c := newCouncil(t, open(t))
			of := c.asked("c-1", "alice", "alice")
			c.must(c.approve(of, "bob", "bob"))
			c.must(c.approve(of, "carol", "carol"))
			c.must(lose(c))
			if err := c.use(of, at); !errors.Is(err, access.ErrConsentOver) {
				t.Errorf("%s: got %v, want ErrConsentOver", name, err)
			}
			if got, err := c.Consent(t.Context(), of.ID, at); err != nil || got.Agreed() {
				t.Errorf("%s: agreed all the same, %v", name, err)
			}
			c.must(c.approve(of, "dave", "dave"))
			c.must(c.use(of, at))
		}
	})

	t.Run("of many who use it at once one does", func(t *testing.T) {
		c := newCouncil(t, open(t))
		of := c.asked("c-1", "alice", "alice")
		c.must(c.approve(of, "bob", "bob"))
		c.must(c.approve(of, "carol", "carol"))
		if used := race(t, 16, access.ErrConsentOver, func(int) error { return c.use(of, at) }); used != 1 {
			t.Errorf("used %d times", used)
		}
	})

	t.Run("of many approvals of one person one is taken", func(t *testing.T) {
		c := newCouncil(t, open(t))
		of := c.asked("c-1", "alice", "alice")
		c.token("bob too", "bob", access.Approver, journal.Actor{Kind: journal.Local})
		given := race(t, 8, access.ErrConsentGiven, func(n int) error { return c.approve(of, "bob", []string{"bob", "bob too"}[n%2]) })
		if given != 1 {
			t.Errorf("given %d times", given)
		}
	})

	t.Run("what waits is bounded", func(t *testing.T) {
		c := newCouncil(t, open(t))
		for i := range access.MaxConsents {
			c.asked(fmt.Sprint("c-", i), "alice", "alice")
		}
		over := access.Consent{ID: "over", Created: at, Expires: at.Add(time.Hour), State: access.ConsentOpen}
		if err := c.ConsentAsked(t.Context(), over, entry(journal.ConsentAsked)); !errors.Is(err, access.ErrConsentMany) {
			t.Errorf("got %v, want ErrConsentMany", err)
		}
	})
}
