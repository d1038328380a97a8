package scep

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/scep/ca"
)

// dnText is a subject as people write it.
type dnText struct {
	steps     []Step
	directory bool
}

// UnmarshalYAML reads a text as RFC 4514 has it, or a list of steps.
func (t *dnText) UnmarshalYAML(n *yaml.Node) error {
	at := fmt.Sprintf("Line %d: ", n.Line)
	if n.Kind == yaml.ScalarNode {
		if t.parse(n.Value) != nil {
			return ErrProfileInvalid.Saying(at + "subject is no distinguished name, such as CN={{displayName}},O=Example.")
		}
		return nil
	}
	var list []map[string]values
	if err := n.Decode(&list); err != nil || t.take(list) != nil {
		return ErrProfileInvalid.Saying(at + "subject is a text, or a list of steps such as - CN: '{{displayName}}'.")
	}
	return nil
}

func (t *dnText) parse(text string) error {
	if name := strings.ToLower(strings.Trim(text, `" {}`)); name == directoryName && strings.Contains(text, "{{") {
		t.directory = true
		return nil
	}
	name, err := cert.ParseDN(text)
	if err != nil || len(name) == 0 {
		return errors.New("no name")
	}
	for _, rdn := range name {
		var s Step
		for _, a := range rdn {
			s = append(s, Part{a.Type, []string{a.Value}})
		}
		t.steps = append(t.steps, s)
	}
	return nil
}

func (t *dnText) take(list []map[string]values) error {
	for _, step := range list {
		var s Step
		for _, key := range slices.Sorted(maps.Keys(step)) {
			name, known := cert.AttributeType(key)
			if !known || len(step[key]) == 0 {
				return errors.New("no attribute")
			}
			s = append(s, Part{name, step[key]})
		}
		if len(s) == 0 {
			return errors.New("no step")
		}
		t.steps = append(t.steps, s)
	}
	if len(list) == 0 {
		return errors.New("no name")
	}
	return nil
}

// values is one text or a list of them.
type values []string

// UnmarshalYAML implements yaml.Unmarshaler.
func (v *values) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode {
		*v = values{n.Value}
		return nil
	}
	return n.Decode((*[]string)(v))
}

// MarshalYAML writes a text where that says all.
func (t dnText) MarshalYAML() (any, error) {
	if t.directory {
		return "{{OnPrem_Distinguished_Name}}", nil
	}
	var name cert.DN
	single := true
	var list []map[string]any
	for _, step := range t.steps {
		var rdn cert.RDN
		out := map[string]any{}
		for _, p := range step {
			single = single && len(p.Values) == 1
			rdn = append(rdn, cert.Attribute{Type: p.Attribute, Value: p.Values[0]})
			if out[p.Attribute] = p.Values; len(p.Values) == 1 {
				out[p.Attribute] = p.Values[0]
			}
		}
		name, list = append(name, rdn), append(list, out)
	}
	if single {
		return name.String(), nil
	}
	return list, nil
}

// Document gives the profile as YAML, which makes the same profile again.
func (p Profile) Document() string {
	d := document{
		Kind: DocumentKind, Name: p.Name, For: p.Use.String(), Issuer: p.Issuer, Validity: spanText(p.Life),
		Usage: &[]string{}, Extended: &[]string{}, Policy: &p.Policy, CRL: new(!p.NoCRL), AIA: new(!p.NoAIA),
		RenewWithin: new(p.renewText()), Legacy: &p.Legacy, Approval: &p.Approval, Names: "ignore", Device: "any", Validator: cmp.Or(p.Validator, noValidator),
	}
	if !IsShipped(p.Name) {
		d.Delivery = &p.Delivered
	}
	if p.Use != cert.Identity {
		d.Subject = &dnText{p.Subject, p.DirectorySubject}
		d.SAN = &altNames{p.Mail, p.UPN, p.Hosts, p.URIs}
	}
	if p.ChallengeLife > 0 {
		d.ChallengeLife = spanText(p.ChallengeLife)
	}
	if k := keyText(p.Keys); len(k.Types)+len(k.Curves)+k.RSAMin+k.RSAMax > 0 {
		d.Key = &k
	}
	for _, name := range []string{"digitalSignature", "nonRepudiation", "keyEncipherment", "dataEncipherment", "keyAgreement"} {
		if p.Usage&keyUsages[name] != 0 {
			*d.Usage = append(*d.Usage, name)
		}
	}
	for _, oid := range p.Extended {
		*d.Extended = append(*d.Extended, usageName(oid))
	}
	if p.MatchNames {
		d.Names = "match"
	}
	if p.NeedsDevice {
		d.Device = "required"
	}
	var b bytes.Buffer
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	if err := e.Encode(d); err != nil {
		panic(fmt.Sprintf("scep: writing certificate profile %s: %v", p.Name, err)) // texts and lists of them
	}
	return b.String()
}

func (p Profile) renewText() string {
	switch {
	case p.RenewPercent > 0:
		return strconv.Itoa(p.RenewPercent) + "%"
	case p.RenewWithin > 0:
		return spanText(p.RenewWithin)
	}
	return "never"
}

func usageName(oid string) string {
	for name, o := range extendedUsages {
		if o == oid {
			return name
		}
	}
	return oid
}

// facts are the lines of a difference.
func (p Profile) facts() map[string]string {
	m := map[string]string{
		"for": p.Use.String(), "issuer": p.Issuer, "subject": p.subjectText(), "validity": spanText(p.Life), "renew_within": p.renewText(),
		"san.mail": strings.Join(p.Mail, ", "), "san.upn": strings.Join(p.UPN, ", "), "san.dns": strings.Join(p.Hosts, ", "),
		"san.uri": strings.Join(p.URIs, ", "), "policy": p.Policy, "key": describeKeys(p.Keys), "crl": yes(!p.NoCRL), "aia": yes(!p.NoAIA),
		"challenge_life": spanText(p.ChallengeLife), "approval": yes(p.Approval), "legacy": yes(p.Legacy), "delivery": yes(p.Delivers()),
		"names": "ignore", "device": "any", "validator": cmp.Or(p.Validator, noValidator),
	}
	var usage, extended []string
	for _, name := range slices.Sorted(maps.Keys(keyUsages)) {
		if p.Usage&keyUsages[name] != 0 && name != "contentCommitment" {
			usage = append(usage, name)
		}
	}
	for _, oid := range p.Extended {
		extended = append(extended, usageName(oid))
	}
	m["key_usage"], m["extended_key_usage"] = strings.Join(usage, ", "), strings.Join(extended, ", ")
	if p.MatchNames {
		m["names"] = "match"
	}
	if p.NeedsDevice {
		m["device"] = "required"
	}
	return m
}

// subjectText is the subject as a document may have it, in one line.
func (p Profile) subjectText() string {
	subject, _ := dnText{p.Subject, p.DirectorySubject}.MarshalYAML()
	if text, ok := subject.(string); ok {
		return text
	}
	var b strings.Builder
	e := json.NewEncoder(&b) // JSON is YAML, too
	e.SetEscapeHTML(false)
	if err := e.Encode(subject); err != nil {
		panic(fmt.Sprintf("scep: writing the subject of certificate profile %s: %v", p.Name, err)) // texts and lists of them
	}
	return strings.TrimSpace(b.String())
}

func yes(b bool) string { return strconv.FormatBool(b) }

func describeKeys(k ca.Keys) string {
	var parts []string
	if len(k.Types) > 0 {
		parts = append(parts, strings.Join(k.Types, ", "))
	}
	if k.RSAMin > 0 {
		parts = append(parts, fmt.Sprintf("rsa from %d", k.RSAMin))
	}
	if k.RSAMax > 0 {
		parts = append(parts, fmt.Sprintf("rsa up to %d", k.RSAMax))
	}
	if len(k.Curves) > 0 {
		parts = append(parts, strings.Join(k.Curves, ", "))
	}
	return strings.Join(parts, "; ")
}
