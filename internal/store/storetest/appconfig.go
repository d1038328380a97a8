package storetest

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-mdm/signet/appconfig"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/store"
	"github.com/signet-mdm/signet/internal/subject"
)

func testAppConfig(t *testing.T, open Open) {
	t.Run("policies come back whole, by name", func(t *testing.T) {
		db := open(t)
		a := appconfig.Policy{Name: "a", Priority: -3, Assign: appconfig.Assignment{Users: []string{"alice@example.com"}, Exclude: appconfig.Exclusion{Groups: []string{"g"}}},
			In: subject.Scope{Users: []subject.UserID{"u"}}, Out: subject.Scope{Groups: []subject.GroupID{"g"}},
			Settings: appconfig.Settings{"s": "text", "n": int64(7), "b": false}}
		b := appconfig.Policy{Name: "b", Settings: appconfig.Settings{}}
		apply(t, db, []appconfig.Policy{b, a})
		a.Priority = 5
		apply(t, db, []appconfig.Policy{a})
		samePolicies(t, db, a, b)
		apply(t, db, nil, "a", "unknown")
		samePolicies(t, db, b)
	})

	t.Run("old and new scopes become due", func(t *testing.T) {
		db := open(t)
		f := facet(t, db)
		old, now := f.enrolled("old@example.com", "1"), f.enrolled("new@example.com", "2")
		other := f.enrolled("other@example.com", "3")
		p := appconfig.Policy{Name: "p", In: scopeOf(t, db, old), Settings: appconfig.Settings{}}
		apply(t, db, []appconfig.Policy{p})
		settle(t, db)
		p.In = scopeOf(t, db, now)
		apply(t, db, []appconfig.Policy{p})
		isDue(t, db, map[subject.DeviceID]bool{old: true, now: true, other: false})
		settle(t, db)
		apply(t, db, nil, "p")
		isDue(t, db, map[subject.DeviceID]bool{old: false, now: true, other: false})
	})

	t.Run("are changed only as they were seen", func(t *testing.T) {
		db := open(t)
		a := appconfig.Policy{Name: "a", Settings: appconfig.Settings{"n": int64(7)}}
		apply(t, db, []appconfig.Policy{a})
		list, err := db.AppConfig().Policies(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		seen := appconfig.Revision(list)
		for _, want := range []error{nil, appconfig.ErrChanged} { // the second saw what the first changed
			a.Priority++
			if err := db.AppConfig().PoliciesApplied(t.Context(), seen, []appconfig.Policy{a}, nil, entry(journal.PolicyApplied)); !errors.Is(err, want) {
				t.Errorf("got %v, want %v", err, want)
			}
		}
		a.Priority = 1
		samePolicies(t, db, a)
	})

	t.Run("groups have their members", func(t *testing.T) {
		db := open(t)
		u := addUser(t, db, "alice@example.com")
		id, err := db.Directory().GroupSaved(t.Context(), "Finance", []subject.UserID{u.ID}, entry(journal.GroupChanged))
		if err != nil {
			t.Fatal(err)
		}
		none, err := db.Directory().GroupSaved(t.Context(), "None", nil, entry(journal.GroupChanged))
		if err != nil {
			t.Fatal(err)
		}
		got, err := db.AppConfig().Groups(t.Context())
		want := map[string]appconfig.Members{"Finance": {ID: id, Users: []subject.UserID{u.ID}}, "None": {ID: none}}
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%v\n%s", err, diff)
		}
	})
}

func apply(t *testing.T, db *store.DB, saved []appconfig.Policy, removed ...string) {
	t.Helper()
	if err := db.AppConfig().PoliciesApplied(t.Context(), "", saved, removed, entry(journal.PolicyApplied)); err != nil {
		t.Fatal(err)
	}
}

func samePolicies(t *testing.T, db *store.DB, want ...appconfig.Policy) {
	t.Helper()
	got, err := db.AppConfig().Policies(t.Context())
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
}

// scopeOf is the scope of a device's user.
func scopeOf(t *testing.T, db *store.DB, id subject.DeviceID) subject.Scope {
	t.Helper()
	return subject.OfUser(facet(t, db).device(id).User)
}
