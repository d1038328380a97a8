package appconfig_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/signet-mdm/signet/appconfig"
	"github.com/signet-mdm/signet/internal/directory"
	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/store"
	"github.com/signet-mdm/signet/internal/store/sqlitetest"
	"github.com/signet-mdm/signet/internal/subject"
)

var at = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// house is the service over a real database.
type house struct {
	*appconfig.Service
	t      *testing.T
	db     *store.DB
	people *directory.Service
}

func open(t *testing.T) house {
	t.Helper()
	db, err := store.OpenSQLite(t.Context(), sqlitetest.Path(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	now := func() time.Time { return at }
	people := directory.New(db.Directory(), now)
	return house{appconfig.New(db.AppConfig(), people, now), t, db, people}
}

func (h house) apply(file string, dryRun bool) string {
	h.t.Helper()
	d, err := h.Apply(h.t.Context(), journal.Worker("test"), []byte(file), dryRun)
	if err != nil {
		h.t.Fatal(err)
	}
	return d.String()
}

func (h house) entries() int {
	h.t.Helper()
	list, err := h.db.Journal().Latest(h.t.Context(), 1000)
	if err != nil {
		h.t.Fatal(err)
	}
	return len(list)
}

const story = `
kind: Policy
name: finance
assign: {groups: [Finance], exclude: {users: [bob@example.com]}}
signing: {source: scep}
mail: {apple: {account: none}}
---
kind: Group
name: Finance
members: [alice@example.com, bob@example.com]
---
kind: User
mail: alice@example.com
name: Alice
---
kind: User
mail: bob@example.com
aliases: [robert@example.com]
`

// Everything in one file, in any order; applying it again changes nothing.
func TestApply(t *testing.T) {
	h := open(t)
	dry := h.apply(story, true)
	if h.entries() != 0 {
		t.Error("a dry run wrote something")
	}
	if wet := h.apply(story, false); wet != dry || !strings.Contains(wet, "+ policy finance\n    + assign: groups Finance; except users bob@example.com\n") {
		t.Errorf("got\n%swant\n%s", wet, dry)
	}
	before := h.entries()
	if got := h.apply(story, false); got != "  user alice@example.com\n  user bob@example.com\n  group Finance\n  policy finance\n" {
		t.Errorf("again:\n%s", got)
	}
	if h.entries() != before {
		t.Error("applying the same again wrote something")
	}
	for mail, want := range map[string]bool{"alice@example.com": true, "bob@example.com": false} {
		u, err := h.people.User(t.Context(), mail)
		if err != nil {
			t.Fatal(err)
		}
		e, err := h.Effective(t.Context(), u, subject.Device{})
		if err != nil || e.Apple() != want {
			t.Errorf("%s: got %v, %v; want %v", mail, e.Apple(), err, want)
		}
	}
}

func TestApplyChanges(t *testing.T) {
	for name, c := range map[string]struct{ file, want string }{
		"a setting": {"kind: Policy\nname: finance\nassign: {groups: [Finance], exclude: {users: [bob@example.com]}}\nmail: {apple: {account: none, name: X}}",
			"~ policy finance\n    + mail.apple.name: X\n    - signing.source: scep\n"},
		"priority":          {"kind: Policy\nname: finance\npriority: 7\nassign: {all: true}\nsigning: {source: scep}\nmail: {apple: {account: none}}", "~ policy finance\n    ~ assign: groups Finance; except users bob@example.com → all\n    ~ priority: 0 → 7\n"},
		"removal":           {"kind: Policy\nname: finance\nremove: true", "- policy finance\n"},
		"removal of nobody": {"kind: Policy\nname: other\nremove: true", "  policy other\n"},
		"a user":            {"kind: User\nmail: alice@example.com\ndisabled: true", "~ user alice@example.com\n    + disabled: true\n"},
		"an alias stays":    {"kind: User\nmail: bob@example.com", "  user bob@example.com\n"},
		"an alias goes":     {"kind: User\nmail: bob@example.com\naliases: []", "~ user bob@example.com\n    - aliases: robert@example.com\n"},
	} {
		t.Run(name, func(t *testing.T) {
			h := open(t)
			h.apply(story, false)
			if got := h.apply(c.file, false); got != c.want {
				t.Errorf("got\n%swant\n%s", got, c.want)
			}
			if got := h.apply(c.file, false); strings.ContainsAny(got, "~+-") && !strings.HasPrefix(got, "  ") {
				t.Errorf("again:\n%s", got)
			}
		})
	}
}

func TestApplyRefuses(t *testing.T) {
	for name, c := range map[string]struct{ file, want string }{
		"a group of strangers":       {"kind: Group\nname: g\nmembers: [x@example.com]", "The group g names a user who does not exist: x@example.com."},
		"a policy for strangers":     {"kind: Policy\nname: p\nassign: {users: [x@example.com]}", "The policy p names a user who does not exist: x@example.com."},
		"a policy for no group":      {"kind: Policy\nname: p\nassign: {groups: [x]}", "The policy p names a group that does not exist: x."},
		"a policy that leaves out x": {"kind: Policy\nname: p\nassign: {all: true, exclude: {groups: [x]}}", "The policy p names a group that does not exist: x."},
	} {
		h := open(t)
		good := "kind: User\nmail: alice@example.com\n---\n"
		_, err := h.Apply(t.Context(), journal.Worker("test"), []byte(good+c.file), false)
		if f := fault.Of(err); !errors.Is(err, appconfig.ErrSubject) || f.Msg != c.want {
			t.Errorf("%s: got %v, want %s", name, err, c.want)
		}
		if h.entries() != 0 {
			t.Errorf("%s: something was written all the same", name)
		}
	}
}

func TestExplain(t *testing.T) {
	h := open(t)
	h.apply(story+"---\n"+string(read(t, "everybody.yaml"))+"---\nkind: Group\nname: Contractors\n", false)
	x, err := h.Explain(t.Context(), "alice@example.com")
	if err != nil {
		t.Fatal(err)
	}
	origin := map[string]string{}
	for _, l := range x.Settings {
		origin[l.Key] = l.Policy
	}
	if origin["mail.apple.account"] != "everybody" || origin["mail.outlook.install"] != "" || !slices.Equal(x.Policies, []string{"everybody", "finance"}) {
		t.Errorf("got %v from %v", x.Policies, origin)
	}
	how := map[string]appconfig.How{}
	for _, c := range x.Mail {
		how[string(c.App)+" "+c.Purpose] = c.How
	}
	want := map[string]appconfig.How{"Apple Mail signing": appconfig.Automatic, "Apple Mail encryption": appconfig.Automatic,
		"Outlook for iOS signing": appconfig.Impossible, "Outlook for iOS encryption": appconfig.Assisted}
	if !maps.Equal(how, want) || !strings.Contains(x.Outlook, "IntuneMAMUPN") {
		t.Errorf("got %v, %s", how, x.Outlook)
	}
	if _, err := h.Explain(t.Context(), "nobody@example.com"); !errors.Is(err, directory.ErrUserUnknown) {
		t.Errorf("nobody: got %v", err)
	}
}

// broken is a store that fails.
type broken struct{ appconfig.Store }

func (broken) Policies(context.Context) ([]appconfig.Policy, error) { return nil, errors.New("disk") }

func TestFailureOfTheStore(t *testing.T) {
	h := open(t)
	s := appconfig.New(broken{h.db.AppConfig()}, h.people, func() time.Time { return at })
	if _, err := s.Apply(t.Context(), journal.Worker("test"), []byte(story), true); err == nil || fault.Of(err) != nil {
		t.Errorf("got %v, want an internal failure", err)
	}
}
