package httpd

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/signet-mdm/signet/internal/fault"
)

//go:embed web
var web embed.FS

// contentPolicy lets a page load our own files and nothing else.
const contentPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; " +
	"form-action 'self'; frame-ancestors 'none'; base-uri 'none'"

// Pages are the HTML pages of one area in the shared layout: the enrollment
// and the landing pages look alike because both come from here.
type Pages struct {
	organization string
	notice       string
	pages        map[string]*template.Template
}

// View is what one page shows. Data goes to the page's "main" template.
type View struct {
	Title   string
	Refresh time.Duration // when the page asks again by itself; 0 for never
	Data    any
}

// NewPages parses every web/*.html of files, each of which defines the template
// "main"; it is known by its name without ".html". Organization stands at the
// head of every page and notice above it, when not empty. It panics on a
// template that does not parse: a programmer's mistake found at start.
func NewPages(files fs.FS, organization, notice string) *Pages {
	p := &Pages{organization: organization, notice: notice, pages: map[string]*template.Template{}}
	layout := template.Must(template.ParseFS(web, "web/layout.html"))
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

// Write answers with the page of that name. Nothing is written when it fails.
func (p *Pages) Write(w http.ResponseWriter, status int, name string, v View) error {
	page := p.pages[name]
	if page == nil {
		return fmt.Errorf("no page %q", name)
	}
	var out bytes.Buffer
	err := page.ExecuteTemplate(&out, "layout.html", map[string]any{
		"Title": v.Title, "Refresh": int(v.Refresh.Seconds()), "Data": v.Data,
		"Organization": p.organization, "Notice": p.notice, "Style": styleURL,
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

// Fail is the [Render] of an area of pages: cause, what to do, and a code for
// the help desk.
func (p *Pages) Fail(w http.ResponseWriter, r *http.Request, status int, f *fault.Error) {
	problem := ProblemOf(f, w.Header().Get(RequestIDHeader))
	err := p.Write(w, status, "error", View{Title: f.Msg, Data: map[string]string{
		"Msg": f.Msg, "Hint": f.Hint, "Code": f.Code, "RequestID": problem.RequestID}})
	if err != nil {
		Bare(w, r, status, f)
	}
}

var (
	styleSheet = must(web.ReadFile("web/signet.css"))
	// styleURL changes with the content, so that it may be kept for ever.
	styleURL = "/static/" + hashed(styleSheet) + "/signet.css"
)

func must(b []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return b
}

func hashed(b []byte) string {
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:6])
}

// Static is the area of the files that pages load.
func Static() Area {
	return Area{Render: Bare, Routes: []Route{{
		Method: http.MethodGet, Path: "/static/{hash}/signet.css", Permission: Anyone, MaxBody: NoBody,
		Handle: func(w http.ResponseWriter, r *http.Request, _ Caller) error {
			w.Header().Set("Content-Type", "text/css; charset=utf-8")
			w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
			_, err := w.Write(styleSheet)
			return err
		},
	}}}
}
