package main

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
	"golang.org/x/term"

	"github.com/signet-mdm/signet/internal/subject"
)

// show writes v as JSON when that was asked for, else what human writes.
func (a *app) show(v any, human func(w io.Writer)) error {
	if a.output != "json" {
		human(a.stdout)
		return nil
	}
	e := json.NewEncoder(a.stdout)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// showTable shows a list: as JSON, or with one row an item, as a table or as
// comma-separated values.
func showTable[T any](a *app, items []T, head []string, row func(T) []string) error {
	rows := make([][]string, len(items))
	for i, item := range items {
		rows[i] = row(item)
	}
	if a.output == "csv" {
		return writeCSV(a.stdout, head, rows)
	}
	return a.show(items, func(w io.Writer) { writeTable(w, head, rows) })
}

// writeCSV writes values as a spreadsheet reads them. Those that it would take
// for formulas begin with an apostrophe.
//
// Spec: RFC 4180 section 2
func writeCSV(w io.Writer, head []string, rows [][]string) error {
	c := csv.NewWriter(w)
	for _, r := range append([][]string{head}, rows...) {
		safe := make([]string, len(r))
		for i, v := range r {
			if safe[i] = plain(v); v != "" && strings.ContainsRune("=+-@", rune(v[0])) {
				safe[i] = "'" + safe[i]
			}
		}
		if err := c.Write(safe); err != nil {
			return err
		}
	}
	c.Flush()
	return c.Error()
}

// writeTable writes plain columns without borders. Empty cells show as "-", so
// that columns can be cut.
func writeTable(w io.Writer, head []string, rows [][]string) {
	t := table.NewWriter()
	t.SetStyle(table.Style{
		Box:     table.BoxStyle{PaddingRight: "  "},
		Format:  table.FormatOptions{Header: text.FormatUpper},
		Options: table.OptionsNoBordersAndSeparators,
	})
	if head != nil {
		t.AppendHeader(cells(head))
	}
	for _, r := range rows {
		t.AppendRow(cells(r))
	}
	for line := range strings.Lines(t.Render()) {
		fmt.Fprintln(w, strings.TrimRight(line, " \n"))
	}
}

func cells(values []string) table.Row {
	row := make(table.Row, len(values))
	for i, v := range values {
		row[i] = plain(v)
		if v == "" {
			row[i] = "-"
		}
	}
	return row
}

// plain keeps what others named from moving the terminal's cursor, ending its
// line or turning it round.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if subject.Unshowable(r) {
			return '?'
		}
		return r
	}, s)
}

// told is plain for text of several lines, of which none but the first can be
// taken for a message of its own.
func told(s string) string {
	parts := strings.Split(s, "\n")
	for i, part := range parts {
		parts[i] = plain(part)
	}
	return strings.Join(parts, "\n  ")
}

// showRecord shows one thing: as JSON, or as lines of name and value.
func (a *app) showRecord(v any, pairs ...string) error {
	return a.show(v, func(w io.Writer) { writeRecord(w, pairs...) })
}

// writeRecord writes lines of name and value, without those that are empty.
func writeRecord(w io.Writer, pairs ...string) {
	rows := [][]string{}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			rows = append(rows, pairs[i:i+2])
		}
	}
	writeTable(w, nil, rows)
}

// moment shows an instant to people, in their own time zone.
func moment(t time.Time) string { return t.Local().Format("2006-01-02 15:04") }

// maybe shows an instant that may be none.
func maybe(t *time.Time) string {
	if t == nil {
		return ""
	}
	return moment(*t)
}

// day shows a date.
func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// count gives "1 file" or "2 files".
func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	if stem, ok := strings.CutSuffix(thing, "y"); ok && !strings.HasSuffix(stem, "e") {
		return fmt.Sprintf("%d %sies", n, stem)
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// terminal tells whether w shows to a person who can see a line change.
func (a *app) terminal(w any) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd())) && a.getenv("TERM") != "dumb"
}
