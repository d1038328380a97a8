// Package e2e plays the user stories in testdata/e2e against the real binary:
// real TLS on loopback, real files, the simulated iPhone, and other people's
// programs as judges. One script per story and per closed hole.
package e2e

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/signet-mdm/signet/internal/judge"
	"github.com/signet-mdm/signet/testdata"
)

func TestScripts(t *testing.T) {
	judge.Need(t, "openssl")
	bin := build(t)
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/e2e",
		RequireExplicitExec: true,
		Setup:               func(env *testscript.Env) error { return setup(env, bin) },
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"phone":   phoneVerb,
			"ready":   ready,
			"jsonenv": jsonEnv,
			"pem":     pemCerts,
			"leaks":   leaks,
			"bombard": bombard,
			"rss":     rss,
		},
	})
}

// build makes the binary once, with the race detector when the tests have it.
func build(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	args := []string{"build", "-o", dir, "github.com/signet-mdm/signet/cmd/signet"}
	if raceEnabled {
		args = append(args[:1:1], append([]string{"-race"}, args[1:]...)...)
	}
	if out, err := exec.Command("go", args...).CombinedOutput(); err != nil {
		t.Fatalf("building: %v\n%s", err, out)
	}
	return dir
}

// setup gives each script the binary, two free ports and Alice's history.
func setup(env *testscript.Env, bin string) error {
	env.Setenv("PATH", bin+string(os.PathListSeparator)+env.Getenv("PATH"))
	env.Setenv("SIGNET_DATA", filepath.Join(env.WorkDir, "data"))
	for _, name := range []string{"PORT", "HTTP_PORT"} {
		port, err := freePort()
		if err != nil {
			return err
		}
		env.Setenv(name, port)
	}
	env.Setenv("URL", "https://127.0.0.1:"+env.Getenv("PORT"))
	dir := filepath.Join(env.WorkDir, "history")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	for _, f := range testdata.History() {
		if err := os.WriteFile(filepath.Join(dir, f.Name), f.Data, 0o600); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, f.Name+".password"), []byte(f.Password+"\n"), 0o600); err != nil {
			return err
		}
	}
	if err := os.WriteFile(filepath.Join(env.WorkDir, "old-mail.eml"), testdata.OldMail(), 0o600); err != nil {
		return err
	}
	env.Values[phonesKey{}] = &phones{}
	return os.WriteFile(filepath.Join(env.WorkDir, "old-mail.txt"), []byte(testdata.OldMailText()), 0o600)
}

func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	return port, err
}

// ready waits until the server takes connections.
func ready(ts *testscript.TestScript, neg bool, args []string) {
	addr := "127.0.0.1:" + ts.Getenv("PORT")
	ctx, stop := context.WithTimeout(context.Background(), 20*time.Second)
	defer stop()
	for ctx.Err() == nil {
		c, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
		if err == nil {
			c.Close()
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	ts.Fatalf("nothing listens on %s", addr)
}

// leaks fails when a file below one of the folders, of those not excepted by
// -not=NAME, holds the text of a file given after "--". `leaks data -- canaries`
func leaks(ts *testscript.TestScript, neg bool, args []string) {
	var dirs, except []string
	var needles []string
	for i, a := range args {
		if name, ok := strings.CutPrefix(a, "-not="); ok {
			except = append(except, name)
			continue
		}
		if a == "--" {
			for _, f := range args[i+1:] {
				needles = append(needles, strings.Fields(ts.ReadFile(f))...)
			}
			break
		}
		dirs = append(dirs, ts.MkAbs(a))
	}
	if len(needles) == 0 {
		ts.Fatalf("leaks: nothing to look for")
	}
	files := 0
	for _, dir := range dirs {
		err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			for _, e := range except {
				if d.Name() == e {
					return nil
				}
			}
			files++
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			for _, n := range needles {
				if strings.Contains(string(data), n) {
					return fmt.Errorf("%s holds a secret (%d characters, %s…)", path, len(n), n[:min(6, len(n))])
				}
			}
			return nil
		})
		if err != nil {
			ts.Fatalf("%v", err)
		}
	}
	if files == 0 {
		ts.Fatalf("leaks: no file was looked at")
	}
}
