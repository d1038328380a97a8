package graph

import (
	"net/url"
	"regexp"
	"strings"

	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/subject"
)

// What is wrong with a request.
var (
	ErrFilter = fault.New(fault.Invalid, "filter_unsupported",
		"This filter is not supported.", "Filter by userPrincipalName, and by thumbprint beside it, with eq.")
	ErrCut = fault.New(fault.Invalid, "filter_cut",
		"The filter ends within a name.", "The name of a guest has #EXT# in it, and what follows # is not sent: write %23 for it.")
	ErrKey = fault.New(fault.Invalid, "pfx_key_invalid",
		"This names no certificate.", "It is a user and a SHA-1 thumbprint with a hyphen between; for the # in the name of a guest write %23.")
)

// maxFilter bounds a filter; an honest one has a name and a thumbprint.
const maxFilter = 2048

// filter is whose certificates are wanted, and which of them.
type filter struct {
	user       string // empty: everybody's
	thumbprint string // lower case; empty: all
}

// The literal goes on to the last quote there is.
//
// Quirk: Intune's module does not double an apostrophe within a name.
var (
	filterForm = regexp.MustCompile(`(?is)^(?:tolower\(userPrincipalName\)|userPrincipalName) eq '(.+?)'(?: and (?:tolower\(thumbprint\)|thumbprint) eq '([0-9a-f]{40})')?$`)
	filterOpen = regexp.MustCompile(`(?is)^(?:tolower\(userPrincipalName\)|userPrincipalName) eq '.*[^']$`)
)

// parseFilter reads the $filter of a raw query.
//
// Quirk: Intune's module leaves + and ' in an address as they are, so + is no
// space, and a # cuts the rest off.
func parseFilter(query string) (filter, error) {
	for part := range strings.SplitSeq(query, "&") {
		name, value, _ := strings.Cut(part, "=")
		name, err := url.PathUnescape(name)
		if err != nil || !strings.EqualFold(name, "$filter") {
			continue
		}
		value, err = url.PathUnescape(value)
		if err != nil || len(value) > maxFilter {
			return filter{}, ErrFilter
		}
		return readFilter(strings.TrimSpace(value))
	}
	return filter{}, nil
}

func readFilter(text string) (filter, error) {
	m := filterForm.FindStringSubmatch(text)
	switch {
	case m != nil:
		return filter{strings.ReplaceAll(m[1], "''", "'"), strings.ToLower(m[2])}, nil
	case filterOpen.MatchString(text):
		return filter{}, ErrCut
	}
	return filter{}, ErrFilter
}

var thumbprintForm = regexp.MustCompile(`^[0-9A-Fa-f]{40}$`)

// parseKey reads the key of one certificate: the user, by our id with hyphens or
// without, or by UPN, and the thumbprint after the last hyphen, with quotes
// around it or not.
func parseKey(key string) (filter, error) {
	if len(key) > 1 && strings.HasPrefix(key, "'") && strings.HasSuffix(key, "'") {
		key = strings.ReplaceAll(key[1:len(key)-1], "''", "'")
	}
	i := strings.LastIndexByte(key, '-')
	if i < 1 || !thumbprintForm.MatchString(key[i+1:]) {
		return filter{}, ErrKey
	}
	return filter{userKey(key[:i]), strings.ToLower(key[i+1:])}, nil
}

var bareID = regexp.MustCompile(`^[0-9A-Fa-f]{32}$`)

// userKey puts the hyphens back into one of our ids that lacks them.
func userKey(s string) string {
	if len(s) == len("00000000-0000-0000-0000-000000000000") && bareID.MatchString(strings.ReplaceAll(s, "-", "")) {
		return strings.ToLower(s)
	}
	if !bareID.MatchString(s) {
		return s
	}
	s = strings.ToLower(s)
	return strings.Join([]string{s[:8], s[8:12], s[12:16], s[16:20], s[20:]}, "-")
}

// bare is an id of ours without hyphens.
func bare(id subject.UserID) string { return strings.ReplaceAll(string(id), "-", "") }
