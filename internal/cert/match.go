package cert

import (
	"slices"

	"github.com/signet-mdm/signet/internal/subject"
)

// Match gives those of users whom the names of a certificate mean, and by which
// kind of name. Primary address comes before other addresses, these before the
// user principal name; the first kind that finds somebody ends the search.
// None and several are for a person to decide.
func Match(n Names, users []subject.User) (found []subject.User, by string) {
	names := n.All()
	kinds := []struct {
		name string
		has  func(subject.User) bool
	}{
		{"primary address", func(u subject.User) bool { return slices.Contains(names, u.Mail) }},
		{"other address", func(u subject.User) bool { return slices.ContainsFunc(u.Aliases, in(names)) }},
		{"user principal name", func(u subject.User) bool { return slices.Contains(names, u.UPN) }},
	}
	for _, k := range kinds {
		for _, u := range users {
			if k.has(u) {
				found = append(found, u)
			}
		}
		if len(found) > 0 {
			return found, k.name
		}
	}
	return nil, ""
}

// Mentions tells whether any name is one of u's.
func (n Names) Mentions(u subject.User) bool {
	found, _ := Match(n, []subject.User{u})
	return len(found) > 0
}

func in(names []string) func(string) bool {
	return func(s string) bool { return slices.Contains(names, s) }
}
