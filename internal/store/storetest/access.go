package storetest

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-mdm/signet/internal/access"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/internal/subject"
)

func testAccess(t *testing.T, open Open) {
	t.Run("a token is found by its hash until it is revoked", func(t *testing.T) {
		db, secret := open(t), seal.Random()
		want := access.Token{ID: "t-1", Name: "CI", Role: access.Helpdesk, Created: at, Expires: at.Add(time.Hour)}
		if err := db.Access().TokenCreated(t.Context(), want, secret.Hash(), entry(journal.TokenCreated)); err != nil {
			t.Fatal(err)
		}
		if _, err := db.Access().Token(t.Context(), seal.Random().Hash()); !errors.Is(err, access.ErrTokenUnknown) {
			t.Errorf("another secret: got %v, want ErrTokenUnknown", err)
		}
		want.Used = at.Add(time.Minute)
		for _, used := range []time.Time{want.Used, at} { // the later use stays
			if err := db.Access().TokenUsed(t.Context(), want.ID, used); err != nil {
				t.Fatal(err)
			}
		}
		if err := db.Access().TokenRevoked(t.Context(), want.ID, entry(journal.TokenRevoked)); err != nil {
			t.Fatal(err)
		}
		want.Revoked = at
		got, err := db.Access().Token(t.Context(), secret.Hash())
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%v\n%s", err, diff)
		}
		for _, id := range []string{want.ID, "t-2"} {
			if err := db.Access().TokenRevoked(t.Context(), id, entry(journal.TokenRevoked)); !errors.Is(err, access.ErrTokenUnknown) {
				t.Errorf("revoking %s: got %v, want ErrTokenUnknown", id, err)
			}
		}
		if list, err := db.Access().Tokens(t.Context(), time.Time{}, "", 10); err != nil || len(list) != 1 {
			t.Errorf("got %d tokens, %v; want 1", len(list), err)
		}
	})

	t.Run("a token of a person opens nothing while he is disabled", func(t *testing.T) {
		db, secret := open(t), seal.Random()
		u := addUser(t, db, "alice@example.com")
		want := access.Token{ID: "t-1", Name: "Alice", Role: access.Approver, User: string(u.ID), Created: at, Expires: at.Add(time.Hour)}
		if err := db.Access().TokenCreated(t.Context(), want, secret.Hash(), entry(journal.TokenCreated)); err != nil {
			t.Fatal(err)
		}
		got, err := db.Access().Token(t.Context(), secret.Hash())
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%v\n%s", err, diff)
		}
		byID, err := db.Access().TokenByID(t.Context(), want.ID)
		if diff := cmp.Diff(want, byID); err != nil || diff != "" {
			t.Errorf("by id: %v\n%s", err, diff)
		}
		if _, err := db.Access().TokenByID(t.Context(), "none"); !errors.Is(err, access.ErrTokenUnknown) {
			t.Errorf("an unknown id: got %v, want ErrTokenUnknown", err)
		}
		u.Disabled = true
		if err := db.Directory().UserSaved(t.Context(), u, entry(journal.UserChanged)); err != nil {
			t.Fatal(err)
		}
		if _, err := db.Access().Token(t.Context(), secret.Hash()); !errors.Is(err, access.ErrTokenUnknown) {
			t.Errorf("disabled: got %v, want ErrTokenUnknown", err)
		}
		if _, err := db.Access().TokenByID(t.Context(), want.ID); !errors.Is(err, access.ErrTokenUnknown) {
			t.Errorf("disabled, by id: got %v, want ErrTokenUnknown", err)
		}
	})

	t.Run("of many requests under one key one is made", func(t *testing.T) {
		db, key := open(t), seal.Random().Hash()
		made := race(t, 8, access.ErrRequestRepeated, func(int) error {
			return db.Access().RequestClaimed(t.Context(), key, at, at.Add(time.Hour))
		})
		if made != 1 {
			t.Errorf("%d were made, want 1", made)
		}
		claim := func(now time.Time, want error) {
			t.Helper()
			if err := db.Access().RequestClaimed(t.Context(), key, now, now.Add(time.Hour)); !errors.Is(err, want) {
				t.Errorf("got %v, want %v", err, want)
			}
		}
		claim(at.Add(time.Hour-time.Second), access.ErrRequestRepeated)
		claim(at.Add(time.Hour), nil) // it was forgotten
		if err := db.Access().RequestReleased(t.Context(), key); err != nil {
			t.Error(err)
		}
		claim(at.Add(time.Hour), nil)
	})

	t.Run("opening a session forgets those that ended", func(t *testing.T) {
		db, old, young := open(t), seal.Random(), seal.Random()
		ended := access.Session{Role: access.Person, User: "u", Opened: at.Add(-2 * time.Hour), Expires: at}
		want := access.Session{Role: access.Enrolling, User: "u", Device: "d", Opened: at, Expires: at.Add(time.Hour)}
		if err := db.Access().SessionOpened(t.Context(), ended, old.Hash()); err != nil {
			t.Fatal(err)
		}
		if err := db.Access().SessionOpened(t.Context(), want, young.Hash()); err != nil {
			t.Fatal(err)
		}
		got, err := db.Access().Session(t.Context(), young.Hash())
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%v\n%s", err, diff)
		}
		if _, err := db.Access().Session(t.Context(), old.Hash()); !errors.Is(err, access.ErrSession) {
			t.Errorf("the ended one: got %v, want ErrSession", err)
		}
	})

	t.Run("a disabled user has no session", func(t *testing.T) {
		db, secret := open(t), seal.Random()
		u := subject.User{ID: subject.NewUserID(), Mail: "a@example.com", UPN: "a@example.com", Name: "A", CreatedAt: at,
			Aliases: []string{}, Groups: []subject.GroupID{}}
		session := access.Session{Role: access.Person, User: string(u.ID), Opened: at, Expires: at.Add(time.Hour)}
		if err := db.Access().SessionOpened(t.Context(), session, secret.Hash()); err != nil {
			t.Fatal(err)
		}
		for _, disabled := range []bool{false, true, false} {
			u.Disabled = disabled
			if err := db.Directory().UserSaved(t.Context(), u, entry(journal.UserAdded)); err != nil {
				t.Fatal(err)
			}
			if _, err := db.Access().Session(t.Context(), secret.Hash()); errors.Is(err, access.ErrSession) != disabled {
				t.Errorf("disabled %v: got %v", disabled, err)
			}
		}
	})

	t.Run("a removed device has no session", func(t *testing.T) {
		db, secret := open(t), seal.Random()
		f := facet(t, db)
		d := f.enrolled("alice@example.com", "U-1")
		session := access.Session{Role: access.Enrolling, User: "u", Device: string(d), Opened: at, Expires: at.Add(time.Hour)}
		f.must(db.Access().SessionOpened(t.Context(), session, secret.Hash()))
		if _, err := db.Access().Session(t.Context(), secret.Hash()); err != nil {
			t.Errorf("before: %v", err)
		}
		f.must(f.DeviceRemoved(t.Context(), d, nil, entry(journal.DeviceRemoved)))
		if _, err := db.Access().Session(t.Context(), secret.Hash()); !errors.Is(err, access.ErrSession) {
			t.Errorf("afterwards: got %v, want ErrSession", err)
		}
	})

	t.Run("of many who open a link one succeeds", func(t *testing.T) {
		db, link := open(t), seal.Random()
		if err := db.Access().LinkMade(t.Context(), access.Link{User: "u-1", Expires: at.Add(time.Hour)}, link.Hash()); err != nil {
			t.Fatal(err)
		}
		sessions, errs := make([]seal.Secret, 8), make([]error, 8)
		var wg sync.WaitGroup
		for i := range sessions {
			sessions[i] = seal.Random()
			wg.Go(func() { errs[i] = openLink(t, db.Access(), link, sessions[i], at) })
		}
		wg.Wait()
		opened := 0
		for i, err := range errs {
			switch s, lookup := db.Access().Session(t.Context(), sessions[i].Hash()); {
			case err == nil && lookup == nil && s.User == "u-1":
				opened++
			case !errors.Is(err, access.ErrSession) || !errors.Is(lookup, access.ErrSession):
				t.Errorf("opener %d: got %v and %v, want ErrSession twice", i, err, lookup)
			}
		}
		if opened != 1 {
			t.Errorf("%d sessions were opened, want 1", opened)
		}
		log, err := db.Journal().Lines(t.Context(), journal.Query{User: "u-1", Limit: 10})
		if err != nil || len(log) != 1 || log[0].Actor.ID != "u-1" {
			t.Errorf("journal: got %v, %v; want one entry of the user", log, err)
		}
	})

	t.Run("making a link forgets those that expired", func(t *testing.T) {
		db, old, young := open(t), seal.Random(), seal.Random()
		make := func(link seal.Secret, expires time.Time) {
			t.Helper()
			if err := db.Access().LinkMade(t.Context(), access.Link{User: "u-1", Made: at.Add(time.Minute), Expires: expires}, link.Hash()); err != nil {
				t.Fatal(err)
			}
		}
		make(old, at.Add(time.Minute))
		make(young, at.Add(time.Minute+access.LinkLife))
		for link, want := range map[*seal.Secret]error{&old: access.ErrSession, &young: nil} {
			if err := openLink(t, db.Access(), *link, seal.Random(), at); !errors.Is(err, want) {
				t.Errorf("got %v, want %v", err, want)
			}
		}
	})

	t.Run("others' sessions and links of a user end", func(t *testing.T) {
		db := open(t)
		u := addUser(t, db, "alice@example.com")
		session := func(user subject.UserID) seal.Hash {
			t.Helper()
			secret := seal.Random()
			s := access.Session{Role: access.Person, User: string(user), Opened: at, Expires: at.Add(time.Hour)}
			if err := db.Access().SessionOpened(t.Context(), s, secret.Hash()); err != nil {
				t.Fatal(err)
			}
			return secret.Hash()
		}
		own, other, bobs, link := session(u.ID), session(u.ID), session(addUser(t, db, "bob@example.com").ID), seal.Random()
		if err := db.Access().LinkMade(t.Context(), access.Link{User: string(u.ID), Made: at, Expires: at.Add(time.Hour)}, link.Hash()); err != nil {
			t.Fatal(err)
		}
		if err := db.Access().PagesEnded(t.Context(), string(u.ID), own, entry(journal.PagesEnded)); err != nil {
			t.Fatal(err)
		}
		for hash, want := range map[seal.Hash]error{own: nil, other: access.ErrSession, bobs: nil} {
			if _, err := db.Access().Session(t.Context(), hash); !errors.Is(err, want) {
				t.Errorf("got %v, want %v", err, want)
			}
		}
		if err := openLink(t, db.Access(), link, seal.Random(), at); !errors.Is(err, access.ErrSession) {
			t.Errorf("the link: got %v, want ErrSession", err)
		}
		log, err := db.Journal().Lines(t.Context(), journal.Query{User: u.ID, Limit: 1})
		if err != nil || len(log) != 1 || log[0].Action != journal.PagesEnded {
			t.Errorf("journal: %v, %v", log, err)
		}
	})

	t.Run("what has expired is forgotten", func(t *testing.T) {
		db := open(t)
		for n := range 3 {
			expires := at.Add(time.Duration(n-1) * time.Minute)
			if err := db.Access().LinkMade(t.Context(), access.Link{User: "u-1", Made: at.Add(-time.Hour), Expires: expires}, seal.Random().Hash()); err != nil {
				t.Fatal(err)
			}
			s := access.Session{Role: access.Person, User: "u-1", Opened: at.Add(-time.Hour), Expires: expires}
			if err := db.Access().SessionOpened(t.Context(), s, seal.Random().Hash()); err != nil {
				t.Fatal(err)
			}
		}
		for _, want := range []int{4, 0} {
			if n, err := db.Access().PagesTidied(t.Context(), at); err != nil || n != want {
				t.Errorf("got %d, %v; want %d", n, err, want)
			}
		}
	})

	t.Run("a session of the console has its token until it is closed", func(t *testing.T) {
		db, secret, token := open(t), seal.Random(), seal.Random()
		s := db.Access()
		u := addUser(t, db, "alice@example.com")
		tok := access.Token{ID: "t-1", Name: "Alice", Role: access.Approver, User: string(u.ID), Created: at, Expires: at.Add(time.Hour)}
		if err := s.TokenCreated(t.Context(), tok, token.Hash(), entry(journal.TokenCreated)); err != nil {
			t.Fatal(err)
		}
		old := access.ConsoleSession{Token: "t-1", Opened: at.Add(-time.Hour), Used: at.Add(-time.Hour), Expires: at}
		want := access.ConsoleSession{Token: "t-1", Opened: at, Used: at, Expires: at.Add(time.Hour)}
		older := seal.Random()
		if err := errors.Join(s.ConsoleOpened(t.Context(), old, older.Hash(), entry(journal.ConsoleOpened)),
			s.ConsoleOpened(t.Context(), want, secret.Hash(), entry(journal.ConsoleOpened))); err != nil {
			t.Fatal(err)
		}
		if _, _, err := s.Console(t.Context(), older.Hash()); !errors.Is(err, access.ErrConsole) {
			t.Errorf("the ended one: got %v, want ErrConsole", err)
		}
		want.Used, tok.Used = at.Add(time.Minute), at.Add(time.Minute)
		for _, used := range []time.Time{want.Used, at} { // the later use stays
			if err := s.ConsoleUsed(t.Context(), secret.Hash(), used); err != nil {
				t.Fatal(err)
			}
		}
		got, gotToken, err := s.Console(t.Context(), secret.Hash())
		if diff := cmp.Diff(want, got) + cmp.Diff(tok, gotToken); err != nil || diff != "" {
			t.Errorf("%v\n%s", err, diff)
		}
		u.Disabled = true
		if err := db.Directory().UserSaved(t.Context(), u, entry(journal.UserChanged)); err != nil {
			t.Fatal(err)
		}
		if _, _, err := s.Console(t.Context(), secret.Hash()); !errors.Is(err, access.ErrConsole) {
			t.Errorf("disabled: got %v, want ErrConsole", err)
		}
		for i, want := range []error{nil, access.ErrConsole} {
			if err := s.ConsoleClosed(t.Context(), secret.Hash(), entry(journal.ConsoleClosed)); !errors.Is(err, want) {
				t.Errorf("closing, %d: got %v, want %v", i, err, want)
			}
		}
	})

	t.Run("an expired link opens nothing", func(t *testing.T) {
		db, link := open(t), seal.Random()
		if err := db.Access().LinkMade(t.Context(), access.Link{User: "u-1", Expires: at}, link.Hash()); err != nil {
			t.Fatal(err)
		}
		if err := openLink(t, db.Access(), link, seal.Random(), at); !errors.Is(err, access.ErrSession) {
			t.Errorf("got %v, want ErrSession", err)
		}
	})
}

func openLink(t *testing.T, s access.PageStore, link, session seal.Secret, now time.Time) error {
	e := entry(journal.PageOpened)
	e.At = now
	return s.LinkOpened(t.Context(), link.Hash(), access.Session{Role: access.Person, Opened: now, Expires: now.Add(time.Hour)}, session.Hash(), e)
}
