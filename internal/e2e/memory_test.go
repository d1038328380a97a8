package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// memory fails when the memory of the script's process whose command line has
// that text holds a secret of the files, as leaks looks for them in folders:
// `memory '--roles front' -- canaries alice.pem`
func memory(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 3 || args[1] != "--" {
		ts.Fatalf("usage: memory 'PART OF A COMMAND LINE' -- FILE…")
	}
	var needles []needle
	for _, f := range args[2:] {
		found, err := needlesOf(f, ts.ReadFile(f))
		ts.Check(err)
		needles = append(needles, found...)
	}
	pid, err := processOf(ts.Getenv("WORK"), args[0])
	ts.Check(err)
	n, leak, err := scan(pid, needles)
	switch {
	case err != nil:
		ts.Fatalf("memory of process %s: %v", pid, err)
	case n < 1<<20 || len(needles) == 0:
		ts.Fatalf("memory: %d bytes searched for %d secrets", n, len(needles))
	case leak != "" && !neg:
		ts.Fatalf("the memory of %s holds %s", args[0], leak)
	case leak == "" && neg:
		ts.Fatalf("none of %d secrets is in %d bytes", len(needles), n)
	}
	ts.Logf("%d bytes, %d secrets. %s", n, len(needles), leak)
}

// processOf gives the id of the process that runs in a folder with that text in
// its command line.
func processOf(dir, text string) (string, error) {
	all, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		return "", err
	}
	for _, f := range all {
		line, err := os.ReadFile(f)
		if err != nil || !strings.Contains(strings.ReplaceAll(string(line), "\x00", " "), text) {
			continue
		}
		pid := filepath.Base(filepath.Dir(f))
		if at, err := os.Readlink("/proc/" + pid + "/cwd"); err == nil && at == dir {
			return pid, nil
		}
	}
	return "", fmt.Errorf("no process has %q in its command line", text)
}

// scan searches what a process can write to, and tells how much that was.
func scan(pid string, needles []needle) (n int, leak string, err error) {
	maps, err := os.ReadFile("/proc/" + pid + "/maps")
	if err != nil {
		return 0, "", err
	}
	mem, err := os.Open("/proc/" + pid + "/mem")
	if err != nil {
		return 0, "", err
	}
	defer mem.Close()
	for line := range strings.Lines(string(maps)) {
		var from, to int64
		var rights string
		if _, err := fmt.Sscanf(line, "%x-%x %s", &from, &to, &rights); err != nil || !strings.HasPrefix(rights, "rw") {
			continue
		}
		part, err := io.ReadAll(io.NewSectionReader(mem, from, to-from))
		if err != nil && len(part) == 0 && !errors.Is(err, io.EOF) {
			continue // not there, such as what is kept free
		}
		n += len(part)
		for _, want := range needles {
			if bytes.Contains(part, want.data) {
				leak = want.what
			}
		}
	}
	return n, leak, nil
}
