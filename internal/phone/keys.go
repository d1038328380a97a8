package phone

import (
	"bufio"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// keySpec is what a payload may say under one key.
type keySpec struct {
	kind     string
	required bool
	since    version // older phones do not know the key and pass over it
}

// keys reads a table with one key a line: name, type, and where it applies
// "required" and the iOS version that brought it. A name with spaces has them
// as underscores.
func keys(table string) map[string]keySpec {
	out := map[string]keySpec{}
	for lines := bufio.NewScanner(strings.NewReader(table)); lines.Scan(); {
		f := strings.Fields(lines.Text())
		if len(f) == 0 {
			continue
		}
		spec := keySpec{kind: f[1]}
		for _, word := range f[2:] {
			if word == "required" {
				spec.required = true
			} else {
				spec.since = mustVersion(word)
			}
		}
		out[strings.ReplaceAll(f[0], "_", " ")] = spec
	}
	return out
}

// with joins tables.
func with(tables ...map[string]keySpec) map[string]keySpec {
	out := map[string]keySpec{}
	for _, t := range tables {
		maps.Copy(out, t)
	}
	return out
}

// checkKeys holds a dictionary to its table.
// Stricter: a real phone passes over keys it does not know. This one refuses
// them, since a misspelt key would do nothing on every phone in the field.
func checkKeys(d dict, table map[string]keySpec, thing string) error {
	for _, key := range slices.Sorted(maps.Keys(d)) {
		spec, known := table[key]
		if !known {
			return payloadErr(2004, "%s has the key %q, which no phone knows.", thing, key)
		}
		if !fits(d[key], spec.kind) {
			return payloadErr(2003, "%s has a %T under %q, which takes %s.", thing, d[key], key, spec.kind)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(table)) {
		if table[key].required && !d.has(key) {
			return payloadErr(2002, "%s lacks the required key %q.", thing, key)
		}
	}
	return nil
}

func fits(v any, kind string) bool {
	switch kind {
	case "string", "uuid":
		_, ok := v.(string)
		return ok
	case "boolean":
		_, ok := v.(bool)
		return ok
	case "integer":
		_, ok := integer(v)
		return ok
	case "real":
		_, ok := v.(float64)
		_, whole := integer(v)
		return ok || whole
	case "data":
		_, ok := v.([]byte)
		return ok
	case "date":
		_, ok := v.(time.Time)
		return ok
	case "array":
		_, ok := v.([]any)
		return ok
	case "strings":
		return allStrings(v)
	case "text": // one string or several
		_, ok := v.(string)
		return ok || allStrings(v)
	case "dict":
		_, ok := v.(map[string]any)
		return ok
	}
	panic(fmt.Sprintf("key table with the type %q", kind))
}

func allStrings(v any) bool {
	list, ok := v.([]any)
	for _, one := range list {
		if _, isString := one.(string); !isString {
			return false
		}
	}
	return ok
}

// forget drops the keys this iOS version does not know yet.
func forget(d dict, table map[string]keySpec, os version) dict {
	out := dict{}
	for key, v := range d {
		if os.atLeast(table[key].since) {
			out[key] = v
		}
	}
	return out
}
