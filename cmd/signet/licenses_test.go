package main

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// THIRD_PARTY_LICENSES has exactly what is linked. Make it again with
// scripts/licenses.
func TestLicenses(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "-f", "{{with .Module}}{{if not .Main}}{{.Path}} {{.Version}}{{end}}{{end}}", ".").Output()
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
