// Package packaging tests what packages bring beside the binary, with the
// programs that will read it.
package packaging

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/signet-mdm/signet/internal/judge"
)

// run wants a program to be content.
func run(t *testing.T, dir, program string, args ...string) string {
	t.Helper()
	c := exec.Command(program, args...)
	c.Dir = dir
	out, err := c.CombinedOutput()
	if err != nil {
		t.Errorf("%s %s: %v\n%s", program, strings.Join(args, " "), err, out)
	}
	return string(out)
}

func TestAlertRules(t *testing.T) {
	judge.Need(t, "promtool")
	run(t, "prometheus", "promtool", "check", "rules", "signet.rules.yml")
	run(t, "prometheus", "promtool", "test", "rules", "signet_test.yml")
}

// Every metric that a rule asks for is one that the server has, and every
// alert is explained.
func TestAlertRulesFit(t *testing.T) {
	read := func(name string) string {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	rules, metrics, manual := read("prometheus/signet.rules.yml"), read("../docs/metrics.md"), read("../docs/operations.md")
	for _, name := range regexp.MustCompile(`signet_[a-z_]+`).FindAllString(rules, -1) {
		if !strings.Contains(metrics, "`"+name+"`") {
			t.Errorf("a rule asks for %s, which docs/metrics.md does not have", name)
		}
	}
	for _, m := range regexp.MustCompile(`alert: (\w+)`).FindAllStringSubmatch(rules, -1) {
		if !strings.Contains(manual, m[1]) {
			t.Errorf("docs/operations.md does not say what to do about %s", m[1])
		}
	}
}

// The unit shows little to an attacker: at most 2.5 of 10.
func TestUnit(t *testing.T) {
	judge.Need(t, "systemd-analyze")
	dir := t.TempDir()
	unit, err := os.ReadFile("systemd/signet.service")
	if err != nil {
		t.Fatal(err)
	}
	// What it starts is not installed here, and neither are its pages.
	text := strings.Replace(string(unit), "ExecStart=/usr/bin/signet", "ExecStart=/bin/true", 1)
	text = regexp.MustCompile(`(?m)^Documentation=.*\n`).ReplaceAllString(text, "")
	file := filepath.Join(dir, "signet.service")
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if out := run(t, dir, "systemd-analyze", "verify", "--man=no", file); strings.Contains(out, "signet.service") {
		t.Errorf("systemd-analyze verify says:\n%s", out)
	}
	t.Log(strings.TrimSpace(run(t, dir, "systemd-analyze", "security", "--offline=true", "--no-pager", "--threshold=25", file)))
}
