package storetest

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/signet-mdm/signet/internal/access"
	"github.com/signet-mdm/signet/internal/directory"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/mdm"
)

// testPages reads each list part by part. Half of the things in it have the
// same instant, so that only the id tells them apart.
func testPages(t *testing.T, open Open) {
	const n, limit = 7, 2
	moment := func(i int) time.Time { return at.Add(time.Duration(i/2) * time.Second) }

	t.Run("users by address, with aliases and groups", func(t *testing.T) {
		db := open(t)
		var want, got []string
		for i := range n {
			u := addUser(t, db, fmt.Sprintf("%c@example.com", 'g'-i))
			u.Aliases = []string{"alias-" + u.Mail}
			if err := db.Directory().UserSaved(t.Context(), u, entry(journal.UserChanged)); err != nil {
				t.Fatal(err)
			}
			if _, err := db.Directory().GroupSaved(t.Context(), "all of "+u.Mail, []subject.UserID{u.ID}, entry(journal.GroupChanged)); err != nil {
				t.Fatal(err)
			}
			want = append(want, u.Mail)
		}
		slices.Sort(want)
		walk(t, limit, func(last subject.User) ([]subject.User, error) {
			return db.Directory().Users(t.Context(), last.Mail, limit)
		},
			func(u subject.User) {
				got = append(got, u.Mail)
				if !slices.Equal(u.Aliases, []string{"alias-" + u.Mail}) || len(u.Groups) != 1 {
					t.Errorf("%s has aliases %v and groups %v", u.Mail, u.Aliases, u.Groups)
				}
			})
		if !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	})

	t.Run("groups by name, with their size", func(t *testing.T) {
		db := open(t)
		u := addUser(t, db, "alice@example.com")
		var ids []subject.GroupID
		for i := range n {
			id, err := db.Directory().GroupSaved(t.Context(), fmt.Sprintf("g%d", n-i), []subject.UserID{u.ID}[:i%2], entry(journal.GroupChanged))
			if err != nil {
				t.Fatal(err)
			}
			ids = append(ids, id)
		}
		var got []string
		walk(t, limit, func(last directory.Group) ([]directory.Group, error) {
			return db.Directory().Groups(t.Context(), last.Name, limit)
		},
			func(g directory.Group) { got = append(got, fmt.Sprint(g.Name, " ", g.Members)) })
		if want := []string{"g1 0", "g2 1", "g3 0", "g4 1", "g5 0", "g6 1", "g7 0"}; !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
		for _, key := range []string{"g7", string(ids[0])} {
			if g, err := db.Directory().Group(t.Context(), key); err != nil || g.ID != ids[0] || g.Name != "g7" {
				t.Errorf("%s: got %+v, %v", key, g, err)
			}
		}
		if _, err := db.Directory().Group(t.Context(), "g0"); !errors.Is(err, directory.ErrGroupUnknown) {
			t.Errorf("got %v, want ErrGroupUnknown", err)
		}
		names, err := db.Directory().GroupNames(t.Context(), []subject.GroupID{ids[1], ids[0], "g-0"})
		if err != nil || len(names) != 2 || names[ids[0]] != "g7" || names[ids[1]] != "g6" {
			t.Errorf("got %v, %v", names, err)
		}
	})

	t.Run("tokens, newest first", func(t *testing.T) {
		db := open(t)
		var want, got []string
		for i := range n {
			tk := access.Token{ID: fmt.Sprintf("t-%d", i), Role: access.Auditor, Created: moment(i), Expires: at.Add(time.Hour)}
			if err := db.Access().TokenCreated(t.Context(), tk, seal.Random().Hash(), entry(journal.TokenCreated)); err != nil {
				t.Fatal(err)
			}
			want = append([]string{tk.ID}, want...)
		}
		walk(t, limit, func(last access.Token) ([]access.Token, error) {
			return db.Access().Tokens(t.Context(), last.Created, last.ID, limit)
		}, func(tk access.Token) { got = append(got, tk.ID) })
		if !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	})

	t.Run("the journal, newest first", func(t *testing.T) {
		db := open(t)
		for i := range n {
			e := entry(journal.DeviceReported)
			e.At, e.User, e.Device = moment(i), "u-1", "d-1"
			if err := db.Journal().Record(t.Context(), e); err != nil {
				t.Fatal(err)
			}
		}
		for name, q := range map[string]journal.Query{"all": {}, "a user's": {User: "u-1"}, "a device's": {Device: "d-1"}} {
			var got []journal.Line
			walk(t, limit, func(last journal.Line) ([]journal.Line, error) {
				q.Before, q.ID, q.Limit = last.At, last.ID, limit
				return db.Journal().Lines(t.Context(), q)
			}, func(l journal.Line) { got = append(got, l) })
			inOrder := slices.IsSortedFunc(got, func(a, b journal.Line) int {
				if c := b.At.Compare(a.At); c != 0 {
					return c
				}
				return cmp.Compare(b.ID, a.ID)
			})
			if len(got) != n || !inOrder {
				t.Errorf("%s: got %d lines, in order %v", name, len(got), inOrder)
			}
		}
	})

	t.Run("devices, newest first, those that are asked for", func(t *testing.T) {
		f := facet(t, open(t))
		u := addUser(t, f.db, "alice@example.com")
		var all []subject.DeviceID
		for i := range n {
			inv := mdm.Invitation{Token: seal.Random().Hash(), Code: seal.Random().Hash(), User: u, State: mdm.Invited,
				Device: subject.Device{ID: subject.DeviceID(fmt.Sprintf("d-%d", i)), User: u.ID}, CreatedAt: moment(i), ExpiresAt: at.Add(time.Hour)}
			f.must(f.Invited(t.Context(), inv, entry(journal.DeviceInvited)))
			all = append([]subject.DeviceID{inv.Device.ID}, all...)
		}
		silent := f.enrolled("bob@example.com", "U-1")
		for name, c := range map[string]struct {
			q    mdm.Query
			want []subject.DeviceID
		}{
			"a user's":       {mdm.Query{User: u.ID}, all},
			"nobody's":       {mdm.Query{User: "u-0"}, nil},
			"invited":        {mdm.Query{State: mdm.Invited}, all},
			"enrolled":       {mdm.Query{State: mdm.Enrolled}, []subject.DeviceID{silent}},
			"silent":         {mdm.Query{Silent: at.Add(time.Second)}, []subject.DeviceID{silent}},
			"not yet silent": {mdm.Query{Silent: at}, nil},
		} {
			var got []subject.DeviceID
			walk(t, limit, func(last mdm.Device) ([]mdm.Device, error) {
				c.q.Before, c.q.ID, c.q.Limit = last.CreatedAt, last.ID, limit
				return f.DevicePage(t.Context(), c.q)
			}, func(d mdm.Device) { got = append(got, d.ID) })
			if !slices.Equal(got, c.want) {
				t.Errorf("%s: got %v, want %v", name, got, c.want)
			}
		}
	})
}

// walk reads a list to its end; next gets the last thing that was seen.
func walk[T any](t *testing.T, limit int, next func(last T) ([]T, error), see func(T)) {
	t.Helper()
	var last T
	for range 100 {
		part, err := next(last)
		if err != nil || part == nil || len(part) > limit {
			t.Fatalf("a part of %d, %v", len(part), err)
		}
		for _, v := range part {
			see(v)
			last = v
		}
		if len(part) < limit {
			return
		}
	}
	t.Fatal("the list has no end")
}
