package appconfig

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/signet-mdm/signet/internal/subject"
)

// compareUser tells what a document changes in a user. The properties that it
// does not name stay.
func (a *application) compareUser(doc subject.User) (Item, error) {
	old, err := a.user(doc.Mail)
	if err != nil {
		return Item{}, err
	}
	return item("User", doc.Mail, old.ID != "", userFacts(old), userFacts(overlay(old, doc))), nil
}

func userFacts(u subject.User) map[string]string {
	m := map[string]string{"upn": u.UPN, "name": u.Name, "given_name": u.GivenName, "surname": u.Surname,
		"department": u.Department, "sam_account_name": u.SAMAccountName, "on_premises_upn": u.OnPremisesUPN,
		"distinguished_name": u.DistinguishedName, "sid": u.SID,
		"aliases": strings.Join(u.Aliases, ", "), "disabled": ""}
	if u.Disabled {
		m["disabled"] = "true"
	}
	return m
}

// overlay gives old with what doc says; an address of old, under which doc
// found him, stays his primary one.
func overlay(old, doc subject.User) subject.User {
	if old.ID == "" {
		return doc
	}
	u := old
	for into, v := range map[*string]string{&u.UPN: doc.UPN, &u.Name: doc.Name, &u.GivenName: doc.GivenName, &u.Surname: doc.Surname,
		&u.Department: doc.Department, &u.SAMAccountName: doc.SAMAccountName, &u.OnPremisesUPN: doc.OnPremisesUPN,
		&u.DistinguishedName: doc.DistinguishedName, &u.SID: doc.SID} {
		if v != "" {
			*into = v
		}
	}
	if doc.Aliases != nil {
		u.Aliases = doc.Aliases
	}
	u.Disabled = doc.Disabled
	return u
}

func (a *application) writeUser(doc subject.User) error {
	old, err := a.user(doc.Mail)
	if err != nil {
		return err
	}
	var stored subject.User
	if old.ID == "" {
		stored, err = a.people.Add(a.ctx, a.by, doc)
	} else {
		stored, err = a.people.Change(a.ctx, a.by, overlay(old, doc))
	}
	if err != nil {
		return fmt.Errorf("user %s: %w", printable(doc.Mail), err)
	}
	a.users[doc.Mail] = stored
	return nil
}

// named tells whether a user document of this file has that address or UPN.
func (a *application) named(key string) bool {
	return slices.ContainsFunc(a.docs.Users, func(u subject.User) bool {
		return strings.EqualFold(u.Mail, key) || strings.EqualFold(u.UPN, key)
	})
}

func (a *application) compareGroup(g Group) (Item, error) {
	ids, err := a.members("The group "+printable(g.Name), g.Members, false)
	if err != nil {
		return Item{}, err
	}
	old, exists := a.groups[g.Name]
	return item("Group", g.Name, exists, memberFacts(old.Users), memberFacts(ids)), nil
}

func memberFacts(ids []subject.UserID) map[string]string {
	list := make([]string, len(ids))
	for i, id := range ids {
		list[i] = string(id)
	}
	slices.Sort(list)
	return map[string]string{"members": strings.Join(slices.Compact(list), ", ")}
}

// members finds the users whom what names. Before writing, one whom the same
// file adds counts with his address.
func (a *application) members(what string, keys []string, written bool) ([]subject.UserID, error) {
	var ids []subject.UserID
	for _, key := range keys {
		u, err := a.user(key)
		switch {
		case err != nil:
			return nil, err
		case u.ID != "":
			ids = append(ids, u.ID)
		case !written && a.named(key):
			ids = append(ids, subject.UserID(key))
		default:
			return nil, ErrSubject.Saying(what + " names a user who does not exist: " + printable(key) + ".")
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids), nil
}

func (a *application) writeGroup(g Group) error {
	ids, err := a.members("The group "+printable(g.Name), g.Members, true)
	if err != nil {
		return err
	}
	id, err := a.people.SetGroup(a.ctx, a.by, g.Name, ids)
	if err != nil {
		return fmt.Errorf("group %s: %w", printable(g.Name), err)
	}
	a.groups[g.Name] = Members{ID: id, Users: ids}
	return nil
}

func (a *application) comparePolicy(doc *Document) (Item, error) {
	old, exists := a.policies[doc.Name]
	if doc.Remove {
		i := item("Policy", doc.Name, exists, nil, nil)
		i.Action = Removed
		if !exists {
			i.Action = Unchanged
		}
		return i, nil
	}
	if err := a.profiled(doc.Policy); err != nil {
		return Item{}, err
	}
	if err := a.place(doc, false); err != nil {
		return Item{}, err
	}
	return item("Policy", doc.Name, exists, policyFacts(old), policyFacts(doc.Policy)), nil
}

// policyFacts compares ids too: a group that was made anew under the same name
// is another.
func policyFacts(p Policy) map[string]string {
	m := map[string]string{"priority": strconv.Itoa(p.Priority), "assign": describe(p.Assign), "ids": fmt.Sprint(p.In, p.Out)}
	for key, v := range p.Settings {
		m[key] = fmt.Sprint(v)
	}
	return m
}

func describe(a Assignment) string {
	var parts []string
	if a.All {
		parts = append(parts, "all")
	}
	for _, l := range []struct {
		word  string
		names []string
	}{{"users", a.Users}, {"groups", a.Groups}, {"except users", a.Exclude.Users}, {"except groups", a.Exclude.Groups}} {
		if len(l.names) > 0 {
			parts = append(parts, l.word+" "+strings.Join(l.names, ", "))
		}
	}
	return strings.Join(parts, "; ")
}

// place works out whose ids the assignment means.
func (a *application) place(doc *Document, written bool) (err error) {
	p := &doc.Policy
	p.In, p.Out = subject.Scope{All: p.Assign.All}, subject.Scope{}
	if err = a.scope(&p.In, p.Name, p.Assign.Users, p.Assign.Groups, written); err != nil {
		return err
	}
	return a.scope(&p.Out, p.Name, p.Assign.Exclude.Users, p.Assign.Exclude.Groups, written)
}

func (a *application) scope(s *subject.Scope, policy string, users, groups []string, written bool) (err error) {
	what := "The policy " + printable(policy)
	if s.Users, err = a.members(what, users, written); err != nil {
		return err
	}
	for _, name := range groups {
		g, exists := a.groups[name]
		if !exists && (written || !slices.ContainsFunc(a.docs.Groups, func(d Group) bool { return d.Name == name })) {
			return ErrSubject.Saying(what + " names a group that does not exist: " + printable(name) + ".")
		}
		s.Groups = append(s.Groups, g.ID)
	}
	return nil
}

// item compares two lists of facts. Empty ones count as absent; ids decide, but
// are not shown.
func item(kind, name string, exists bool, old, now map[string]string) Item {
	i := Item{Kind: kind, Name: name, Action: Unchanged, Changes: []Change{}}
	keys := maps.Clone(old)
	if keys == nil {
		keys = map[string]string{}
	}
	maps.Copy(keys, now)
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		if old[key] == now[key] {
			continue
		}
		i.Action = Changed
		if key != "ids" {
			i.Changes = append(i.Changes, Change{Key: key, Old: old[key], New: now[key]})
		}
	}
	if !exists {
		i.Action = Added
	}
	return i
}
