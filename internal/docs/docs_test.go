// Package docs keeps the reference pages true: docs/errors.md and
// docs/protocol.md are made from the source, and this test fails when they
// differ from it. Make them again with: go test ./internal/docs -update
package docs

import (
	"bytes"
	"cmp"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the pages instead of comparing them")

const root = "../.."

// source calls f with each non-test Go file of ours.
func source(t *testing.T, f func(name string, file *ast.File)) {
	t.Helper()
	err := fs.WalkDir(os.DirFS(root), ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() && strings.HasPrefix(d.Name(), ".") && p != "." {
			return cmp.Or(err, fs.SkipDir)
		}
		if !strings.HasSuffix(p, ".go") || strings.HasSuffix(p, "_test.go") {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, p), nil, parser.ParseComments)
		if err != nil {
			return err
		}
		f(p, file)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// page compares a page of docs/ with what it should be, or writes it.
func page(t *testing.T, name string, want []byte) {
	t.Helper()
	file := filepath.Join(root, "docs", name)
	if *update {
		if err := os.WriteFile(file, want, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, err := os.ReadFile(file)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("docs/%s is not what the source says (%v); run: go test ./internal/docs -update", name, err)
	}
}

type failure struct{ code, kind, msg, hint, pkg string }

// failures lists every declared one, in the order of their codes.
func failures(t *testing.T) (all []failure) {
	t.Helper()
	source(t, func(name string, file *ast.File) {
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) != 4 {
				return true
			}
			if sel, ok := call.Fun.(*ast.SelectorExpr); !ok || sel.Sel.Name != "New" || fmt.Sprint(sel.X) != "fault" {
				return true
			}
			f := failure{pkg: path.Dir(name)}
			if sel, ok := call.Args[0].(*ast.SelectorExpr); ok {
				f.kind = sel.Sel.Name
			}
			for i, to := range []*string{&f.code, &f.msg, &f.hint} {
				*to = text(call.Args[i+1])
			}
			if f.code == "" || f.msg == "" {
				t.Errorf("%s: fault.New needs literal texts", name)
			}
			all = append(all, f)
			return true
		})
	})
	slices.SortFunc(all, func(a, b failure) int { return cmp.Compare(a.code, b.code) })
	return all
}

func TestErrors(t *testing.T) {
	all := failures(t)
	form := regexp.MustCompile(`^[a-z0-9]+(_[a-z0-9]+)*$`)
	var out bytes.Buffer
	out.WriteString("# Error codes\n\nMade from the source; a code never changes its meaning.\n\n")
	out.WriteString("| code | kind | message | what to do | package |\n| --- | --- | --- | --- | --- |\n")
	for i, f := range all {
		if !form.MatchString(f.code) {
			t.Errorf("%s: code %q is not in the form name_of_failure", f.pkg, f.code)
		}
		if i > 0 && all[i-1].code == f.code {
			t.Errorf("code %s is declared in %s and in %s", f.code, all[i-1].pkg, f.pkg)
		}
		fmt.Fprintf(&out, "| `%s` | %s | %s | %s | %s |\n", f.code, f.kind, cell(f.msg), cell(f.hint), f.pkg)
	}
	page(t, "errors.md", out.Bytes())
}

// text gives the value of a string literal or a sum of them.
func text(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.BasicLit:
		s, _ := strconv.Unquote(e.Value)
		return s
	case *ast.BinaryExpr:
		return text(e.X) + text(e.Y)
	}
	return ""
}

func cell(s string) string { return strings.ReplaceAll(s, "|", `\|`) }

func TestProtocol(t *testing.T) {
	places := map[string][]string{}
	source(t, func(name string, file *ast.File) {
		for _, group := range file.Comments {
			for _, line := range group.List {
				cited, ok := strings.CutPrefix(line.Text, "// Spec: ")
				if !ok {
					continue
				}
				for c := range strings.SplitSeq(cited, ";") {
					if c = strings.TrimSpace(c); !slices.Contains(places[c], name) {
						places[c] = append(places[c], name)
					}
				}
			}
		}
	})
	cited := make([]string, 0, len(places))
	for c := range places {
		cited = append(cited, c)
	}
	slices.Sort(cited)
	var out bytes.Buffer
	head, err := os.ReadFile(filepath.Join(root, "docs", "protocol.head.md"))
	if err != nil {
		t.Fatal(err)
	}
	out.Write(head)
	out.WriteString("\n## Where each citation is implemented\n\nMade from the source.\n\n| document and section | code |\n| --- | --- |\n")
	for _, c := range cited {
		slices.Sort(places[c])
		fmt.Fprintf(&out, "| %s | %s |\n", cell(c), strings.Join(places[c], ", "))
	}
	page(t, "protocol.md", out.Bytes())
}

// Links between the pages, and from the README, lead somewhere.
func TestLinks(t *testing.T) {
	pages, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	link := regexp.MustCompile(`\]\(([^)#:]+)(#[^)]*)?\)`)
	for _, p := range append(pages, filepath.Join(root, "README.md")) {
		data, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range link.FindAllSubmatch(data, -1) {
			target := filepath.Join(filepath.Dir(p), string(m[1]))
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s links to %s, which is not there", p, m[1])
			}
		}
	}
}
