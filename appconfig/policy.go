package appconfig

import (
	"strings"

	"go.yaml.in/yaml/v3"
)

func (r *reader) policy(keys []pair) Document {
	d := Document{Policy: Policy{Settings: Settings{}}, lines: r.lines}
	for _, p := range keys {
		switch p.name {
		case "name":
			d.Name = r.text(p)
		case "priority":
			d.Priority = int(max(min(r.number(p), 1<<30), -1<<30))
		case "assign":
			d.Assign = r.assignment(p)
		case "remove":
			d.Remove = r.flag(p)
		default:
			r.setting(d.Settings, p.name, p)
		}
	}
	switch {
	case r.err != nil:
	case d.Name == "":
		r.err = ErrDocument.Saying("A policy needs a name.")
	case d.Remove && len(d.Settings) > 0:
		r.err = ErrDocument.Saying("The policy " + printable(d.Name) + " is to be removed and has settings.")
	default:
		r.err = judge(d.Settings, r.lines)
	}
	return d
}

func (r *reader) assignment(p pair) (a Assignment) {
	for _, p := range r.pairs(p.value) {
		switch p.name {
		case "all":
			a.All = r.flag(p)
		case "users":
			a.Users = r.texts(p)
		case "groups":
			a.Groups = r.texts(p)
		case "exclude":
			a.Exclude = r.exclusion(p)
		default:
			r.unknown(p, "assign."+p.name)
		}
	}
	return a
}

func (r *reader) exclusion(p pair) (e Exclusion) {
	for _, p := range r.pairs(p.value) {
		switch p.name {
		case "users":
			e.Users = r.texts(p)
		case "groups":
			e.Groups = r.texts(p)
		default:
			r.unknown(p, "assign.exclude."+p.name)
		}
	}
	return e
}

// setting reads what stands under key: a value, or more keys. A setting that
// has both, such as sign and sign.user_change, has its own value under value.
func (r *reader) setting(into Settings, key string, p pair) {
	if key+"." == OutlookKeys {
		r.outlookKeys(into, p)
		return
	}
	one := byKey[key]
	if p.value.Kind == yaml.MappingNode && group(key) {
		for _, sub := range r.pairs(p.value) {
			if sub.name == "value" && one != nil {
				r.value(into, one, sub)
			} else {
				r.setting(into, key+"."+sub.name, sub)
			}
		}
		return
	}
	if one == nil {
		r.unknown(p, key)
		return
	}
	r.value(into, one, p)
}

func (r *reader) value(into Settings, s *Setting, p pair) {
	p.name = s.Key
	r.lines[s.Key] = p.value.Line
	var v any
	switch s.Type {
	case Flag:
		v = r.flag(p)
	case Number:
		v = r.number(p)
	default:
		v = r.text(p)
	}
	if r.err != nil {
		return
	}
	if why := s.refuse(v); why != "" {
		r.fail(p.value, ErrValue, s.Key+" "+why)
		return
	}
	if s.Template {
		if why := refuseTemplate(v.(string)); why != "" {
			r.fail(p.value, ErrValue, s.Key+": "+why)
			return
		}
	} else if text, ok := v.(string); ok && strings.Contains(text, "{{") {
		r.fail(p.value, ErrValue, s.Key+" takes no {{variables}}")
		return
	}
	into[s.Key] = v
}

// outlookKeys reads keys that go to Outlook as they are.
func (r *reader) outlookKeys(into Settings, p pair) {
	for _, sub := range r.pairs(p.value) {
		key := OutlookKeys + sub.name
		r.lines[key] = sub.value.Line
		var v any
		switch sub.value.Tag {
		case "!!bool":
			v = r.flag(sub)
		case "!!int":
			v = r.number(sub)
		default:
			v = r.text(sub)
		}
		if r.err == nil {
			if e, why := refuseOutlookKey(sub.name, v); e != nil {
				r.fail(sub.value, e, why)
			}
		}
		into[key] = v
	}
}

// nearest gives what key was probably meant to be, "" for no idea: a setting or
// a group of them that is an edit or two away, or one with the same last part.
func nearest(key string) string {
	for _, s := range Table {
		for name := s.Key; name != ""; name = name[:max(0, strings.LastIndexByte(name, '.'))] {
			if distance(name, key) <= 2 {
				return name
			}
		}
	}
	last := "." + key[strings.LastIndexByte(key, '.')+1:]
	for _, s := range Table {
		if strings.HasSuffix(s.Key, last) {
			return s.Key
		}
	}
	return ""
}

// distance counts the edits between two short texts, 99 for long ones.
func distance(a, b string) int {
	if len(a) > 60 || len(b) > 60 {
		return 99
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		corner := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			corner, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, corner+cost)
		}
	}
	return row[len(b)]
}
