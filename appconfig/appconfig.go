// Package appconfig has the policies: what an organisation wants for its mail
// apps, and for whom. It reads them from documents, refuses what no server can
// do and says why, and resolves them to what holds for one user and device.
//
// It promises that each setting is in one table (setting.go), that each
// refusal names its line, that two policies which set the same key are decided
// here, by priority, with the origin kept, and that no policy is taken that
// claims keys can reach Outlook by themselves (capability.go).
//
// Start at [Parse], [Resolve] and [Service.Apply].
package appconfig

import (
	"maps"
	"slices"

	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/subject"
)

// What can be wrong with a document. The message says where and what.
var (
	ErrDocument = fault.New(fault.Invalid, "policy_document_invalid",
		"The file is no list of documents.", "Each document begins with kind: Policy, CertificateProfile, User or Group; --- stands between two.")
	ErrSetting = fault.New(fault.Invalid, "policy_setting_unknown",
		"There is no such setting.", "See docs/policies.md for the list.")
	ErrValue = fault.New(fault.Invalid, "policy_value_invalid",
		"The setting cannot have this value.", "See docs/policies.md for the list.")
	ErrImpossible = fault.New(fault.Invalid, "policy_impossible",
		"No server can do this for that mail app.", "See the table in README.md of what works with which mail app.")
	ErrSubject = fault.New(fault.Invalid, "policy_subject_unknown",
		"The document names a user or group that does not exist.", "Add it first, or in the same file.")
	ErrProfile = fault.New(fault.Invalid, "policy_profile_unknown",
		"The policy names a certificate profile that does not exist.", "Add it first, or in the same file.")
	ErrNamed = fault.New(fault.Conflict, "policy_profile_named",
		"A policy names this certificate profile.", "Have the policy name another first.")
	ErrChanged = fault.New(fault.Conflict, "policy_changed",
		"Somebody else changed the policies at the same time.", "Look at the difference, and apply it again.")
	ErrTooLarge = fault.New(fault.TooLarge, "policy_too_large",
		"The file is too large.", "Apply several smaller ones.")
)

// Policy is what an organisation wants, and for whom.
type Policy struct {
	Name     string
	Priority int           // among policies that set the same key the highest wins
	Assign   Assignment    // as it stands in the document
	In, Out  subject.Scope // the same as ids: whom it is for, and who is left out
	Settings Settings
}

// Assignment says whom a policy is for, in the words of the document: users by
// address, UPN or id, groups by name.
type Assignment struct {
	All     bool
	Users   []string
	Groups  []string
	Exclude Exclusion
}

// Exclusion leaves out some of those that a policy is for.
type Exclusion struct {
	Users  []string
	Groups []string
}

// Settings has the value of each key that is set: a bool, an int64 or a string.
// [Table] has the keys.
type Settings map[string]any

// Flag gives a true-or-false setting; false when it is not set.
func (s Settings) Flag(key string) bool { v, _ := s[key].(bool); return v }

// Text gives a text setting; empty when it is not set.
func (s Settings) Text(key string) string { v, _ := s[key].(string); return v }

// Number gives a number setting; 0 when it is not set.
func (s Settings) Number(key string) int { v, _ := s[key].(int64); return int(v) }

// Has tells whether key is set.
func (s Settings) Has(key string) bool { _, ok := s[key]; return ok }

// Any tells whether a key is set that begins with prefix.
func (s Settings) Any(prefix string) bool {
	for key := range s {
		if len(key) > len(prefix) && key[:len(prefix)] == prefix {
			return true
		}
	}
	return false
}

// Keys lists what is set, in order.
func (s Settings) Keys() []string { return slices.Sorted(maps.Keys(s)) }

// For tells whether the policy is for u.
func (p Policy) For(u subject.User) bool { return holds(p.In, u) && !holds(p.Out, u) }

func holds(s subject.Scope, u subject.User) bool {
	return s.All || slices.Contains(s.Users, u.ID) ||
		slices.ContainsFunc(u.Groups, func(g subject.GroupID) bool { return slices.Contains(s.Groups, g) })
}
