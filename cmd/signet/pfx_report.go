package main

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/signet-mdm/signet/pfxconnector"
)

// tally counts what became of the files.
type tally struct {
	files, seen, imported, unchanged, refused, aside, warned, skipped int
	dry                                                               bool
}

func (t *tally) add(r pfxconnector.FileReport) {
	t.seen++
	t.refused += r.Rejects()
	t.aside += r.Aside()
	if r.Status == skipped {
		t.skipped++
	}
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

// foresee counts what comes once more in a dry run as an import would: it is
// there by then.
func (t *tally) foresee(f forecast) {
	t.imported, t.unchanged = f.WouldImport, f.Unchanged+f.Repeated
}

func (t tally) String() string {
	verb := "imported"
	if t.dry {
		verb = "would be imported"
	}
	s := fmt.Sprintf("%s: %s %s, %d unchanged, %d refused", count(t.files, "file"), count(t.imported, "identity"), verb, t.unchanged, t.refused)
	if t.aside > 0 {
		s += fmt.Sprintf(", %d in quarantine", t.aside)
	}
	if t.warned > 0 {
		s += fmt.Sprintf(", %d with warnings", t.warned)
	}
	if t.skipped > 0 {
		s += fmt.Sprintf(", %d skipped because they were finished", t.skipped)
	}
	if t.dry {
		s += "\nNothing was changed."
	}
	return s
}

// fileLine says what became of a file, as an object in a line.
func fileLine(r pfxconnector.FileReport) (string, error) {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(r)
	return b.String(), err
}

// fileLines says it to people: a line an identity with its warnings, or only
// those that have a reason to be looked at, which may be none.
func fileLines(r pfxconnector.FileReport, onlyNotable bool) string {
	if r.Code != nil && len(r.Identities) == 0 {
		return fmt.Sprintf("%s: %s\n", plain(r.File), refusal(r.Message, *r.Code, r.Hint))
	}
	var b strings.Builder
	for _, i := range r.Identities {
		if onlyNotable && i.Code == nil && len(i.Warnings) == 0 && i.Quarantine == nil {
			continue
		}
		line := fmt.Sprintf("%s  %s  %s", i.Status, i.Purpose, i.User)
		if q := i.Quarantine; q != nil {
			line = strings.TrimSpace(fmt.Sprintf("%s (%s): %s %s", i.Status, q.Code, plain(q.Message), q.ID))
		}
		if i.Code != nil {
			line = refusal(i.Reason, *i.Code, i.Hint)
		}
		fmt.Fprintf(&b, "%s: %s  %.16s\n", plain(r.File), line, i.Cert)
		for _, w := range i.Warnings {
			fmt.Fprintf(&b, "  warning: %s\n", plain(w))
		}
	}
	return b.String()
}

func refusal(msg, code, hint string) string {
	return strings.TrimSpace(fmt.Sprintf("refused (%s): %s %s", code, msg, plain(hint)))
}
