package appconfig

import (
	"fmt"
	"slices"
	"strings"
)

// otherKinds are what documents can begin with that others read.
var otherKinds = []string{"CertificateProfile"}

// Other is a document that is none of ours.
type Other struct {
	Kind string
	Text []byte // at its lines of the file
	line int
}

// cut gives each document its part of the file: up to where the next begins,
// which starts with its ---. What stands before becomes empty lines, so that
// what is said of a line is true of the file.
func (docs *Documents) cut(file []byte, begins []int) {
	lines := strings.SplitAfter(string(file), "\n")
	for i := range docs.Others {
		o := &docs.Others[i]
		end := len(lines) + 1
		if next := slices.IndexFunc(begins, func(b int) bool { return b > o.line }); next >= 0 {
			end = begins[next]
		}
		o.Text = []byte(strings.Repeat("\n", o.line-1) + strings.Join(lines[o.line-1:end-1], ""))
	}
}

// state is a kind of documents in this file, and the revision of what it is
// about.
type state struct {
	kind     Kind
	revision string
}

func (a *application) lookAtOthers() error {
	for _, k := range a.others {
		if len(a.textsOf(k.Kind())) == 0 {
			continue
		}
		revision, err := k.Revision(a.ctx)
		if err != nil {
			return fmt.Errorf("looking at what there is of %s: %w", k.Kind(), err)
		}
		a.states = append(a.states, state{k, revision})
	}
	return nil
}

// whole is the revision of all that the file is about.
func (a *application) whole() string {
	all := a.revision
	for _, s := range a.states {
		all += "-" + s.revision
	}
	return all
}

func (a *application) textsOf(kind string) (texts [][]byte) {
	for _, o := range a.docs.Others {
		if o.Kind == kind {
			texts = append(texts, o.Text)
		}
	}
	return texts
}

func (a *application) compareOthers(d *Diff) error {
	seen := map[string]bool{}
	for _, o := range a.docs.Others {
		i := slices.IndexFunc(a.states, func(s state) bool { return s.kind.Kind() == o.Kind })
		if i < 0 {
			return ErrDocument.Saying("Documents of kind " + o.Kind + " are not read here.")
		}
		name, before, after, err := a.states[i].kind.Compare(a.ctx, o.Text)
		if err != nil {
			return err
		}
		if seen[o.Kind+name] {
			return ErrDocument.Saying("The file has two documents for the " + o.Kind + " " + printable(name) + ".")
		}
		seen[o.Kind+name], a.made[name] = true, after
		if before != nil && after == nil {
			if err := a.free(name); err != nil {
				return err
			}
		}
		one := item(o.Kind, name, before != nil, before, after)
		if after == nil {
			one.Action, one.Changes = Removed, []Change{}
			if before == nil {
				one.Action = Unchanged
			}
		}
		d.Items = append(d.Items, one)
	}
	return nil
}

// writeOthers has each kind applied whose documents change something.
func (a *application) writeOthers(d Diff) error {
	for _, s := range a.states {
		kind := s.kind.Kind()
		if !slices.ContainsFunc(d.Items, func(i Item) bool { return i.Kind == kind && i.Action != Unchanged }) {
			continue
		}
		if err := s.kind.Apply(a.ctx, a.by, s.revision, a.textsOf(kind)); err != nil {
			return err
		}
	}
	return nil
}
