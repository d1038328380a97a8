package docs

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/signet-mdm/signet/internal/access"
	"github.com/signet-mdm/signet/internal/httpd/admin"
)

// The API's description as it is served, for people to review and for clients
// to be made from.
func TestOpenAPI(t *testing.T) {
	text, err := admin.Description()
	if err != nil {
		t.Fatal(err)
	}
	page(t, "openapi.json", text)
	var d document
	if err := json.Unmarshal(text, &d.root); err != nil {
		t.Fatal(err)
	}
	d.T, d.codes, d.ids, d.used = t, declared(t), map[string]bool{}, map[string]bool{}
	d.lint()
}

// declared gives every code that there is.
func declared(t *testing.T) map[string]bool {
	t.Helper()
	codes := map[string]bool{}
	for _, f := range failures(t) {
		codes[f.code] = true
	}
	return codes
}

// object is a JSON object.
type object = map[string]any

// document is an OpenAPI document that is looked through.
type document struct {
	*testing.T
	root  object
	codes map[string]bool // that exist
	ids   map[string]bool // of operations seen so far
	used  map[string]bool // references seen so far
	tags  []string
}

func (d *document) lint() {
	info := in(d.root, "info")
	for _, part := range []any{d.root["openapi"] == "3.1.0", info["title"], info["version"], info["description"], info["license"], d.root["servers"]} {
		if part == nil || part == "" || part == false {
			d.Errorf("the head lacks something: %v", info)
		}
	}
	for _, tag := range list(d.root, "tags") {
		d.tags = append(d.tags, tag.(object)["name"].(string))
		d.text("tag "+d.tags[len(d.tags)-1], tag.(object), "description")
	}
	for path, item := range in(d.root, "paths") {
		for method, op := range item.(object) {
			d.operation(strings.ToUpper(method)+" "+path, path, op.(object))
		}
	}
	for name, schema := range in(d.root, "components", "schemas") {
		d.schema(name, schema.(object))
	}
	d.references(d.root)
	for _, kind := range []string{"schemas", "responses"} {
		for name := range in(d.root, "components", kind) {
			if !d.used["#/components/"+kind+"/"+name] {
				d.Errorf("nothing uses the %s %s", kind, name)
			}
		}
	}
}

// operation wants an operation to say everything that a client must know.
func (d *document) operation(name, path string, op object) {
	d.text(name, op, "summary")
	id, _ := op["operationId"].(string)
	if id == "" || d.ids[id] {
		d.Errorf("%s: operationId %q is missing or another's", name, id)
	}
	d.ids[id] = true
	if tags := list(op, "tags"); len(tags) != 1 || !slices.Contains(d.tags, tags[0].(string)) {
		d.Errorf("%s: tags %v; want one of %v", name, tags, d.tags)
	}
	permission, _ := op["x-permission"].(string)
	if !slices.Contains(access.Permissions(), access.Permission(permission)) || permission == string(access.Anyone) {
		d.Errorf("%s: x-permission is %q", name, permission)
	}
	if len(list(op, "security")) == 0 {
		d.Errorf("%s needs no token", name)
	}
	for _, p := range list(op, "parameters") {
		d.text(fmt.Sprintf("%s: parameter %v", name, p.(object)["name"]), p.(object), "description")
	}
	for part := range strings.SplitSeq(path, "/") {
		if v, ok := strings.CutPrefix(part, "{"); ok && !d.hasParameter(op, strings.TrimSuffix(v, "}")) {
			d.Errorf("%s: %s is not described", name, part)
		}
	}
	d.responses(name, op)
	d.parts(name, op)
}

// short are the lists that have few things by their nature.
var short = []string{"listApprovers", "listAuthorities", "listCertificateProfiles", "listPushCertificates", "listRollovers", "listTransportKeys"}

// parts wants every list to be given part by part.
func (d *document) parts(name string, op object) {
	ref, _ := in(op, "responses", "200", "content", "application/json", "schema")["$ref"].(string)
	if !strings.HasPrefix(ref, "#/components/schemas/List") || slices.Contains(short, op["operationId"].(string)) {
		return
	}
	for _, p := range []string{"limit", "after"} {
		if !d.hasParameter(op, p) {
			d.Errorf("%s is a list and has no parameter %s", name, p)
		}
	}
}

func (d *document) hasParameter(op object, name string) bool {
	return slices.ContainsFunc(list(op, "parameters"), func(p any) bool { return p.(object)["name"] == name })
}

// responses wants one that is success, the refusals that no guarded operation
// is without, and with each refusal its codes.
func (d *document) responses(name string, op object) {
	all := in(op, "responses")
	for _, status := range []string{"401", "403", "429", "500", "503"} {
		if all[status] == nil {
			d.Errorf("%s does not say what %s is", name, status)
		}
	}
	succeeds := false
	for status, r := range all {
		response := d.resolve(r.(object))
		d.text(name+": "+status, response, "description")
		if status < "400" {
			succeeds = true
			d.success(name, status, response)
			continue
		}
		if in(response, "content", "application/problem+json", "schema")["$ref"] != "#/components/schemas/Problem" {
			d.Errorf("%s: %s is no problem document", name, status)
		}
		codes := list(response, "x-codes")
		for _, code := range codes {
			if !d.codes[code.(string)] {
				d.Errorf("%s: %s has the code %v, which nobody declared", name, status, code)
			}
		}
		if len(codes) == 0 {
			d.Errorf("%s: %s has no codes", name, status)
		}
	}
	if !succeeds {
		d.Errorf("%s never succeeds", name)
	}
}

func (d *document) success(name, status string, r object) {
	if status != "204" && len(in(r, "content")) == 0 {
		d.Errorf("%s: %s has no content", name, status)
	}
}

// schema wants every member to be explained, and unknown ones to be refused.
func (d *document) schema(name string, s object) {
	if s["type"] == "object" && s["properties"] != nil && s["additionalProperties"] != false {
		d.Errorf("%s takes any member", name)
	}
	for member, p := range in(s, "properties") {
		d.text(name+"."+member, p.(object), "description")
		kind := p.(object)["type"]
		if types, ok := kind.([]any); ok && slices.Contains(types, any("array")) && slices.Contains(types, any("null")) {
			if required := list(s, "required"); slices.Contains(required, any(member)) {
				d.Errorf("%s.%s is a list that may be null", name, member)
			}
		}
	}
}

// resolve follows a reference.
func (d *document) resolve(o object) object {
	if ref, ok := o["$ref"].(string); ok {
		return in(d.root, strings.Split(strings.TrimPrefix(ref, "#/"), "/")...)
	}
	return o
}

// references wants each $ref to lead somewhere.
func (d *document) references(v any) {
	switch v := v.(type) {
	case object:
		if ref, ok := v["$ref"].(string); ok {
			d.used[ref] = true
		}
		if d.resolve(v) == nil {
			d.Errorf("%v leads nowhere", v["$ref"])
		}
		for _, member := range v {
			d.references(member)
		}
	case []any:
		for _, item := range v {
			d.references(item)
		}
	}
}

// text wants a member that explains something to people.
func (d *document) text(what string, o object, member string) {
	if text, _ := o[member].(string); strings.TrimSpace(text) == "" {
		d.Errorf("%s has no %s", what, member)
	}
}

// in gives the object at a path, nil when there is none.
func in(o object, path ...string) object {
	for _, name := range path {
		o, _ = o[name].(object)
	}
	return o
}

func list(o object, member string) []any {
	l, _ := o[member].([]any)
	return l
}
