package e2e

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/signet-mdm/signet/internal/store/mariadbtest"
)

// workshop makes, once for all scripts, the data directory that `history`
// copies.
type workshop struct {
	bin, dir string
	dsn      string // of its MariaDB database; empty for SQLite
	once     sync.Once
	err      error
}

// history begins a script where others end: a data directory with Alice, her
// whole history and a policy, not running, and in told-once what init said.
// Settings that differ from script to script come from the environment.
func (w *workshop) history(ts *testscript.TestScript, neg bool, args []string) {
	w.once.Do(func() { w.err = w.make() })
	ts.Check(w.err)
	ts.Check(ts.Exec("cp", "-a", filepath.Join(w.dir, "data"), filepath.Join(w.dir, "told-once"), ts.MkAbs(".")))
	if w.dsn != "" {
		ts.Check(mariadbtest.Copy(w.dsn, dsnOf(ts)))
	}
	ts.Setenv("SIGNET_URL", ts.Getenv("URL"))
	ts.Setenv("SIGNET_LISTEN", "127.0.0.1:"+ts.Getenv("PORT"))
	ts.Setenv("SIGNET_HTTP_LISTEN", "127.0.0.1:"+ts.Getenv("HTTP_PORT"))
}

func (w *workshop) make() error {
	if err := fixtures(w.dir); err != nil {
		return err
	}
	if w.dsn != "" {
		if err := os.WriteFile(filepath.Join(w.dir, "dsn"), []byte(w.dsn), 0o600); err != nil {
			return err
		}
	}
	if err := os.WriteFile(filepath.Join(w.dir, "policy.yaml"), []byte(policy), 0o600); err != nil {
		return err
	}
	port, err := freePort()
	if err != nil {
		return err
	}
	told, err := w.command("init", "--url", "https://127.0.0.1:"+port, "--listen", "127.0.0.1:"+port, "--organization", "Example").Output()
	if err != nil {
		return fmt.Errorf("signet init: %w", err)
	}
	if err := os.WriteFile(filepath.Join(w.dir, "told-once"), told, 0o600); err != nil {
		return err
	}
	server := w.command("serve")
	if err := server.Start(); err != nil {
		return err
	}
	err = w.fill()
	return errors.Join(err, server.Process.Signal(syscall.SIGINT), server.Wait())
}

// fill does what an administrator does.
func (w *workshop) fill() error {
	if err := listening("unix", filepath.Join(w.dir, "data", "signet.sock")); err != nil {
		return err
	}
	if err := w.signet("user", "add", "alice@example.com", "--name", "Alice Example"); err != nil {
		return err
	}
	files, err := filepath.Glob(filepath.Join(w.dir, "history", "*.p[1f][2x]"))
	if err != nil {
		return err
	}
	for _, f := range files {
		if err := w.signet("pfx", "import", "--password-file", f+".password", f); err != nil {
			return err
		}
	}
	return w.signet("apply", "-f", filepath.Join(w.dir, "policy.yaml"))
}

func (w *workshop) command(args ...string) *exec.Cmd {
	c := exec.Command(filepath.Join(w.bin, "signet"), args...)
	c.Env = append(os.Environ(), "SIGNET_DATA="+filepath.Join(w.dir, "data"), "GORACE=atexit_sleep_ms=0")
	if w.dsn != "" {
		c.Env = append(c.Env, dsnFile+"="+filepath.Join(w.dir, "dsn"))
	}
	return c
}

func (w *workshop) signet(args ...string) error {
	if out, err := w.command(args...).CombinedOutput(); err != nil {
		return fmt.Errorf("signet %v: %w\n%s", args, err, out)
	}
	return nil
}

// listening waits until something listens at an address.
func listening(network, addr string) error {
	ctx, stop := context.WithTimeout(context.Background(), patience)
	defer stop()
	for {
		c, err := net.Dial(network, addr)
		if err == nil {
			return c.Close()
		}
		if ctx.Err() != nil {
			return err
		}
		time.Sleep(pause)
	}
}

const policy = `
kind: Policy
name: secure mail
priority: 10
assign: {all: true}
signing: {source: scep}
encryption: {source: imported}
mail:
  apple: {account: exchange, host: mail.example.com, oauth: true, sign: true, encrypt: false}
  outlook: {smime: true}
`
