package cert_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/subject"
)

func TestMatch(t *testing.T) {
	alice := subject.User{ID: "alice", Mail: "alice@example.com", UPN: "alice@corp.example", Aliases: []string{"a.old@example.com"}}
	bob := subject.User{ID: "bob", Mail: "bob@example.com", UPN: "bob@corp.example", Aliases: []string{"info@example.com"}}
	carol := subject.User{ID: "carol", Mail: "carol@example.com", UPN: "shared@corp.example"}
	users := []subject.User{alice, bob, carol}
	for name, c := range map[string]struct {
		names cert.Names
		want  []subject.UserID
		by    string
	}{
		"primary":                     {cert.Names{Mail: []string{"alice@example.com"}}, []subject.UserID{"alice"}, "primary address"},
		"alias":                       {cert.Names{Mail: []string{"a.old@example.com"}}, []subject.UserID{"alice"}, "other address"},
		"UPN":                         {cert.Names{UPN: []string{"bob@corp.example"}}, []subject.UserID{"bob"}, "user principal name"},
		"primary before alias":        {cert.Names{Mail: []string{"info@example.com", "alice@example.com"}}, []subject.UserID{"alice"}, "primary address"},
		"alias before UPN":            {cert.Names{Mail: []string{"info@example.com"}, UPN: []string{"alice@corp.example"}}, []subject.UserID{"bob"}, "other address"},
		"two primaries":               {cert.Names{Mail: []string{"alice@example.com", "bob@example.com"}}, []subject.UserID{"alice", "bob"}, "primary address"},
		"nobody":                      {cert.Names{Mail: []string{"dave@example.com"}}, nil, ""},
		"a name within another":       {cert.Names{Mail: []string{"lice@example.com"}}, nil, ""},
		"a certificate without names": {cert.Names{}, nil, ""},
	} {
		found, by := cert.Match(c.names, users)
		var got []subject.UserID
		for _, u := range found {
			got = append(got, u.ID)
		}
		if diff := cmp.Diff(c.want, got); diff != "" || by != c.by {
			t.Errorf("%s: by %q, want %q\n%s", name, by, c.by, diff)
		}
	}
	n := cert.Names{Mail: []string{"a.old@example.com"}}
	if !n.Mentions(alice) || n.Mentions(bob) {
		t.Errorf("Mentions: alice %v, bob %v", n.Mentions(alice), n.Mentions(bob))
	}
}
