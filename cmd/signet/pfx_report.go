package main

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/signet-mdm/signet/pfxconnector"
)

// tally counts what became of the files.
type tally struct {
	files, seen, imported, unchanged, refused, warned int
	dry                                               bool
}

func (t *tally) add(r pfxconnector.FileReport) {
	t.seen++
	t.refused += r.Rejects()
	for _, i := range r.Identities {
		if len(i.Warnings) > 0 {
			t.warned++
		}
		switch i.Status {
		case pfxconnector.Imported, pfxconnector.WouldImport:
			t.imported++
		case pfxconnector.Unchanged:
			t.unchanged++
		}
	}
}

func (t tally) String() string {
	verb := "imported"
	if t.dry {
		verb = "would be imported"
	}
	s := fmt.Sprintf("%s: %s %s, %d unchanged, %d refused", count(t.files, "file"), count(t.imported, "identity"), verb, t.unchanged, t.refused)
	if t.warned > 0 {
		s += fmt.Sprintf(", %d with warnings", t.warned)
	}
	if t.dry {
		s += "\nNothing was changed."
	}
	return s
}

// reportFile says what became of a file: with -o json an object in a line,
// else a line an identity with its warnings, or only those that have a reason to
// be looked at.
func (a *app) reportFile(r pfxconnector.FileReport, onlyNotable bool) error {
	if a.output == "json" {
		e := json.NewEncoder(a.stdout)
		e.SetEscapeHTML(false)
		return e.Encode(r)
	}
	a.progressDone()
	if r.Code != nil && len(r.Identities) == 0 {
		_, err := fmt.Fprintf(a.stdout, "%s: %s\n", plain(r.File), refusal(r.Message, *r.Code, r.Hint))
		return err
	}
	for _, i := range r.Identities {
		if onlyNotable && i.Code == nil && len(i.Warnings) == 0 {
			continue
		}
		line := fmt.Sprintf("%s  %s  %s", i.Status, i.Purpose, i.User)
		if i.Code != nil {
			line = refusal(i.Reason, *i.Code, i.Hint)
		}
		if _, err := fmt.Fprintf(a.stdout, "%s: %s  %.16s\n", plain(r.File), line, i.Cert); err != nil {
			return err
		}
		for _, w := range i.Warnings {
			if _, err := fmt.Fprintf(a.stdout, "  warning: %s\n", plain(w)); err != nil {
				return err
			}
		}
	}
	return nil
}

func refusal(msg, code, hint string) string {
	return strings.TrimSpace(fmt.Sprintf("refused (%s): %s %s", code, msg, plain(hint)))
}

// progress shows to a person how far it has come.
func (a *app) progress(t tally) {
	if a.terminal(a.stderr) {
		fmt.Fprintf(a.stderr, "\r%d of %d files, %d refused", t.seen, t.files, t.refused)
	}
}

// progressDone clears that line.
func (a *app) progressDone() {
	if a.terminal(a.stderr) {
		fmt.Fprint(a.stderr, "\r\x1b[K")
	}
}
