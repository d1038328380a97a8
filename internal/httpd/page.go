package httpd

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"path"
	"strings"

	"github.com/signet-mdm/signet/internal/fault"
)

//go:embed web
var web embed.FS

// contentPolicy lets a page load our own files and nothing else.
const contentPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
	"form-action 'self'; frame-ancestors 'none'; base-uri 'none'"

// refresh is how many seconds a page that changes waits before it asks again
// by itself, where no script runs.
const refresh = 5

// House is who runs this server, as every page says it.
type House struct {
	Organization string // at the head; may be empty
	Notice       string // above everything; may be empty
	Help         Help
}

// Help is whom people turn to. Every field may be empty.
type Help struct {
	Name, Phone, Mail, URL string
}

// Dial is the telephone number as a link has it.
func (h Help) Dial() string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' || r == '+' {
			return r
		}
		return -1
	}, h.Phone)
}

// Powers is what an organisation can do on a device, and what it cannot, for
// the shared template of that name.
type Powers struct{ Can, Cannot []string }

// Pages are the HTML pages of one area in the shared layout: the enrollment
// and the landing pages look alike because both come from here.
type Pages struct {
	house House
	pages map[string]*template.Template
}

// View is what one page shows. Data goes to the page's "main" template.
type View struct {
	Title string
	Live  string // what a page that changes listens to, by [Address]; "" for one that does not
	Nav   any    // for the area's template "nav"; nil for none
	Data  any
}

// NewPages parses every web/*.html of files, each of which defines the template
// "main"; it is known by its name without ".html". What all of them share
// stands in web/part/*.html: templates that they call, and "nav" and "foot",
// which the layout does. A template draws a file web/NAME.svg, or one of our
// icons, with {{drawing "NAME"}}. It panics on a template that does not parse: a
// programmer's mistake found at start.
func NewPages(files fs.FS, house House) *Pages {
	p := &Pages{house, map[string]*template.Template{}}
	layout := template.New("layout.html").Funcs(template.FuncMap{"drawing": drawings(files)})
	layout = template.Must(layout.ParseFS(web, "web/layout.html", "web/help.html", "web/powers.html"))
	if parts, err := fs.Glob(files, "web/part/*.html"); err != nil {
		panic(err)
	} else if len(parts) > 0 {
		layout = template.Must(layout.ParseFS(files, parts...))
	}
	p.pages["error"] = template.Must(template.Must(layout.Clone()).ParseFS(web, "web/error.html"))
	names, err := fs.Glob(files, "web/*.html")
	if err != nil {
		panic(err)
	}
	for _, name := range names {
		page := template.Must(template.Must(layout.Clone()).ParseFS(files, name))
		p.pages[strings.TrimSuffix(path.Base(name), ".html")] = page
	}
	return p
}

// drawings gives what puts a drawing of the area, or one of ours, into a page:
// in it, not beside it, so that it takes the page's colours.
func drawings(files fs.FS) func(string) (template.HTML, error) {
	return func(name string) (template.HTML, error) {
		svg, err := fs.ReadFile(files, path.Join("web", name+".svg"))
		if err != nil {
			svg, err = web.ReadFile(path.Join("web", name+".svg"))
		}
		return template.HTML(svg), err
	}
}

// Write answers with the page of that name. Nothing is written when it fails.
func (p *Pages) Write(w http.ResponseWriter, status int, name string, v View) error {
	page := p.pages[name]
	if page == nil {
		return fmt.Errorf("no page %q", name)
	}
	var out bytes.Buffer
	err := page.ExecuteTemplate(&out, "layout.html", map[string]any{
		"Title": v.Title, "Live": v.Live, "Refresh": refresh, "Nav": v.Nav, "Data": v.Data, "House": p.house,
		"Style": assetURL("signet.css"), "Script": assetURL("signet.js"),
	})
	if err != nil {
		return fmt.Errorf("page %s: %w", name, err)
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", contentPolicy)
	w.WriteHeader(status)
	_, err = out.WriteTo(w)
	return err
}

// Fail is the [Render] of an area of pages: cause, what to do, who can help,
// and a code for them.
func (p *Pages) Fail(w http.ResponseWriter, r *http.Request, status int, f *fault.Error) {
	err := p.Write(w, status, "error", View{Title: f.Msg, Data: map[string]any{
		"Msg": f.Msg, "Hint": f.Hint, "Code": f.Code, "Request": supportCode(w.Header().Get(RequestIDHeader))}})
	if err != nil {
		Bare(w, r, status, f)
	}
}

// supportCode is as much of a request's id as people can read out, and enough
// to find it in the log.
func supportCode(id string) string { return id[:min(8, len(id))] }
