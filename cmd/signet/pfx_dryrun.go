package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/signet-mdm/signet/internal/httpd/admin"
	"github.com/signet-mdm/signet/pfxconnector"
)

// maxShown is how many lines of a table a person gets; -o json has all.
const maxShown = 50

// forecast is what a dry run foretells, as -o json shows it in its last line.
type forecast struct {
	Files          int           `json:"files"`
	WouldImport    int           `json:"wouldImport"`
	Unchanged      int           `json:"unchanged"`   // in escrow already
	Repeated       int           `json:"repeated"`    // come more than once in this run
	Quarantined    int           `json:"quarantined"` // whose users are not known
	Refused        []refusedCode `json:"refused"`
	Users          []foretold    `json:"users"`          // who get something, or have some of it already
	WithoutCurrent []string      `json:"withoutCurrent"` // everybody nobody could encrypt to, then
}

// refusedCode is how often something was refused.
type refusedCode struct {
	Code  string `json:"code"`
	Text  string `json:"message"` // of the first
	Hint  string `json:"hint"`
	Count int    `json:"count"`
}

// foretold is what a user would have.
type foretold struct {
	User       string              `json:"user"`
	UserID     string              `json:"userId"`
	Identities int                 `json:"identities"` // in this run
	Current    bool                `json:"current"`    // others could encrypt to him
	Gaps       []pfxconnector.Span `json:"gaps"`       // times that no encryption certificate covers
}

// foreteller gathers what a dry run finds. It grows with the identities, not
// with the files.
type foreteller struct {
	seen    map[string]bool // user and certificate
	users   map[string]*prospect
	refused map[string]*refusedCode
	sum     forecast
}

// prospect is what the run has for a user.
type prospect struct {
	identities int
	current    bool
	spans      []pfxconnector.Span
}

func newForeteller() *foreteller {
	return &foreteller{map[string]bool{}, map[string]*prospect{}, map[string]*refusedCode{}, forecast{}}
}

func (f *foreteller) add(r pfxconnector.FileReport) {
	f.sum.Files++
	if r.Code != nil && len(r.Identities) == 0 {
		f.refuse(*r.Code, r.Message, r.Hint)
	}
	for _, i := range r.Identities {
		if i.Code != nil {
			f.refuse(*i.Code, i.Reason, i.Hint)
			continue
		}
		if i.Quarantine != nil {
			f.sum.Quarantined++
			continue
		}
		f.identity(i)
	}
}

func (f *foreteller) refuse(code, text, hint string) {
	if f.refused[code] == nil {
		f.refused[code] = &refusedCode{Code: code, Text: text, Hint: hint}
	}
	f.refused[code].Count++
}

func (f *foreteller) identity(i pfxconnector.IdentityReport) {
	u := f.users[i.UserID]
	if u == nil {
		u = &prospect{}
		f.users[i.UserID] = u
	}
	u.identities++
	key := i.UserID + i.Cert
	switch {
	case f.seen[key]:
		f.sum.Repeated++
		return
	case i.Status == pfxconnector.Unchanged:
		f.sum.Unchanged++
	default:
		f.sum.WouldImport++
		if o := i.Outlook; o != nil && i.Purpose != "signing" {
			u.spans, u.current = append(u.spans, o.Span), u.current || o.Current
		}
	}
	f.seen[key] = true
}

// conclude adds what is in escrow already.
func (f *foreteller) conclude(escrow []admin.Coverage, now time.Time) forecast {
	out := f.sum
	out.Refused, out.Users, out.WithoutCurrent = []refusedCode{}, []foretold{}, []string{}
	for _, code := range slices.Sorted(maps.Keys(f.refused)) {
		out.Refused = append(out.Refused, *f.refused[code])
	}
	for _, c := range escrow {
		u, touched := f.users[c.User.ID]
		if u == nil {
			u = &prospect{}
		}
		current := c.Current || u.current
		if !current && !c.User.Disabled {
			out.WithoutCurrent = append(out.WithoutCurrent, c.User.Mail)
		}
		if touched {
			gaps := pfxconnector.Gaps(slices.Concat(c.Spans, u.spans), now)
			out.Users = append(out.Users, foretold{c.User.Mail, c.User.ID, u.identities, current, gaps})
		}
	}
	slices.SortFunc(out.Users, func(a, b foretold) int { return cmp.Compare(a.User, b.User) })
	return out
}

// foretell shows what a dry run found.
func (a *app) foretell(ctx context.Context, client *admin.Client, f *foreteller) error {
	escrow, err := client.Coverage(ctx)
	if err != nil {
		return err
	}
	out := f.conclude(escrow, time.Now())
	if a.output != "json" {
		out.write(a.stdout)
		return nil
	}
	e := json.NewEncoder(a.stdout)
	e.SetEscapeHTML(false)
	return e.Encode(map[string]forecast{"report": out})
}

func (f forecast) write(w io.Writer) {
	fmt.Fprintln(w)
	writeRecord(w, "files", fmt.Sprint(f.Files),
		"users", fmt.Sprintf("%d found", len(f.Users)),
		"would be imported", fmt.Sprint(f.WouldImport),
		"quarantine", fmt.Sprintf("%d whose users are not known", f.Quarantined),
		"duplicates", fmt.Sprintf("%d in escrow already, %d more than once in this run", f.Unchanged, f.Repeated))
	var rows [][]string
	for _, r := range f.Refused {
		rows = append(rows, []string{fmt.Sprint(r.Count), r.Code, r.Text, r.Hint})
	}
	part(w, "Refused:", []string{"count", "code", "why", "what to do"}, rows)
	rows = nil
	for _, u := range f.Users {
		for _, g := range u.Gaps {
			rows = append(rows, []string{u.User, day(g.From), day(g.To)})
		}
	}
	part(w, "Gaps: mail that was encrypted to these users at these times cannot be read with what is here.", []string{"user", "from", "to"}, rows)
	rows = nil
	for _, u := range f.WithoutCurrent {
		rows = append(rows, []string{u})
	}
	part(w, "No current certificate: nobody could encrypt to these users after this import. signet encryption issue --missing makes them one.", []string{"user"}, rows)
}

// part writes a table with its heading, or nothing when there is no row.
func part(w io.Writer, heading string, head []string, rows [][]string) {
	if len(rows) == 0 {
		return
	}
	fmt.Fprintf(w, "\n%s\n", heading)
	writeTable(w, head, rows[:min(len(rows), maxShown)])
	if more := len(rows) - maxShown; more > 0 {
		fmt.Fprintf(w, "and %d more; -o json shows all\n", more)
	}
}
