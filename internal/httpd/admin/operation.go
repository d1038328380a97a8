package admin

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"path"
	"reflect"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humamux"

	"github.com/signet-mdm/signet/internal/access"
	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/httpd"
	"github.com/signet-mdm/signet/internal/journal"
)

// ErrRequest is returned for a request that does not fit the description.
var ErrRequest = fault.New(fault.Invalid, "request_invalid",
	"The request does not fit the description of this operation.", "The list of errors says where.")

// operation is what an entry of the API declares besides its types.
type operation struct {
	id         string // in the description and for generated clients
	method     string
	path       string // below Prefix
	tag        string // one of tags
	summary    string
	permission httpd.Permission
	maxBody    int64          // 0: takes none
	status     int            // of success; 0: 200, or 204 without a body
	once       bool           // it makes something: an Idempotency-Key keeps it from making two
	faults     []*fault.Error // that it may answer with besides the usual
	answers    string         // media type of what is no JSON
}

// register adds an operation. I holds the parameters and the Body, O the Body
// of the answer, by huma's rules; by is who calls.
func register[I, O any](a *API, op operation, handle func(ctx context.Context, by journal.Actor, in *I) (*O, error)) {
	if op.permission == "" {
		panic("admin: operation " + op.id + " does not say who may call it")
	}
	a.needs[op.id] = op.permission
	huma.Register(a.huma, a.operation(op), func(ctx context.Context, in *I) (*O, error) {
		c := callOf(ctx)
		out, err := handle(ctx, c.caller.Actor, in)
		if err != nil {
			c.err = err
			return nil, problem{ProblemBody: httpd.ProblemOf(httpd.FaultOf(err), c.requestID)}
		}
		return out, nil
	})
}

// operation turns ours into huma's. The limit on the body is kept by httpd,
// which has read all of it before huma sees it: huma's own refuses a body of
// exactly the limit, and its read timeout would end handlers that take longer.
func (a *API) operation(op operation) huma.Operation {
	limit := op.maxBody
	if limit == 0 {
		limit = httpd.NoBody
	}
	var parameters []*huma.Param
	if op.once {
		parameters = []*huma.Param{keyParameter}
		op.faults = slices.Concat(op.faults, []*fault.Error{access.ErrRequestKey, access.ErrRequestRepeated})
	}
	return huma.Operation{
		OperationID: op.id, Method: op.method, Path: Prefix + op.path, Summary: op.summary, DefaultStatus: op.status,
		Security: []map[string][]string{{"token": {}}}, Extensions: map[string]any{"x-permission": op.permission},
		Metadata:     map[string]any{"permission": op.permission, "limit": limit, "once": op.once},
		MaxBodyBytes: -1, BodyReadTimeout: -1, RejectUnknownQueryParameters: true,
		Tags: []string{op.tag}, Parameters: parameters, Responses: a.refusals(op),
	}
}

// call is one request on its way through huma, which hands on a context only.
type call struct {
	caller    httpd.Caller
	requestID string
	err       error // what was answered with a problem, for the log
}

type callKey struct{}

func callOf(ctx context.Context) *call { return ctx.Value(callKey{}).(*call) }

// Handle implements [huma.Adapter]: an operation becomes a route.
func (a *API) Handle(op *huma.Operation, run func(huma.Context)) {
	a.routes = append(a.routes, httpd.Route{
		Method: op.Method, Path: op.Path, MaxBody: op.Metadata["limit"].(int64),
		Permission: op.Metadata["permission"].(httpd.Permission),
		Handle: func(w http.ResponseWriter, r *http.Request, by httpd.Caller) error {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				return err
			}
			c := &call{caller: by, requestID: w.Header().Get(httpd.RequestIDHeader)}
			r = r.WithContext(context.WithValue(r.Context(), callKey{}, c))
			r.Body = io.NopCloser(bytes.NewReader(body))
			carry := func() error { run(humamux.NewContext(op, r, w)); return c.err }
			if op.Metadata["once"] == true {
				return a.once(r, by.Actor, carry)
			}
			return carry()
		},
	})
}

// ServeHTTP implements [huma.Adapter]; the routes are served by httpd.
func (a *API) ServeHTTP(http.ResponseWriter, *http.Request) { panic("admin: not a handler") }

// problem is a failure as huma sends it.
type problem struct {
	httpd.ProblemBody
	Errors []problemDetail `json:"errors,omitempty" doc:"Where the request does not fit"`
}

// problemDetail says what is wrong with one part of a request.
type problemDetail struct {
	Message  string `json:"message" doc:"What is wrong there"`
	Location string `json:"location,omitempty" doc:"Where, such as body.mail or query.limit"`
}

// GetStatus implements [huma.StatusError].
func (p problem) GetStatus() int { return p.Status }

// Error implements error.
func (p problem) Error() string { return p.Code }

// ContentType implements [huma.ContentTypeFilter].
func (problem) ContentType(string) string { return "application/problem+json" }

// newHuma configures huma: nothing from other servers, no addresses of ours in
// answers, failures in our form.
func newHuma(adapter huma.Adapter) huma.API {
	c := description()
	c.OpenAPIPath, c.DocsPath, c.SchemasPath = "", "", ""
	c.CreateHooks = nil
	c.Transformers = []huma.Transformer{rephrase}
	return huma.NewAPI(c, adapter)
}

// schemaName names a type in the description; those of other rooms get the
// room in front, because several have an Item.
func schemaName(t reflect.Type, hint string) string {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	name := huma.DefaultSchemaNamer(t, hint)
	if pkg := t.PkgPath(); t.Name() != "" && pkg != reflect.TypeFor[API]().PkgPath() {
		room := path.Base(pkg)
		name = strings.ToUpper(room[:1]) + room[1:] + name
	}
	return name
}

// rephrase replaces huma's own failures, which quote the request.
func rephrase(ctx huma.Context, _ string, v any) (any, error) {
	m, ok := v.(*huma.ErrorModel)
	if !ok {
		return v, nil
	}
	c, f := callOf(ctx.Context()), ErrRequest
	if m.Status == http.StatusUnsupportedMediaType {
		f = httpd.ErrMediaType
	}
	c.err = f
	p := problem{ProblemBody: httpd.ProblemOf(f, c.requestID)}
	p.Status, p.Title = m.Status, http.StatusText(m.Status)
	for _, d := range m.Errors {
		if f == httpd.ErrMediaType {
			break // they say the same again
		}
		p.Errors = append(p.Errors, detailOf(m.Status, d))
	}
	return p, nil
}

func detailOf(status int, d *huma.ErrorDetail) problemDetail {
	if d.Location == "body" && status == http.StatusBadRequest {
		return problemDetail{"not valid JSON", "body"}
	}
	return problemDetail{d.Message, d.Location}
}
