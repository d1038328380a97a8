package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/signet-mdm/signet/internal/judge"
)

// There is a page for each command, and mandoc is content with all of them.
func TestManualPages(t *testing.T) {
	judge.Need(t, "mandoc")
	dir := t.TempDir()
	root := (&app{getenv: func(string) string { return "" }}).root()
	if err := writePages(root, dir, time.Date(2026, 11, 25, 0, 0, 0, 0, time.UTC)); err != nil {
		t.Fatal(err)
	}
	pages, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range root.Commands() {
		name, section := manName(c)
		if _, err := os.Stat(filepath.Join(dir, name+"."+section)); err != nil && !c.Hidden {
			t.Errorf("%s has no page", c.CommandPath())
		}
	}
	if out, err := exec.Command("mandoc", append([]string{"-T", "lint", "-W", "warning"}, pages...)...).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	text, err := exec.Command("mandoc", "-T", "ascii", filepath.Join(dir, "signet-init.1")).Output()
	if err != nil || !strings.Contains(string(text), "signet init --data D --url https://127.0.0.1:8443 --listen 127.0.0.1:8443") {
		t.Errorf("the example of init is lost (%v):\n%s", err, text)
	}
}
