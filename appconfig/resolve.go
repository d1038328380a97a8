package appconfig

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/subject"
)

// Effective is what holds for one user and device.
type Effective struct {
	Settings Settings          // what is set and what holds by default, variables replaced
	Origin   map[string]string // key → name of the policy it comes from; "" is the default
	Policies []string          // those that are for the user, strongest first
	Problems []Problem         // what could not be had, in the order of keys

	apple, outlook bool // some policy speaks of that app
}

// Problem is a setting that is not in effect, and why.
type Problem struct {
	Key    string
	Policy string
	Why    string // a sentence
}

// Apple tells whether anything is wanted for Apple Mail: then certificates go
// into the system keychain.
func (e Effective) Apple() bool { return e.apple }

// Outlook tells whether anything is wanted for Outlook.
func (e Effective) Outlook() bool { return e.outlook }

// Broken gives the first problem with what is wanted for a mail app, nil for
// none. While there is one, what the device has of that app is best left alone.
func (e Effective) Broken(app App) *Problem {
	prefix := map[App]string{AppleMail: apple, Outlook: outlook}[app]
	for i, p := range e.Problems {
		if strings.HasPrefix(p.Key, prefix) {
			return &e.Problems[i]
		}
	}
	return nil
}

// Resolve merges the policies that are for u: per key the highest priority
// wins, among equals the first by name. A disabled user has none.
func Resolve(policies []Policy, u subject.User, d subject.Device) Effective {
	e := Effective{Settings: Settings{}, Origin: map[string]string{}}
	if u.Disabled {
		return e
	}
	for _, p := range ranked(policies) {
		if !p.For(u) {
			continue
		}
		e.Policies = append(e.Policies, p.Name)
		for key, v := range p.Settings {
			if !e.Settings.Has(key) {
				e.Settings[key], e.Origin[key] = v, p.Name
			}
		}
	}
	e.apple, e.outlook = e.Settings.Has(AppleAccount), e.Settings.Any(outlook)
	e.fill()
	e.expand(u, d)
	e.settle()
	return e
}

func ranked(policies []Policy) []Policy {
	return slices.SortedFunc(slices.Values(policies), func(a, b Policy) int {
		return cmp.Or(cmp.Compare(b.Priority, a.Priority), strings.Compare(a.Name, b.Name))
	})
}

// settle drops what the rules forbid: policies that are right by themselves can
// be wrong together.
func (e *Effective) settle() {
	for _, r := range slices.Concat(rules, whole) {
		if r.broken(e.Settings) {
			e.drop(r.key, sentence(r.key+": "+r.why(e.Settings)))
		}
	}
}

func (e *Effective) drop(key, why string) {
	e.Problems = append(e.Problems, Problem{Key: key, Policy: e.Origin[key], Why: why})
	delete(e.Settings, key)
	delete(e.Origin, key)
}

func sentence(s string) string { return strings.TrimSuffix(s, ".") + "." }

// fill sets the defaults of what is spoken of at all.
func (e *Effective) fill() {
	for _, s := range Table {
		wanted := e.apple && strings.HasPrefix(s.Key, apple) || e.outlook && strings.HasPrefix(s.Key, outlook) ||
			!strings.HasPrefix(s.Key, "mail.") && (e.apple || e.outlook)
		if wanted && s.Default != nil && !e.Settings.Has(s.Key) && e.concerns(s.Key) {
			e.Settings[s.Key], e.Origin[s.Key] = s.Default, ""
		}
	}
}

// concerns leaves out the defaults of what is not there: a port without a
// server, a switch that nobody set.
func (e *Effective) concerns(key string) bool {
	account := e.Settings.Text(AppleAccount)
	switch {
	case strings.HasPrefix(key, apple+"incoming."), strings.HasPrefix(key, apple+"outgoing."), key == apple+"full_name":
		return account == IMAP
	case strings.HasPrefix(key, apple+"ldap."):
		return e.Settings.Any(apple + "ldap.")
	case key == apple+"ssl", key == apple+"oauth":
		return account == Exchange
	case strings.HasPrefix(key, apple):
		return account != None
	case strings.HasPrefix(key, outlook) && strings.HasSuffix(key, userChange):
		return e.Settings.Has(strings.TrimSuffix(key, userChange))
	}
	return true
}

// expand replaces variables; what has no value here is dropped as a problem.
func (e *Effective) expand(u subject.User, d subject.Device) {
	for _, key := range slices.Sorted(maps.Keys(e.Settings)) {
		text, ok := e.Settings[key].(string)
		if !ok || !strings.Contains(text, "{{") {
			continue
		}
		v, err := subject.Expand(text, u, d)
		if err == nil {
			e.Settings[key] = v
			continue
		}
		why := "It cannot be filled in."
		if f := fault.Of(err); f != nil {
			why = f.Msg
		}
		e.drop(key, key+": "+why)
	}
}

// refuseTemplate tells what is wrong with a template that no user or device
// could fill in, "" when nothing is.
func refuseTemplate(text string) string {
	all := subject.User{ID: "x", UPN: "x@x", Mail: "x@x", Name: "x", GivenName: "x", Surname: "x",
		OnPremises: subject.OnPremises{Department: "x", SAMAccountName: "x", OnPremisesUPN: "x@x", DistinguishedName: "CN=x", SID: "S-1-5-21-1"}}
	_, err := subject.Expand(text, all, subject.Device{ID: "x", UDID: "xxxx", Serial: "xxxx", Name: "x"})
	if f := fault.Of(err); f != nil {
		return strings.TrimSuffix(f.Msg, ".")
	}
	return ""
}
