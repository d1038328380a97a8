package cert

import (
	"slices"
	"strings"
)

// SubjectDiffers tells whether two names are made of other steps, and names an
// attribute that tells them apart. Neither string types count nor upper and
// lower case, nor how many spaces stand between words, nor the order of the
// attributes in a step; and not the order of the steps either, which some
// clients turn round.
//
// Spec: RFC 5280 section 7.1
func SubjectDiffers(got, want DN) (attribute string, differs bool) {
	rest := slices.Clone(want)
	for _, rdn := range got {
		i := slices.IndexFunc(rest, func(o RDN) bool { return o.key() == rdn.key() })
		if i < 0 {
			return tellingApart(rdn, want), true
		}
		rest = slices.Delete(rest, i, i+1)
	}
	if len(rest) > 0 {
		return tellingApart(rest[0], got), true
	}
	return "", false
}

// tellingApart gives the attribute of a step that is in no step of the other
// name.
func tellingApart(step RDN, other DN) string {
	for _, a := range step {
		if !slices.ContainsFunc(other, func(o RDN) bool {
			return slices.ContainsFunc(o, func(b Attribute) bool { return a.key() == b.key() })
		}) {
			return a.Type
		}
	}
	return step[0].Type
}

// key is the same for steps that mean the same.
func (r RDN) key() string {
	var keys []string
	for _, a := range r {
		keys = append(keys, a.key())
	}
	slices.Sort(keys)
	return strings.Join(keys, "\x00")
}

func (a Attribute) key() string {
	return a.Type + "=" + strings.Join(strings.Fields(strings.ToLower(a.Value)), " ")
}

// AltNamesDiffer tells whether two lists of alternative names hold others, and
// of which kind: mail, upn, dns, ip, uri or other. Order does not count.
func AltNamesDiffer(got, want AltNames) (kind string, differs bool) {
	for _, k := range []struct {
		kind      string
		got, want []string
	}{
		{"mail", got.Mail, want.Mail}, {"upn", got.UPN, want.UPN}, {"dns", got.DNS, want.DNS},
		{"ip", got.IP, want.IP}, {"uri", got.URI, want.URI}, {"other", got.Other, want.Other},
	} {
		if !slices.Equal(set(k.got), set(k.want)) {
			return k.kind, true
		}
	}
	return "", false
}

func set(list []string) []string {
	return slices.Compact(slices.Sorted(slices.Values(list)))
}
