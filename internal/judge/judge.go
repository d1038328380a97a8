// Package judge runs other people's programs in tests: what Signet produces is
// judged by OpenSSL, NSS, GnuTLS, Java, strongSwan and libplist, not by
// itself.
package judge

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"
)

// Need skips the test when a program is missing, and fails it when
// SIGNET_TEST_STRICT=1 forbids skipping. What was skipped is noted in the file
// named by SIGNET_TEST_SKIPPED, so that `make test` can say how much.
func Need(t testing.TB, programs ...string) {
	t.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err == nil {
			continue
		}
		if os.Getenv("SIGNET_TEST_STRICT") == "1" {
			t.Fatalf("%s is not installed and SIGNET_TEST_STRICT=1 forbids skipping", p)
		}
		note(t, p)
		t.Skipf("needs the program %s", p)
	}
}

func note(t testing.TB, program string) {
	name := os.Getenv("SIGNET_TEST_SKIPPED")
	if name == "" {
		return
	}
	f, err := os.OpenFile(name, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatalf("noting the skipped test: %v", err)
	}
	defer f.Close()
	fmt.Fprintf(f, "%s %s\n", program, t.Name())
}

// Run runs a program and returns its standard output. It fails the test, with
// everything the program said, when the exit status is not 0.
func Run(t testing.TB, stdin []byte, program string, args ...string) []byte {
	t.Helper()
	out, all, err := run(stdin, program, args...)
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", program, args, err, all)
	}
	return out
}

// Refuses runs a program that must fail, and returns what it said.
func Refuses(t testing.TB, stdin []byte, program string, args ...string) []byte {
	t.Helper()
	out, all, err := run(stdin, program, args...)
	if err == nil {
		t.Fatalf("%s %v succeeded, it must refuse\n%s", program, args, out)
	}
	return all
}

func run(stdin []byte, program string, args ...string) (out, all []byte, err error) {
	cmd := exec.Command(program, args...)
	cmd.Stdin = bytes.NewReader(stdin)
	var o, a bytes.Buffer
	cmd.Stdout, cmd.Stderr = &o, &a
	cmd.WaitDelay = time.Second
	timer := time.AfterFunc(time.Minute, func() {
		if cmd.Process != nil {
			cmd.Process.Kill()
		}
	})
	defer timer.Stop()
	err = cmd.Run()
	a.Write(o.Bytes())
	return o.Bytes(), a.Bytes(), err
}
