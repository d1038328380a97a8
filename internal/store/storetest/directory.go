package storetest

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-mdm/signet/internal/directory"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/subject"
)

func testDirectory(t *testing.T, open Open) {
	t.Run("what the organisation says of a user is kept, and counts as a change", func(t *testing.T) {
		db := open(t)
		was := addUser(t, db, "alice@example.com")
		now := was
		now.OnPremises = subject.OnPremises{Department: "Mail", SAMAccountName: "alice", OnPremisesUPN: "alice@corp.example",
			DistinguishedName: `CN=Example\, Alice,DC=corp,DC=example`, SID: "S-1-5-21-1-2-3-1104"}
		if err := db.Directory().UserChanged(t.Context(), was, now, entry(journal.UserChanged)); err != nil {
			t.Fatal(err)
		}
		if err := db.Directory().UserChanged(t.Context(), was, was, entry(journal.UserChanged)); !errors.Is(err, directory.ErrUserChanged) {
			t.Errorf("a second change of what was seen: got %v, want ErrUserChanged", err)
		}
		got, err := db.Directory().User(t.Context(), "alice@example.com")
		if err != nil || got.OnPremises != now.OnPremises {
			t.Errorf("got %+v, %v; want %+v", got.OnPremises, err, now.OnPremises)
		}
	})

	t.Run("of many who change a user they saw, one does", func(t *testing.T) {
		db := open(t)
		was := addUser(t, db, "alice@example.com")
		was.Aliases = []string{"b@example.com", "a@example.com"}
		if err := db.Directory().UserSaved(t.Context(), was, entry(journal.UserChanged)); err != nil {
			t.Fatal(err)
		}
		errs := make([]error, 8)
		var wg sync.WaitGroup
		for i := range errs {
			u := was
			u.Name = fmt.Sprint("name ", i)
			wg.Go(func() { errs[i] = db.Directory().UserChanged(t.Context(), was, u, entry(journal.UserChanged)) })
		}
		wg.Wait()
		changed := 0
		for i, err := range errs {
			switch got, _ := db.Directory().User(t.Context(), string(was.ID)); {
			case err == nil:
				changed++
				if want := fmt.Sprint("name ", i); got.Name != want {
					t.Errorf("got %s, want %s", got.Name, want)
				}
			case !errors.Is(err, directory.ErrUserChanged):
				t.Error(err)
			}
		}
		if changed != 1 {
			t.Errorf("%d changed it, want 1", changed)
		}
		now, err := db.Directory().User(t.Context(), string(was.ID))
		if err != nil {
			t.Fatal(err)
		}
		other := addUser(t, db, "bob@example.com")
		for kind, take := range map[string]func(*subject.User){
			"address": func(u *subject.User) { u.Mail = other.Mail },
			"UPN":     func(u *subject.User) { u.UPN = other.Mail },
			"alias":   func(u *subject.User) { u.Aliases = []string{other.Mail} },
		} {
			taken := now
			take(&taken)
			if err := db.Directory().UserChanged(t.Context(), now, taken, entry(journal.UserChanged)); !errors.Is(err, directory.ErrUserExists) {
				t.Errorf("another's address as %s: got %v, want ErrUserExists", kind, err)
			}
		}
		gone := now
		gone.ID = "u-0"
		if err := db.Directory().UserChanged(t.Context(), gone, gone, entry(journal.UserChanged)); !errors.Is(err, directory.ErrUserUnknown) {
			t.Errorf("nobody: got %v, want ErrUserUnknown", err)
		}
	})

	t.Run("who has keys keeps his address", func(t *testing.T) {
		db := open(t)
		was := addUser(t, db, "alice@example.com")
		moved := was
		moved.Mail = "alice.new@example.com"
		if err := db.Directory().UserChanged(t.Context(), was, moved, entry(journal.UserChanged)); err != nil {
			t.Fatalf("without keys: %v", err)
		}
		keep(t, db, deposit(moved, "certificate"), true)
		away := moved
		away.Mail = "mallory@example.com"
		if err := db.Directory().UserChanged(t.Context(), moved, away, entry(journal.UserChanged)); !errors.Is(err, directory.ErrMailBound) {
			t.Errorf("with keys: got %v, want ErrMailBound", err)
		}
		named := moved
		named.Aliases = []string{"mallory@example.com"}
		if err := db.Directory().UserChanged(t.Context(), moved, named, entry(journal.UserChanged)); err != nil {
			t.Errorf("an alias: %v", err)
		}
	})

	t.Run("a user is found by every name", func(t *testing.T) {
		db := open(t)
		u := subject.User{ID: subject.NewUserID(), UPN: "a@corp.example", Mail: "alice@example.com", Name: "Alice",
			Aliases: []string{"old@example.com"}, Groups: []subject.GroupID{}, CreatedAt: at}
		if err := db.Directory().UserSaved(t.Context(), u, entry(journal.UserAdded)); err != nil {
			t.Fatal(err)
		}
		for _, key := range []string{string(u.ID), u.UPN, u.Mail, "old@example.com"} {
			got, err := db.Directory().User(t.Context(), key)
			if diff := cmp.Diff(u, got); err != nil || diff != "" {
				t.Errorf("User(%s): %v\n%s", key, err, diff)
			}
		}
		if _, err := db.Directory().User(t.Context(), "nobody@example.com"); !errors.Is(err, directory.ErrUserUnknown) {
			t.Errorf("unknown user: got %v, want ErrUserUnknown", err)
		}
	})

	t.Run("an address belongs to one user", func(t *testing.T) {
		db := open(t)
		addUser(t, db, "alice@example.com")
		for name, u := range map[string]subject.User{
			"mail":  {Mail: "alice@example.com", UPN: "x@example.com"},
			"upn":   {Mail: "x@example.com", UPN: "alice@example.com"},
			"alias": {Mail: "x@example.com", UPN: "x@example.com", Aliases: []string{"alice@example.com"}},
		} {
			u.ID = subject.NewUserID()
			if err := db.Directory().UserSaved(t.Context(), u, entry(journal.UserAdded)); !errors.Is(err, directory.ErrUserExists) {
				t.Errorf("%s: got %v, want ErrUserExists", name, err)
			}
		}
		if list, err := db.Directory().Users(t.Context(), "", 10); err != nil || len(list) != 1 {
			t.Errorf("after the refusals: %d users, %v; want 1", len(list), err)
		}
	})

	t.Run("a user is found by a part of his name, address or UPN", func(t *testing.T) {
		db := open(t)
		for _, u := range []subject.User{
			{Mail: "alice@example.com", UPN: "Al@corp.example", Name: "Alice Ünger"},
			{Mail: "b_b@example.com", UPN: "b_b@example.com", Name: "100% Bob!"},
			{Mail: "carol@example.com", UPN: "carol@example.com", Name: "Carol"},
		} {
			u.ID, u.CreatedAt = subject.NewUserID(), at
			if err := db.Directory().UserSaved(t.Context(), u, entry(journal.UserAdded)); err != nil {
				t.Fatal(err)
			}
		}
		for _, c := range []struct{ text, after, want string }{
			{"ALICE", "", "alice"}, {"corp", "", "alice"}, {"Ünger", "", "alice"}, {"0%", "", "b_b"}, {"b!", "", "b_b"}, {"b_b@", "", "b_b"},
			{"a_i", "", ""}, {"%", "", "b_b"}, {"example", "alice@example.com", "b_b carol"}, {"'", "", ""},
		} {
			list, err := db.Directory().Search(t.Context(), c.text, c.after, 10)
			var got []string
			for _, u := range list {
				name, _, _ := strings.Cut(u.Mail, "@")
				got = append(got, name)
			}
			if err != nil || strings.Join(got, " ") != c.want {
				t.Errorf("%q after %q: got %q, %v; want %q", c.text, c.after, got, err, c.want)
			}
		}
		if list, err := db.Directory().Search(t.Context(), "example", "", 2); err != nil || len(list) != 2 {
			t.Errorf("at most two: got %d, %v", len(list), err)
		}
	})

	t.Run("a group has exactly its members", func(t *testing.T) {
		db := open(t)
		a, b := addUser(t, db, "a@example.com"), addUser(t, db, "b@example.com")
		id, err := db.Directory().GroupSaved(t.Context(), "Finance", []subject.UserID{a.ID, b.ID}, entry(journal.GroupChanged))
		if err != nil {
			t.Fatal(err)
		}
		again, err := db.Directory().GroupSaved(t.Context(), "Finance", []subject.UserID{b.ID}, entry(journal.GroupChanged))
		if err != nil || again != id {
			t.Fatalf("same name: got %s, %v; want %s", again, err, id)
		}
		list, err := db.Directory().Users(t.Context(), "", 10)
		if err != nil {
			t.Fatal(err)
		}
		if len(list[0].Groups) != 0 || !cmp.Equal(list[1].Groups, []subject.GroupID{id}) {
			t.Errorf("groups: got %v and %v", list[0].Groups, list[1].Groups)
		}
	})
}
