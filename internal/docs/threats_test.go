package docs

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Each threat has a row, each row names tests or says what is not there, and
// each test that is named exists.
func TestThreats(t *testing.T) {
	rows := map[string][]string{}
	for line := range strings.Lines(string(head(t, "threats.md"))) {
		if m := regexp.MustCompile(`^\| ([MSDK]\d+) \|`).FindStringSubmatch(line); m != nil {
			rows[m[1]] = strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		}
	}
	for kind, n := range map[string]int{"M": 12, "S": 11, "D": 8, "K": 15} {
		for i := range n {
			id := fmt.Sprint(kind, i+1)
			row := rows[id]
			if len(row) != 5 {
				t.Errorf("%s: %d cells, want 5", id, len(row))
				continue
			}
			tests := regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(row[3], -1)
			if len(tests) == 0 && strings.TrimSpace(row[4]) == "" {
				t.Errorf("%s: neither a test nor what is not there", id)
			}
			for _, m := range tests {
				if !exists(m[1]) {
					t.Errorf("%s: there is no test %s", id, m[1])
				}
			}
		}
	}
}

// exists finds a test of a package, or a script.
func exists(test string) bool {
	where, name, _ := strings.Cut(test, " ")
	if where == "e2e" {
		if !strings.Contains(name, "/") {
			name = "e2e/" + name
		}
		_, err := os.Stat(filepath.Join(root, "internal/e2e/testdata", name+".txtar"))
		return err == nil
	}
	files, _ := filepath.Glob(filepath.Join(root, where, "*_test.go"))
	for _, f := range files {
		if b, err := os.ReadFile(f); err == nil && strings.Contains(string(b), "\nfunc "+name+"(") {
			return true
		}
	}
	return false
}
