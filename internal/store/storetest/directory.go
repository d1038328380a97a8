package storetest

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-mdm/signet/internal/directory"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/subject"
)

func testDirectory(t *testing.T, open Open) {
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
