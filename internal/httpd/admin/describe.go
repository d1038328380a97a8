package admin

import (
	"cmp"
	"encoding/json"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/signet-mdm/signet/internal/access"
	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/httpd"
)

// apiVersion is that of the API, not of the program: it changes when clients
// must.
const apiVersion = "1.0.0"

const about = `Everything that the command line does, for programs.

A call brings an API token as bearer; each operation names the one permission it needs (` + "`x-permission`" + `). A
refusal is a problem document (RFC 9457) whose ` + "`code`" + ` is stable; each operation lists those it may give
(` + "`x-codes`" + `). Instants are RFC 3339 in UTC, ids are strings, lists are never null. Parameters and members that an
operation does not know are refused.`

// tags group the operations, in the order to show them.
var tags = []*huma.Tag{
	{Name: "users", Description: "People and groups"},
	{Name: "devices", Description: "iPhones and iPads: inviting, looking, asking, removing"},
	{Name: "keys", Description: "Imported encryption keys, which nobody reads back"},
	{Name: "connectors", Description: "Other MDMs, whose devices get certificates of their users"},
	{Name: "policies", Description: "What holds for whom"},
	{Name: "certificates", Description: "Our CAs and what they issue"},
	{Name: "mails", Description: "What is sent to people"},
	{Name: "jobs", Description: "Long work, with its progress"},
	{Name: "push", Description: "The certificates by which Apple's push service knows us"},
	{Name: "tenant", Description: "A Microsoft Intune tenant that users' certificates are handed to"},
	{Name: "access", Description: "API tokens and the journal"},
}

// description configures the document of the whole API.
func description() huma.Config {
	c := huma.DefaultConfig("Signet admin API", apiVersion)
	c.Info.Description = about
	c.Info.License = &huma.License{Name: "Apache-2.0", Identifier: "Apache-2.0"}
	c.Servers = []*huma.Server{{URL: "/", Description: "This server"}}
	c.Tags = tags
	c.Components.Schemas = huma.NewMapRegistry("#/components/schemas/", schemaName)
	c.Components.SecuritySchemes = map[string]*huma.SecurityScheme{"token": {Type: "http", Scheme: "bearer",
		Description: "A token of `signet token create`. The Unix socket needs none."}}
	return c
}

// Description gives the API as JSON, without any of the services behind it.
//
// Spec: OpenAPI 3.1.0
func Description() ([]byte, error) { return new(API).build().OpenAPI() }

// OpenAPI gives the description of the API as JSON.
func (a *API) OpenAPI() ([]byte, error) {
	for _, unused := range []string{"V2ErrorModel", "V2ErrorDetail"} { // huma's, which rephrase replaces
		delete(a.huma.OpenAPI().Components.Schemas.Map(), unused)
	}
	text, err := json.MarshalIndent(a.huma.OpenAPI(), "", "  ")
	return append(text, '\n'), err
}

// describe serves the description. It is public: it says nothing about this
// installation.
func (a *API) describe() {
	text, err := a.OpenAPI()
	if err != nil {
		panic("admin: " + err.Error())
	}
	a.routes = append(a.routes, httpd.Route{
		Method: http.MethodGet, Path: Prefix + "/openapi.json", Permission: httpd.Anyone, MaxBody: httpd.NoBody,
		Handle: func(w http.ResponseWriter, _ *http.Request, _ httpd.Caller) error {
			w.Header().Set("Content-Type", "application/openapi+json")
			_, err := w.Write(text)
			return err
		},
	})
}

// refusals describes what an operation may answer instead of doing it: what
// any may, what comes of a body, and what is its own.
func (a *API) refusals(op operation) map[string]*huma.Response {
	all := slices.Concat(usual, op.faults)
	if op.maxBody > 0 {
		all = append(all, ErrRequest, httpd.ErrBody, httpd.ErrMediaType)
	}
	faults := map[int][]*fault.Error{http.StatusUnprocessableEntity: {ErrRequest}}
	for _, f := range all {
		faults[httpd.Status(f)] = append(faults[httpd.Status(f)], f)
	}
	out := map[string]*huma.Response{}
	for status, list := range faults {
		out[strconv.Itoa(status)] = a.refusal(list)
	}
	if op.answers != "" {
		out["200"] = &huma.Response{Description: "OK", Content: map[string]*huma.MediaType{
			op.answers: {Schema: &huma.Schema{Type: "string", Format: "binary"}}}}
	}
	return out
}

// usual is what any operation may answer.
var usual = []*fault.Error{access.ErrUnauthenticated, access.ErrDenied, httpd.ErrAttempts, httpd.ErrOrigin, httpd.ErrPath,
	httpd.ErrTooLarge, httpd.ErrInternal, httpd.ErrBusy}

// refusal refers to a response that all share who answer with these codes; it
// is called after them.
func (a *API) refusal(list []*fault.Error) *huma.Response {
	slices.SortFunc(list, func(a, b *fault.Error) int { return cmp.Compare(a.Code, b.Code) })
	codes, words := []string{}, []string{}
	for _, f := range list {
		codes = append(codes, f.Code)
		words = append(words, "`"+f.Code+"`: "+f.Msg)
	}
	name, all := strings.Join(codes, "."), a.huma.OpenAPI().Components
	if all.Responses == nil {
		all.Responses = map[string]*huma.Response{}
	}
	if all.Responses[name] == nil {
		all.Responses[name] = &huma.Response{Description: strings.Join(words, "\n\n"), Extensions: map[string]any{"x-codes": codes},
			Content: map[string]*huma.MediaType{"application/problem+json": {
				Schema: all.Schemas.Schema(reflect.TypeFor[problem](), true, "Problem")}}}
	}
	return &huma.Response{Ref: "#/components/responses/" + name}
}
