package main

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// THIRD_PARTY_LICENSES has exactly what is linked, with PKCS#11 too. Make it again with
// scripts/licenses.
func TestLicenses(t *testing.T) {
	cmd := exec.Command("go", "list", "-tags", "pkcs11", "-deps", "-f", "{{with .Module}}{{if not .Main}}{{.Path}} {{.Version}}{{end}}{{end}}", ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=1")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	linked := strings.Split(strings.TrimSpace(string(out)), "\n")
	slices.Sort(linked)
	linked = slices.DeleteFunc(slices.Compact(linked), func(s string) bool { return s == "" })
	var listed []string
	for line := range strings.Lines(licenses) {
		if name, ok := strings.CutPrefix(line, "=== "); ok && !strings.HasPrefix(name, "Go ") {
			listed = append(listed, strings.TrimSpace(name))
		}
	}
	slices.Sort(listed)
	if !slices.Equal(linked, listed) {
		t.Errorf("run scripts/licenses: linked\n%s\nlisted\n%s", strings.Join(linked, "\n"), strings.Join(listed, "\n"))
	}
}
