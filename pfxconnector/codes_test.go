package pfxconnector_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/pfxconnector"
	"github.com/signet-mdm/signet/testdata"
)

// TestEveryCodeHasAFile imports the corpus: whatever code the reader has, or is
// declared here for identities, a file of the corpus leads to it, and each time
// there is a sentence and a hint with it.
func TestEveryCodeHasAFile(t *testing.T) {
	h := newHouse(t)
	h.user(t, "alice@example.com")
	bob := h.user(t, "bob@example.com")
	seen := map[string]string{}
	note := func(file, code, message, hint string) {
		seen[code] = file
		if message == "" || hint == "" {
			t.Errorf("%s: %s says %q and hints %q", file, code, message, hint)
		}
	}
	look := func(f pfxconnector.File) {
		r := h.take(t, f)
		if r.Code != nil {
			note(r.File, *r.Code, r.Message, r.Hint)
		}
		for _, i := range r.Identities {
			if i.Code != nil {
				note(r.File, *i.Code, i.Reason, i.Hint)
			}
			if q := i.Quarantine; q != nil {
				note(r.File, q.Code, q.Message, q.Hint)
			}
			for _, n := range i.Notices {
				note(r.File, n.Code, n.Message, n.Hint)
			}
		}
	}
	for _, s := range testdata.PFXCorpus() {
		if strings.HasPrefix(s.Name, "gnutls") || strings.HasPrefix(s.Name, "nss") {
			continue // slow, and nothing new in them
		}
		look(pfxconnector.File{Name: s.Name, Data: s.Data, Password: seal.SecretString(s.Password), DryRun: true})
	}
	look(with(sample(t, "openssl-key-ED25519.p12"), func(f *pfxconnector.File) { f.Purpose = cert.Encryption }))
	look(with(sample(t, "openssl-key-X25519.p12"), func(f *pfxconnector.File) { f.Purpose = cert.Encryption }))
	look(with(sample(t, "openssl-default.p12"), func(f *pfxconnector.File) { f.User = &bob }))
	look(sample(t, "openssl-default.p12"))
	look(h.naming(t, "alice@example.com", "bob@example.com"))
	for _, name := range []string{"openssl-chain.p12", "java-four.p12"} {
		look(with(sample(t, name), func(f *pfxconnector.File) { f.Thumbprint = "00" }))
	}
	for _, code := range declared(t) {
		if _, ok := seen[code]; !ok && code != "pfx_password_form" { // of the password for a new file
			t.Errorf("%s: no file of the corpus leads to it", code)
		}
	}
}

// declared finds the codes given to fault.New in the reader, and here in the
// declarations that speak of identities or certificates.
func declared(t *testing.T) (codes []string) {
	t.Helper()
	for _, dir := range []string{".", "pfx"} {
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range files {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			tree, err := parser.ParseFile(token.NewFileSet(), name, text, parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range tree.Decls {
				g, ok := d.(*ast.GenDecl)
				if ok && (dir == "pfx" || strings.HasPrefix(g.Doc.Text(), "Why an identity is refused") || strings.HasPrefix(g.Doc.Text(), "What is said of a certificate")) {
					codes = append(codes, faults(g)...)
				}
			}
		}
	}
	if len(codes) < 30 {
		t.Fatalf("found %d codes only", len(codes))
	}
	return codes
}

// faults gives the codes of the faults that d declares.
func faults(d *ast.GenDecl) (codes []string) {
	ast.Inspect(d, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok || len(call.Args) != 4 {
			return true
		}
		f, isMethod := call.Fun.(*ast.SelectorExpr)
		if code, ok := call.Args[1].(*ast.BasicLit); ok && isMethod && f.Sel.Name == "New" {
			codes = append(codes, strings.Trim(code.Value, `"`))
		}
		return true
	})
	return codes
}
