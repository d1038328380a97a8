package directory_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/signet-mdm/signet/internal/directory"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/store"
	"github.com/signet-mdm/signet/internal/store/sqlitetest"
	"github.com/signet-mdm/signet/internal/subject"
)

var by = journal.Actor{Kind: journal.Local, ID: "test"}

func open(t *testing.T) *directory.Service {
	t.Helper()
	db, err := store.OpenSQLite(t.Context(), sqlitetest.Path(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return directory.New(db.Directory(), time.Now)
}

func TestAddNormalises(t *testing.T) {
	d := open(t)
	u, err := d.Add(t.Context(), by, subject.User{Mail: "Alice@Example.COM",
		Aliases: []string{"A.Old@example.com", "alice@example.com", "a.old@EXAMPLE.com"}})
	if err != nil {
		t.Fatal(err)
	}
	if u.Mail != "alice@example.com" || u.UPN != u.Mail || u.Name != u.Mail || !slices.Equal(u.Aliases, []string{"a.old@example.com"}) {
		t.Errorf("got %+v", u)
	}
	for _, key := range []string{"ALICE@example.com", "a.old@example.com", string(u.ID)} {
		if got, err := d.User(t.Context(), key); err != nil || got.ID != u.ID {
			t.Errorf("User(%s): got %s, %v", key, got.ID, err)
		}
	}
}

func TestAddRefuses(t *testing.T) {
	d := open(t)
	if _, err := d.Add(t.Context(), by, subject.User{Mail: "taken@example.com"}); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		user subject.User
		want error
	}{
		"no address":     {subject.User{Name: "x"}, subject.ErrAddress},
		"header in mail": {subject.User{Mail: "a@example.com\r\nBcc: b@example.com"}, subject.ErrAddress},
		"bad alias":      {subject.User{Mail: "a@example.com", Aliases: []string{"x"}}, subject.ErrAddress},
		"bad UPN":        {subject.User{Mail: "a@example.com", UPN: "x"}, subject.ErrAddress},
		"taken":          {subject.User{Mail: "TAKEN@example.com"}, directory.ErrUserExists},
		"long name":      {subject.User{Mail: "a@example.com", Name: strings.Repeat("x", 201)}, directory.ErrUserName},
		"turned name":    {subject.User{Mail: "a@example.com", Name: "evil\u202etxt"}, directory.ErrUserName},
		"C1 in name":     {subject.User{Mail: "a@example.com", Name: "a\u009b2J"}, directory.ErrUserName},
		"mark in name":   {subject.User{Mail: "a@example.com", Name: "a\u200fb"}, directory.ErrUserName},
		"line in name":   {subject.User{Mail: "a@example.com", Name: "a\u2028b"}, directory.ErrUserName},
		"newline name":   {subject.User{Mail: "a@example.com", Name: "a\nb"}, directory.ErrUserName},
	} {
		if _, err := d.Add(t.Context(), by, c.user); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
}

func TestSetGroup(t *testing.T) {
	d := open(t)
	u, err := d.Add(t.Context(), by, subject.User{Mail: "a@example.com"})
	if err != nil {
		t.Fatal(err)
	}
	id, err := d.SetGroup(t.Context(), by, "Finance", []subject.UserID{u.ID})
	if err != nil {
		t.Fatal(err)
	}
	if u, err = d.User(t.Context(), u.Mail); err != nil || !slices.Equal(u.Groups, []subject.GroupID{id}) {
		t.Errorf("groups of the user: got %v, %v; want %s", u.Groups, err, id)
	}
	if _, err := d.SetGroup(t.Context(), by, "", nil); err == nil {
		t.Error("a group without a name was made")
	}
}

func TestOnPremises(t *testing.T) {
	d := open(t)
	for name, c := range map[string]struct {
		in   subject.OnPremises
		want error
	}{
		"all":                      {subject.OnPremises{Department: "Mail", SAMAccountName: "a", OnPremisesUPN: "A@Corp.example", DistinguishedName: "CN=a", SID: "s-1-5-21-1"}, nil},
		"a SID with more behind":   {subject.OnPremises{SID: "S-1-5-21-1/x"}, directory.ErrUserProperty},
		"no SID":                   {subject.OnPremises{SID: "alice"}, directory.ErrUserProperty},
		"no distinguished name":    {subject.OnPremises{DistinguishedName: "alice"}, directory.ErrUserProperty},
		"a long one":               {subject.OnPremises{DistinguishedName: "CN=" + strings.Repeat("x", 2000)}, directory.ErrUserProperty},
		"no UPN":                   {subject.OnPremises{OnPremisesUPN: "alice"}, subject.ErrAddress},
		"department of two lines":  {subject.OnPremises{Department: "a\nb"}, directory.ErrUserName},
		"account name with escape": {subject.OnPremises{SAMAccountName: "a\x1b"}, directory.ErrUserName},
	} {
		u, err := d.Add(t.Context(), by, subject.User{Mail: "alice@example.com", OnPremises: c.in})
		if !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
		if err == nil && (u.SID != "S-1-5-21-1" || u.OnPremisesUPN != "a@corp.example") {
			t.Errorf("%s: got %+v", name, u.OnPremises)
		}
	}
}
