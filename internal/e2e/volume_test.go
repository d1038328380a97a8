package e2e

import (
	"os"
	"os/exec"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// volume makes a folder that holds that many megabytes and not more:
// `volume disk 100`. Who may not mount skips the script.
func volume(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: volume FOLDER MEGABYTES")
	}
	dir := ts.MkAbs(args[0])
	ts.Check(os.Mkdir(dir, 0o700))
	out, err := exec.Command("mount", "-t", "tmpfs", "-o", "mode=0700,size="+args[1]+"m", "tmpfs", dir).CombinedOutput()
	if err != nil { // no program is missing: the machine itself forbids it
		ts.Value(testKey{}).(testing.TB).Skipf("may not mount: %s", out)
	}
	ts.Defer(func() {
		if out, err := exec.Command("umount", "-l", dir).CombinedOutput(); err != nil {
			ts.Logf("unmounting: %v: %s", err, out)
		}
	})
}
