package appconfig

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/subject"
)

// What a file may have.
const (
	maxBytes     = 1 << 20
	maxDocuments = 1000
	maxText      = 1000 // bytes of one value
)

// Documents is what a file says.
type Documents struct {
	Policies []Document
	Users    []subject.User // without id; addresses as they were written
	Groups   []Group
	Others   []Other // that others read
}

// Document is a policy as it was written, with the lines of its keys.
type Document struct {
	Policy
	Remove bool // the policy is to go
	lines  map[string]int
}

// Group is a group as it was written. Members are named by address, UPN or id.
type Group struct {
	Name    string
	Members []string
}

// Parse reads a file of documents, YAML or JSON. What it refuses, it refuses
// with the line: ErrDocument, ErrSetting, ErrValue, ErrImpossible, ErrTooLarge.
func Parse(file []byte) (Documents, error) {
	var docs Documents
	if len(file) > maxBytes {
		return docs, ErrTooLarge
	}
	d := yaml.NewDecoder(bytes.NewReader(file))
	var begins []int
	for n := 0; ; n++ {
		var node yaml.Node
		err := d.Decode(&node)
		switch {
		case errors.Is(err, io.EOF):
			docs.cut(file, begins)
			return docs, docs.once()
		case err != nil:
			return docs, ErrDocument.Saying("The file cannot be read as YAML" + place(err) + ".")
		case n == maxDocuments:
			return docs, ErrTooLarge
		}
		if len(node.Content) > 0 {
			begins = append(begins, node.Content[0].Line)
		}
		if err := docs.add(&node); err != nil {
			return docs, err
		}
	}
}

// place gives the line that the YAML reader names, and nothing else of what it
// says: that would quote the file.
func place(err error) string {
	_, rest, found := strings.Cut(err.Error(), "line ")
	digits, _, _ := strings.Cut(rest, ":")
	if !found || digits == "" || len(digits) > 7 || strings.Trim(digits, "0123456789") != "" {
		return ""
	}
	return ", line " + digits
}

func (docs *Documents) add(node *yaml.Node) error {
	if node.Kind == yaml.DocumentNode && len(node.Content) == 1 {
		node = node.Content[0]
	}
	if node.Kind == yaml.ScalarNode && node.Tag == "!!null" {
		return nil // nothing between two ---
	}
	r := &reader{lines: map[string]int{}}
	kind, rest := r.kind(node)
	switch {
	case r.err != nil:
	case kind == "Policy":
		docs.Policies = append(docs.Policies, r.policy(rest))
	case kind == "User":
		docs.Users = append(docs.Users, r.user(rest))
	case kind == "Group":
		docs.Groups = append(docs.Groups, r.group(rest))
	case slices.Contains(otherKinds, kind):
		if aliased(node) {
			r.fail(node, ErrDocument, "aliases are not used in these documents")
		}
		docs.Others = append(docs.Others, Other{Kind: kind, line: node.Line})
	default:
		r.fail(node, ErrDocument, "kind must be Policy, User, Group or CertificateProfile")
	}
	return r.err
}

// aliased tells whether a document refers to a part of itself.
func aliased(n *yaml.Node) bool {
	return n.Kind == yaml.AliasNode || slices.ContainsFunc(n.Content, aliased)
}

// once refuses two documents about the same thing.
func (docs *Documents) once() error {
	seen := map[string]bool{}
	var names []string
	for _, p := range docs.Policies {
		names = append(names, "policy "+p.Name)
	}
	for _, u := range docs.Users {
		names = append(names, "user "+strings.ToLower(u.Mail))
	}
	for _, g := range docs.Groups {
		names = append(names, "group "+g.Name)
	}
	for _, n := range names {
		if seen[n] {
			return ErrDocument.Saying("The file has two documents for the " + printable(n) + ".")
		}
		seen[n] = true
	}
	return nil
}

// reader reads one document; the first failure stays.
type reader struct {
	err   error
	lines map[string]int
}

// pair is one key of a mapping.
type pair struct {
	name  string
	line  int
	value *yaml.Node
}

func (r *reader) fail(n *yaml.Node, e *fault.Error, what string) {
	if r.err == nil {
		r.err = atLine(n.Line, e, what)
	}
}

func atLine(line int, e *fault.Error, what string) error {
	return e.Saying(sentence(fmt.Sprintf("Line %d: %s", line, what)))
}

// pairs gives the keys of a mapping, none of them twice.
func (r *reader) pairs(n *yaml.Node) []pair {
	if n.Kind != yaml.MappingNode {
		r.fail(n, ErrDocument, "here must stand keys with values")
		return nil
	}
	var list []pair
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if key.Kind != yaml.ScalarNode || value.Kind == yaml.AliasNode {
			r.fail(key, ErrDocument, "aliases are not used in these documents")
			return nil
		}
		if seen[key.Value] {
			r.fail(key, ErrDocument, printable(key.Value)+" stands twice")
			return nil
		}
		seen[key.Value] = true
		list = append(list, pair{key.Value, key.Line, value})
	}
	return list
}

func (r *reader) kind(n *yaml.Node) (kind string, rest []pair) {
	for _, p := range r.pairs(n) {
		if p.name == "kind" {
			kind = p.value.Value
		} else {
			rest = append(rest, p)
		}
	}
	return kind, rest
}

func (r *reader) text(p pair) string {
	n := p.value
	switch {
	case n.Kind != yaml.ScalarNode || n.Tag == "!!null":
		r.fail(n, ErrValue, printable(p.name)+" must be text")
	case len(n.Value) > maxText || strings.ContainsFunc(n.Value, hidden):
		r.fail(n, ErrValue, printable(p.name)+" is too long or has control characters")
	}
	return n.Value
}

func (r *reader) list(p pair) []*yaml.Node {
	if p.value.Kind != yaml.SequenceNode {
		r.fail(p.value, ErrValue, printable(p.name)+" must be a list")
		return nil
	}
	return p.value.Content
}

func (r *reader) texts(p pair) (list []string) {
	for _, n := range r.list(p) {
		list = append(list, r.text(pair{p.name, n.Line, n}))
	}
	return list
}

func (r *reader) number(p pair) int64 {
	var v int64
	if n := p.value; n.Kind != yaml.ScalarNode || n.Tag != "!!int" || n.Decode(&v) != nil {
		r.fail(n, ErrValue, printable(p.name)+" must be a number")
	}
	return v
}

func (r *reader) flag(p pair) bool {
	var v bool
	if n := p.value; n.Kind != yaml.ScalarNode || n.Tag != "!!bool" || n.Decode(&v) != nil {
		r.fail(n, ErrValue, printable(p.name)+" must be true or false")
	}
	return v
}

func (r *reader) user(keys []pair) (u subject.User) {
	for _, p := range keys {
		switch p.name {
		case "mail":
			u.Mail = r.address(p)
		case "upn":
			u.UPN = r.address(p)
		case "name":
			u.Name = r.text(p)
		case "given_name":
			u.GivenName = r.text(p)
		case "surname":
			u.Surname = r.text(p)
		case "department":
			u.Department = r.text(p)
		case "sam_account_name":
			u.SAMAccountName = r.text(p)
		case "on_premises_upn":
			u.OnPremisesUPN = r.address(p)
		case "distinguished_name":
			u.DistinguishedName = r.text(p)
		case "sid":
			u.SID = strings.ToUpper(r.text(p))
		case "aliases":
			u.Aliases = []string{}
			for _, n := range r.list(p) {
				u.Aliases = append(u.Aliases, r.address(pair{p.name, n.Line, n}))
			}
		case "disabled":
			u.Disabled = r.flag(p)
		default:
			r.unknown(p, p.name)
		}
	}
	if u.Mail == "" && r.err == nil {
		r.err = ErrDocument.Saying("A user needs mail, the address.")
	}
	slices.Sort(u.Aliases) // as they are stored
	u.Aliases = slices.DeleteFunc(slices.Compact(u.Aliases), func(a string) bool { return a == u.Mail })
	return u
}

// address reads a mail address in the form in which it is stored.
func (r *reader) address(p pair) string {
	a, err := subject.NormalizeMail(r.text(p))
	if err != nil {
		r.fail(p.value, ErrValue, printable(p.name)+" is not a mail address")
	}
	return a
}

func (r *reader) group(keys []pair) (g Group) {
	for _, p := range keys {
		switch p.name {
		case "name":
			g.Name = r.text(p)
		case "members":
			g.Members = r.texts(p)
		default:
			r.unknown(p, p.name)
		}
	}
	if g.Name == "" && r.err == nil {
		r.err = ErrDocument.Saying("A group needs a name.")
	}
	return g
}

// unknown refuses a key and names the one that was probably meant.
func (r *reader) unknown(p pair, key string) {
	what := "there is no setting " + printable(key)
	if meant := nearest(key); meant != "" {
		what += "; perhaps " + meant + " is meant"
	}
	if r.err == nil {
		r.err = atLine(p.line, ErrSetting, what)
	}
}

// printable keeps foreign text short and inert in a message.
func printable(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s)
	return s[:min(len(s), 80)]
}

func hidden(r rune) bool { return r < ' ' || r == 0x7f || r == 0xfffe || r == 0xffff }
