package ca_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"
)

// Nothing unchecked can be signed: whatever in this package touches a key of a
// CA, or writes a certificate, is listed here with the reason why it may. One
// who adds to the list says how it is checked.
var signers = map[string]string{
	"Issue.Sign":               "signs a Prepared, whose fields nobody outside sets and which check has passed",
	"write.CreateCertificate":  "without a key, so it signs nothing; whoever makes a Prepared of it calls check",
	"CRL.CreateRevocationList": "a list, no certificate",

	"NewCSR.CreateCertificateRequest": "a request, no certificate",
	"Answer.CreateResponse":           "an answer, no certificate",
}

func TestNothingUncheckedIsSigned(t *testing.T) {
	files, err := fs.Glob(os.DirFS("."), "*.go")
	if err != nil {
		t.Fatal(err)
	}
	set := token.NewFileSet()
	signing := []string{"Sign", "SignMessage", "CreateCertificate", "CreateCertificateRequest", "CreateRevocationList", "CreateResponse", "SignPKCS1v15", "SignASN1"}
	found := map[string]bool{}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(set, name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range f.Decls {
			fn, ok := decl.(*ast.FuncDecl)
			if !ok {
				continue
			}
			ast.Inspect(fn, func(n ast.Node) bool {
				call, ok := n.(*ast.CallExpr)
				if !ok {
					return true
				}
				sel, ok := call.Fun.(*ast.SelectorExpr)
				if !ok || len(call.Args) == 0 || !slices.Contains(signing, sel.Sel.Name) { // big.Int has a Sign, too
					return true
				}
				what := fn.Name.Name + "." + sel.Sel.Name
				found[what] = true
				if signers[what] == "" {
					t.Errorf("%s: %s signs and is not listed", set.Position(call.Pos()), what)
				}
				if last, _ := call.Args[len(call.Args)-1].(*ast.Ident); sel.Sel.Name == "CreateCertificate" && (last == nil || last.Name != "captured") {
					t.Errorf("%s: %s writes a certificate with a key that signs", set.Position(call.Pos()), what)
				}
				return true
			})
			// Whoever makes a Prepared has held it against the rules.
			if makes(fn) && !calls(fn, "check") {
				t.Errorf("%s: %s makes a Prepared without check", set.Position(fn.Pos()), fn.Name.Name)
			}
		}
	}
	for _, what := range []string{"Issue.Sign", "write.CreateCertificate"} {
		if !found[what] {
			t.Errorf("%s is not found: this test does not look where it should", what)
		}
	}
}

// makes tells whether fn has a composite literal of type Prepared.
func makes(fn *ast.FuncDecl) (found bool) {
	ast.Inspect(fn, func(n ast.Node) bool {
		if lit, ok := n.(*ast.CompositeLit); ok {
			id, _ := lit.Type.(*ast.Ident)
			found = found || id != nil && id.Name == "Prepared"
		}
		return true
	})
	return found
}

func calls(fn *ast.FuncDecl, name string) (found bool) {
	ast.Inspect(fn, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok {
			id, _ := call.Fun.(*ast.Ident)
			found = found || id != nil && id.Name == name
		}
		return true
	})
	return found
}
